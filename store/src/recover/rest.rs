//! The segments that are not the newest: by their summaries, or group by group.
//!
//! A summary is believed if it ends where the segment is known to end; whatever is wrong with it,
//! the groups are still there.

use super::run::{Bounds, Run};
use super::{BROKEN_GROUP, Recovery, Stage, WentOn, failed, told};
use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::codec::Cursor;
use crate::format::segment::Footer;
use crate::format::summary::block::PAD_BYTES;
use crate::format::summary::{self, Opened};
use crate::replay::{EPOCH_END, SEQ_END};
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
    by: By,
    footer: Option<Footer>,
    /// The footer tells of a summary that is none.
    summary_is_damaged: bool,
    part: Part,
}

enum Part {
    Footer(Fetch),
    Summary(Reading),
    Walk(Box<Walk>),
}

/// There is no memory for it.
struct Starved;

/// What came of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Believed {
    /// All it says is taken in, or left to a merge.
    Whole,
    /// It is of a form that is not read any more.
    Older,
    Damaged,
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

/// A segment that is left to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) number: u32,
    pub(super) by: By,
}

/// How it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Summary,
    /// Only entries behind so many: the others, and all that stands before them, are taken in.
    SummaryBehind(u32),
    Groups,
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
                    rest.part = match self.summary_of(disk, &rest) {
                        Ok(Some(reading)) => Part::Summary(reading),
                        Ok(None) => self.walk_of(&rest),
                        Err(Starved) => return self.make_memory(rest),
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
                    Poll::Ready(is_there) => {
                        let summary = match is_there {
                            true => self.believe(&mut rest),
                            false => Believed::Damaged,
                        };
                        (self.behind_summary(rest, summary), WentOn::Yes)
                    }
                }
            }
            Part::Walk(_) => self.walk_rest(disk, rest, budget),
        }
    }

    fn behind_summary(&mut self, mut rest: Box<Rest>, summary: Believed) -> Stage {
        match summary {
            Believed::Whole => return Stage::Rest(None),
            Believed::Older => {}
            Believed::Damaged => {
                let start = self.layout.start(rest.number);
                log::warn!(
                    "store: the summary of the segment at {start} is damaged; its groups are read instead"
                );
                rest.summary_is_damaged = true;
            }
        }
        rest.part = self.walk_of(&rest);
        Stage::Rest(Some(rest))
    }

    fn next_rest(&mut self, disk: &mut Disk) -> (Stage, WentOn) {
        if (self.rest.is_empty() || self.has_runs_enough())
            && let Some(merge) = self.begin_merge()
        {
            return (Stage::Merge(merge), WentOn::Yes);
        }
        let Some(Left { number, by }) = self.rest.front().copied() else {
            return (Stage::Done, WentOn::Yes);
        };
        let Ok(fetch) = self.fetch_footer(disk, number) else {
            return match self.begin_merge() {
                Some(merge) => (Stage::Merge(merge), WentOn::Yes),
                None => (Stage::Rest(None), WentOn::Waits),
            };
        };
        self.rest.pop_front();
        let rest = Rest {
            number,
            by,
            footer: None,
            summary_is_damaged: false,
            part: Part::Footer(fetch),
        };
        (Stage::Rest(Some(Box::new(rest))), WentOn::Yes)
    }

    /// There is no memory for a summary: the runs that wait can be merged, and the groups be read
    /// instead of it, unless they would tell again what has been taken in.
    fn make_memory(&mut self, mut rest: Box<Rest>) -> (Stage, WentOn) {
        let Rest { number, by, .. } = *rest;
        if let Some(merge) = self.begin_merge() {
            self.rest.push_front(Left { number, by });
            return (Stage::Merge(merge), WentOn::Yes);
        }
        if matches!(by, By::SummaryBehind(_)) {
            let index = &mut self.replay.index;
            let made = index.give_up(index.bytes() / 16 * 15);
            self.rest.push_front(Left { number, by });
            let went_on = if made { WentOn::Yes } else { WentOn::Starved };
            return (Stage::Rest(None), went_on);
        }
        rest.part = self.walk_of(&rest);
        (Stage::Rest(Some(rest)), WentOn::Yes)
    }

    fn walk_of(&mut self, rest: &Rest) -> Part {
        let number = rest.number;
        let header = self.headers[number as usize].expect("segments in use have headers");
        if matches!(rest.by, By::SummaryBehind(_)) {
            // Records are met twice then; nothing will be written, so that this does no harm.
            let what = "the summary of a segment was intact and is not any more";
            self.replay.find(self.layout.start(number), what);
        }
        Part::Walk(Box::new(Walk::new(self.layout, self.seeds, &header)))
    }

    /// The summary to be read, if the footer tells of one that ends where the segment does.
    fn summary_of(&self, disk: &Disk, rest: &Rest) -> Result<Option<Reading>, Starved> {
        let number = rest.number;
        let generation = self.generation(number);
        let believes = self.believes_summaries && rest.by != By::Groups;
        let footer = rest.footer.filter(|footer| {
            let end = self.ends.get(&generation);
            let ends_there = end.is_none_or(|(_, chain)| *chain == footer.chain);
            believes && footer.generation == generation && ends_there
        });
        let Some(footer) = footer else {
            return Ok(None);
        };
        let len = footer.summary_len as usize;
        let fits = len >= summary::HEAD_BYTES
            && footer.summary_len <= footer.summary_span
            && len as u64 <= self.summary_memory_bytes;
        let offset = summary::offset(&self.layout, number, footer.summary_span);
        let Some(offset) = offset.filter(|_| fits) else {
            return Ok(None);
        };
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| u64::from(geometry.sector_bytes));
        let start = offset - offset % sector;
        let end = (offset + len as u64).next_multiple_of(sector);
        let mut bytes = Vec::new();
        let room = bytes.try_reserve_exact((end - start) as usize + PAD_BYTES);
        room.map_err(|_| Starved)?;
        Ok(Some(Reading {
            offset,
            len,
            bytes,
            start,
            end,
            ahead_bytes: READ_BYTES_MAX,
            fetch: None,
        }))
    }

    /// Takes in what the summary says, if it is intact; its entries are left to a merge.
    fn believe(&mut self, rest: &mut Rest) -> Believed {
        let (Part::Summary(reading), Some(footer)) = (&mut rest.part, rest.footer) else {
            return Believed::Damaged;
        };
        let from = (reading.offset - reading.start) as usize;
        let bytes = &reading.bytes[from..from + reading.len];
        let place = (footer.generation, reading.offset);
        let head = match summary::open(bytes, self.seeds, place) {
            Opened::Intact(head) => head,
            Opened::Older => return Believed::Older,
            Opened::Damaged => return Believed::Damaged,
        };
        let is_in_range = head.epoch < EPOCH_END && head.next_seq < SEQ_END;
        if head.chain != footer.chain || !is_in_range {
            return Believed::Damaged;
        }
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
        let mut lists = Cursor::from(bytes, summary::HEAD_BYTES);
        let told = match rest.by {
            By::SummaryBehind(_) => told::pass_by(&head, &mut lists),
            By::Summary | By::Groups => replay.told(rest.number, &head, &mut lists, bounds),
        };
        let at = from + lists.position();
        let mut bytes = core::mem::take(&mut reading.bytes);
        bytes.truncate(from + reading.len);
        let run = told.and_then(|()| Run::of_list((rest.number, bounds), bytes, at, head.entries));
        let Some(run) = run else {
            self.disbelieve(rest.number);
            return Believed::Damaged;
        };
        self.walked += 1;
        self.take_run(run, rest.by);
        Believed::Whole
    }

    /// An intact summary is no summary. What it said first has been taken in. So nothing will be
    /// written: that a record is met twice then does no harm.
    pub(super) fn disbelieve(&mut self, number: u32) {
        let what = "an intact summary says what no segment holds";
        self.replay.find(self.layout.start(number), what);
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
                    summary_is_damaged,
                    part,
                    ..
                } = *rest;
                if let Part::Walk(walk) = part {
                    // It is written again without one: a crash while the segment was sealed may
                    // have left the footer alone.
                    let is_whole = !summary_is_damaged;
                    self.judge_sealed(number, walk.into_ending(), (footer, is_whole));
                }
                self.walked += 1;
                (Stage::Rest(None), WentOn::Yes)
            }
        }
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
