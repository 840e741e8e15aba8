//! Group commit: what waits becomes one group, is made durable, and is shown.
//!
//! One group is in flight at a time. While it is, the next one gathers in the queue. When this
//! one is durable, the next starts at once if there is one client; if there are more, when most
//! of them are back, or a moment later: see [`crate::pace`].
//!
//! # Invariants
//!
//! - Nothing is applied, and no outcome is given, before the flush that was
//!   issued after the group's last write completed has completed.

use crate::block::IoError;
use crate::disk::Moved;
use crate::draft::{Draft, Writes};
use crate::format::group;
use crate::gather::Contents;
use crate::room::Room;
use crate::shutdown::RESTART;
use crate::store::{Phase, Store};
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

/// The group on its way.
pub(crate) struct InFlight {
    pub(crate) writes: Writes,
    pub(crate) contents: Contents,
    number: u32,
    start: u64,
    end: u64,
}

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
                let waiting = self.clients_waiting();
                self.pace.end(self.now.monotonic_ns, waiting);
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

    fn begin_group(&mut self) -> Moved {
        let Some(room) = self.plan() else {
            self.pace.let_go();
            return Moved::No;
        };
        if !self.is_next_due() {
            return Moved::No;
        }
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
        let waiting = self.clients_waiting();
        let (draft, contents) = self.fill();
        let clients = waiting - self.clients_waiting();
        self.pace.begin(self.now.monotonic_ns, clients);
        let in_flight = self.seal(draft, contents, ranges);
        self.in_flight = Some(in_flight);
        Moved::Yes
    }

    /// Whether what waits is to be written now: all of it is held, so that no other group comes
    /// before the one that clients come back for.
    fn is_next_due(&mut self) -> bool {
        let is_much = self.queue.waiting_bytes >= self.layout().group_bytes_soft();
        if is_much || self.is_queue_full() || !matches!(self.phase, Phase::Open) {
            self.pace.let_go();
            return true;
        }
        let waiting = self.clients_waiting();
        self.pace.is_due(self.now.monotonic_ns, waiting)
    }

    /// Batches that somebody waits for: tombstones of what is over are nobody's.
    fn clients_waiting(&self) -> usize {
        let waiting = &self.queue.waiting;
        let first = waiting.front().map(|batch| batch.id);
        waiting.len() - first.map_or(0, |first| self.removals_since(first))
    }

    /// When the group that is held begins at the latest, on the monotonic clock.
    pub(crate) fn next_group_ns(&self) -> Option<u64> {
        self.pace.held_until_ns().filter(|_| self.is_writing())
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
