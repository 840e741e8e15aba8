//! The segments that are not the newest: by their summaries, or group by group.
//!
//! A summary is believed if it ends where the segment is known to end; whatever is wrong with it,
//! the groups are still there.

use super::{BROKEN_GROUP, Recovery, Stage, WentOn, failed};
use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::codec::Cursor;
use crate::format::layout::CHUNK_BYTES;
use crate::format::record;
use crate::format::segment::Footer;
use crate::format::summary::{self, Base, Head, Name};
use crate::index::Filling;
use crate::large::CHUNKS_MAX;
use crate::replay::{Replay, SEQ_END};
use crate::walk::{Event, Walk};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Poll;

/// Bytes of one read of a summary; halved while there is no memory for it.
const READ_BYTES_MAX: u64 = 256 * 1024;
const READ_BYTES_MIN: u64 = 16 * 1024;

/// Entries after which the memory that is taken is looked at.
const MEMORY_LOOK: u32 = 256;

/// A segment under way.
pub(super) struct Rest {
    number: u32,
    footer: Option<Footer>,
    part: Part,
}

enum Part {
    Footer(Fetch),
    Summary(Reading),
    Walk(Box<Walk>),
}

/// A summary under way.
struct Reading {
    /// Where it lies.
    offset: u64,
    len: usize,
    /// From the sector on in which it begins.
    bytes: Vec<u8>,
    start: u64,
    end: u64,
    ahead_bytes: u64,
    fetch: Option<Fetch>,
}

/// Where groups can lie in a segment that has a summary.
#[derive(Clone, Copy)]
struct Bounds {
    start: u64,
    data: u64,
    end: u64,
}

impl Recovery {
    /// Goes on with the segments that are left.
    pub(super) fn read_rest(
        &mut self,
        disk: &mut Disk,
        rest: Option<Box<Rest>>,
        budget: &mut u64,
    ) -> (Stage, WentOn) {
        let Some(mut rest) = rest else {
            return self.next_rest(disk);
        };
        match &mut rest.part {
            Part::Footer(fetch) => match fetch.poll(disk) {
                Poll::Pending => (Stage::Rest(Some(rest)), WentOn::Waits),
                Poll::Ready(Err(error)) => failed(Stage::Rest(Some(rest)), error),
                Poll::Ready(Ok(run)) => {
                    *budget = budget.saturating_sub(512);
                    rest.footer = self.decode_footer(rest.number, run.bytes());
                    rest.part = match self.summary_of(disk, rest.number, rest.footer) {
                        Some(reading) => Part::Summary(reading),
                        None => self.walk_of(rest.number),
                    };
                    (Stage::Rest(Some(rest)), WentOn::Yes)
                }
            },
            Part::Summary(reading) => {
                let before = reading.bytes.len();
                let read = reading.step(disk);
                let bytes = (reading.bytes.len() - before) as u64;
                *budget = budget.saturating_sub(bytes + 512);
                match read {
                    Poll::Pending => (Stage::Rest(Some(rest)), WentOn::Waits),
                    Poll::Ready(true) if self.believe(&rest) => {
                        self.walked += 1;
                        (Stage::Rest(None), WentOn::Yes)
                    }
                    Poll::Ready(_) => {
                        let start = self.layout.start(rest.number);
                        log::warn!(
                            "store: the summary of the segment at {start} is damaged; its groups are read instead"
                        );
                        rest.part = self.walk_of(rest.number);
                        (Stage::Rest(Some(rest)), WentOn::Yes)
                    }
                }
            }
            Part::Walk(_) => self.walk_rest(disk, rest, budget),
        }
    }

    fn next_rest(&mut self, disk: &mut Disk) -> (Stage, WentOn) {
        let Some(number) = self.rest.front().copied() else {
            return (Stage::Done, WentOn::Yes);
        };
        let Ok(fetch) = self.fetch_footer(disk, number) else {
            return (Stage::Rest(None), WentOn::Waits);
        };
        self.rest.pop_front();
        let rest = Rest {
            number,
            footer: None,
            part: Part::Footer(fetch),
        };
        (Stage::Rest(Some(Box::new(rest))), WentOn::Yes)
    }

    fn walk_of(&self, number: u32) -> Part {
        let header = self.headers[number as usize].expect("segments in use have headers");
        Part::Walk(Box::new(Walk::new(self.layout, self.seeds, &header)))
    }

    /// The summary to be read, if the footer tells of one that ends where the segment does.
    fn summary_of(&self, disk: &Disk, number: u32, footer: Option<Footer>) -> Option<Reading> {
        let generation = self.generation(number);
        let footer = footer.filter(|footer| {
            let end = self.ends.get(&generation);
            let ends_there = end.is_none_or(|(_, chain)| *chain == footer.chain);
            self.believes_summaries && footer.generation == generation && ends_there
        })?;
        let len = footer.summary_len as usize;
        let fits = len >= summary::HEAD_BYTES
            && footer.summary_len <= footer.summary_span
            && len as u64 <= self.summary_memory_bytes;
        let offset = summary::offset(&self.layout, number, footer.summary_span)?;
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| u64::from(geometry.sector_bytes));
        let start = offset - offset % sector;
        let end = (offset + len as u64).next_multiple_of(sector);
        let mut bytes = Vec::new();
        let room = bytes.try_reserve_exact((end - start) as usize);
        (fits && room.is_ok()).then_some(Reading {
            offset,
            len,
            bytes,
            start,
            end,
            ahead_bytes: READ_BYTES_MAX,
            fetch: None,
        })
    }

    /// Takes in what the summary says, if it is intact.
    fn believe(&mut self, rest: &Rest) -> bool {
        let Part::Summary(reading) = &rest.part else {
            return false;
        };
        let Some(footer) = rest.footer else {
            return false;
        };
        let from = (reading.offset - reading.start) as usize;
        let bytes = &reading.bytes[from..from + reading.len];
        let place = (footer.generation, reading.offset);
        let head = summary::open(bytes, self.seeds, place);
        let Some(head) = head.filter(|head| head.chain == footer.chain) else {
            return false;
        };
        let header = self.headers[rest.number as usize].expect("segments in use have headers");
        let start = self.layout.start(rest.number);
        let bounds = Bounds {
            start,
            data: start + u64::from(header.data_start),
            end: reading.offset,
        };
        let replay = &mut self.replay;
        let span = u64::from(footer.summary_span);
        replay.segments.summarised(rest.number, span);
        replay.see_numbers(head.next_seq, head.epoch);
        let lists = Cursor::new(&bytes[summary::HEAD_BYTES..]);
        let told = replay.summary(rest.number, &head, lists, bounds);
        if told.is_none() {
            // What it said first has been taken in. So nothing will be written: that a record is
            // met twice then does no harm.
            let what = "an intact summary says what no segment holds";
            replay.find(reading.offset, what);
        }
        told.is_some()
    }

    fn walk_rest(
        &mut self,
        disk: &mut Disk,
        mut rest: Box<Rest>,
        budget: &mut u64,
    ) -> (Stage, WentOn) {
        let Part::Walk(walk) = &mut rest.part else {
            return (Stage::Rest(Some(rest)), WentOn::Yes);
        };
        let before = walk.read_bytes();
        let event = walk.step(disk);
        *budget = budget.saturating_sub(walk.read_bytes() - before + 512);
        match event {
            Poll::Pending => (Stage::Rest(Some(rest)), WentOn::Waits),
            Poll::Ready(Err(error)) => failed(Stage::Rest(Some(rest)), error),
            Poll::Ready(Ok(Event::Group(taken))) => {
                self.replay.group(&taken);
                (Stage::Rest(Some(rest)), WentOn::Yes)
            }
            Poll::Ready(Ok(Event::Damage(offset))) => {
                self.replay.find(offset, BROKEN_GROUP);
                (Stage::Rest(Some(rest)), WentOn::Yes)
            }
            Poll::Ready(Ok(Event::End)) => {
                let Rest {
                    number,
                    footer,
                    part,
                } = *rest;
                if let Part::Walk(walk) = part {
                    self.judge_sealed(number, walk.into_ending(), footer);
                }
                self.walked += 1;
                (Stage::Rest(None), WentOn::Yes)
            }
        }
    }
}

impl Replay {
    /// Takes in what the summary of segment `number` says; `None` if that is what no segment holds.
    fn summary(
        &mut self,
        number: u32,
        head: &Head,
        mut lists: Cursor<'_>,
        bounds: Bounds,
    ) -> Option<()> {
        let c = &mut lists;
        let mut last = bounds.start;
        for _ in 0..head.extents {
            let start = last.checked_add(c.varint()?)?;
            let end = start.checked_add(c.varint()?)?;
            let fits = start >= bounds.data && start < end && end <= bounds.end;
            fits.then(|| self.segments.extend(number, start, end))?;
            last = end;
        }
        for _ in 0..head.records {
            let offset = c.varint()?;
            let found = record::decode_proven(c.peek())?;
            let pos = bounds.place(offset, found.len as u64)?;
            c.take(found.len)?;
            self.record(&found.record, pos, found.len);
        }
        for _ in 0..head.chunks {
            let (upload, number) = (c.varint()?, u32::try_from(c.varint()?).ok()?);
            let (offset, data_len) = (c.varint()?, c.length()?);
            let sound = number < CHUNKS_MAX && data_len <= CHUNK_BYTES;
            let len = record::chunk_len(upload, number, data_len.min(CHUNK_BYTES));
            let pos = bounds.place(offset, len as u64)?;
            sound.then(|| self.chunk((upload, number), pos, data_len))?;
        }
        let mut filling = None;
        let told = self.summary_entries(&mut filling, head.entries, c, bounds);
        filling
            .into_iter()
            .for_each(|filling| self.index.end_filling(filling));
        told
    }

    /// Takes in the entries; the last bucket is left to be given back.
    fn summary_entries(
        &mut self,
        filling: &mut Option<Filling>,
        count: u32,
        c: &mut Cursor<'_>,
        bounds: Bounds,
    ) -> Option<()> {
        let base = Base {
            start: bounds.start,
            seq: c.varint()?,
            modified_ms: c.varint()?,
        };
        let mut name = Name::default();
        for nth in 1..=count {
            let entry = name.take(c, base)?;
            let version = &entry.version;
            let len = version.record_len(name.bucket(), name.key());
            bounds.place(version.pos.checked_sub(bounds.start)?, len)?;
            (1..SEQ_END).contains(&version.seq).then_some(())?;
            let into = self.index.fill_on(filling, name.bucket());
            self.version_in_order(into, name.key(), entry);
            if nth.is_multiple_of(MEMORY_LOOK) {
                filling
                    .take()
                    .into_iter()
                    .for_each(|filling| self.index.end_filling(filling));
                // Before there is no memory at all.
                self.fits_memory();
            }
        }
        (c.position() == c.len()).then_some(())
    }
}

impl Bounds {
    /// The position of a record of `len` bytes at `offset` of the segment, if groups can lie there.
    fn place(self, offset: u64, len: u64) -> Option<u64> {
        let pos = self.start.checked_add(offset)?;
        let end = pos.checked_add(len)?;
        (pos >= self.data && end <= self.end).then_some(pos)
    }
}

impl Reading {
    /// Reads on; whether all is there in the end.
    fn step(&mut self, disk: &mut Disk) -> Poll<bool> {
        loop {
            let at = self.start + self.bytes.len() as u64;
            if at >= self.end {
                return Poll::Ready(true);
            }
            let fetch = match self.fetch.take() {
                Some(fetch) => Ok(fetch),
                None => {
                    let len = (self.end - at).min(self.ahead_bytes) as usize;
                    Fetch::begin(disk, (at, len), Unreadable::Zeros, None)
                }
            };
            let Ok(mut fetch) = fetch else {
                if self.ahead_bytes > READ_BYTES_MIN {
                    self.ahead_bytes /= 2;
                    continue;
                }
                return Poll::Pending;
            };
            match fetch.poll(disk) {
                Poll::Pending => {
                    self.fetch = Some(fetch);
                    return Poll::Pending;
                }
                Poll::Ready(Err(FetchError::Memory)) => return Poll::Pending,
                Poll::Ready(Err(FetchError::Io(_))) => return Poll::Ready(false),
                Poll::Ready(Ok(run)) => self.bytes.extend_from_slice(run.bytes()),
            }
        }
    }
}
