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
    let live: Vec<(u32, u64, Vec<(u64, u64)>)> = store
        .segments
        .iter()
        .map(|(number, segment)| (number, segment.live, segment.extents.clone()))
        .collect();
    let versions = store.index.buckets.iter().flat_map(|(name, bucket)| {
        let versions = bucket.versions();
        versions.map(move |(key, version)| format!("{name:?} {key:?} {version:?}\n"))
    });
    let versions: String = versions.collect();
    format!(
        "{} keys, {} used\n{snapshots:?}\n{live:?}\n{:?}\n{versions}",
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
}
