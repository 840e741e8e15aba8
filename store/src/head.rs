//! The head of the log: where the log goes on, and how it goes over into the next segment.
//!
//! A segment that is left gets a footer, and a summary before it where there is room; they go to
//! the disk with the next segment's header and its first group.

use crate::format::checksum::Seeds;
use crate::format::group::Joint;
use crate::format::layout::{GROUP_HEADER_ROOM, RESERVE_SEGMENTS};
use crate::format::segment::{self, Footer};
use crate::format::summary;
use crate::growth::Growth;
use crate::index::views::Views;
use crate::shutdown::summary_memory_bytes;
use crate::store::Store;
use crate::summary::Summary;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Where and how the log goes on.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) seeds: Seeds,
    pub(crate) epoch: u64,
    pub(crate) head: u32,
    pub(crate) generation: u64,
    /// Where the next group begins.
    pub(crate) at: u64,
    /// Where the last one ends: before `at`, if the unit has become larger since.
    pub(crate) end: u64,
    pub(crate) chain: u64,
    pub(crate) successor: Option<u32>,
    /// The generation before the head's, where the log goes on in another segment as if the
    /// head's had never been.
    pub(crate) abandoned: Option<u64>,
    pub(crate) next_generation: u64,
    pub(crate) next_seq: u64,
    /// Last change that is durable.
    pub(crate) durable_seq: u64,
    /// What the first group of this epoch has to say and to log again.
    pub(crate) first: Option<First>,
    /// An empty group shall prove that the one before it was flushed, so that
    /// crashing again and again does not log the same records each time.
    pub(crate) proof_wanted: bool,
    /// Footers to be written again with the next group.
    pub(crate) repairs: Vec<Footer>,
    /// What the head holds, if it is to have a summary.
    pub(crate) summary: Option<Summary>,
}

/// The first group of an epoch.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) joint: Joint,
    /// Raw records of the group whose durability was not proven.
    pub(crate) records: Vec<Vec<u8>>,
    /// Snapshots and rollbacks, unless they are among the records.
    pub(crate) views: Option<Views>,
    /// Tokens of segments that must not be reused before this group is durable.
    pub(crate) _holds: Vec<Rc<()>>,
}

impl First {
    pub(crate) fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.len() as u64).sum()
    }
}

impl Store {
    pub(crate) fn remaining(&self) -> u64 {
        let log = self.log();
        match log.abandoned {
            Some(_) => 0,
            None => self.layout().data_end(log.head).saturating_sub(log.at),
        }
    }

    /// Whether `len` bytes of records find room in the head, and so does its summary, which grows
    /// by `more` with them.
    pub(crate) fn fits_head(&self, len: u64, more: u64) -> bool {
        let (layout, log) = (self.layout(), self.log());
        let span = layout.span(GROUP_HEADER_ROOM + len);
        let summary = match &log.summary {
            Some(summary) if log.at > layout.data_start(log.head) => {
                layout.span(summary.len_bytes() + more)
            }
            _ => 0,
        };
        span + summary <= self.remaining()
    }

    /// Space comes before a quick opening: where no other segment is to be had, and where the
    /// head has no room for a summary any more, there is none.
    pub(crate) fn give_up_summary(&mut self) {
        let (layout, remaining) = (self.layout(), self.remaining());
        let is_short = self.segments.available() <= RESERVE_SEGMENTS;
        let summary = &mut self.log_mut().summary;
        let fits = |of: &Summary| layout.span(of.len_bytes()) <= remaining;
        *summary = summary.take().filter(|summary| !is_short && fits(summary));
    }

    pub(crate) fn footer_range(&self, footer: &Footer) -> (u64, Vec<u8>) {
        let layout = self.layout();
        let unit = layout.working_unit as usize;
        let bytes = footer.encode(self.log().seeds, unit, layout.unit as usize);
        (layout.footer_block(footer.number), bytes)
    }

    /// Moves the head into its successor: footer and header go with the next group.
    pub(crate) fn open_segment(&mut self, ranges: &mut Vec<(u64, Vec<u8>)>) -> Result<(), ()> {
        let layout = self.layout();
        let successor = self.log().successor;
        let number = match successor {
            Some(number) => number,
            None => self.segments.pick_free(None).ok_or(())?,
        };
        let abandoned = self.log_mut().abandoned.take();
        let summary = self.log_mut().summary.take();
        let old = match summary.filter(|_| abandoned.is_none()) {
            Some(summary) => self.summarise(summary, ranges),
            None => self.footer(),
        };
        let next = self.segments.pick_free(Some(number));
        if !self.index.views().rollbacks.is_empty() {
            let oldest = self.segments.oldest_generation();
            self.index.forget_rollbacks(oldest, self.log().generation);
        }
        let wall_ns = self.now.wall_ns;
        let generation = self.log().next_generation;
        self.segments.begin(number, generation);
        let mut header = segment::Header::new(number, generation, self.log().epoch);
        header.successor = next;
        header.previous_generation = abandoned.unwrap_or(old.generation);
        header.chain = old.chain;
        header.next_seq = self.log().next_seq;
        header.data_start = (layout.data_start(number) - layout.start(number)) as u32;
        header.wall_ns = wall_ns;
        let count = self
            .growth
            .as_ref()
            .map_or(layout.segment_count, Growth::segment_count);
        let (bitmap, seeds) = (self.segments.bitmap(count), self.log().seeds);
        let bytes = segment::encode(&header, &bitmap, seeds, header.data_start as usize);
        if abandoned.is_none() {
            ranges.push(self.footer_range(&old));
        }
        ranges.push((layout.start(number), bytes));
        let summary = self.new_summary(number);
        let log = self.log_mut();
        log.summary = summary;
        log.head = number;
        log.generation = generation;
        log.next_generation = generation + 1;
        log.at = layout.data_start(number);
        log.end = log.at;
        log.successor = next;
        Ok(())
    }

    /// The footer of the head, without a summary.
    fn footer(&self) -> Footer {
        let log = self.log();
        Footer {
            number: log.head,
            generation: log.generation,
            end_offset: log.end,
            chain: log.chain,
            summary_len: 0,
            summary_span: 0,
        }
    }

    /// The footer of the head; its summary is added to the writes, if there is room for it.
    fn summarise(&mut self, summary: Summary, ranges: &mut Vec<(u64, Vec<u8>)>) -> Footer {
        let (layout, footer) = (self.layout(), self.footer());
        let log = self.log();
        let head = summary::Head {
            chain: log.chain,
            next_seq: log.next_seq,
            epoch: log.epoch,
            ..summary::Head::default()
        };
        let end = layout.data_end(log.head);
        let place = |len| (log.generation, end - layout.span(len));
        let room = end.saturating_sub(log.at);
        let extents = &self.segments.get(log.head).extents;
        if layout.span(summary.len_bytes()) > room {
            return footer;
        }
        let Some(mut bytes) = summary.encode(head, extents, place, log.seeds) else {
            return footer;
        };
        let len = bytes.len() as u64;
        let span = layout.span(len);
        bytes.resize(span as usize, 0);
        ranges.push((end - span, bytes));
        self.segments.summarised(footer.number, span);
        Footer {
            summary_len: len as u32,
            summary_span: span as u32,
            ..footer
        }
    }

    /// For a segment that is begun now, unless space is so short that it needs all its room.
    fn new_summary(&mut self, number: u32) -> Option<Summary> {
        let start = self.layout().start(number);
        let memory_bytes = summary_memory_bytes(self.options.memory_bytes);
        (self.segments.available() > RESERVE_SEGMENTS + 1)
            .then(|| Summary::new(start, memory_bytes))
    }
}
