//! A device that goes away and comes back: what it may have lost is written again.
//!
//! Whoever asks for a read, a write or a flush waits meanwhile, and learns nothing of it. First
//! it is looked whether what came back is the disk that went away; then the writes that no flush
//! has covered are repeated in their order, one after the other, and flushed ([`back`]);
//! then what else was in flight is asked again.

mod back;

use super::{Asked, Disk, Ended, Moved, Slot};
use crate::block::{Completion, IoError, Presence, Request, RequestId};
use crate::format::superblock::{Found, Superblock};
use crate::guard::CopyRead;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

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
    unread_is_told: bool,
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
    /// They could not be read; again at this time.
    Waiting(u64),
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

    /// Forgets what is not to be asked again.
    pub(super) fn drop_again(
        &mut self,
        is_to_go: impl Fn(&Request) -> bool,
        under_way: &mut BTreeMap<u64, Rc<Slot>>,
    ) {
        self.again.retain(|id, request| {
            let goes = is_to_go(request);
            if goes {
                under_way.remove(id);
            }
            !goes
        });
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

    /// When something here is due by itself.
    pub(crate) fn link_at_ns(&self) -> Option<u64> {
        let since_ns = self.link.away_since_ns?;
        let overdue = !self.link.overdue_is_told && self.link.expected.is_some();
        let overdue_ns = overdue.then_some(since_ns.saturating_add(HOLD_NS));
        let look_ns = match self.link.stage {
            Stage::Waiting(at_ns) => Some(at_ns),
            _ => None,
        };
        overdue_ns.into_iter().chain(look_ns).min()
    }

    /// Why nothing can be asked of the disk now, for people.
    pub(crate) fn absence(&self) -> Option<&'static str> {
        self.link.away_since_ns?;
        Some(match self.link.stage {
            Stage::Stranger => "another disk is attached in the place of this store's",
            Stage::Waiting(_) => "the superblocks of the disk that came back cannot be read",
            _ => "the disk's backend is away",
        })
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
        self.drop_unwanted();
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

    /// Who has given up waiting gets his memory back.
    fn drop_unwanted(&mut self) {
        let under_way = &mut self.under_way;
        let mut is_wanted = |id: u64, request: &Request| {
            let slot = under_way.get(&id);
            let wanted = !matches!(request, Request::Read { .. })
                || slot.is_some_and(|slot| Rc::strong_count(slot) > 1);
            if !wanted {
                under_way.remove(&id);
            }
            wanted
        };
        self.outbox.retain(|(id, request)| is_wanted(id.0, request));
        self.link
            .again
            .retain(|id, request| is_wanted(*id, request));
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

    fn be_here(&mut self) {
        for (id, request) in core::mem::take(&mut self.link.again).into_iter().rev() {
            self.outbox.push_front((RequestId(id), request));
        }
        self.link.stage = Stage::Here;
        self.link.away_since_ns = None;
        (self.link.overdue_is_told, self.link.unread_is_told) = (false, false);
    }

    /// Has what `ask` asks go before what others ask.
    fn asking<T>(&mut self, ask: impl FnOnce(&mut Disk) -> T) -> T {
        self.link.is_asking = true;
        let asked = ask(self);
        self.link.is_asking = false;
        asked
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
            Asked::Write { .. } if self.kept.has(id) => self.kept.lost(id, run),
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
