//! Scrub: all records on the disk are read and checked while the store serves.
//!
//! A segment at a time, at a rate that leaves the disk to others. A finding stops nothing: what
//! is damaged is named, counted and logged, and reading it is an error as before.

use crate::disk::Moved;
use crate::fetch::{FetchError, Unreadable};
use crate::format::group::Header;
use crate::format::record;
use crate::index::Form;
use crate::request::{Refusal, Unavailable};
use crate::scan::Scanner;
use crate::segments::Use;
use crate::store::Store;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

/// Bytes of a second.
const RATE_BYTES: u64 = 32 << 20;
/// Damaged keys that are named in the log, of each finding.
const NAMED_MAX: usize = 8;

/// How far a scrub is, or what the last one came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Whether one is under way.
    pub is_running: bool,
    /// When the last one began, nanoseconds since 1970; 0 if there was none.
    pub begun_wall_ns: u64,
    /// When the last one ended.
    pub ended_wall_ns: u64,
    /// Bytes of the log that were to be checked.
    pub all_bytes: u64,
    /// Bytes of them that have been checked, or that nobody needs any more.
    pub checked_bytes: u64,
    /// Damaged places found.
    pub findings: u64,
    /// Whether it came to its end: it may have been stopped, or the disk gone away before.
    pub is_complete: bool,
}

/// The segment that is being read.
struct Current {
    number: u32,
    generation: u64,
    extents: VecDeque<(u64, u64)>,
    scanner: Scanner,
    /// Where it has been bad since.
    bad_at: Option<u64>,
    _hold: Rc<()>,
}

/// A scrub under way, and what is known of the last one.
#[derive(Default)]
pub(crate) struct Scrub {
    status: ScrubStatus,
    /// Segments to be read, with their generations.
    left: VecDeque<(u32, u64)>,
    current: Option<Current>,
    /// Not before.
    next_ns: u64,
}

impl Store {
    /// Begins to check all records on the disk; [`Store::scrub_status`] says how far it is.
    ///
    /// # Errors
    /// [`Unavailable::Busy`] while one is under way, or as [`Store::submit`].
    pub fn begin_scrub(&mut self) -> Result<(), Refusal> {
        let whole = self.readable().and_then(|()| self.is_whole());
        whole.map_err(Refusal::Unavailable)?;
        if self.scrub.status.is_running {
            return Err(Refusal::Unavailable(Unavailable::Busy));
        }
        let used = self.segments.iter();
        let used = used.filter(|(_, segment)| segment.usage == Use::Log);
        let left: VecDeque<(u32, u64)> = used
            .map(|(number, segment)| (number, segment.generation))
            .collect();
        let bytes = |number: &(u32, u64)| -> u64 {
            let extents = self.segments.get(number.0).extents.iter();
            extents.map(|(start, end)| end - start).sum()
        };
        self.scrub = Scrub {
            status: ScrubStatus {
                is_running: true,
                begun_wall_ns: self.now.wall_ns,
                all_bytes: left.iter().map(bytes).sum(),
                ..ScrubStatus::default()
            },
            left,
            current: None,
            next_ns: 0,
        };
        Ok(())
    }

    /// How far the scrub is, or what the last one came to.
    pub fn scrub_status(&self) -> ScrubStatus {
        self.scrub.status
    }

    /// Ends the scrub that is under way, if there is one.
    pub fn stop_scrub(&mut self) {
        if self.scrub.status.is_running {
            self.scrub.left.clear();
            self.scrub.current = None;
            self.end_scrub(Some("it was stopped"));
        }
    }

    /// When the scrub goes on, on the monotonic clock.
    pub(crate) fn next_scrub_ns(&self) -> Option<u64> {
        let waits = self.scrub.status.is_running && self.scrub.next_ns > self.now.monotonic_ns;
        waits.then_some(self.scrub.next_ns)
    }

    /// Checks the next group.
    pub(crate) fn advance_scrub(&mut self) -> Moved {
        if !self.scrub.status.is_running || self.scrub.next_ns > self.now.monotonic_ns {
            return Moved::No;
        }
        let Some(mut current) = self.scrub.current.take() else {
            return self.next_to_scrub();
        };
        let Some((at, end)) = current.extents.front().copied() else {
            return Moved::Yes;
        };
        let (generation, before) = (current.generation, current.scanner.read_bytes);
        let fits = |header: &Header| header.generation == generation;
        let seeds = self.seeds();
        let found = current.scanner.look(&mut self.disk, seeds, at, fits);
        let read_bytes = current.scanner.read_bytes - before;
        self.scrub.next_ns = self.now.monotonic_ns + read_bytes * 1_000_000_000 / RATE_BYTES;
        match found {
            Poll::Pending | Poll::Ready(Err(FetchError::Memory)) => {
                self.scrub.current = Some(current);
                return Moved::No;
            }
            Poll::Ready(Ok(Some(header))) => {
                let bytes = current.scanner.bytes(at, header.length);
                let sound = are_sound(&header, bytes, |record_at| {
                    seeds.place(generation, at + record_at)
                });
                if !sound {
                    current.bad_at.get_or_insert(at);
                }
                self.pass(&mut current, at + header.span, end, sound);
            }
            Poll::Ready(Err(FetchError::Io(_))) => {
                self.end_scrub(Some("the disk went away"));
                return Moved::Yes;
            }
            Poll::Ready(Ok(None)) => {
                current.bad_at.get_or_insert(at);
                let next = at + u64::from(self.layout().unit);
                self.pass(&mut current, next, end, false);
            }
        }
        self.scrub.current = Some(current);
        Moved::Yes
    }

    /// Goes on at `to`; what was bad before something sound, or the end, is a finding.
    fn pass(&mut self, current: &mut Current, to: u64, end: u64, sound: bool) {
        let Some((at, _)) = current.extents.pop_front() else {
            return;
        };
        let to = to.min(end);
        if sound || to == end {
            let bad_end = if sound { at } else { end };
            if let Some(bad_at) = current.bad_at.take() {
                self.scrub_found(bad_at, bad_end);
            }
        }
        self.scrub.status.checked_bytes += to - at;
        if to < end {
            current.extents.push_front((to, end));
        }
    }

    fn next_to_scrub(&mut self) -> Moved {
        let Some((number, generation)) = self.scrub.left.pop_front() else {
            self.scrub.status.checked_bytes = self.scrub.status.all_bytes;
            self.end_scrub(None);
            return Moved::Yes;
        };
        let segment = self.segments.get(number);
        if segment.usage != Use::Log || segment.generation != generation {
            // It has been emptied since.
            return Moved::Yes;
        }
        let layout = self.layout();
        self.scrub.current = Some(Current {
            number,
            generation,
            extents: segment.extents.iter().copied().collect(),
            scanner: Scanner::new(layout.footer(number), Unreadable::Zeros),
            bad_at: None,
            _hold: self.segments.hold(layout.start(number)),
        });
        Moved::Yes
    }

    /// It has come to its end, or something has cut it off.
    fn end_scrub(&mut self, cut_off: Option<&str>) {
        let status = &mut self.scrub.status;
        status.is_running = false;
        status.is_complete = cut_off.is_none();
        status.ended_wall_ns = self.now.wall_ns;
        let (checked, all, findings) = (status.checked_bytes, status.all_bytes, status.findings);
        match cut_off {
            None => log::info!("store: scrubbed {all} bytes, {findings} findings"),
            Some(why) => log::error!(
                "store: the scrub ended after {checked} of {all} bytes with {findings} findings: {why}"
            ),
        }
    }

    fn scrub_found(&mut self, from: u64, to: u64) {
        self.scrub.status.findings += 1;
        self.counts.corruptions += 1;
        let (names, count) = self.values_between(from, to);
        let more = count.saturating_sub(names.len());
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = match names.is_empty() {
            true => String::from("nothing that is shown"),
            false => names.join(", "),
        };
        log::error!(
            "store: the log is damaged from {from} to {to}: it has {names}{more}; put that again, or restore it from a backup"
        );
    }

    /// The values with a part there: some of their names, and how many there are.
    fn values_between(&self, from: u64, to: u64) -> (Vec<String>, usize) {
        let (mut names, mut count) = (Vec::new(), 0);
        let inside = |pos: u64| (from..to).contains(&pos);
        for (name, bucket) in &self.index.buckets {
            for (key, version) in bucket.versions() {
                let chunks = || {
                    let table = self.large.of_manifest(version.seq);
                    let positions = table.into_iter().flat_map(|(_, table)| &table.positions);
                    positions.copied().any(inside)
                };
                let hit = version.form != Form::Ghost && inside(version.pos)
                    || version.form == Form::Chunked && chunks();
                if !hit {
                    continue;
                }
                count += 1;
                if names.len() < NAMED_MAX {
                    let (bucket, seq) = (name.as_str(), version.seq);
                    names.push(format!("{bucket}/{} (seq {seq})", key.escape_ascii()));
                }
            }
        }
        (names, count)
    }
}

impl core::fmt::Debug for Current {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "segment {}", self.number)
    }
}

/// Whether each record of an intact group is intact where it lies.
fn are_sound(header: &Header, bytes: &[u8], seed_at: impl Fn(u64) -> u32) -> bool {
    let mut at = header.header_len;
    while at < bytes.len() {
        let Some(found) = record::decode(&bytes[at..], seed_at(at as u64)) else {
            return false;
        };
        at += found.len;
    }
    true
}
