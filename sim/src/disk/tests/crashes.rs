//! What a power cut leaves, and what a process that dies does not touch.

use super::{FailNth, IoError, Random, SECTOR_BYTES, disk, disk_of, firsts, sectors, write};
use crate::disk::cache::VERSIONS_MAX;
use crate::disk::{Choice, Disk};
use std::collections::BTreeSet;

#[test]
fn a_crash_leaves_what_is_chosen() {
    let check = |chosen: [usize; 3], expected: [u8; 4]| {
        let mut disk = Disk::from_image(sectors(9, 4), Random::new(1));
        write(&mut disk, 3, 1);
        write(&mut disk, 0, 1);
        write(&mut disk, 1, 1);
        write(&mut disk, 1, 2);
        let mut asked = Vec::new();
        disk.crash_with(&mut |sector, versions| {
            asked.push((sector, versions));
            Choice::Version(chosen[asked.len() - 1])
        });
        assert_eq!(asked, [(0, 2), (1, 3), (3, 2)]);
        assert_eq!(firsts(&disk.image()), expected);
        assert_eq!(disk.image(), disk.durable_image());
        assert_eq!(disk.unflushed_sectors(), 0);
    };
    check([0, 0, 0], [9, 9, 9, 9]);
    check([1, 0, 0], [1, 9, 9, 9]);
    check([0, 1, 0], [9, 1, 9, 9]);
    check([0, 2, 1], [9, 2, 9, 1]);
    check([1, 2, 1], [1, 2, 9, 1]);
}

#[test]
#[should_panic(expected = "a version that was offered")]
fn a_version_that_there_is_not_cannot_be_chosen() {
    let mut disk = disk();
    write(&mut disk, 0, 1);
    disk.crash_with(&mut |_, versions| Choice::Version(versions));
}

#[test]
fn a_crash_takes_nothing_that_was_flushed() {
    for seed in 0..100 {
        let mut disk = disk_of(seed);
        disk.faults().unreadable_at_crash = 1_000_000;
        write(&mut disk, 0, 1);
        write(&mut disk, 0, 2);
        disk.flush().expect("it works");
        disk.crash();
        assert_eq!(disk.read(0, &mut sectors(0, 8)), Ok(()));
        assert_eq!(disk.image()[0], 2);
    }
}

#[test]
fn seeds_find_every_outcome() {
    let outcome = |seed: u64| {
        let mut disk = disk_of(seed);
        disk.write(0, &sectors(1, 3)).expect("no faults");
        write(&mut disk, 1, 2);
        disk.crash();
        firsts(&disk.image())[..3].to_vec()
    };
    let outcomes: BTreeSet<Vec<u8>> = (0..500).map(outcome).collect();
    assert_eq!(outcomes.len(), 2 * 3 * 2);
}

/// Mixtures alone would need 2 to the power of 64 seeds for these.
#[test]
fn seeds_find_the_ends_of_a_large_cache() {
    let kept = |seed: u64| {
        let mut disk = Disk::new(64 * SECTOR_BYTES, Random::new(seed));
        for sector in 0..64 {
            write(&mut disk, 63 - sector, 1);
        }
        disk.crash();
        firsts(&disk.image())
    };
    let outcomes: Vec<Vec<u8>> = (0..200).map(kept).collect();
    let count = |image: &[u8]| image.iter().filter(|byte| **byte == 1).count();
    for expected in [0, 1, 63, 64] {
        assert!(outcomes.iter().any(|image| count(image) == expected));
    }
    let in_order = |image: &[u8]| image.is_sorted() && (2..63).contains(&count(image));
    assert!(outcomes.iter().any(|image| in_order(image)));
}

#[test]
fn crashing_once_more_moves_no_fault() {
    let run = |crashes: u32| {
        let mut disk = disk_of(5);
        disk.faults().read_error = 500_000;
        for _ in 0..crashes {
            disk.crash();
        }
        let reads = (0..50).map(|_| disk.read(0, &mut sectors(0, 1)).is_ok());
        reads.collect::<Vec<_>>()
    };
    assert_eq!(run(0), run(3));
}

#[test]
fn a_process_that_dies_loses_nothing_and_makes_nothing_durable() {
    let mut disk = disk();
    write(&mut disk, 0, 1);
    disk.fail_nth(0, FailNth::FromThenOn);
    assert_eq!(disk.read(0, &mut sectors(0, 1)), Err(IoError::Failed));
    disk.kill();
    let mut read = sectors(0, 1);
    assert_eq!(disk.read(0, &mut read), Ok(()));
    assert_eq!(firsts(&read), [1]);
    assert_eq!(disk.durable_image()[0], 0);
    assert_eq!(disk.unflushed_sectors(), 1);
}

#[test]
fn a_full_list_of_versions_reaches_the_medium_from_its_oldest() {
    let mut disk = disk();
    for byte in 1..=VERSIONS_MAX as u8 + 2 {
        write(&mut disk, 0, byte);
    }
    assert_eq!(disk.durable_image()[0], 2);
    let mut offered = 0;
    disk.crash_with(&mut |_, versions| {
        offered = versions;
        Choice::Version(1)
    });
    assert_eq!(offered, VERSIONS_MAX + 1);
    assert_eq!(disk.image()[0], 3);
}
