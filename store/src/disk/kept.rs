//! Writes that no flush has covered yet: a device that comes back may have lost them.
//!
//! # Invariants
//!
//! - A write is kept from when it is handed out until a flush that was submitted after its end
//!   has succeeded; its memory is here whenever the device does not have it.
//! - They are in the order in which they were handed out.

use crate::blob::PageRun;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// One write.
struct Write {
    offset_bytes: u64,
    /// `None` while the device has it.
    run: Option<Box<dyn PageRun>>,
    /// Which end it was, once it has ended well.
    ended: Option<u64>,
}

/// A write's number, place and memory, if the device has given that back.
pub(super) type Again = (u64, u64, Option<Box<dyn PageRun>>);

/// What would have to be written again, by the requests' numbers.
#[derive(Default)]
pub(super) struct Kept {
    writes: BTreeMap<u64, Write>,
    /// How many ended well.
    ends: u64,
    /// Of each flush under way, how many had ended before it.
    flushes: BTreeMap<u64, u64>,
}

impl Kept {
    /// A write is handed out.
    pub(super) fn begin_write(&mut self, id: u64, offset_bytes: u64) {
        let write = Write {
            offset_bytes,
            run: None,
            ended: None,
        };
        self.writes.insert(id, write);
    }

    /// A flush is handed out.
    pub(super) fn begin_flush(&mut self, id: u64) {
        self.flushes.insert(id, self.ends);
    }

    /// A write has ended well: it waits for a flush.
    pub(super) fn written(&mut self, id: u64, run: Option<Box<dyn PageRun>>) {
        self.ends += 1;
        if let Some(write) = self.writes.get_mut(&id) {
            write.run = run;
            write.ended = Some(self.ends);
        }
    }

    /// The device went away with the write; nobody knows how much of it is there.
    pub(super) fn lost(&mut self, id: u64, run: Option<Box<dyn PageRun>>) {
        if let Some(write) = self.writes.get_mut(&id) {
            write.run = run;
        }
    }

    /// The write is given up.
    pub(super) fn forget(&mut self, id: u64) {
        self.writes.remove(&id);
    }

    /// A flush has succeeded.
    pub(super) fn flushed(&mut self, id: u64) {
        let Some(covered) = self.flushes.remove(&id) else {
            return;
        };
        let is_covered = |ended: Option<u64>| ended.is_some_and(|ended| ended <= covered);
        self.writes.retain(|_, write| !is_covered(write.ended));
    }

    /// There are no flushes: what has ended is as durable as it will be.
    pub(super) fn no_flush(&mut self) {
        self.flushes.clear();
        self.writes.retain(|_, write| write.ended.is_none());
    }

    /// Whether this write is kept.
    pub(super) fn has(&self, id: u64) -> bool {
        self.writes.contains_key(&id)
    }

    /// A flush has failed, or went away with the device.
    pub(super) fn not_flushed(&mut self, id: u64) {
        self.flushes.remove(&id);
    }

    /// What is to be written again after number `after`: its number, place and memory, which
    /// comes back by [`Kept::lost`].
    pub(super) fn take_next(&mut self, after: Option<u64>) -> Option<Again> {
        let first = after.map_or(0, |after| after + 1);
        let (id, write) = self.writes.range_mut(first..).next()?;
        Some((*id, write.offset_bytes, write.run.take()))
    }

    /// All is durable: the numbers of those whose end was not known before.
    pub(super) fn take_unended(&mut self) -> impl Iterator<Item = u64> {
        let writes = core::mem::take(&mut self.writes);
        let unended = writes
            .into_iter()
            .filter(|(_, write)| write.ended.is_none());
        unended.map(|(id, _)| id)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }
}
