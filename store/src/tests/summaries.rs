//! Summaries: what opening learns from them is what the groups say, for a fraction of the bytes.

use super::bed::*;
use super::check::look;
use crate::block::{BlockDevice, Completion, Geometry, Request, RequestId, SubmitError};
use crate::check::Kind;
use crate::format::segment::Footer;
use crate::format::summary;
use crate::*;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

/// A disk that counts what is read of it.
#[derive(Clone)]
struct Counted(MemoryDisk, Rc<Cell<u64>>);

impl BlockDevice for Counted {
    fn geometry(&self) -> Option<Geometry> {
        self.0.geometry()
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        if let Request::Read { into, .. } = &request {
            self.1.set(self.1.get() + into.bytes().len() as u64);
        }
        self.0.submit(id, request)
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.poll()
    }
}

/// All that a store shows, and the numbers that it keeps.
fn everything(store: &mut Store) -> String {
    let statistics = store.statistics();
    let snapshots = store.snapshots().expect("readable");
    let segments = store.segments.iter();
    let segments: String = segments
        .map(|(number, segment)| {
            let (live, extents) = (segment.live, &segment.extents);
            format!("{number}: {live} live in {extents:?}\n")
        })
        .collect();
    let versions = store.index.buckets.iter().flat_map(|(name, bucket)| {
        let versions = bucket.versions();
        versions.map(move |(key, version)| format!("{name:?} {key:?} {version:?}\n"))
    });
    let versions: String = versions.collect();
    format!(
        "{} keys, {} used\n{snapshots:?}\n{segments}{:?}\n{versions}",
        statistics.keys, statistics.used_bytes, store.large
    )
}

fn snapshot(at: u64) -> SnapshotName {
    SnapshotName::new(&format!("s-{at}")).expect("a name")
}

/// A life with everything that a record can say.
fn live(disk: &MemoryDisk) {
    let mut random = Random(7);
    let mut store = ready(disk.clone(), 1);
    let quota = store.set_quota(bucket("c"), bytes(1 << 20));
    finish(&mut store, &quota.expect("taken")).expect("set");
    for at in 0..900u64 {
        let k = format!("key-{}", random.below(120));
        match random.below(16) {
            0 => drop(delete(&mut store, &k)),
            1 => drop(upload(&mut store, &k, &pattern(90_000, at))),
            2 if at % 8 == 0 => drop(store.take_snapshot(snapshot(at))),
            3 => {
                let change = Change::Put {
                    value: pattern(300, at),
                    headers: Headers {
                        expires_wall_ms: Some(1_900_000_000_000 + at),
                        ..Headers::default()
                    },
                };
                drop(run(&mut store, one("c", &k, Condition::None, change)));
            }
            4 if at == 500 => {
                let listed = store.snapshots().expect("readable");
                let first = listed.first().expect("there are some");
                store.roll_back(&first.name, None).expect("taken");
            }
            _ => drop(put(
                &mut store,
                &k,
                &pattern(random.below(3000) as usize, at),
            )),
        }
        settle(&mut store);
    }
}

/// The footers that tell of a summary: where it lies, and how long it is.
fn summaries(disk: &MemoryDisk) -> Vec<(u64, usize)> {
    let store = ready(disk.clone(), 9);
    let (layout, seeds) = store.identity.expect("it is open");
    let mut found = vec![];
    for number in 0..layout.segment_count {
        let mut bytes = vec![0; layout.unit as usize];
        disk.peek(layout.footer(number), &mut bytes);
        let footer = Footer::decode(&bytes, number, seeds);
        let in_use = store.segments.get(number).generation;
        if let Some(footer) = footer.filter(|f| f.generation == in_use && f.summary_len > 0) {
            let offset = summary::offset(&layout, number, footer.summary_span);
            found.push((offset.expect("it fits"), footer.summary_len as usize));
        }
    }
    found
}

fn open_counted(disk: &MemoryDisk) -> (Store, u64) {
    let read = Rc::new(Cell::new(0));
    let store = ready(Counted(disk.clone(), Rc::clone(&read)), 3);
    (store, read.get())
}

fn copy_of(disk: &MemoryDisk, len: u64) -> MemoryDisk {
    let copy = MemoryDisk::new(len);
    let mut bytes = vec![0; len as usize];
    disk.peek(0, &mut bytes);
    copy.poke(0, &bytes);
    copy
}

#[test]
fn a_store_opened_by_summaries_is_the_one_that_its_groups_say() {
    const LEN: u64 = 16 << 20;
    let disk = MemoryDisk::new(LEN);
    live(&disk);
    let found = summaries(&copy_of(&disk, LEN));
    assert!(found.len() >= 8, "{found:?}");
    let (mut by_summaries, short) = open_counted(&copy_of(&disk, LEN));
    let expected = everything(&mut by_summaries);

    look(&disk).assert_clean("the summaries list what is there");

    let damaged = copy_of(&disk, LEN);
    let mut random = Random(3);
    for (offset, len) in &found {
        let at = offset + random.below(*len as u64);
        let mut byte = [0];
        damaged.peek(at, &mut byte);
        damaged.poke(at, &[byte[0] ^ 1 << random.below(8)]);
    }
    let told = look(&damaged)
        .findings
        .iter()
        .filter(|one| one.kind == Kind::Summary)
        .count();
    assert_eq!(told, found.len());
    let (mut by_groups, long) = open_counted(&damaged);
    assert_eq!(everything(&mut by_groups), expected);
    assert!(short < long / 2, "{short} bytes are read, or {long}");

    by_groups.close();
    settle(&mut by_groups);
    look(&damaged).assert_clean("the footers tell of damaged summaries no more");
    assert_eq!(summaries(&copy_of(&damaged, LEN)), []);
}

#[test]
fn a_closed_store_is_opened_without_looking_behind_its_end() {
    const LEN: u64 = 64 << 20;
    let disk = MemoryDisk::new(LEN);
    let mut store = ready(disk.clone(), 1);
    // 1 MiB segments; the last one has little in it.
    for at in 0..300u64 {
        upload(&mut store, &format!("key-{at}"), &pattern(100_000, at)).expect("committed");
    }
    store.close();
    settle(&mut store);
    let (layout, _) = store.identity.expect("it was open");
    let segments = store.segments.iter();
    let in_use = segments
        .filter(|(_, segment)| segment.generation > 0)
        .count() as u64;
    drop(store);
    let (_, read) = open_counted(&copy_of(&disk, LEN));
    let headers = u64::from(layout.segment_count) * 512;
    let head = layout.segment_bytes;
    // Of each sealed segment the footer, and 31 chunks in a summary of less than a KiB.
    let rest = in_use * (512 + 1024);
    let flight_records = 64 * 1024;
    let most = 2 * 8192 + flight_records + headers + head + rest;
    assert!(read <= most, "{read}");

    // With one copy of the superblock gone, the mark may be an old one.
    let one_copy = copy_of(&disk, LEN);
    one_copy.poke(0, &[0; 512]);
    let (mut store, more) = open_counted(&one_copy);
    assert!(
        more > read + layout.segment_bytes,
        "{more}, and {read} else"
    );
    assert_eq!(store.statistics().keys, 300);
    assert!(get(&mut store, "key-299").is_some());
}

#[test]
fn a_summary_takes_a_third_of_what_small_values_take() {
    const KEY: usize = 16;
    const VALUE: usize = 64;
    let disk = MemoryDisk::new(16 << 20);
    let mut store = ready(disk.clone(), 1);
    let mut random = Random(5);
    for at in 0..3000u64 {
        let k = format!("key-{:012x}", random.below(1 << 48));
        assert_eq!(k.len(), KEY);
        put(&mut store, &k, &pattern(VALUE, at)).expect("committed");
    }
    let (_, of_bucket) = store.index.buckets.iter().next().expect("there is one");
    let mut lens = of_bucket
        .versions()
        .map(|(key, of)| of.record_len("b", key));
    let record_len = lens.next().expect("there are some");
    let sealed = store.segments.iter();
    let (live, summaries) = sealed
        .filter(|(_, segment)| segment.summary > 0)
        .map(|(_, segment)| (segment.live, segment.summary))
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let payload = live / record_len * (KEY + VALUE) as u64;
    assert!(payload > 200_000, "{payload} bytes in sealed segments");
    assert!(100 * summaries <= 35 * payload, "{summaries} for {payload}");
}

/// What summaries save by sorting is no reason to write a segment again.
#[test]
fn a_store_of_names_that_resemble_each_other_comes_to_rest_at_any_fill() {
    let disk = MemoryDisk::new(64 << 20);
    let plenty = Options {
        memory_bytes: 256 << 20,
        ..options(1)
    };
    let mut store = opened(disk, plenty);
    let prefix: String = core::iter::repeat_n('n', 90).collect();
    let mut at = 0u64;
    let full = 'filling: loop {
        for _ in 0..500 {
            let ticket = match store.submit(one(
                "b",
                &format!("{prefix}{:010x}", at.wrapping_mul(0x9e37_79b9) % (1 << 40)),
                Condition::None,
                put_change(&pattern(64, at)),
            )) {
                Ok(ticket) => ticket,
                Err(refusal) => break 'filling refusal,
            };
            drop(ticket);
            at += 1;
        }
        settle(&mut store);
        let before = store.statistics().compactions;
        for ns in 0..200 {
            assert_ne!(store.step(now(ns)), Wake::Now, "at {at} keys");
        }
        assert_eq!(store.statistics().compactions, before, "at {at} keys");
    };
    let Refusal::NoSpace(reason) = full else {
        panic!("{full:?}");
    };
    assert!(!matches!(reason, NoSpace::Memory { .. }), "{reason:?}");
    settle(&mut store);
    assert!(at > 100_000, "{at}");
}

/// Whoever can write the disk can give a summary the right checksum.
#[test]
fn a_summary_that_says_what_no_segment_holds_is_not_believed() {
    const LEN: u64 = 16 << 20;
    let disk = MemoryDisk::new(LEN);
    live(&disk);
    let (store, _) = open_counted(&copy_of(&disk, LEN));
    let (layout, seeds) = store.identity.expect("it is open");
    let mut random = Random(11);
    let mut tried = 0;
    for _ in 0..200 {
        let hostile = copy_of(&disk, LEN);
        for (offset, len) in summaries(&copy_of(&disk, LEN)) {
            let mut bytes = vec![0; len];
            hostile.peek(offset, &mut bytes);
            let at = 40 + random.below(len as u64 - 40) as usize;
            bytes[at] = 0xff;
            let number = layout.segment_of(offset).expect("it lies in one");
            let generation = store.segments.get(number).generation;
            let checksum = seeds.summary(generation, offset, &bytes[16..]);
            bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
            hostile.poke(offset, &bytes);
            tried += 1;
        }
        // It may say something else, in good form; it may not bring anybody down.
        let mut opened = opened(hostile, options(3));
        let _ = everything(&mut opened);
    }
    assert!(tried > 1000, "{tried}");
}

/// Names that resemble each other take little in a summary and much in the index, so that memory
/// gets short while runs are merged. Those that wait are read again behind what they have told.
#[test]
fn runs_that_have_to_wait_lose_nothing_and_tell_nothing_twice() {
    const LEN: u64 = 16 << 20;
    let disk = MemoryDisk::new(LEN);
    let with = |memory_bytes: u64| Options {
        memory_bytes,
        ..options(3)
    };
    let mut store = opened(disk.clone(), with(64 << 20));
    let prefix: String = core::iter::repeat_n('n', 300).collect();
    for at in 0..9_000u64 {
        let key = format!("{prefix}{:04}", at.wrapping_mul(7_919) % 6_000);
        let change = put_change(&pattern(10, at));
        drop(
            store
                .submit(one("b", &key, Condition::None, change))
                .expect("room"),
        );
        if at % 50 == 0 {
            settle(&mut store);
        }
    }
    settle(&mut store);
    store.close();
    settle(&mut store);
    let opened_with = |memory_bytes: u64| {
        let read = Rc::new(Cell::new(0));
        let counted = Counted(copy_of(&disk, LEN), Rc::clone(&read));
        let mut store = opened(counted, with(memory_bytes));
        let is_whole = store.index.is_whole();
        (
            everything(&mut store),
            store.index.bytes(),
            is_whole,
            read.get(),
        )
    };
    let (expected, index_bytes, _, read_once) = opened_with(64 << 20);
    let mut read_again = 0;
    for percent in [102, 103, 104, 105, 107] {
        let memory_bytes = index_bytes * 16 / 15 * percent / 100;
        let (found, _, is_whole, read) = opened_with(memory_bytes);
        if is_whole {
            assert_eq!(found, expected, "{percent}");
            read_again += u32::from(read > read_once);
        }
    }
    assert!(read_again > 0, "no run had to wait");
}
