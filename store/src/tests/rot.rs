//! Damage of every kind, at rest: nothing panics, nothing hangs, nothing is wrong in silence.
//!
//! After any mutation of an image a store either shows exactly what it should,
//! or says that something is wrong (refused, read-only, a read error). The one
//! stated exception is the last group of a store that was not closed.

mod sectors;

use super::bed::*;
use super::crash::{DISK, drive, effort, open_on};
use super::sim_disk::*;
use crate::*;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

pub(super) type Shown = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// An image, everything it should show, and every value that was ever written to a key.
pub(super) struct Specimen {
    pub(super) image: Image,
    /// The last state, and if the store was not closed the one before.
    pub(super) states: Vec<Shown>,
    ever: BTreeMap<(String, Vec<u8>), Vec<Vec<u8>>>,
    /// Each write's first sector, and what its sectors were before it.
    writes: Vec<(u64, Vec<[u8; 512]>)>,
    /// The sectors that each change has written.
    changes: Vec<BTreeSet<u64>>,
    compactions: u64,
}

pub(super) fn specimen(seed: u64, close: bool, rounds: u64) -> Specimen {
    specimen_of(seed, close, rounds, 1500)
}

/// A value of any length is taken, one above 64 KiB by an upload.
fn submit(store: &mut Store, disk: &SimDisk, k: &str, change: Change) -> Ticket {
    let value = match change {
        Change::Put { value, .. } if value.len() > 65_536 => value,
        change => {
            let batch = one("b", k, Condition::None, change);
            return store.submit(batch).expect("taken");
        }
    };
    let none = (Condition::None, Headers::default(), None);
    let upload = store.begin_upload(bucket("b"), key(k), none.0, none.1, none.2);
    let mut upload = upload.expect("begun");
    let mut at = 0;
    while at < value.len() {
        at += store.upload(&mut upload, &value[at..]).expect("taken");
        drive(store, disk);
    }
    store.commit_upload(upload).expect("taken")
}

/// As [`specimen`], with values of less than `len_max` bytes.
fn specimen_of(seed: u64, close: bool, rounds: u64, len_max: u64) -> Specimen {
    let mut random = Random(seed);
    let mut image = Image::default();
    let mut states: Vec<Shown> = alloc::vec![Shown::new()];
    let mut ever: BTreeMap<(String, Vec<u8>), Vec<Vec<u8>>> = BTreeMap::new();
    let (mut writes, mut changes, mut compactions) = (Vec::new(), Vec::new(), 0);
    for epoch in 0..3 {
        let disk = SimDisk::new(image, DISK, seed + epoch);
        disk.0.borrow_mut().replaced = Some(Vec::new());
        let mut store = open_on(&disk, (seed + epoch) as u8);
        for _ in 0..rounds {
            let mut state = states.last().expect("a state").clone();
            let k = format!("key-{}", random.below(30));
            let id = (String::from("b"), k.as_bytes().to_vec());
            let change = if state.contains_key(&id) && random.one_in(3) {
                state.remove(&id);
                Change::Delete
            } else {
                let value = pattern(random.below(len_max) as usize, random.next());
                ever.entry(id.clone()).or_default().push(value.clone());
                state.insert(id, value.clone());
                put_change(&value)
            };
            let written = disk.0.borrow().replaced.as_ref().map_or(0, Vec::len);
            let ticket = submit(&mut store, &disk, &k, change);
            drive(&mut store, &disk);
            assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
            states.push(state);
            let sim = disk.0.borrow();
            let written = sim.replaced.iter().flatten().skip(written);
            let sectors = written.flat_map(|(first, before)| *first..first + before.len() as u64);
            changes.push(sectors.collect());
        }
        compactions += store.statistics().compactions;
        if close && epoch == 2 {
            store.close();
            drive(&mut store, &disk);
            assert_eq!(*store.state(), State::Closed);
        }
        image = disk.0.borrow().durable.clone();
        writes.extend(disk.0.borrow_mut().replaced.take().unwrap_or_default());
    }
    let allowed = if close { 1 } else { 2 };
    let states = states.split_off(states.len() - allowed);
    Specimen {
        image,
        states,
        ever,
        writes,
        changes,
        compactions,
    }
}

/// Everything shown; `None` if any read ended in an error.
pub(super) fn shown(store: &mut Store, disk: &SimDisk, specimen: &Specimen) -> Option<Shown> {
    let listed = listed(store, disk, specimen).into_iter();
    listed.map(|(id, value)| Some((id, value?))).collect()
}

/// Every key that is listed, and its value if it can be read.
fn listed(
    store: &mut Store,
    disk: &SimDisk,
    specimen: &Specimen,
) -> BTreeMap<(String, Vec<u8>), Option<Vec<u8>>> {
    let mut shown = BTreeMap::new();
    for name in store.buckets().expect("whole") {
        let query = KeyQuery {
            limit: usize::MAX,
            ..KeyQuery::default()
        };
        for (k, _) in store.keys(&name, &query).expect("readable").keys {
            let id = (String::from(name.as_str()), k.as_bytes().to_vec());
            let opened = store.open_value(At::NOW, &name, &k).expect("readable");
            let (_, mut reader) = opened.expect("a listed key is there");
            let mut value = Vec::new();
            let ended = loop {
                match store.read(&mut reader) {
                    Poll::Pending => drive(store, disk),
                    Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
                    Poll::Ready(Ok(None)) => break true,
                    Poll::Ready(Err(_)) => break false,
                }
            };
            if ended {
                let versions = specimen.ever.get(&id);
                let known = versions.is_some_and(|versions| versions.contains(&value));
                assert!(known, "bytes nobody wrote under {id:?}");
            }
            shown.insert(id, ended.then_some(value));
        }
    }
    shown
}

pub(super) fn mutate(image: &mut Image, sectors: &[u64], random: &mut Random) -> String {
    let pick = |random: &mut Random| sectors[random.below(sectors.len() as u64) as usize];
    let sector = pick(random);
    let mut bytes = image.sector(sector);
    match random.below(8) {
        0..=2 => {
            let bit = random.below(4096);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            image.set_sector(sector, &bytes);
            format!("bit {bit} of sector {sector} flipped")
        }
        3 => {
            image.set_sector(sector, &[0; 512]);
            format!("sector {sector} zeroed")
        }
        4 => {
            bytes
                .iter_mut()
                .for_each(|byte| *byte = random.next() as u8);
            image.set_sector(sector, &bytes);
            format!("sector {sector} garbled")
        }
        5 => {
            let other = pick(random);
            let theirs = image.sector(other);
            image.set_sector(sector, &theirs);
            image.set_sector(other, &bytes);
            format!("sectors {sector} and {other} swapped")
        }
        6 => {
            let other = pick(random);
            image.set_sector(other, &bytes);
            format!("sector {sector} also at {other}")
        }
        _ => {
            image.unreadable.insert(sector);
            format!("sector {sector} unreadable")
        }
    }
}

fn check(specimen: &Specimen, image: Image, seed: u64, what: &str) -> &'static str {
    check_against(specimen, &specimen.states, image, seed, what)
}

/// What became of a damaged disk.
///
/// # Panics
/// If it is open for writing and shows none of `states`, errors of single values aside.
fn check_against(
    specimen: &Specimen,
    states: &[Shown],
    image: Image,
    seed: u64,
    what: &str,
) -> &'static str {
    let disk = SimDisk::new(image, DISK, seed);
    let mut store = open_on(&disk, seed as u8);
    match store.state().clone() {
        State::Refused(_) => "refused",
        State::ReadOnly(_) => {
            shown(&mut store, &disk, specimen);
            "read-only"
        }
        State::Ready => {
            let listed = listed(&mut store, &disk, specimen);
            let same = |state: &Shown| {
                let one = |((id, value), (k, found)): ((_, &Vec<u8>), (_, &Option<Vec<u8>>))| {
                    id == k && found.as_ref().is_none_or(|found| found == value)
                };
                state.len() == listed.len() && state.iter().zip(&listed).all(one)
            };
            let fits = states.iter().any(same);
            assert!(fits, "seed {seed}: {what}: something is missing in silence");
            match listed.values().all(Option::is_some) {
                true => "right",
                false => "read error",
            }
        }
        other => panic!("seed {seed}: {what}: {other:?}"),
    }
}

fn rot(close: bool, rounds: u64, mutations: u64) {
    let specimen = specimen(40 + u64::from(close), close, rounds);
    let sectors = specimen.image.written();
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..mutations * effort() {
        let mut random = Random(seed);
        let mut image = specimen.image.clone();
        let what = mutate(&mut image, &sectors, &mut random);
        *tally
            .entry(check(&specimen, image, seed, &what))
            .or_default() += 1;
    }
    std::println!("closed {close}, {} sectors: {tally:?}", sectors.len());
    assert!(tally.contains_key("read-only") && tally.contains_key("right"));
}

#[test]
fn damage_to_a_closed_store_is_never_silent() {
    rot(true, 40, 1500);
}

#[test]
fn damage_to_a_crashed_store_is_never_silent() {
    rot(false, 40, 1500);
}

#[test]
fn damage_to_a_store_of_many_segments_is_never_silent() {
    rot(true, 300, 300);
}

#[test]
fn every_bit_of_a_small_log_matters() {
    let specimen = specimen(3, true, 2);
    let first = 2 * 1024 * 1024 / SECTOR;
    let log: Vec<u64> = specimen
        .image
        .written()
        .into_iter()
        .filter(|sector| *sector >= first)
        .collect();
    let mut padding = 0;
    for (at, sector) in log.iter().enumerate() {
        let step = if effort() > 1 { 1 } else { 23 };
        for bit in (at as u64 % step..4096).step_by(step as usize) {
            let mut image = specimen.image.clone();
            let mut bytes = image.sector(*sector);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            image.set_sector(*sector, &bytes);
            let what = format!("bit {bit} of sector {sector}");
            padding += u64::from(check(&specimen, image, bit, &what) == "right");
        }
    }
    std::println!(
        "{} sectors, {padding} flips changed nothing that counts",
        log.len()
    );
}

#[test]
fn a_value_that_rots_under_an_open_store_is_an_error_and_counted() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", &pattern(9000, 1)).expect("committed");
    upload(&mut store, "large", &pattern(200_000, 2)).expect("committed");
    store.close();
    settle(&mut store);
    let mut store = ready(disk.clone(), 2);
    let mut segment = alloc::vec![0u8; 1 << 20];
    disk.peek(2 << 20, &mut segment);
    for (wanted, k) in [(pattern(9000, 1), "k"), (pattern(200_000, 2), "large")] {
        let needle = &wanted[4000..4016];
        let at = segment
            .windows(16)
            .position(|window| window == needle)
            .expect("on the disk");
        disk.poke((2 << 20) + at as u64, &[needle[0] ^ 4]);
        let (_, mut reader) = store
            .open_value(At::NOW, &bucket("b"), &key(k))
            .expect("readable")
            .expect("there");
        let found = read_all(&mut store, &mut reader);
        assert!(matches!(found, Err(ReadError::Corrupt { .. })), "{k}");
        let again = read_all(&mut store, &mut reader);
        assert!(matches!(again, Err(ReadError::Corrupt { .. })), "{k}");
    }
    assert_eq!(store.statistics().corruptions, 2);
    assert_eq!(*store.state(), State::Ready);
}
