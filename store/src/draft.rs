//! A group being put together, and its way to the disk.
//!
//! # Invariants
//!
//! - A draft never outgrows its room: whoever adds asks [`Draft::fits`] first.
//! - A group is written as a whole, then flushed, then done.

use crate::block::IoError;
use crate::disk::{Disk, Slot};
use crate::fetch;
use crate::format::checksum::Seeds;
use crate::format::group::{self, Joint};
use crate::format::layout::Layout;
use crate::format::record::{self, Record};
use crate::summary::{Summary, Unlisted};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Poll;

/// A group being put together.
pub(crate) struct Draft {
    pub(crate) offset: u64,
    pub(crate) generation: u64,
    pub(crate) records: u32,
    /// Records that are no list of snapshots: a segment may begin with that.
    changes: u32,
    pub(crate) joint: Option<Joint>,
    pub(crate) bytes: Vec<u8>,
    /// Of the segment, this group included, as long as it is to have one.
    pub(crate) summary: Option<Summary>,
    seeds: Seeds,
    layout: Layout,
    room: u64,
}

impl Draft {
    /// Begins a group at `offset` with `room` bytes up to the end of its segment.
    pub(crate) fn begin(
        layout: Layout,
        seeds: Seeds,
        (offset, generation): (u64, u64),
        room: u64,
        joint: Option<Joint>,
        summary: Option<Summary>,
    ) -> Draft {
        let mut bytes = Vec::new();
        group::begin(&mut bytes, joint.as_ref());
        Draft {
            offset,
            generation,
            records: 0,
            changes: 0,
            joint,
            bytes,
            summary,
            seeds,
            layout,
            room,
        }
    }

    /// Whether records of `len` bytes find room, and so does the summary that grows by `more` with
    /// them. What needs a segment for itself goes before a summary.
    pub(crate) fn fits(&self, len: u64, more: u64) -> bool {
        let span = self.layout.span(self.bytes.len() as u64 + len);
        let is_first = self.changes == 0 && self.is_first_in(self.layout.segment_of(self.offset));
        let summary = match &self.summary {
            Some(summary) if !is_first => self.layout.span(summary.len_bytes() + more),
            _ => 0,
        };
        span + summary <= self.room
    }

    fn is_first_in(&self, segment: Option<u32>) -> bool {
        segment.is_some_and(|number| self.offset == self.layout.data_start(number))
    }

    fn seed_here(&self) -> (u64, u32) {
        let pos = self.offset + self.bytes.len() as u64;
        (pos, self.seeds.place(self.generation, pos))
    }

    /// Adds a record; gives its position on the device.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> u64 {
        let (pos, seed) = self.seed_here();
        let start = self.bytes.len();
        record::encode(&mut self.bytes, record, seed);
        self.note(record, start, pos);
        pos
    }

    /// Adds a copy of an intact record; gives its position on the device.
    pub(crate) fn push_copy(&mut self, record: &[u8]) -> u64 {
        let (pos, seed) = self.seed_here();
        let start = self.bytes.len();
        record::copy(&mut self.bytes, record, seed);
        match record::decode_proven(record) {
            Some(found) => self.note(&found.record, start, pos),
            None => self.summary = None,
        }
        pos
    }

    fn note(&mut self, record: &Record<'_>, start: usize, pos: u64) {
        self.records += 1;
        self.changes += u32::from(!matches!(record, Record::Views { .. }));
        let raw = &self.bytes[start..];
        let noted = self.summary.as_mut().map(|of| of.note(record, raw, pos));
        if noted == Some(Err(Unlisted)) {
            self.summary = None;
        }
        assert!(self.span() <= self.room, "a group outgrew its segment");
    }

    /// Bytes the group will take on the disk.
    pub(crate) fn span(&self) -> u64 {
        self.layout.span(self.bytes.len() as u64)
    }
}

enum Stage {
    Writing,
    Flushing(Rc<Slot>),
}

/// Writes on their way, to be followed by one flush.
pub(crate) struct Writes {
    /// Not handed to the disk yet, from so many bytes on: there was no memory.
    left: VecDeque<(u64, Vec<u8>, usize)>,
    slots: Vec<Rc<Slot>>,
    /// A flush in between, so that memory comes back of what has been written.
    relief: Option<Rc<Slot>>,
    stage: Stage,
}

impl Writes {
    /// Ranges to be written, each in whole units, and then flushed.
    pub(crate) fn new(ranges: Vec<(u64, Vec<u8>)>) -> Writes {
        Writes {
            left: ranges
                .into_iter()
                .map(|(offset, bytes)| (offset, bytes, 0))
                .collect(),
            slots: Vec::new(),
            relief: None,
            stage: Stage::Writing,
        }
    }

    /// Goes on; ready when all is written and flushed, or something failed.
    pub(crate) fn step(&mut self, disk: &mut Disk) -> Poll<Result<(), IoError>> {
        loop {
            match &self.stage {
                Stage::Flushing(slot) => {
                    let Some(ended) = slot.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(disk.flush_result(&ended));
                }
                Stage::Writing => {
                    self.hand_out(disk);
                    let mut failed = None;
                    self.slots.retain(|slot| match slot.take() {
                        Some(ended) => {
                            failed = failed.or(ended.result.err());
                            false
                        }
                        None => true,
                    });
                    if let Some(ended) = self.relief.as_ref().and_then(|slot| slot.take()) {
                        self.relief = None;
                        failed = failed.or(disk.flush_result(&ended).err());
                    }
                    if let Some(error) = failed {
                        return Poll::Ready(Err(error));
                    }
                    self.relieve(disk);
                    if !self.slots.is_empty() || !self.left.is_empty() {
                        return Poll::Pending;
                    }
                    self.stage = Stage::Flushing(disk.flush());
                }
            }
        }
    }

    /// Memory was missing for the rest, and what has been written keeps some until a flush.
    fn relieve(&mut self, disk: &mut Disk) {
        let is_stuck = !self.left.is_empty() && self.slots.is_empty() && self.relief.is_none();
        if is_stuck && disk.is_keeping() {
            self.relief = Some(disk.flush());
        }
    }

    fn hand_out(&mut self, disk: &mut Disk) {
        let geometry = disk
            .known_geometry()
            .expect("writing begins when the device is known");
        let transfer = fetch::transfer_bytes(geometry);
        while let Some((offset, bytes, done)) = self.left.front_mut() {
            let len = (bytes.len() - *done).min(transfer);
            let Some(mut run) = disk.take_run(len) else {
                return;
            };
            run.bytes_mut().copy_from_slice(&bytes[*done..*done + len]);
            self.slots.push(disk.write(*offset + *done as u64, run));
            *done += len;
            if *done == bytes.len() {
                self.left.pop_front();
            }
        }
    }
}
