//! Lists that whoever can write the disk has made: with the right checksum, and wrong.

use super::{KINDS, MEMORY_BYTES, bounds, replay};
use crate::format::codec::put_varint;
use crate::format::summary::block::{Shape, Widths};
use crate::format::summary::entry::{self, Base, Entry};
use crate::index::Version;
use crate::recover::merge::{Came, Merge};
use crate::recover::run::{Next, Run};
use alloc::vec;
use alloc::vec::Vec;

const WIDTHS: [u8; 5] = [3, 2, 2, 1, 2];

/// Names with the sequences of their versions, in any order.
type Told<'a> = &'a [(&'a [u8], u64)];

/// A list of them in that order.
fn list(number: u32, entries: Told<'_>) -> Vec<u8> {
    let base = Base {
        start: bounds(number).start,
        seq: 1000,
        modified_ms: 1,
    };
    let shape = Shape::new(Widths::new(WIDTHS)).expect("a shape");
    let mut out = Vec::new();
    put_varint(&mut out, base.seq);
    put_varint(&mut out, base.modified_ms);
    out.extend_from_slice(&WIDTHS);
    for (nth, (name, seq)) in (0..).zip(entries) {
        let version = Version {
            pos: bounds(number).data + 1024 * nth,
            seq: *seq,
            modified_ms: 1,
            value_len: 10,
            ..Version::default()
        };
        let entry = Entry { version, upload: 0 };
        entry::put(&mut out, (name, 0), &entry, (base, &shape));
    }
    out
}

fn run(number: u32, entries: Told<'_>) -> Run {
    let list = list(number, entries);
    let run = Run::of_list((number, bounds(number)), list, 0, entries.len() as u32);
    let mut run = run.expect("a list");
    assert_eq!(run.skip(0), Next::OtherBucket);
    run
}

/// Whatever the order, each record that counts lives in its segment, and no other does.
#[test]
fn lists_out_of_order_are_counted_as_what_they_say() {
    let lists: [[Told<'_>; 2]; 4] = [
        // The same key twice, the older version first.
        [&[(b"b\0k", 1000), (b"b\0k", 1001)], &[(b"b\0z", 1002)]],
        // The older one first in another list.
        [&[(b"b\0k", 1000)], &[(b"b\0z", 1001), (b"b\0k", 1002)]],
        [
            &[(b"b\0z", 1000), (b"b\0a", 1001), (b"b\0z", 1002)],
            &[(b"b\0a", 1003)],
        ],
        [
            &[(b"c\0k", 1000), (b"b\0k", 1001), (b"c\0k", 1002)],
            &[(b"c\0k", 1003), (b"b\0k", 1004)],
        ],
    ];
    for lists in lists {
        let mut together = replay(KINDS[0]);
        let runs = vec![run(0, lists[0]), run(1, lists[1])];
        let mut merge = Merge::new(runs);
        while merge.step(&mut together, 100) == Came::Somewhere {}
        assert!(together.index.is_counted());
        let expected: Vec<u64> = (0..2)
            .map(|number| {
                let buckets = together.index.buckets.iter();
                let lens = buckets.flat_map(|(name, bucket)| {
                    bucket.versions().map(|(key, version)| {
                        let is_here = together.segments.number_of(version.pos) == number;
                        let len = version.record_len(name.as_str(), key);
                        if is_here { len } else { 0 }
                    })
                });
                lens.sum()
            })
            .collect();
        let live = |number: u32| together.segments.get(number).live;
        assert_eq!([live(0), live(1)], expected[..], "{lists:?}");
    }
}

#[test]
fn numbers_that_are_too_large_make_no_list() {
    for (base, count, is_one) in [(u64::MAX, 0, true), (u64::MAX, 1, false), (0, 1, false)] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, base);
        put_varint(&mut bytes, 1);
        bytes.extend_from_slice(&WIDTHS);
        let run = Run::of_list((0, bounds(0)), bytes, 0, count);
        assert_eq!(run.is_some(), is_one, "{base}");
        if let Some(mut run) = run {
            assert_eq!(run.skip(0), Next::End);
            assert!(run.ram_bytes() < MEMORY_BYTES);
        }
    }
}
