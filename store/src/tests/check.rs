//! The offline look: nothing on a good disk, everything on a bad one, and never a write.

mod craft;
mod crash;
mod damage;
mod refuse;
mod rot;
mod sweep;
mod views;

use super::bed::*;
use crate::blob::HeapPages;
use crate::block::{BlockDevice, Completion, Geometry, Request, RequestId, SubmitError};
use crate::check::*;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::Poll;

/// What a look showed, as far as tests ask for it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) findings: Vec<Finding>,
    notes: Vec<Note>,
    /// Ranges that a checksum covers.
    covered: Vec<(u64, u64)>,
    /// Groups that count: offset, and length of header and records.
    groups: Vec<(u64, u64)>,
    /// Records that count: offset, length, and a name.
    records: Vec<(u64, u64, String)>,
    footers: Vec<u64>,
    headers: Vec<u64>,
    report: Report,
}

impl Seen {
    fn take(&mut self, item: &Item<'_>) {
        match item {
            Item::Superblock(superblock) => {
                let at = superblock.offset_bytes;
                self.covered.push((at, at + 256));
            }
            Item::Segment(segment) => {
                let at = segment.offset_bytes;
                self.headers.push(at);
                self.covered.push((at, at + segment.covered_bytes));
            }
            Item::Group(group) => {
                if matches!(group.standing, Standing::Proven | Standing::Unproven) {
                    let at = group.offset_bytes;
                    self.groups.push((at, group.len_bytes));
                    self.covered.push((at, at + group.len_bytes));
                }
            }
            Item::Record(record) => {
                let name = match record.content.owner() {
                    Some(owner) => {
                        let key = owner.key.escape_ascii();
                        format!("{} {}/{key}", record.content.name(), owner.bucket)
                    }
                    None => String::from(record.content.name()),
                };
                if matches!(record.standing, Standing::Proven | Standing::Unproven) {
                    self.records
                        .push((record.offset_bytes, record.len_bytes, name));
                }
            }
            Item::Gap(_) => {}
            Item::Footer(footer) => {
                if footer.counts {
                    self.footers.push(footer.offset_bytes);
                    self.covered
                        .push((footer.offset_bytes, footer.offset_bytes + 48));
                }
            }
            Item::Finding(finding) => self.findings.push((*finding).clone()),
            Item::Note(note) => self.notes.push((*note).clone()),
        }
    }

    /// Offset and length of the record with this name.
    fn record(&self, name: &str) -> (u64, u64) {
        let found = self.records.iter().rev().find(|(_, _, one)| one == name);
        let (at, len, _) = found.unwrap_or_else(|| panic!("no record {name}"));
        (*at, *len)
    }

    fn has(&self, kind: Kind, at: u64) -> bool {
        let here = |one: &Finding| one.kind == kind && one.offset_bytes == at;
        self.findings.iter().any(here)
    }

    fn says(&self, words: &str) -> bool {
        self.findings.iter().any(|one| one.meaning.contains(words))
    }

    #[track_caller]
    pub(super) fn assert_clean(&self, what: &str) {
        assert!(self.findings.is_empty(), "{what}: {:#?}", self.findings);
    }
}

/// Whatever is not a read is a failure of the test.
struct ReadsOnly(Box<dyn BlockDevice>);

impl BlockDevice for ReadsOnly {
    fn geometry(&self) -> Option<Geometry> {
        self.0.geometry()
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        assert!(
            matches!(request, Request::Read { .. }),
            "a look asked for more than a read"
        );
        self.0.submit(id, request)
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.poll()
    }
}

/// Looks at a disk that answers when `tick` is called.
fn look_with(device: impl BlockDevice + 'static, tick: impl Fn()) -> Result<Seen, String> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let into = Rc::clone(&seen);
    let see = Box::new(move |item: &Item<'_>| into.borrow_mut().take(item));
    let device = Box::new(ReadsOnly(Box::new(device)));
    let mut check = Check::new(device, Box::new(HeapPages), see);
    for _ in 0..2_000_000 {
        tick();
        let Poll::Ready(verdict) = check.step() else {
            continue;
        };
        return match verdict {
            Verdict::Unlooked(sentence) => Err(sentence),
            Verdict::Looked(report) => {
                drop(check);
                let mut seen = seen.take();
                assert_eq!(report.findings, seen.findings.len() as u64);
                seen.report = *report;
                Ok(seen)
            }
        };
    }
    panic!("the look never ends");
}

pub(super) fn look(disk: &MemoryDisk) -> Seen {
    look_at(disk.clone())
}

pub(super) fn look_at(device: impl BlockDevice + 'static) -> Seen {
    look_with(device, || {}).expect("a store")
}

/// A store of several openings and segments with all kinds of records, closed or not.
fn sample(disk: &MemoryDisk, close: bool) -> Contents {
    let mut store = ready(disk.clone(), 1);
    for at in 0..6 {
        put(&mut store, &format!("large-{at}"), &pattern(60_000, at)).expect("committed");
    }
    put(&mut store, "doomed", b"an old value").expect("committed");
    put(&mut store, "index.html", b"the first page").expect("committed");
    drop(store);
    let mut store = ready(disk.clone(), 2);
    upload(&mut store, "film", &pattern(200_000, 9)).expect("committed");
    delete(&mut store, "doomed").expect("committed");
    store.close();
    settle(&mut store);
    let mut store = ready(disk.clone(), 3);
    for at in 0..5 {
        put(&mut store, "index.html", format!("page {at}").as_bytes()).expect("committed");
    }
    put(&mut store, "last", &pattern(300, 4)).expect("committed");
    let contents = contents(&mut store);
    if close {
        store.close();
        settle(&mut store);
        assert_eq!(*store.state(), State::Closed);
    }
    contents
}

#[test]
fn a_good_disk_has_no_findings() {
    for close in [true, false] {
        let disk = MemoryDisk::new(8 << 20);
        let contents = sample(&disk, close);
        let seen = look(&disk);
        seen.assert_clean("a good disk");
        assert!(seen.notes.is_empty(), "{:?}", seen.notes);
        assert!(
            seen.report.segments.len() >= 3,
            "{:?}",
            seen.report.segments
        );
        assert!(!seen.footers.is_empty());
        assert_eq!(seen.report.closed, close);
        let shown = &seen.report.buckets["b"];
        assert_eq!(shown.keys, contents.len() as u64);
        let bytes: usize = contents.values().map(Vec::len).sum();
        assert_eq!(shown.value_bytes, bytes as u64);
        assert_eq!(shown.tombstones, 1);
        assert!(seen.report.tally.chunk.count >= 4 && seen.report.tally.manifest.count == 1);
        assert!(seen.report.dead_bytes > 0 && seen.report.live_bytes > shown.value_bytes);
    }
}

#[test]
fn a_disk_that_was_compacted_over_and_over_has_no_findings() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    let mut random = Random(5);
    for at in 0..400u64 {
        let k = format!("key-{}", random.below(40));
        match random.below(8) {
            0 => drop(delete(&mut store, &k)),
            1 => drop(upload(&mut store, &k, &pattern(100_000, at))),
            _ => drop(put(
                &mut store,
                &k,
                &pattern(random.below(60_000) as usize, at),
            )),
        }
        if at % 150 == 149 {
            look(&disk).assert_clean("in the middle");
        }
    }
    assert!(store.statistics().compactions > 3);
    let statistics = store.statistics();
    let seen = look(&disk);
    seen.assert_clean("at the end");
    let keys: u64 = seen.report.buckets.values().map(|bucket| bucket.keys).sum();
    assert_eq!(keys, statistics.keys);
    assert!(seen.report.tally.free.count > 0);
    store.close();
    settle(&mut store);
    look(&disk).assert_clean("closed");
}

#[test]
fn a_quota_is_told_as_it_was_set_last() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    for limits in [bytes(5), QuotaLimits { bytes: 9, keys: 7 }] {
        let ticket = store.set_quota(bucket("b"), limits).expect("taken");
        finish(&mut store, &ticket).expect("committed");
    }
    store.close();
    settle(&mut store);
    let seen = look(&disk);
    seen.assert_clean("with a quota");
    let limits = seen.report.buckets["b"].quota;
    assert_eq!(limits, QuotaLimits { bytes: 9, keys: 7 });
    assert_eq!(seen.report.tally.quota.count, 2);
}
