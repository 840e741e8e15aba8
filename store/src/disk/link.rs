//! A device that goes away and comes back: what it may have lost is written again.
//!
//! Whoever asks for a read, a write or a flush waits meanwhile, and learns nothing of it. First
//! it is looked whether what came back is the disk that went away; then the writes that no flush
//! has covered are repeated in their order, one after the other, and flushed; then what else was
//! in flight is asked again.
//!
//! # Invariants
//!
//! - Nothing is written to a disk that this opening of the store has not written to last.
//! - As long as the store is not open, nothing was promised: its opening begins anew.

use super::{Asked, Disk, Ended, Moved, Slot};
use crate::block::{Completion, IoError, Presence, Request, RequestId, SubmitError};
use crate::format::layout::SEGMENTS_OFFSET;
use crate::format::superblock::{Found, Superblock};
use crate::guard::{self, CopyRead};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

/// Changes wait so long for a disk that is away; after that they are refused at once.
pub(crate) const HOLD_NS: u64 = 10_000_000_000;

/// How the device is met.
#[derive(Default)]
pub(super) struct Link {
    stage: Stage,
    /// Which connection this is.
    connections: u32,
    /// The time of this step.
    now_ns: u64,
    away_since_ns: Option<u64>,
    overdue_is_told: bool,
    /// Requests of its own, before those of others.
    pub(super) own: VecDeque<(RequestId, Request)>,
    is_asking: bool,
    /// The write that the device has to repeat.
    repeating: Option<u64>,
    /// What was in flight when the device went away, writes excepted.
    again: BTreeMap<u64, Request>,
    expected: Option<Identity>,
    failure: Option<String>,
    /// The device came, or came back, before anything was expected of it.
    is_fresh: bool,
}

/// Whose disk it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    store_id: [u8; 16],
    epoch: u64,
    opener: u64,
}

#[derive(Default)]
enum Stage {
    /// Requests are taken.
    #[default]
    Here,
    Away,
    /// Both superblocks are being read.
    Looking(Vec<CopyRead>, Vec<Found>),
    /// The writes up to this one were repeated, or are just being so.
    Repeating(Option<u64>),
    Flushing(Rc<Slot>),
    /// It is another disk.
    Stranger,
}

impl Link {
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }
}

impl Disk {
    /// The time of the step that begins.
    pub(crate) fn note_time(&mut self, now_ns: u64) {
        self.link.now_ns = now_ns;
    }

    /// From now on only a disk with this superblock is the right one.
    pub(crate) fn expect(&mut self, superblock: &Superblock) {
        self.link.expected = Some(Identity {
            store_id: superblock.store_id,
            epoch: superblock.epoch,
            opener: superblock.opener,
        });
    }

    /// Whether the device has come anew while nothing was expected of it; asked once.
    pub(crate) fn take_fresh(&mut self) -> bool {
        core::mem::take(&mut self.link.is_fresh)
    }

    /// Why writing has to stop, once.
    pub(crate) fn take_failure(&mut self) -> Option<String> {
        self.link.failure.take()
    }

    /// Since when the device is away.
    pub(crate) fn away_since_ns(&self) -> Option<u64> {
        self.link.away_since_ns
    }

    /// Whether nobody should wait for it any more.
    pub(crate) fn is_overdue(&self) -> bool {
        let since = self.link.away_since_ns;
        since.is_some_and(|since_ns| self.link.now_ns >= since_ns.saturating_add(HOLD_NS))
    }

    /// When that will be.
    pub(crate) fn overdue_at_ns(&self) -> Option<u64> {
        let since_ns = self.link.away_since_ns?;
        (!self.link.overdue_is_told).then_some(since_ns.saturating_add(HOLD_NS))
    }

    /// Looks whether the device is there, and goes on with what its return takes.
    pub(super) fn follow_device(&mut self) -> Moved {
        let presence = self.device.presence();
        if matches!(self.link.stage, Stage::Here)
            && presence
                == (Presence::Here {
                    connections: self.link.connections,
                })
        {
            return Moved::No;
        }
        self.tell_overdue();
        match presence {
            Presence::Gone => self.note_gone(),
            Presence::Away => {
                self.note_away();
                Moved::No
            }
            Presence::Here { connections } if connections != self.link.connections => {
                self.note_away();
                if self.in_device > 0 {
                    // The ends of what it was asked before come first.
                    return Moved::No;
                }
                self.link.connections = connections;
                self.begin_return()
            }
            Presence::Here { .. } => self.go_on_returning(),
        }
    }

    fn tell_overdue(&mut self) {
        if self.is_overdue() && !self.link.overdue_is_told && self.link.expected.is_some() {
            self.link.overdue_is_told = true;
            log::error!(
                "store: the disk has been away for {} s: changes are refused until it is back",
                HOLD_NS / 1_000_000_000
            );
        }
    }

    /// What waits ends as the device ends it.
    fn note_gone(&mut self) -> Moved {
        if matches!(self.link.stage, Stage::Here) {
            return Moved::No;
        }
        self.drop_own();
        self.end_unended(IoError::Detached);
        self.be_here();
        Moved::Yes
    }

    fn note_away(&mut self) {
        if !matches!(self.link.stage, Stage::Away) {
            self.drop_own();
            self.link.stage = Stage::Away;
            self.link.away_since_ns.get_or_insert(self.link.now_ns);
        }
    }

    /// What it asked itself is of no use any more.
    fn drop_own(&mut self) {
        for (id, _) in core::mem::take(&mut self.link.own) {
            self.under_way.remove(&id.0);
        }
    }

    fn begin_return(&mut self) -> Moved {
        if self.link.expected.is_none() {
            self.begin_anew();
            return Moved::Yes;
        }
        match self.asking(guard::read_copies) {
            Ok(reads) => self.link.stage = Stage::Looking(reads, Vec::new()),
            Err(_) => {
                // No memory now: as if it came a moment later.
                self.link.connections = self.link.connections.wrapping_sub(1);
                return Moved::No;
            }
        }
        Moved::Yes
    }

    /// Nobody has begun anything that an opening from the start does not do.
    fn begin_anew(&mut self) {
        self.outbox.clear();
        self.under_way.clear();
        self.link.again.clear();
        self.kept = super::Kept::default();
        self.geometry = None;
        self.link.is_fresh = true;
        self.be_here();
    }

    fn be_here(&mut self) {
        for (id, request) in core::mem::take(&mut self.link.again).into_iter().rev() {
            self.outbox.push_front((RequestId(id), request));
        }
        self.link.stage = Stage::Here;
        self.link.away_since_ns = None;
        self.link.overdue_is_told = false;
    }

    /// Has what `ask` asks go before what others ask.
    fn asking<T>(&mut self, ask: impl FnOnce(&mut Disk) -> T) -> T {
        self.link.is_asking = true;
        let asked = ask(self);
        self.link.is_asking = false;
        asked
    }

    fn go_on_returning(&mut self) -> Moved {
        match core::mem::replace(&mut self.link.stage, Stage::Away) {
            Stage::Looking(reads, found) => self.look(reads, found),
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
            Verdict::Unfit(what) => self.fail(what),
        }
        Moved::Yes
    }

    fn judge(&mut self, found: &[Found]) -> Verdict {
        let ours = self.link.expected.expect("asked only when something is");
        // A superblock may have been on its way.
        let is_new = self.kept.any_before(SEGMENTS_OFFSET);
        let Some(newest) = guard::newest(found) else {
            return match found.contains(&Found::Unreadable) {
                true => Verdict::Unfit("the disk came back, and its superblocks cannot be read"),
                false => Verdict::Stranger("it has no store"),
            };
        };
        if newest.store_id != ours.store_id {
            return Verdict::Stranger("it has another store");
        }
        let is_last = newest.epoch == ours.epoch && newest.opener == ours.opener;
        let is_before = is_new && newest.epoch < ours.epoch;
        if !is_last && !is_before {
            return Verdict::Stranger("it has another state of this store, or another VM used it");
        }
        let (Some(was), Some(is)) = (self.geometry, self.device.geometry()) else {
            return Verdict::Unfit("the disk came back, and says nothing of itself");
        };
        if is.read_only && !was.read_only {
            return Verdict::Unfit("the disk came back, and is read-only now");
        }
        if is.sector_bytes > was.sector_bytes.max(was.physical_sector_bytes) {
            return Verdict::Unfit("the disk came back, and has larger sectors now");
        }
        if let Some(geometry) = &mut self.geometry {
            geometry.durability = is.durability;
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
    pub(super) fn settle_repeated(&mut self, completion: Completion) -> Option<Completion> {
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
        self.link.failure = Some(String::from(what));
        self.end_unended(IoError::Failed);
        self.be_here();
    }

    fn end_unended(&mut self, error: IoError) {
        for id in self.kept.take_unended().collect::<Vec<_>>() {
            self.end(id, Err(error));
        }
    }

    fn end(&mut self, id: u64, result: Result<(), IoError>) {
        if let Some(slot) = self.under_way.remove(&id) {
            *slot.ended.borrow_mut() = Some(Ended { run: None, result });
        }
    }

    /// The next request that may be handed in.
    pub(super) fn next_request(&mut self) -> Option<(RequestId, Request)> {
        match self.link.stage {
            Stage::Here => self.outbox.pop_front(),
            _ => self.link.own.pop_front(),
        }
    }

    /// The device does not take it now.
    pub(super) fn put_back(&mut self, id: RequestId, request: Request) {
        match self.link.stage {
            Stage::Here => self.outbox.push_front((id, request)),
            _ => self.link.own.push_front((id, request)),
        }
    }

    /// The device went away with it: it is asked again when the device is back.
    pub(super) fn ask_again(&mut self, completion: Completion) {
        let Completion { id, run, result } = completion;
        let RequestId(id) = id;
        let Some(slot) = self.under_way.get(&id) else {
            return;
        };
        let is_wanted = Rc::strong_count(slot) > 1;
        match slot.asked {
            Asked::Write { .. } if self.writing_stopped => self.end(id, result),
            Asked::Write { .. } if self.is_flushing() => self.kept.lost(id, run),
            Asked::Write { offset_bytes } => match run {
                Some(from) => drop(
                    self.link
                        .again
                        .insert(id, Request::Write { offset_bytes, from }),
                ),
                None => self.end(id, result),
            },
            Asked::Flush => {
                self.kept.not_flushed(id);
                match is_wanted && !self.writing_stopped {
                    true => drop(self.link.again.insert(id, Request::Flush)),
                    false => self.end(id, result),
                }
            }
            Asked::Read { offset_bytes, .. } => match run.filter(|_| is_wanted) {
                Some(into) => drop(
                    self.link
                        .again
                        .insert(id, Request::Read { offset_bytes, into }),
                ),
                None => self.end(id, result),
            },
            // It asked for nothing that anybody waits for but its hold.
            Asked::Discard { .. } => self.end(id, Ok(())),
        }
    }
}

/// What came back.
enum Verdict {
    Ours,
    Stranger(&'static str),
    Unfit(&'static str),
}
