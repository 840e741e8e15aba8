//! The disk from outside: what is read, what is left, what is drawn.

mod crashes;
mod failures;
mod states;

use super::{Disk, Event, FailNth, Faults, Flush, IoError, SECTOR_BYTES};
use crate::random::Random;

const SECTORS: u64 = 8;

fn disk() -> Disk {
    disk_of(1)
}

fn disk_of(seed: u64) -> Disk {
    Disk::new(SECTORS * SECTOR_BYTES, Random::new(seed))
}

fn sectors(byte: u8, count: usize) -> Vec<u8> {
    vec![byte; count * SECTOR_BYTES as usize]
}

fn write(disk: &mut Disk, sector: u64, byte: u8) {
    let done = disk.write(sector * SECTOR_BYTES, &sectors(byte, 1));
    done.expect("a write without faults");
}

/// The first byte of each sector.
fn firsts(image: &[u8]) -> Vec<u8> {
    let sectors = image.chunks_exact(SECTOR_BYTES as usize);
    let whole = |sector: &[u8]| {
        assert!(
            sector.iter().all(|byte| *byte == sector[0]),
            "a torn sector"
        );
        sector[0]
    };
    sectors.map(whole).collect()
}

#[test]
fn a_read_sees_what_was_written_flushed_or_not() {
    let mut disk = disk();
    write(&mut disk, 1, 1);
    disk.flush().expect("it works");
    write(&mut disk, 2, 2);
    write(&mut disk, 3, 3);
    write(&mut disk, 3, 4);
    let mut read = sectors(9, 4);
    disk.read(0, &mut read).expect("no faults");
    assert_eq!(firsts(&read), [0, 1, 2, 4]);
    assert_eq!(firsts(&disk.image()), [0, 1, 2, 4, 0, 0, 0, 0]);
    assert_eq!(firsts(&disk.durable_image()), [0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(disk.unflushed_sectors(), 2);
}

#[test]
fn a_request_that_is_not_of_the_disk_is_refused_and_not_counted() {
    let end = SECTORS * SECTOR_BYTES;
    let check = |offset: u64, len: usize, expected: Result<(), IoError>| {
        let mut disk = disk();
        assert_eq!(disk.read(offset, &mut vec![0; len]), expected);
        assert_eq!(disk.write(offset, &vec![1; len]), expected);
        assert_eq!(disk.discard(offset, len as u64), expected);
        let counted = if expected.is_ok() { 3 } else { 0 };
        assert_eq!(disk.io_count(), counted);
    };
    check(0, 512, Ok(()));
    check(end - 512, 512, Ok(()));
    check(0, end as usize, Ok(()));
    check(end - 512, 1024, Err(IoError::OutOfRange));
    check(end, 512, Err(IoError::OutOfRange));
    check(u64::MAX - 511, 512, Err(IoError::OutOfRange));
    check(0, 0, Err(IoError::Unaligned));
    check(1, 512, Err(IoError::Unaligned));
    check(0, 513, Err(IoError::Unaligned));
    check(u64::MAX, 511, Err(IoError::Unaligned));
}

#[test]
fn a_discard_leaves_zeros_that_a_crash_can_undo() {
    let mut disk = Disk::from_image(sectors(7, 8), Random::new(1));
    disk.discard(512, 1024).expect("no faults");
    assert_eq!(firsts(&disk.image()), [7, 0, 0, 7, 7, 7, 7, 7]);
    disk.crash_with(&mut |_, _| super::Choice::Version(0));
    assert_eq!(firsts(&disk.image()), [7; 8]);
    disk.discard(512, 1024).expect("no faults");
    disk.flush().expect("it works");
    assert_eq!(firsts(&disk.durable_image()), [7, 0, 0, 7, 7, 7, 7, 7]);
}

#[test]
fn a_disk_that_shrinks_and_grows_comes_back_with_zeros() {
    let mut disk = Disk::from_image(sectors(7, 8), Random::new(1));
    write(&mut disk, 3, 3);
    disk.crash_with(&mut |_, _| super::Choice::Unreadable);
    write(&mut disk, 6, 6);
    disk.resize(3 * SECTOR_BYTES);
    assert_eq!(disk.len_bytes(), 3 * SECTOR_BYTES);
    assert_eq!(disk.unflushed_sectors(), 0);
    assert_eq!(disk.unreadable_sectors().count(), 0);
    let beyond = disk.write(3 * SECTOR_BYTES, &sectors(1, 1));
    assert_eq!(beyond, Err(IoError::OutOfRange));
    disk.resize(4 * SECTOR_BYTES);
    assert_eq!(firsts(&disk.image()), [7, 7, 7, 0]);
}

#[test]
fn what_is_recorded_is_what_the_disk_did() {
    let mut disk = disk();
    write(&mut disk, 5, 5);
    disk.record();
    write(&mut disk, 1, 1);
    disk.faults().flush = Flush::Lies;
    disk.flush().expect("a lie");
    disk.faults().flush = Flush::Works;
    disk.flush().expect("it works");
    disk.discard(0, 1024).expect("no faults");
    disk.faults().lost_write = 1_000_000;
    write(&mut disk, 2, 2);
    disk.crash();
    disk.faults().lost_write = 0;
    write(&mut disk, 3, 3);
    let event = |sector: u64, bytes: Vec<u8>| Event::Write {
        offset: sector * SECTOR_BYTES,
        bytes,
    };
    let expected = [
        event(5, sectors(5, 1)),
        event(1, sectors(1, 1)),
        Event::Flush,
        event(0, sectors(0, 2)),
    ];
    assert_eq!(disk.recorded(), expected);
}

#[derive(Debug, PartialEq)]
struct History {
    results: Vec<Result<(), IoError>>,
    /// What was read, and what is left.
    seen: Vec<u8>,
    unreadable: Vec<u64>,
    slept_ns: u64,
}

/// A run with everything switched on.
fn history(seed: u64) -> History {
    let mut disk = disk_of(seed);
    let mut script = Random::new(99);
    chaos(disk.faults());
    disk.faults().slow.max_ns = 1000;
    let mut results = Vec::new();
    let mut seen = Vec::new();
    let mut slept_ns = 0;
    for step in 0..300 {
        let offset = script.below(SECTORS - 1) * SECTOR_BYTES;
        let mut buffer = sectors(0, 2);
        results.push(match script.below(4) {
            0 => disk.read(offset, &mut buffer),
            1 => disk.write(offset, &sectors(step as u8, 2)),
            2 => disk.discard(offset, SECTOR_BYTES),
            _ => disk.flush(),
        });
        seen.extend(buffer);
        slept_ns += disk.latency_ns();
        if step % 60 == 59 {
            disk.crash();
        }
    }
    seen.extend(disk.image());
    History {
        results,
        seen,
        unreadable: disk.unreadable_sectors().collect(),
        slept_ns,
    }
}

fn chaos(faults: &mut Faults) {
    let often = 100_000;
    *faults = Faults {
        read_error: often,
        write_error: often,
        flush_error: often,
        forgetful_flush_error: often,
        lost_write: often,
        misdirected_write: often,
        misdirected_read: often,
        corrupt_write: often,
        latent_error: often,
        ignored_discard: often,
        unreadable_at_crash: often,
        ..Faults::default()
    };
}

#[test]
fn one_seed_is_one_history() {
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

#[test]
fn asking_for_latencies_moves_no_fault() {
    let run = |asked: u32| {
        let mut disk = disk_of(3);
        chaos(disk.faults());
        let results = (0..100).map(|_| {
            for _ in 0..asked {
                disk.latency_ns();
            }
            disk.write(0, &sectors(1, 8))
        });
        results.collect::<Vec<_>>()
    };
    assert_eq!(run(0), run(2));
}

#[test]
fn an_armed_failure_moves_no_drawn_one() {
    let run = |armed: Option<u64>| {
        let mut disk = disk_of(3);
        disk.faults().flush_error = 300_000;
        if let Some(n) = armed {
            disk.fail_nth(n, FailNth::Once);
        }
        (0..50).map(|_| disk.flush().is_ok()).collect::<Vec<_>>()
    };
    let without = run(None);
    let nth = without.iter().position(|ok| *ok).expect("one ends well");
    let with = run(Some(nth as u64));
    assert!(!with[nth]);
    assert_eq!(with[..nth], without[..nth]);
    assert_eq!(with[nth + 1..], without[nth + 1..]);
}

#[test]
fn a_large_disk_costs_what_is_written() {
    let mut disk = Disk::new(1 << 40, Random::new(1));
    disk.write((1 << 40) - 512, &sectors(1, 1))
        .expect("no faults");
    disk.flush().expect("it works");
    let mut read = sectors(0, 1);
    disk.read((1 << 40) - 512, &mut read).expect("no faults");
    assert_eq!(firsts(&read), [1]);
}
