//! Each fault: seen when it is on, never when it is off.

use super::{FailNth, Faults, Flush, IoError, Random, SECTORS, disk, disk_of, firsts, sectors};
use super::{SECTOR_BYTES, write};
use crate::disk::{Choice, Disk};

const ALWAYS: u32 = 1_000_000;

/// A disk with sector `n` holding `n + 1`, durably.
fn numbered(seed: u64) -> Disk {
    let image = (1..=SECTORS as u8).flat_map(|byte| sectors(byte, 1));
    Disk::from_image(image.collect(), Random::new(seed))
}

/// Whether `sees` holds after `set`, for half of some seeds and for none without.
fn check(set: impl Fn(&mut Faults), sees: impl Fn(&mut Disk) -> bool) {
    let count = |switched: &dyn Fn(&mut Faults)| {
        let runs = (0..200).filter(|seed| {
            let mut disk = numbered(*seed);
            switched(disk.faults());
            sees(&mut disk)
        });
        runs.count()
    };
    assert_eq!(count(&|_| ()), 0);
    let struck = count(&set);
    assert!((60..=140).contains(&struck), "{struck} of 200");
}

fn flushed(disk: &mut Disk) -> Vec<u8> {
    disk.flush().expect("it works");
    disk.durable_image()
}

#[test]
fn each_fault_happens_as_often_as_its_chance_and_at_0_never() {
    let half = ALWAYS / 2;
    let two = || sectors(99, 2);
    check(
        |faults| faults.read_error = half,
        |disk| disk.read(0, &mut two()) == Err(IoError::Failed),
    );
    check(
        |faults| faults.write_error = half,
        |disk| disk.write(0, &two()) == Err(IoError::Failed),
    );
    check(
        |faults| faults.write_error = half,
        |disk| disk.discard(0, 1024) == Err(IoError::Failed),
    );
    check(
        |faults| faults.flush_error = half,
        |disk| disk.flush() == Err(IoError::Failed),
    );
    check(
        |faults| faults.lost_write = half,
        |disk| {
            write(disk, 0, 99);
            firsts(&flushed(disk)) == [1, 2, 3, 4, 5, 6, 7, 8]
        },
    );
    check(
        |faults| faults.misdirected_write = half,
        |disk| {
            write(disk, 3, 99);
            let image = firsts(&flushed(disk));
            assert_eq!(image.iter().filter(|byte| **byte == 99).count(), 1);
            image[3] == 4
        },
    );
    check(
        |faults| faults.misdirected_read = half,
        |disk| {
            let mut read = sectors(0, 1);
            disk.read(1536, &mut read).expect("it ends well");
            firsts(&read) != [4]
        },
    );
    check(
        |faults| faults.latent_error = half,
        |disk| disk.read(0, &mut two()) == Err(IoError::Failed),
    );
    check(
        |faults| faults.ignored_discard = half,
        |disk| {
            disk.discard(0, 512).expect("it ends well");
            disk.image()[0] == 1
        },
    );
    check(
        |faults| faults.unreadable_at_crash = half,
        |disk| {
            write(disk, 0, 99);
            disk.crash();
            disk.unreadable_sectors().eq([0])
        },
    );
}

#[test]
fn rot_is_one_bit_and_shows_when_the_cache_is_gone() {
    check(
        |faults| faults.corrupt_write = ALWAYS / 2,
        |disk| {
            let written = sectors(0x55, 2);
            disk.write(512, &written).expect("it ends well");
            let mut read = sectors(0, 2);
            disk.read(512, &mut read).expect("no read faults");
            assert_eq!(read, written);
            flushed(disk);
            disk.read(512, &mut read).expect("no read faults");
            let bits = read.iter().zip(&written).map(|(a, b)| (a ^ b).count_ones());
            let flipped: u32 = bits.sum();
            assert!(flipped <= 1);
            flipped == 1
        },
    );
}

#[test]
fn a_failed_write_leaves_any_of_its_sectors() {
    let left = |seed: u64| {
        let mut disk = disk_of(seed);
        disk.faults().write_error = ALWAYS;
        let failed = disk.write(0, &sectors(1, 3));
        assert_eq!(failed, Err(IoError::Failed));
        firsts(&disk.image())[..3].to_vec()
    };
    let mut all: Vec<Vec<u8>> = (0..200).map(left).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[test]
fn a_misplaced_write_of_the_whole_disk_has_no_elsewhere() {
    let mut disk = disk();
    disk.faults().misdirected_write = ALWAYS;
    disk.faults().misdirected_read = ALWAYS;
    let all = sectors(5, SECTORS as usize);
    disk.write(0, &all).expect("it ends well");
    assert_eq!(disk.image(), all);
}

#[test]
fn an_unreadable_sector_is_cured_by_a_write_that_becomes_durable() {
    let mut disk = numbered(1);
    write(&mut disk, 2, 99);
    disk.crash_with(&mut |_, _| Choice::Unreadable);
    let mut read = sectors(0, 4);
    assert_eq!(disk.read(0, &mut read), Err(IoError::Failed));
    assert_eq!(disk.read(0, &mut read[..1024]), Ok(()));

    // Cached, it can be read; lost, it is as bad as before.
    write(&mut disk, 2, 50);
    assert_eq!(disk.read(0, &mut read), Ok(()));
    disk.crash_with(&mut |_, _| Choice::Version(0));
    assert_eq!(disk.read(0, &mut read), Err(IoError::Failed));

    write(&mut disk, 2, 51);
    disk.flush().expect("it works");
    disk.crash();
    assert_eq!(disk.read(0, &mut read), Ok(()));
    assert_eq!(firsts(&read), [1, 2, 51, 4]);
}

#[test]
fn a_flush_keeps_its_word_only_if_it_works() {
    let check = |flush: Flush, expected: Result<(), IoError>, durable: u8, io_count: u64| {
        let mut disk = disk();
        disk.faults().flush = flush;
        write(&mut disk, 0, 1);
        assert_eq!(disk.flush(), expected);
        assert_eq!(disk.durable_image()[0], durable);
        assert_eq!(disk.image()[0], 1);
        assert_eq!(disk.io_count(), io_count);
    };
    check(Flush::Works, Ok(()), 1, 2);
    check(Flush::Lies, Ok(()), 0, 2);
    check(Flush::Fails, Err(IoError::Failed), 0, 2);
    check(Flush::NotOffered, Err(IoError::NotOffered), 0, 1);
}

#[test]
fn after_a_forgetful_failure_only_what_is_written_anew_becomes_durable() {
    let check = |forgetful: u32, durable_expected: [u8; 3]| {
        let mut disk = disk();
        disk.faults().forgetful_flush_error = forgetful;
        write(&mut disk, 0, 1);
        write(&mut disk, 1, 1);
        disk.fail_nth(0, FailNth::Once);
        assert_eq!(disk.flush(), Err(IoError::Failed));
        write(&mut disk, 1, 2);
        write(&mut disk, 2, 2);
        disk.flush().expect("it ends well");
        assert_eq!(firsts(&disk.image())[..3], [1, 2, 2]);
        assert_eq!(firsts(&disk.durable_image())[..3], durable_expected);
    };
    check(0, [1, 2, 2]);
    check(ALWAYS, [0, 2, 2]);
}

#[test]
fn the_nth_request_fails() {
    let check = |n: u64, how: FailNth, expected: [bool; 4]| {
        let mut disk = disk();
        write(&mut disk, 0, 1);
        disk.fail_nth(n, how);
        let mut buffer = sectors(0, 1);
        let ended = [
            disk.write(0, &buffer).is_ok(),
            disk.read(0, &mut buffer).is_ok(),
            disk.flush().is_ok(),
            disk.discard(0, SECTOR_BYTES).is_ok(),
        ];
        assert_eq!(ended, expected);
        assert_eq!(disk.io_count(), 5);
    };
    check(0, FailNth::Once, [false, true, true, true]);
    check(2, FailNth::Once, [true, true, false, true]);
    check(4, FailNth::Once, [true; 4]);
    check(0, FailNth::FromThenOn, [false; 4]);
    check(1, FailNth::FromThenOn, [true, false, false, false]);
    check(u64::MAX, FailNth::FromThenOn, [true; 4]);
}

#[test]
fn latencies_are_of_the_range() {
    let check = |min_ns: u64, max_ns: u64| {
        let mut disk = disk();
        disk.faults().slow.min_ns = min_ns;
        disk.faults().slow.max_ns = max_ns;
        let drawn: Vec<u64> = (0..200).map(|_| disk.latency_ns()).collect();
        assert!(drawn.iter().all(|ns| (min_ns..=max_ns).contains(ns)));
        let both = drawn.contains(&min_ns) && drawn.contains(&max_ns);
        assert!(both || max_ns - min_ns > 8);
    };
    check(0, 0);
    check(5, 5);
    check(3, 7);
    check(0, u64::MAX);
}
