//! What a disk that is back has to go through before it is asked anything else.
//!
//! # Invariants
//!
//! - Nothing is written to a disk that this opening of the store has not written to last.
//! - As long as the store is not open, nothing was promised: its opening begins anew.

use super::Stage;
use crate::block::{Completion, IoError, Request, RequestId, SubmitError};
use crate::disk::kept::Kept;
use crate::disk::{Disk, Moved};
use crate::format::superblock::Found;
use crate::guard::{self, CopyRead};
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

/// Superblocks that cannot be read are read again after this.
const LOOK_AGAIN_NS: u64 = 5_000_000_000;

impl Disk {
    pub(super) fn begin_return(&mut self) -> Moved {
        if self.link.expected.is_none() {
            self.begin_anew();
            return Moved::Yes;
        }
        self.begin_look();
        Moved::Yes
    }

    fn begin_look(&mut self) {
        self.link.stage = match self.asking(guard::read_copies) {
            Ok(reads) => Stage::Looking(reads, Vec::new()),
            // No memory now.
            Err(_) => Stage::Waiting(self.link.now_ns.saturating_add(LOOK_AGAIN_NS)),
        };
    }

    /// Nobody has begun anything that an opening from the start does not do.
    fn begin_anew(&mut self) {
        self.outbox.clear();
        self.under_way.clear();
        self.link.again.clear();
        self.kept = Kept::default();
        self.geometry = None;
        self.link.is_fresh = true;
        self.be_here();
    }

    pub(super) fn go_on_returning(&mut self) -> Moved {
        match core::mem::replace(&mut self.link.stage, Stage::Away) {
            Stage::Looking(reads, found) => self.look(reads, found),
            Stage::Waiting(at_ns) if self.link.now_ns >= at_ns => {
                self.begin_look();
                Moved::Yes
            }
            Stage::Repeating(last) if self.link.repeating.is_none() => self.repeat(last),
            Stage::Flushing(slot) => match slot.take() {
                None => {
                    self.link.stage = Stage::Flushing(slot);
                    Moved::No
                }
                Some(ended) => {
                    match self.flush_result(&ended) {
                        Ok(()) => self.be_whole(),
                        Err(_) => self.fail("the disk failed to flush after it came back"),
                    }
                    Moved::Yes
                }
            },
            other => {
                self.link.stage = other;
                Moved::No
            }
        }
    }

    fn look(&mut self, mut reads: Vec<CopyRead>, mut found: Vec<Found>) -> Moved {
        while let Some(read) = reads.first_mut() {
            match self.asking(|disk| read.poll(disk)) {
                Poll::Pending => {
                    self.link.stage = Stage::Looking(reads, found);
                    return Moved::No;
                }
                Poll::Ready(copy) => found.push(copy),
            }
            reads.remove(0);
        }
        match self.judge(&found) {
            Verdict::Ours => self.link.stage = Stage::Repeating(None),
            Verdict::Stranger(what) => {
                log::error!(
                    "store: what was attached is not the disk that was detached: {what}; nothing \
                     is written to it; attach the right one, or restart the VM to use this one"
                );
                self.link.stage = Stage::Stranger;
            }
            Verdict::Unread => {
                let at_ns = self.link.now_ns.saturating_add(LOOK_AGAIN_NS);
                self.link.stage = Stage::Waiting(at_ns);
                if !core::mem::replace(&mut self.link.unread_is_told, true) {
                    log::error!(
                        "store: the disk came back, and its superblocks cannot be read; nothing \
                         is written to it; trying again every {} s",
                        LOOK_AGAIN_NS / 1_000_000_000
                    );
                }
                return Moved::No;
            }
            Verdict::Unfit(what) => self.fail(what),
        }
        Moved::Yes
    }

    fn judge(&mut self, found: &[Found]) -> Verdict {
        let ours = self.link.expected.expect("asked only when something is");
        let is_unread = found.contains(&Found::Unreadable);
        let Some(newest) = guard::newest(found) else {
            return match is_unread {
                true => Verdict::Unread,
                false => Verdict::Stranger("it has no store"),
            };
        };
        if newest.store_id != ours.store_id {
            return Verdict::Stranger("it has another store");
        }
        // Who only reads asks for no more: each record tells by its checksum whose it is.
        let is_last = newest.epoch == ours.epoch && newest.opener == ours.opener;
        if !is_last && !self.writing_stopped {
            return match is_unread {
                true => Verdict::Unread,
                false => {
                    Verdict::Stranger("it has another state of this store, or another VM used it")
                }
            };
        }
        let (Some(was), Some(is)) = (self.geometry, self.device.geometry()) else {
            return Verdict::Unfit("the disk came back, and says nothing of itself");
        };
        if is.read_only && !was.read_only {
            return Verdict::Unfit("the disk came back, and is read-only now");
        }
        if is.sector_bytes > was.sector_bytes {
            return Verdict::Unfit("the disk came back, and has larger sectors now");
        }
        if let Some(geometry) = &mut self.geometry {
            if !self.knows_no_flush {
                geometry.durability = is.durability;
            }
            geometry.discard = is.discard;
        }
        Verdict::Ours
    }

    /// Hands in the next write that has to be repeated.
    fn repeat(&mut self, last: Option<u64>) -> Moved {
        if self.writing_stopped {
            self.end_unended(IoError::Detached);
            self.be_here();
            return Moved::Yes;
        }
        self.link.stage = Stage::Repeating(last);
        let Some((id, offset_bytes, from)) = self.kept.take_next(last) else {
            match self.kept.len() > 0 && self.is_flushing() {
                true => self.link.stage = Stage::Flushing(self.asking(Disk::flush)),
                false => self.be_whole(),
            }
            return Moved::Yes;
        };
        let Some(from) = from else {
            self.fail("the disk went away with the memory of a write");
            return Moved::Yes;
        };
        self.written_bytes += from.bytes().len() as u64;
        let request = Request::Write { offset_bytes, from };
        match self.device.submit(RequestId(id), request) {
            Ok(()) => {
                self.in_device += 1;
                self.link.repeating = Some(id);
                self.link.stage = Stage::Repeating(Some(id));
                Moved::Yes
            }
            Err(SubmitError::Busy(request) | SubmitError::Detached(request)) => {
                if let Request::Write { from, .. } = request {
                    self.kept.lost(id, Some(from));
                }
                Moved::No
            }
        }
    }

    /// The end of a write that was to be repeated; any other is handed back.
    pub(in crate::disk) fn settle_repeated(
        &mut self,
        completion: Completion,
    ) -> Option<Completion> {
        let Completion { id, .. } = completion;
        if self.link.repeating != Some(id.0) {
            return Some(completion);
        }
        self.link.repeating = None;
        self.kept.lost(id.0, completion.run);
        let is_lost = completion.result == Err(IoError::Detached);
        // If it went away with the device, all are repeated from the first on.
        if completion.result.is_err() && !is_lost && matches!(self.link.stage, Stage::Repeating(_))
        {
            self.fail("the disk failed to write again what it had lost");
        }
        None
    }

    /// All is as it was.
    fn be_whole(&mut self) {
        let away_ns = self
            .link
            .away_since_ns
            .map_or(0, |since_ns| self.link.now_ns.saturating_sub(since_ns));
        log::info!(
            "store: the disk is back after {} ms; {} writes were repeated",
            away_ns / 1_000_000,
            self.kept.len()
        );
        for id in self.kept.take_unended().collect::<Vec<_>>() {
            self.end(id, Ok(()));
        }
        self.be_here();
    }

    /// The disk is here, and what was written to it may not be there.
    fn fail(&mut self, what: &str) {
        if self.writing_stopped {
            log::error!("store: {what}");
        }
        self.link.failure = Some(String::from(what));
        self.end_unended(IoError::Failed);
        // What waits goes to no disk that is not whole; the store ends its writing next.
        self.drop_writes();
        self.be_here();
    }
}

/// What came back.
enum Verdict {
    Ours,
    Stranger(&'static str),
    /// That cannot be told now.
    Unread,
    Unfit(&'static str),
}
