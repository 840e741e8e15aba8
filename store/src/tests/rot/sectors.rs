//! Sectors in the wrong place, sectors that are gone, and writes that never came to the disk.
//!
//! What is told of a whole disk is held against the one state it has. The group before only
//! for damage to the last one of a store that was not closed (`docs/data-layout.md`, "Torn or
//! damaged").

use super::*;

/// Sectors of a segment on the disk of these tests.
const SEGMENT: u64 = 256 * 1024 / SECTOR;
const FIRST_SEGMENT: u64 = 2 * 1024 * 1024 / SECTOR;

/// What became of all images looked at.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// Opens a damaged disk, on which these sectors are not as they were.
    fn look(&mut self, specimen: &Specimen, image: Image, touched: &[u64], what: &str) {
        let last = specimen.changes.last().expect("a change");
        let alone = touched.iter().any(|sector| last.contains(sector));
        let states = match alone {
            true => &specimen.states[..],
            false => &specimen.states[specimen.states.len() - 1..],
        };
        let seed = self.count();
        let outcome = check_against(specimen, states, image, seed, what);
        *self.0.entry(outcome).or_default() += 1;
    }

    fn count(&self) -> u64 {
        self.0.values().sum()
    }

    fn exchange(&mut self, specimen: &Specimen, a: u64, b: u64) {
        let (at_a, at_b) = (specimen.image.sector(a), specimen.image.sector(b));
        if at_a == at_b {
            return;
        }
        let mut image = specimen.image.clone();
        image.set_sector(a, &at_b);
        image.set_sector(b, &at_a);
        let what = format!("sectors {a} and {b} exchanged");
        self.look(specimen, image, &[a, b], &what);
    }

    fn replace(&mut self, specimen: &Specimen, sector: u64, bytes: &[u8; 512], by: &str) {
        if specimen.image.sector(sector) == *bytes {
            return;
        }
        let mut image = specimen.image.clone();
        image.set_sector(sector, bytes);
        let what = format!("sector {sector} replaced by {by}");
        self.look(specimen, image, &[sector], &what);
    }
}

/// Everything a sector has held before what it holds now.
fn held(specimen: &Specimen) -> BTreeMap<u64, BTreeSet<[u8; 512]>> {
    let mut held: BTreeMap<u64, BTreeSet<[u8; 512]>> = BTreeMap::new();
    for (first, before) in &specimen.writes {
        for (sector, bytes) in (*first..).zip(before) {
            held.entry(sector).or_default().insert(*bytes);
        }
    }
    held
}

/// The image as it were had write number `n` never come to the disk, and what differs.
fn without(specimen: &Specimen, n: usize) -> (Image, Vec<u64>) {
    let mut image = specimen.image.clone();
    let (first, before) = &specimen.writes[n];
    let later = &specimen.writes[n + 1..];
    let mut touched = Vec::new();
    for (sector, bytes) in (*first..).zip(before) {
        let covers =
            |(from, old): &(u64, Vec<_>)| (*from..from + old.len() as u64).contains(&sector);
        if !later.iter().any(covers) && image.sector(sector) != *bytes {
            image.set_sector(sector, bytes);
            touched.push(sector);
        }
    }
    (image, touched)
}

fn lose_writes(specimen: &Specimen, step: usize) -> Tally {
    let mut tally = Tally::default();
    for n in (0..specimen.writes.len()).rev().step_by(step) {
        let (image, touched) = without(specimen, n);
        if !touched.is_empty() {
            let what = format!("write {n} lost, at sector {}", touched[0]);
            tally.look(specimen, image, &touched, &what);
        }
    }
    tally
}

fn replace_sectors(specimen: &Specimen, sectors: &[u64]) -> Tally {
    let mut tally = Tally::default();
    let held = held(specimen);
    for sector in sectors {
        tally.replace(specimen, *sector, &[0; 512], "zeros");
        for bytes in held.get(sector).into_iter().flatten() {
            if *bytes != [0; 512] {
                tally.replace(specimen, *sector, bytes, "what it held before");
            }
        }
    }
    tally
}

/// Whether an exchange hits the last group and its only witness at once, so that nothing tells
/// of it: the clean mark, or where there is none the group itself, which the one before it has.
fn takes_the_witness_too(specimen: &Specimen, close: bool, a: u64, b: u64) -> bool {
    let (last, before) = match &specimen.changes[..] {
        [.., before, last] => (last, before),
        _ => panic!("two changes"),
    };
    let mark = specimen.writes.last().map(|(sector, _)| *sector);
    let pair = |a: u64, b: u64| {
        last.contains(&b)
            && match close {
                true => mark == Some(a),
                false => before.contains(&a),
            }
    };
    pair(a, b) || pair(b, a)
}

#[test]
fn every_exchange_of_two_sectors_of_a_small_store_is_noticed() {
    for close in [true, false] {
        let specimen = specimen(60 + u64::from(close), close, 12);
        let sectors = specimen.image.written();
        let mut tally = Tally::default();
        let mut left_out = 0;
        for (at, a) in sectors.iter().enumerate() {
            for b in &sectors[at + 1..] {
                match takes_the_witness_too(&specimen, close, *a, *b) {
                    true => left_out += 1,
                    false => tally.exchange(&specimen, *a, *b),
                }
            }
        }
        std::println!("{left_out} pairs left out");
        assert!(left_out < 10);
        std::println!("closed {close}, {} sectors: {tally:?}", sectors.len());
        let pairs = sectors.len() as u64 * (sectors.len() as u64 - 1) / 2;
        assert!(tally.count() > 2000 && tally.count() <= pairs);
    }
}

#[test]
fn exchanges_with_neighbours_and_between_segments_are_noticed() {
    let specimen = specimen(70, true, 160);
    let sectors = specimen.image.written();
    let written: BTreeSet<u64> = sectors.iter().copied().collect();
    let mut tally = Tally::default();
    for a in &sectors {
        if written.contains(&(a + 1)) {
            tally.exchange(&specimen, *a, a + 1);
        }
    }
    let neighbours = tally.count();
    for a in sectors.iter().filter(|a| **a >= FIRST_SEGMENT) {
        let others = (1..24).map(|segments| a + segments * SEGMENT);
        for b in others.filter(|b| written.contains(b)) {
            tally.exchange(&specimen, *a, b);
        }
    }
    let between = tally.count() - neighbours;
    let mut random = Random(1);
    for _ in 0..1500 * effort() {
        let mut pick = || sectors[random.below(sectors.len() as u64) as usize];
        let (a, b) = (pick(), pick());
        tally.exchange(&specimen, a, b);
    }
    std::println!("{neighbours} neighbours, {between} between segments: {tally:?}");
    assert!(neighbours > 500 && between > 400);
}

#[test]
fn every_sector_that_is_gone_or_old_is_noticed() {
    for (close, rounds) in [(true, 40), (false, 40), (true, 200)] {
        let specimen = specimen(80 + u64::from(close), close, rounds);
        let sectors = specimen.image.written();
        let tally = replace_sectors(&specimen, &sectors);
        std::println!("closed {close}, {} sectors: {tally:?}", sectors.len());
        assert!(tally.count() >= sectors.len() as u64);
    }
}

#[test]
fn every_write_that_never_came_to_the_disk_is_noticed() {
    for (close, rounds) in [(true, 40), (false, 40), (true, 200), (false, 200)] {
        let specimen = specimen(90 + u64::from(close), close, rounds);
        let tally = lose_writes(&specimen, 1);
        std::println!(
            "closed {close}, {} writes: {tally:?}",
            specimen.writes.len()
        );
        assert!(tally.count() > rounds * 3);
    }
}

#[test]
fn old_sectors_and_lost_writes_in_segments_used_again_are_noticed() {
    for close in [true, false] {
        let specimen = specimen_of(50 + u64::from(close), close, 120, 90_000);
        assert!(specimen.compactions > 4, "{}", specimen.compactions);
        let lost = lose_writes(&specimen, if effort() > 1 { 1 } else { 5 });
        let sectors = specimen.image.written();
        let step = if effort() > 1 { 1 } else { 97 };
        let edge = |sector: u64| {
            sector < FIRST_SEGMENT || sector % SEGMENT < 2 || sector % SEGMENT == SEGMENT - 1
        };
        let some = sectors.iter().enumerate();
        let some = some.filter(|(at, sector)| edge(**sector) || at % step == 0);
        let some: Vec<u64> = some.map(|(_, sector)| *sector).collect();
        let old = replace_sectors(&specimen, &some);
        std::println!("closed {close}: writes lost {lost:?}, sectors old {old:?}");
        assert!(lost.count() > 50 && old.count() > 200);
    }
}

#[test]
fn every_bit_of_headers_footers_and_superblocks_matters() {
    let specimen = specimen(71, true, 120);
    let log = specimen.image.written().into_iter();
    let log = log.filter(|sector| *sector >= FIRST_SEGMENT);
    let segments: BTreeSet<u64> = log.map(|sector| sector / SEGMENT).collect();
    // Sector, bytes of it that have a meaning, and how many bits are passed over.
    let mut places = alloc::vec![(0, 256, 11), (1024 * 1024 / SECTOR, 256, 11)];
    for segment in &segments {
        places.push((segment * SEGMENT, 132, 1));
        places.push(((segment + 1) * SEGMENT - 1, 48, 1));
    }
    let mut tally = Tally::default();
    for (sector, bytes, step) in places {
        let step = if effort() > 1 { 1 } else { step };
        let whole = specimen.image.sector(sector);
        for bit in (0..bytes * 8).step_by(step) {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let by = format!("itself with bit {bit} flipped");
            tally.replace(&specimen, sector, &bytes, &by);
        }
    }
    std::println!("{} segments: {tally:?}", segments.len());
    assert!(segments.len() > 1);
}
