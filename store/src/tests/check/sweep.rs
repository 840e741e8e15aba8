//! Every bit that counts: flipped, it is a finding; the others are listed by what they are.

use super::*;
use crate::tests::crash::effort;

/// The parts of a disk's used sectors that no checksum covers.
const UNCOVERED: [&str; 5] = [
    "superblock, behind its fields",
    "header, behind its bitmap",
    "padding of a group",
    "behind the log's end",
    "footer, behind its fields",
];

/// What the byte at `at` is, if nothing covers it.
fn uncovered(seen: &Seen, at: u64) -> Option<&'static str> {
    let covers = |range: &&(u64, u64)| (range.0..range.1).contains(&at);
    if seen.covered.iter().any(|range| covers(&range)) {
        return None;
    }
    if at < 2 << 20 {
        return Some(UNCOVERED[0]);
    }
    let segment_bytes = 256 * 1024;
    let within = at % segment_bytes;
    let start = at - within;
    let used = seen.report.segments.iter().zip(&seen.headers);
    let (segment, _) = used
        .into_iter()
        .find(|(_, header)| **header == start)
        .expect("in use");
    Some(match within {
        0..512 => UNCOVERED[1],
        _ if within >= segment_bytes - 512 => UNCOVERED[4],
        _ if within >= segment.used_bytes => UNCOVERED[3],
        _ => UNCOVERED[2],
    })
}

#[test]
fn every_bit_that_counts_is_missed_when_it_is_flipped() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    for at in 0..5 {
        put(&mut store, &format!("k-{at}"), &pattern(60_000, at)).expect("committed");
    }
    upload(&mut store, "film", &pattern(70_000, 9)).expect("committed");
    delete(&mut store, "k-1").expect("committed");
    put(&mut store, "small", b"value").expect("committed");
    store.close();
    settle(&mut store);
    let before = look(&disk);
    before.assert_clean("before");
    assert!(before.report.segments.len() >= 2);
    let mut used: Vec<(u64, u64)> = alloc::vec![(0, 512), (1 << 20, (1 << 20) + 512)];
    for (segment, start) in before.report.segments.iter().zip(&before.headers) {
        used.push((*start, start + 512));
        used.push((*start + 512, start + segment.used_bytes));
        used.push((start + segment.used_bytes, start + segment.used_bytes + 512));
        used.push((start + 256 * 1024 - 512, start + 256 * 1024));
    }
    let mut counts = [0u64; UNCOVERED.len()];
    let mut covered = 0;
    for (from, to) in used {
        // All of what is short, a part of what is long.
        let step = if to - from <= 1024 { 7 } else { 2477 } / effort().min(7);
        for at in (from..to).step_by(step as usize) {
            let bit = at * 5 % 8;
            let mut byte = [0u8];
            disk.peek(at, &mut byte);
            disk.poke(at, &[byte[0] ^ (1 << bit)]);
            let found = match look_with(disk.clone(), || {}) {
                Ok(seen) => !seen.findings.is_empty(),
                Err(_) => true,
            };
            disk.poke(at, &byte);
            match uncovered(&before, at) {
                None => {
                    assert!(found, "bit {bit} of byte {at:#x} flipped in silence");
                    covered += 1;
                }
                Some(what) => {
                    assert!(!found, "byte {at:#x}, {what}, is a finding");
                    let index = UNCOVERED.iter().position(|one| *one == what);
                    counts[index.expect("listed")] += 1;
                }
            }
        }
    }
    look(&disk).assert_clean("after");
    for (what, count) in UNCOVERED.iter().zip(counts) {
        std::println!("{count} flips in: {what}");
        assert!(count > 0, "{what} was not tried");
    }
    std::println!("{covered} flips found");
    assert!(covered > 150);
}
