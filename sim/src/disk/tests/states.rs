//! The states after a crash: how many, which, and that the disk leaves no other.

use super::{Disk, Event, Flush, Random, SECTOR_BYTES, SECTORS, chaos, disk_of, firsts, sectors};
use crate::disk::{Replay, crash_states};
use std::collections::BTreeSet;

fn event(sector: u64, byte: u8, count: usize) -> Event {
    Event::Write {
        offset: sector * SECTOR_BYTES,
        bytes: sectors(byte, count),
    }
}

/// What is shown on a disk of four sectors of 9s, in order, each as its sectors' bytes.
fn shown(events: &[Event], prefix: usize, exhaustive_max: usize, samples: usize) -> Vec<Vec<u8>> {
    let base = sectors(9, 4);
    let mut random = Random::new(1);
    let mut states = Vec::new();
    let count = crash_states(
        &base,
        events,
        prefix,
        exhaustive_max,
        samples,
        &mut random,
        &mut |image| states.push(firsts(image)),
    );
    assert_eq!(count, states.len());
    states
}

#[test]
fn every_state_is_shown_once() {
    let check = |events: &[Event], expected: &[[u8; 4]]| {
        let mut states = shown(events, events.len(), 12, 0);
        states.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(states, expected);
    };
    check(&[], &[[9; 4]]);
    check(&[event(0, 1, 1)], &[[9; 4], [1, 9, 9, 9]]);
    check(
        &[event(1, 1, 2)],
        &[[9; 4], [9, 1, 9, 9], [9, 9, 1, 9], [9, 1, 1, 9]],
    );
    // Overlapping: any version of a sector goes with any of another.
    check(
        &[event(0, 1, 2), event(1, 2, 1)],
        &[
            [9, 9, 9, 9],
            [1, 9, 9, 9],
            [9, 1, 9, 9],
            [1, 1, 9, 9],
            [9, 2, 9, 9],
            [1, 2, 9, 9],
        ],
    );
    // Written as it was, and written the same twice: no state of its own.
    check(&[event(3, 9, 1)], &[[9; 4]]);
    check(&[event(3, 1, 1), event(3, 1, 1)], &[[9; 4], [9, 9, 9, 1]]);
    // A flush settles what was before it, and nothing after it.
    check(&[event(0, 1, 4), Event::Flush], &[[1; 4]]);
    check(
        &[event(0, 1, 2), event(0, 3, 1), Event::Flush, event(1, 2, 1)],
        &[[3, 1, 9, 9], [3, 2, 9, 9]],
    );
    check(&[Event::Flush, Event::Flush], &[[9; 4]]);
}

#[test]
fn only_the_prefix_counts() {
    let events = [event(0, 1, 1), event(1, 1, 1), Event::Flush, event(2, 1, 2)];
    let counts: Vec<usize> = (0..=4).map(|n| shown(&events, n, 12, 0).len()).collect();
    assert_eq!(counts, [1, 2, 4, 1, 4]);
}

#[test]
fn sampling_begins_where_the_limit_ends() {
    let events = [event(0, 1, 3)];
    assert_eq!(shown(&events, 1, 3, 5).len(), 8);
    let sampled = shown(&events, 1, 2, 5);
    assert_eq!(sampled.len(), 5);
    assert_eq!(sampled[0], [9; 4]);
    assert_eq!(sampled[1], [1, 1, 1, 9]);

    // Two sectors, but nine states: more than three sectors have.
    let overlapping = [event(0, 1, 2), event(0, 2, 2)];
    assert_eq!(shown(&overlapping, 2, 4, 5).len(), 9);
    assert_eq!(shown(&overlapping, 2, 3, 5).len(), 5);
    assert_eq!(shown(&overlapping, 2, 0, 0).len(), 0);
}

#[test]
fn samples_are_states_and_enough_of_them_are_all() {
    let events = [event(3, 4, 1), Event::Flush, event(0, 1, 3), event(1, 2, 1)];
    let all: BTreeSet<Vec<u8>> = shown(&events, 4, 12, 0).into_iter().collect();
    let sampled: BTreeSet<Vec<u8>> = shown(&events, 4, 0, 1000).into_iter().collect();
    assert_eq!(all.len(), 12);
    assert_eq!(all, sampled);
}

#[test]
fn a_look_at_the_states_leaves_the_replay_where_it_was() {
    let events = [event(0, 1, 2), event(1, 2, 1), Event::Flush, event(0, 3, 3)];
    let mut replay = Replay::new(sectors(9, 4));
    for (at, event) in events.iter().enumerate() {
        replay.apply(event);
        // The last of two samples has everything written.
        for exhaustive_max in [12, 0, 12] {
            let mut states = Vec::new();
            let mut each = |image: &Vec<u8>| states.push(firsts(image));
            replay.states(exhaustive_max, 2, &mut Random::new(1), &mut each);
            assert_eq!(states, shown(&events, at + 1, exhaustive_max, 2));
        }
    }
    assert_eq!(replay.unflushed_sectors(), 3);
}

#[test]
fn twelve_sectors_have_4096_states() {
    let base = sectors(0, 1 << 12);
    let events = [event(100, 1, 12)];
    let mut states = BTreeSet::new();
    let mut each = |image: &[u8]| {
        states.insert(firsts(&image[100 * 512..112 * 512]));
    };
    let count = crash_states(&base, &events, 1, 12, 0, &mut Random::new(1), &mut each);
    assert_eq!((count, states.len()), (4096, 4096));
}

/// One step of a run: the disk's own crashes against the states of its log.
fn step(disk: &mut Disk, script: &mut Random) {
    let offset = script.below(SECTORS - 1) * SECTOR_BYTES;
    let flush = [Flush::Works, Flush::Lies, Flush::Fails, Flush::NotOffered];
    // Any of these may fail: what is left is what counts.
    let _ = match script.below(8) {
        0 => disk.discard(offset, SECTOR_BYTES),
        1 | 2 => disk.flush(),
        3 => {
            disk.faults().flush = flush[script.below(4) as usize];
            Ok(())
        }
        _ => disk.write(offset, &sectors(script.below(200) as u8, 2)),
    };
}

#[test]
fn a_disk_leaves_no_state_that_its_log_does_not_show() {
    for seed in 0..200 {
        let mut disk = disk_of(seed);
        let mut script = Random::new(seed);
        chaos(disk.faults());
        // An image tells neither of them.
        disk.faults().corrupt_write = 0;
        disk.faults().unreadable_at_crash = 0;
        disk.faults().flush_error = 500_000;
        disk.faults().forgetful_flush_error = 500_000;
        for _ in 0..script.below(6) {
            step(&mut disk, &mut script);
        }
        let base = disk.durable_image();
        disk.record();
        for _ in 0..6 {
            step(&mut disk, &mut script);
            let events = disk.recorded();
            let mut states = BTreeSet::new();
            let mut each = |image: &[u8]| {
                states.insert(firsts(image));
            };
            crash_states(&base, events, events.len(), 63, 0, &mut script, &mut each);
            for crash in 0..4 {
                let mut left = disk.clone();
                for _ in 0..crash {
                    left.chances.crash();
                }
                left.crash();
                assert!(states.contains(&firsts(&left.image())));
            }
            assert!(states.contains(&firsts(&disk.image())));
        }
    }
}
