//! Group commit: what waits becomes one group, is made durable, and is shown.
//!
//! One group is in flight at a time. While it is, the next one gathers in the
//! queue; it starts at once when this one is durable.
//!
//! # Invariants
//!
//! - Nothing is applied, and no outcome is given, before the flush that was
//!   issued after the group's last write completed has completed.
//! - The head moves only into a free segment, and only if that leaves what the
//!   reserve needs: compaction may take the last ones, deletes all but two.

use crate::block::IoError;
use crate::disk::Moved;
use crate::draft::{Draft, Writes};
use crate::format::checksum::Seeds;
use crate::format::group::{self, Joint};
use crate::format::layout::{GROUP_HEADER_ROOM, RESERVE_SEGMENTS};
use crate::format::record::{Owner, Record};
use crate::format::segment::{self, Footer};
use crate::format::summary;
use crate::format::views;
use crate::growth::Growth;
use crate::index::views::Views;
use crate::queue::{Body, Op, Waiting};
use crate::shutdown::{RESTART, summary_memory_bytes};
use crate::store::Store;
use crate::summary::Summary;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

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
    fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.len() as u64).sum()
    }
}

/// A record moved by compaction.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) what: crate::compact::Subject,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) len: u64,
}

/// A chunk of an upload.
#[derive(Debug)]
pub(crate) struct ChunkWritten {
    pub(crate) upload_id: u64,
    pub(crate) upload: u64,
    pub(crate) number: u32,
    pub(crate) data_len: usize,
    pub(crate) pos: u64,
    pub(crate) record_len: u64,
}

/// What a group holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) batches: Vec<Waiting>,
    pub(crate) chunks: Vec<ChunkWritten>,
    pub(crate) copies: Vec<Copied>,
    pub(crate) frees: Vec<u32>,
    /// Position and records of an earlier epoch's last group.
    pub(crate) relogged: Option<(u64, Vec<u8>, u32)>,
}

/// The group on its way.
pub(crate) struct InFlight {
    pub(crate) writes: Writes,
    pub(crate) contents: Contents,
    number: u32,
    start: u64,
    end: u64,
}

/// Where a group may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Here,
    NextSegment,
}

/// How much of the reserve something may use: free segments it must leave
/// when it stays in the head, and when it opens a new one.
#[derive(Clone, Copy, Debug)]
struct Claim {
    here: u32,
    next: u32,
}

const USERS: Claim = Claim {
    here: RESERVE_SEGMENTS,
    next: RESERVE_SEGMENTS + 1,
};
const DELETES: Claim = Claim {
    here: RESERVE_SEGMENTS - 1,
    next: RESERVE_SEGMENTS,
};
const HOUSEKEEPING: Claim = Claim { here: 0, next: 1 };

/// Longest Free record.
const FREE_RECORD_BYTES: u64 = 24;

impl Store {
    /// Advances the group in flight, or begins the next.
    pub(crate) fn advance_commit(&mut self) -> Moved {
        let Some(mut in_flight) = self.in_flight.take() else {
            return self.begin_group();
        };
        match in_flight.writes.step(&mut self.disk) {
            Poll::Pending => {
                self.in_flight = Some(in_flight);
                Moved::No
            }
            Poll::Ready(Ok(())) => {
                self.segments
                    .extend(in_flight.number, in_flight.start, in_flight.end);
                self.counts.groups += 1;
                self.apply(in_flight.contents);
                Moved::Yes
            }
            Poll::Ready(Err(error)) => {
                self.in_flight = Some(in_flight);
                self.writing_failed(error);
                Moved::Yes
            }
        }
    }

    fn writing_failed(&mut self, error: IoError) {
        let sentence = match error {
            IoError::Detached => "the disk went away while it was written to",
            IoError::Failed | IoError::Unsupported => "a write or flush of the disk failed",
        };
        self.stop_writing(sentence, RESTART);
    }

    fn remaining(&self) -> u64 {
        let log = self.log();
        match log.abandoned {
            Some(_) => 0,
            None => self.layout().data_end(log.head).saturating_sub(log.at),
        }
    }

    /// Whether something of `len` bytes, and `more` in the summary, may be written now, and where.
    fn room_for(&mut self, (len, more): (u64, u64), claim: Claim) -> Option<Room> {
        let available = self.segments.available();
        let fits = self.fits_head(len, more);
        if fits && available >= claim.here {
            return Some(Room::Here);
        }
        (!fits && available >= claim.next).then_some(Room::NextSegment)
    }

    /// Whether `len` bytes of records find room in the head, and so does its summary, which grows
    /// by `more` with them.
    fn fits_head(&self, len: u64, more: u64) -> bool {
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

    fn batch_claim(batch: &Waiting) -> Claim {
        if batch.only_deletes() { DELETES } else { USERS }
    }

    /// Where the next group goes, led by the first thing that may be written.
    fn plan(&mut self) -> Option<Room> {
        self.give_up_summary();
        if let Some(first) = &self.log().first {
            let len = first.bytes();
            return self.room_for((len, len), HOUSEKEEPING);
        }
        if self.log().proof_wanted && self.room_for((0, 0), HOUSEKEEPING) == Some(Room::Here) {
            return Some(Room::Here);
        }
        let generation = self.log().generation;
        let wants_head = |growth: &Growth| growth.wants_head_after(generation);
        if self.growth.as_ref().is_some_and(wants_head)
            && self.segments.available() >= HOUSEKEEPING.next
        {
            return Some(Room::NextSegment);
        }
        let frees = self.compaction.freeable.len() as u64;
        if frees > 0
            && let Some(room) = self.room_for((frees * FREE_RECORD_BYTES, 0), HOUSEKEEPING)
        {
            return Some(room);
        }
        if let Some(len) = self.uploads.first_ready_len()
            && let Some(room) = self.room_for((len, summary::CHUNK_BYTES_MAX), USERS)
        {
            return Some(room);
        }
        if let Some(batch) = self.queue.waiting.front()
            && self.uploads.is_ready(batch)
        {
            let (bytes, claim) = (batch.bytes, Store::batch_claim(batch));
            if let Some(room) = self.room_for((bytes, summary_bytes(batch)), claim) {
                return Some(room);
            }
        }
        let copy = self.next_copy_len()?;
        self.room_for((copy, summary::of_record(copy)), HOUSEKEEPING)
    }

    /// Space comes before a quick opening: where no other segment is to be had, and where the
    /// head has no room for a summary any more, there is none.
    fn give_up_summary(&mut self) {
        let (layout, remaining) = (self.layout(), self.remaining());
        let is_short = self.segments.available() <= RESERVE_SEGMENTS;
        let summary = &mut self.log_mut().summary;
        let fits = |of: &Summary| layout.span(of.len_bytes()) <= remaining;
        *summary = summary.take().filter(|summary| !is_short && fits(summary));
    }

    fn begin_group(&mut self) -> Moved {
        let Some(room) = self.plan() else {
            return Moved::No;
        };
        let mut ranges = vec![];
        if room == Room::NextSegment {
            let first = self.log().first.is_some();
            if !first && self.epoch_check() == Poll::Pending {
                return Moved::No;
            }
            if !self.is_writing() {
                return Moved::Yes;
            }
            if let Err(()) = self.open_segment(&mut ranges) {
                self.stop_writing("no segment is free", "restore a backup to a larger disk");
                return Moved::Yes;
            }
        }
        for footer in core::mem::take(&mut self.log_mut().repairs) {
            ranges.push(self.footer_range(&footer));
        }
        let (draft, contents) = self.fill();
        let in_flight = self.seal(draft, contents, ranges);
        self.in_flight = Some(in_flight);
        Moved::Yes
    }

    fn footer_range(&self, footer: &Footer) -> (u64, Vec<u8>) {
        let layout = self.layout();
        let unit = layout.working_unit as usize;
        let bytes = footer.encode(self.log().seeds, unit, layout.unit as usize);
        (layout.footer_block(footer.number), bytes)
    }

    /// Moves the head into its successor: footer and header go with the next group.
    fn open_segment(&mut self, ranges: &mut Vec<(u64, Vec<u8>)>) -> Result<(), ()> {
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

    /// Puts together what waits, as far as it fits and may be written.
    fn fill(&mut self) -> (Draft, Contents) {
        let room = self.remaining();
        let layout = self.layout();
        let log = self.log_mut();
        let (first, summary) = (log.first.take(), log.summary.take());
        let joint = first.as_ref().map(|first| first.joint);
        let place = (log.at, log.generation);
        let mut draft = Draft::begin(layout, log.seeds, place, room, joint, summary);
        let mut contents = Contents::default();
        let views = match &first {
            Some(first) => first.views.as_ref(),
            None => Some(self.index.views()),
        };
        let begins = draft.offset == layout.data_start(self.log().head);
        if let Some(views) = views.filter(|views| begins && views.seq > 0) {
            draft.push(&Record::Views {
                seq: views.seq,
                list: &views::encode(views),
            });
        }
        if let Some(first) = first {
            let pos = draft.offset + draft.bytes.len() as u64;
            let from = draft.bytes.len();
            for record in &first.records {
                draft.push_copy(record);
            }
            contents.relogged = Some((
                pos,
                draft.bytes[from..].to_vec(),
                first.records.len() as u32,
            ));
            return (draft, contents);
        }
        self.log_mut().proof_wanted = false;
        self.fill_frees(&mut draft, &mut contents);
        let available = self.segments.available();
        if available >= USERS.here {
            self.fill_chunks(&mut draft, &mut contents);
        }
        self.fill_batches(&mut draft, &mut contents, available);
        self.fill_copies(&mut draft, &mut contents);
        (draft, contents)
    }

    fn fill_frees(&mut self, draft: &mut Draft, contents: &mut Contents) {
        while draft.fits(FREE_RECORD_BYTES, 0) {
            let Some(number) = self.compaction.take_freeable() else {
                return;
            };
            let generation = self.segments.get(number).generation;
            draft.push(&Record::Free { number, generation });
            contents.frees.push(number);
        }
    }

    fn fill_batches(&mut self, draft: &mut Draft, contents: &mut Contents, available: u32) {
        let soft = self.layout().group_bytes_soft();
        let mut taken = 0;
        while let Some(batch) = self.queue.waiting.front() {
            let allowed = available >= Store::batch_claim(batch).here;
            let enough = taken > 0 && taken + batch.bytes > soft;
            let ready = self.uploads.is_ready(batch);
            if !allowed || enough || !ready || !draft.fits(batch.bytes, summary_bytes(batch)) {
                return;
            }
            let mut batch = self
                .queue
                .take_front()
                .expect("the front was just looked at");
            taken += batch.bytes;
            for op in &mut batch.ops {
                op.pos = draft.push(&record_of(op));
            }
            contents.batches.push(batch);
        }
    }

    fn seal(
        &mut self,
        mut draft: Draft,
        contents: Contents,
        mut ranges: Vec<(u64, Vec<u8>)>,
    ) -> InFlight {
        let span = draft.span();
        let wall_ns = self.now.wall_ns;
        let log = self.log_mut();
        let base_seq = contents
            .batches
            .iter()
            .flat_map(|batch| &batch.ops)
            .map(|op| op.seq)
            .min()
            .unwrap_or(log.next_seq);
        let header = group::Header {
            header_len: group::header_len(draft.joint.as_ref()),
            length: draft.bytes.len(),
            span,
            record_count: draft.records,
            epoch: log.epoch,
            generation: draft.generation,
            base_seq,
            next_seq: log.next_seq,
            flushed_through: log.durable_seq,
            wall_ns,
            chain: log.chain,
            checksum: 0,
            joint: draft.joint,
            newer: false,
        };
        assert_eq!(draft.offset, log.at, "a group goes where the log ends");
        log.chain = group::seal(&mut draft.bytes, &header, draft.offset, log.seeds);
        log.summary = draft.summary.take();
        log.at += span;
        log.end = log.at;
        draft.bytes.resize(span as usize, 0);
        let (number, start) = (log.head, draft.offset);
        ranges.push((start, draft.bytes));
        InFlight {
            writes: Writes::new(ranges),
            contents,
            number,
            start,
            end: start + span,
        }
    }
}

/// What the records of a batch add to a summary at most.
fn summary_bytes(batch: &Waiting) -> u64 {
    let ops = batch.ops.iter().map(|op| {
        let key = op.key.as_ref().map_or(0, |key| key.as_bytes().len());
        match op.body {
            Body::Views(_) | Body::Quota { .. } => {
                u64::from(op.record_len) + summary::NUMBERS_BYTES_MAX
            }
            _ => summary::of_name(op.bucket.as_str().len() + key),
        }
    });
    ops.sum()
}

/// The record a change writes.
fn record_of(op: &Op) -> Record<'_> {
    let key = op.key.as_ref().map_or(&[][..], |key| key.as_bytes());
    let owner = Owner {
        seq: op.seq,
        bucket: op.bucket.as_str(),
        key,
        modified_wall_ns: op.modified_wall_ns,
    };
    let (metadata, value_crc) = (op.metadata.as_slice(), op.value_crc);
    match &op.body {
        Body::Put { value } => Record::Put {
            owner,
            metadata,
            value_crc,
            value,
        },
        Body::Delete => Record::Tombstone { owner },
        Body::Manifest {
            upload, value_len, ..
        } => Record::Manifest {
            owner,
            metadata,
            value_crc,
            value_len: *value_len,
            upload: *upload,
        },
        Body::Quota { limits } => Record::Quota {
            seq: op.seq,
            bucket: op.bucket.as_str(),
            limits: *limits,
        },
        Body::Views(change) => Record::Views {
            seq: op.seq,
            list: &change.list,
        },
    }
}

/// How long the record of a change is.
pub(crate) fn record_len(op: &Op) -> u32 {
    crate::format::record::len(&record_of(op)) as u32
}
