//! The segments that are not the newest: by their summaries, or group by group.
//!
//! A summary is believed if it ends where the segment is known to end; whatever is wrong with it,
//! the groups are still there.

use super::{BROKEN_GROUP, Recovery, Stage, WentOn, failed};
use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::codec::Cursor;
use crate::format::layout::CHUNK_BYTES;
use crate::format::record::{self, Record};
use crate::format::segment::Footer;
use crate::format::summary::{self, Base, Entry, Head};
use crate::index::Version;
use crate::large::CHUNKS_MAX;
use crate::replay::{Replay, SEQ_END};
use crate::walk::{Event, Walk};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Poll;

/// Bytes of one read of a summary; halved while there is no memory for it.
const READ_BYTES_MAX: u64 = 256 * 1024;
const READ_BYTES_MIN: u64 = 16 * 1024;

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

/// One thing that a summary says.
enum Said<'a> {
    /// Groups that count lie there.
    Extent(u64, u64),
    /// A record, its place and its length.
    Record(&'a Record<'a>, u64, usize),
    /// Upload, number, place and length of the data.
    Chunk(u64, u32, u64, usize),
    /// Bucket and key, and the upload of a manifest.
    Entry(&'a str, &'a [u8], Version, u64),
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
        let lists = Cursor::new(&bytes[summary::HEAD_BYTES..]);
        if look_through(&head, lists, bounds, &mut |_| true).is_none() {
            return false;
        }
        let replay = &mut self.replay;
        let span = u64::from(footer.summary_span);
        replay.segments.summarised(rest.number, span);
        replay.see_numbers(head.next_seq, head.epoch);
        let mut count = 0u32;
        let mut take = |said: Said<'_>| {
            replay.said(rest.number, said);
            count += 1;
            // Who has too little memory is told how much it takes, before there is none.
            !count.is_multiple_of(256) || !replay.is_out_of_memory()
        };
        let _ = look_through(&head, lists, bounds, &mut take);
        true
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

/// Tells all that a summary says, one after the other; `None` if it says what no segment holds,
/// or nobody wants to hear more.
fn look_through<'a>(
    head: &Head,
    mut lists: Cursor<'a>,
    bounds: Bounds,
    tell: &mut dyn FnMut(Said<'_>) -> bool,
) -> Option<()> {
    let c = &mut lists;
    let mut last = bounds.start;
    for _ in 0..head.extents {
        let start = last.checked_add(c.varint()?)?;
        let end = start.checked_add(c.varint()?)?;
        let fits = start >= bounds.data && start < end && end <= bounds.end;
        (fits && tell(Said::Extent(start, end))).then_some(())?;
        last = end;
    }
    for _ in 0..head.records {
        let offset = c.varint()?;
        let found = record::decode_proven(c.peek())?;
        let pos = bounds.place(offset, found.len as u64)?;
        c.take(found.len)?;
        tell(Said::Record(&found.record, pos, found.len)).then_some(())?;
    }
    for _ in 0..head.chunks {
        let (upload, number) = (c.varint()?, u32::try_from(c.varint()?).ok()?);
        let (offset, data_len) = (c.varint()?, c.length()?);
        let sound = number < CHUNKS_MAX && data_len <= CHUNK_BYTES;
        let len = record::chunk_len(upload, number, data_len.min(CHUNK_BYTES));
        let pos = bounds.place(offset, len as u64)?;
        (sound && tell(Said::Chunk(upload, number, pos, data_len))).then_some(())?;
    }
    look_through_entries(head, c, bounds, tell)
}

fn look_through_entries(
    head: &Head,
    c: &mut Cursor<'_>,
    bounds: Bounds,
    tell: &mut dyn FnMut(Said<'_>) -> bool,
) -> Option<()> {
    let base = Base {
        start: bounds.start,
        seq: c.varint()?,
        modified_ms: c.varint()?,
    };
    let mut name = Vec::new();
    for _ in 0..head.entries {
        let Entry { version, upload } = summary::take(c, &mut name, base)?;
        let (bucket, key) = summary::split(&name)?;
        let len = version.record_len(bucket, key);
        bounds.place(version.pos.checked_sub(bounds.start)?, len)?;
        let sound = (1..SEQ_END).contains(&version.seq);
        let said = Said::Entry(bucket, key, version, upload);
        (sound && tell(said)).then_some(())?;
    }
    (c.position() == c.len()).then_some(())
}

impl Replay {
    /// Takes in what the summary of segment `number` says.
    fn said(&mut self, number: u32, said: Said<'_>) {
        match said {
            Said::Extent(start, end) => self.segments.extend(number, start, end),
            Said::Record(record, pos, len) => self.record(record, pos, len),
            Said::Chunk(upload, number, pos, data_len) => {
                self.chunk((upload, number), pos, data_len);
            }
            Said::Entry(bucket, key, version, upload) => {
                self.version((bucket, key), version, upload);
            }
        }
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
