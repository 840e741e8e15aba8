//! Opening a store that is there: which segments count, and what they hold.
//!
//! Reads only. The order: all segment headers; the newest segment, whose bitmap
//! and Free records say which others count; what may hide behind a rotten
//! header; the others. What it finds is judged by `docs/data-layout.md`,
//! "Torn or damaged".
//!
//! # Invariants
//!
//! - A group is replayed only if it is proven, or if nothing will be written.
//! - A finding never stops the reading: what is intact is still shown, read-only.

use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::checksum::Seeds;
use crate::format::layout::Layout;
use crate::format::segment::{self, Footer};
use crate::format::superblock::Superblock;
use crate::replay::Replay;
use crate::scan::Scanner;
use crate::segments;
use crate::shutdown::summary_memory_bytes;
use crate::summary::{Summary, Unlisted};
use crate::walk::{Ending, Event, Taken, Walk};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

/// Header reads under way at once.
const HEADER_READS_MAX: usize = 32;
/// Bytes read per step of the caller.
const READ_BYTES_PER_STEP: u64 = 1024 * 1024;

/// Why recovery cannot go on at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The index outgrows the memory there is.
    Memory {
        scanned_segments: u32,
        all_segments: u32,
    },
    /// The device fails where it must not.
    Io(u64),
}

enum Stage {
    Headers {
        next: u32,
        reads: VecDeque<(u32, Fetch)>,
    },
    Newest {
        candidates: Vec<u32>,
        fetch: Option<Fetch>,
    },
    Tail(Box<Walk>, Option<Fetch>, Vec<u32>),
    Successor {
        number: u32,
        at: u64,
        scanner: Box<Scanner>,
    },
    Rest(Option<Box<Rest>>),
    Merge(Box<Merge>),
    Done,
}

/// Recovery under way.
pub(crate) struct Recovery {
    layout: Layout,
    seeds: Seeds,
    superblock: Superblock,
    summary_memory_bytes: u64,
    believes_summaries: bool,
    mark_is_last: bool,
    stage: Stage,
    headers: Vec<Option<segment::Header>>,
    bitmap: Vec<u8>,
    /// By the generation of a segment: generation and chain of the header that follows it.
    ends: BTreeMap<u64, (u64, u64)>,
    rest: VecDeque<Left>,
    /// What summaries have told, to be merged.
    runs: Runs,
    /// The newest segment.
    pub(crate) newest: Option<segment::Header>,
    /// How its log ends.
    pub(crate) tail: Option<Ending>,
    /// Whether the newest segment holds no proven group: nothing says that its header was flushed.
    pub(crate) head_is_unproven: bool,
    /// Whether a clean mark proves the tail.
    pub(crate) tail_is_proven: bool,
    pub(crate) replay: Replay,
    /// Footers to be written again.
    pub(crate) repairs: Vec<Footer>,
    /// Segments that only the last group frees.
    pub(crate) unproven_frees: Vec<u32>,
    /// Highest generation of any header with an intact bitmap.
    pub(crate) max_generation: u64,
    /// What the newest segment holds, if it can be listed.
    pub(crate) summary: Option<Summary>,
    walked: u32,
    /// The last step ended with its budget: what comes next may wait for nothing.
    pub(crate) has_more: bool,
}

mod judge;
mod merge;
mod rest;
mod run;
mod runs;
mod told;

use merge::Merge;
use rest::{Left, Rest};
pub(crate) use run::{Bounds, Run};
use runs::Runs;

const BROKEN_GROUP: &str = "a group is damaged, and later ones prove that it was whole";

impl Recovery {
    pub(crate) fn new(superblock: &Superblock, layout: Layout, memory_bytes: u64) -> Self {
        let memory_limit_bytes = memory_bytes / 16 * 15;
        let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
        Recovery {
            layout,
            seeds,
            superblock: superblock.clone(),
            summary_memory_bytes: summary_memory_bytes(memory_bytes),
            believes_summaries: true,
            mark_is_last: false,
            stage: Stage::Headers {
                next: 0,
                reads: VecDeque::new(),
            },
            headers: vec![None; layout.segment_count as usize],
            bitmap: vec![],
            ends: BTreeMap::new(),
            rest: VecDeque::new(),
            runs: Runs::default(),
            newest: None,
            tail: None,
            head_is_unproven: true,
            tail_is_proven: false,
            replay: Replay::new(layout, memory_limit_bytes),
            repairs: vec![],
            unproven_frees: vec![],
            max_generation: 0,
            summary: None,
            walked: 0,
            has_more: false,
        }
    }

    /// Reads every group, whatever summaries say, and looks for more behind the last one.
    pub(crate) fn thorough(self) -> Self {
        Recovery {
            believes_summaries: false,
            ..self
        }
    }

    /// Both copies of the superblock are intact, so that no later opening can have been forgotten:
    /// a clean mark is the last thing that was written.
    pub(crate) fn with_both_copies(self, intact: bool) -> Self {
        Recovery {
            mark_is_last: intact && self.superblock.clean.is_some(),
            ..self
        }
    }

    /// Checksum of the last group of the segment with this generation, if nothing can follow it.
    fn last_group(&self, generation: u64) -> Option<u64> {
        let mark = self
            .superblock
            .clean
            .filter(|mark| mark.generation == generation)?;
        (self.mark_is_last && self.believes_summaries).then_some(mark.chain)
    }

    /// Reads on, within a budget.
    pub(crate) fn step(&mut self, disk: &mut Disk) -> Poll<Result<(), Failure>> {
        let mut budget = READ_BYTES_PER_STEP;
        self.has_more = false;
        while budget > 0 {
            let stage = core::mem::replace(&mut self.stage, Stage::Done);
            let (stage, went_on) = match stage {
                Stage::Headers { next, reads } => self.read_headers(disk, next, reads),
                Stage::Newest { candidates, fetch } => self.find_newest(disk, candidates, fetch),
                Stage::Tail(walk, footer, others) => {
                    self.walk_tail(disk, walk, footer, others, &mut budget)
                }
                Stage::Successor {
                    number,
                    at,
                    scanner,
                } => self.look_behind(disk, number, at, scanner, &mut budget),
                Stage::Rest(rest) => self.read_rest(disk, rest, &mut budget),
                Stage::Merge(merge) => self.merge_on(merge, &mut budget),
                Stage::Done => return Poll::Ready(Ok(())),
            };
            self.stage = stage;
            if matches!(went_on, WentOn::Starved) || !self.replay.fits_memory() {
                return Poll::Ready(Err(Failure::Memory {
                    scanned_segments: self.walked,
                    all_segments: self.layout.segment_count,
                }));
            }
            match went_on {
                WentOn::Yes | WentOn::Starved => {}
                WentOn::Waits => return Poll::Pending,
                WentOn::Failed(offset) => return Poll::Ready(Err(Failure::Io(offset))),
            }
        }
        self.has_more = true;
        Poll::Pending
    }

    fn read_headers(
        &mut self,
        disk: &mut Disk,
        mut next: u32,
        mut reads: VecDeque<(u32, Fetch)>,
    ) -> (Stage, WentOn) {
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        let len = sector.max(512) as usize;
        while next < self.layout.segment_count && reads.len() < HEADER_READS_MAX {
            match Fetch::begin(
                disk,
                (self.layout.start(next), len),
                Unreadable::Zeros,
                None,
            ) {
                Ok(fetch) => reads.push_back((next, fetch)),
                Err(_) if !reads.is_empty() => break,
                Err(_) => return (Stage::Headers { next, reads }, WentOn::Waits),
            }
            next += 1;
        }
        let Some((number, fetch)) = reads.front_mut() else {
            let mut candidates: Vec<u32> = (0..self.layout.segment_count)
                .filter(|number| self.headers[*number as usize].is_some())
                .collect();
            candidates.sort_by_key(|number| self.generation(*number));
            return (
                Stage::Newest {
                    candidates,
                    fetch: None,
                },
                WentOn::Yes,
            );
        };
        let number = *number;
        match fetch.poll(disk) {
            Poll::Pending => (Stage::Headers { next, reads }, WentOn::Waits),
            Poll::Ready(Err(FetchError::Io(offset))) => {
                (Stage::Headers { next, reads }, WentOn::Failed(offset))
            }
            Poll::Ready(Err(FetchError::Memory)) => (Stage::Headers { next, reads }, WentOn::Waits),
            Poll::Ready(Ok(run)) => {
                reads.pop_front();
                self.headers[number as usize] = segment::decode(run.bytes(), number, self.seeds)
                    .filter(|header| self.is_plausible(header));
                (Stage::Headers { next, reads }, WentOn::Yes)
            }
        }
    }

    fn is_plausible(&self, header: &segment::Header) -> bool {
        let start = u64::from(header.data_start);
        start >= u64::from(self.layout.header_bytes)
            && start <= self.layout.segment_bytes / 2
            && start.is_multiple_of(u64::from(self.layout.unit))
            && header
                .successor
                .is_none_or(|number| number < self.layout.segment_count)
            && header.generation < u64::MAX / 2
            && header.epoch < u64::MAX / 2
            && header.next_seq < u64::MAX / 2
    }

    fn generation(&self, number: u32) -> u64 {
        self.headers[number as usize].map_or(0, |header| header.generation)
    }

    /// The highest generation whose bitmap is intact: a torn one never counted.
    /// It counts only if it holds a group, too (see [`Recovery::walk_tail`]).
    fn find_newest(
        &mut self,
        disk: &mut Disk,
        mut candidates: Vec<u32>,
        fetch: Option<Fetch>,
    ) -> (Stage, WentOn) {
        let Some(number) = candidates.last().copied() else {
            self.replay
                .find(self.layout.first_segment, "no segment has a valid header");
            return (Stage::Done, WentOn::Yes);
        };
        let fetch = fetch.map_or_else(|| self.fetch_header(disk, number), Ok);
        let Ok(mut fetch) = fetch else {
            return (
                Stage::Newest {
                    candidates,
                    fetch: None,
                },
                WentOn::Waits,
            );
        };
        let run = match fetch.poll(disk) {
            Poll::Pending => {
                return (
                    Stage::Newest {
                        candidates,
                        fetch: Some(fetch),
                    },
                    WentOn::Waits,
                );
            }
            Poll::Ready(Err(_)) => {
                return (
                    Stage::Newest {
                        candidates,
                        fetch: None,
                    },
                    WentOn::Waits,
                );
            }
            Poll::Ready(Ok(run)) => run,
        };
        let header = self.headers[number as usize].expect("candidates have headers");
        let wanted = (self.layout.segment_count as usize).div_ceil(8);
        let bitmap = segment::bitmap(&header, run.bytes(), self.seeds)
            .filter(|bitmap| bitmap.len() >= wanted && !segments::is_free(bitmap, number));
        let Some(bitmap) = bitmap else {
            self.headers[number as usize] = None;
            candidates.pop();
            return (
                Stage::Newest {
                    candidates,
                    fetch: None,
                },
                WentOn::Yes,
            );
        };
        self.bitmap = bitmap;
        self.newest = Some(header);
        self.max_generation = self.max_generation.max(header.generation);
        self.replay.see_numbers(header.next_seq, header.epoch);
        self.replay.segments.begin(number, header.generation);
        let start = self.layout.start(number);
        self.summary = Some(Summary::new(start, self.summary_memory_bytes));
        let walk = Walk::new(self.layout, self.seeds, &header);
        let walk = walk.up_to(self.last_group(header.generation));
        candidates.pop();
        (Stage::Tail(Box::new(walk), None, candidates), WentOn::Yes)
    }

    /// A header and the first group of its segment are flushed together: without
    /// the group the header proves nothing, and the log ends in the segment before.
    fn walk_tail(
        &mut self,
        disk: &mut Disk,
        mut walk: Box<Walk>,
        footer: Option<Fetch>,
        others: Vec<u32>,
        budget: &mut u64,
    ) -> (Stage, WentOn) {
        let mut footer = match footer.map_or_else(|| self.fetch_footer(disk, walk.number), Ok) {
            Ok(footer) => footer,
            Err(_) => return (Stage::Tail(walk, None, others), WentOn::Waits),
        };
        let before = walk.read_bytes();
        let event = walk.step(disk);
        *budget = budget.saturating_sub(walk.read_bytes() - before + 512);
        match event {
            Poll::Pending => (Stage::Tail(walk, Some(footer), others), WentOn::Waits),
            Poll::Ready(Err(error)) => failed(Stage::Tail(walk, Some(footer), others), error),
            Poll::Ready(Ok(Event::Group(taken))) => {
                self.head_is_unproven = false;
                self.newest_group(&taken);
                (Stage::Tail(walk, Some(footer), others), WentOn::Yes)
            }
            Poll::Ready(Ok(Event::Damage(offset))) => {
                self.replay.find(offset, BROKEN_GROUP);
                (Stage::Tail(walk, Some(footer), others), WentOn::Yes)
            }
            Poll::Ready(Ok(Event::End)) if walk.is_empty() && !others.is_empty() => {
                self.replay.segments.release(walk.number);
                self.headers[walk.number as usize] = None;
                (
                    Stage::Newest {
                        candidates: others,
                        fetch: None,
                    },
                    WentOn::Yes,
                )
            }
            Poll::Ready(Ok(Event::End)) => match footer.poll(disk) {
                Poll::Pending => (Stage::Tail(walk, Some(footer), others), WentOn::Waits),
                Poll::Ready(Err(error)) => failed(Stage::Tail(walk, None, others), error),
                Poll::Ready(Ok(run)) => {
                    let number = walk.number;
                    let footer = self.decode_footer(number, run.bytes());
                    self.judge_tail(number, walk.into_ending(), footer);
                    (self.after_tail(), WentOn::Yes)
                }
            },
        }
    }

    /// A proven group of the newest segment.
    fn newest_group(&mut self, taken: &Taken) {
        let Some(mut summary) = self.summary.take() else {
            return self.replay.group(taken);
        };
        let listed = self.replay.group_beside(&mut summary, taken);
        if listed == Err(Unlisted) || taken.header.newer {
            return self.replay.gathered(&summary);
        }
        self.summary = Some(summary);
    }

    fn decode_footer(&self, number: u32, bytes: &[u8]) -> Option<Footer> {
        let unit = self.layout.unit as usize;
        Footer::decode(&bytes[bytes.len() - unit..], number, self.seeds)
    }

    fn fetch_header(&self, disk: &mut Disk, number: u32) -> Result<Fetch, FetchError> {
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        let len = self.layout.header_bytes.next_multiple_of(sector) as usize;
        Fetch::begin(
            disk,
            (self.layout.start(number), len),
            Unreadable::Zeros,
            None,
        )
    }

    fn fetch_footer(&self, disk: &mut Disk, number: u32) -> Result<Fetch, FetchError> {
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        let len = u64::from(self.layout.unit.max(sector));
        let start = self.layout.start(number) + self.layout.segment_bytes - len;
        Fetch::begin(disk, (start, len as usize), Unreadable::Zeros, None)
    }

    /// The group whose durability nothing proves, to be logged again.
    pub(crate) fn unproven(&self) -> Option<&Taken> {
        let aside = self.tail.as_ref()?.aside.as_ref()?;
        (!self.tail_is_proven).then_some(aside)
    }
}

fn failed(stage: Stage, error: FetchError) -> (Stage, WentOn) {
    match error {
        FetchError::Memory => (stage, WentOn::Waits),
        FetchError::Io(offset) => (stage, WentOn::Failed(offset)),
    }
}

enum WentOn {
    Yes,
    Waits,
    /// There is no memory to go on with.
    Starved,
    Failed(u64),
}

#[cfg(test)]
mod tests;
