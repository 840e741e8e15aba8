//! A disk killed at any point has no findings: a torn tail is no damage.

use super::*;
use crate::tests::crash::effort;
use crate::tests::sim_disk::{Image, SECTOR, SimDisk};

const DISK: u64 = 8 << 20;

fn judge(image: &Image, seed: u64, what: &str) -> u64 {
    let disk = SimDisk::new(image.clone(), DISK, seed);
    let tick = disk.clone();
    match look_with(disk, move || _ = tick.tick()) {
        Err(sentence) => {
            // A crash while formatting may leave no store at all.
            let none = [0, (1 << 20) / SECTOR].iter().all(|sector| {
                image.sector(*sector) == [0; 512] || image.unreadable.contains(sector)
            });
            assert!(none, "{what}: {sentence}");
            0
        }
        Ok(seen) => {
            // Whether a superblock that cannot be read ever was durable, nobody can tell.
            let unread = |one: &&Finding| {
                let sector = one.offset_bytes / SECTOR;
                !(image.unreadable.contains(&sector) && [0, 1 << 20].contains(&one.offset_bytes))
            };
            let findings: Vec<&Finding> = seen.findings.iter().filter(unread).collect();
            assert!(findings.is_empty(), "{what}: {findings:#?}");
            seen.notes.len() as u64
        }
    }
}

/// Takes a snapshot, goes back to one, or forgets one.
fn change_views(store: &mut Store, at: u64) {
    let listed = store.snapshots().expect("readable");
    let last = listed.last().map(|one| one.name.clone());
    match (at % 3, last) {
        (0, Some(last)) => drop(store.roll_back(&last, None)),
        (1, Some(last)) if listed.len() > 4 => drop(store.delete_snapshot(&last)),
        _ => {
            let name = SnapshotName::new(&format!("at-{at}")).expect("a name");
            drop(store.take_snapshot(name));
        }
    }
}

/// Works on a store, and looks at what a kill may leave, now and then.
fn life(image: Image, seed: u64, moves: u64) -> (Image, u64, u64) {
    let disk = SimDisk::new(image, DISK, seed);
    let mut random = Random(seed);
    disk.0.borrow_mut().geometry.physical_sector_bytes = [512, 4096][(seed % 2) as usize];
    let mut store = Store::opening(Box::new(disk.clone()), options(seed as u8));
    let (mut looked, mut notes) = (0, 0);
    let mut last = Image::default();
    for at in 0..moves {
        if *store.state() == State::Ready && random.one_in(3) {
            let k = format!("key-{}", random.below(30));
            let change = match random.below(4) {
                0 => Change::Delete,
                _ => put_change(&pattern(random.below(30_000) as usize, random.next())),
            };
            drop(store.submit(one("b", &k, Condition::None, change)));
            if random.one_in(8) {
                change_views(&mut store, at);
            }
        }
        store.step(now(at));
        disk.tick();
        if random.one_in(12) {
            last = disk.crash_point().sample(&mut random);
            let what = format!("seed {seed}, move {at}");
            notes += judge(&last, at, &what);
            looked += 1;
        }
    }
    (last, looked, notes)
}

/// Seeds that once found something: a footer that said of a log that had moved to larger sectors
/// that it ended behind its end.
const ONCE_FAILED: [u64; 1] = [21];

#[test]
fn a_disk_killed_anywhere_has_no_findings() {
    let (mut looked, mut notes) = (0, 0);
    for seed in (0..6 * effort()).chain(ONCE_FAILED) {
        let mut image = Image::default();
        for round in 0..4 {
            let (left, some, told) = life(image, seed * 8 + round, 250);
            image = left;
            looked += some;
            notes += told;
        }
    }
    std::println!("{looked} images looked at, {notes} notes");
    assert!(looked > 100 && notes > 0);
}
