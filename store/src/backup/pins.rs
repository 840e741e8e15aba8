//! What keeps a backup's state readable: a snapshot of its own, for as long as it is read.
//!
//! # Invariants
//!
//! - A snapshot of this kind is forgotten once nobody reads its backup any more: because it was
//!   dropped, was not read for two minutes, or the store was opened anew.

use super::stop::Stop;
use crate::disk::Moved;
use crate::index::views::{Snapshot, Views};
use crate::name::SnapshotName;
use crate::request::{Refusal, Ticket};
use crate::store::Store;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::task::Poll;

/// A backup that nobody reads for so long is cut: it holds space.
const IDLE_NS: u64 = 120_000_000_000;

/// After so long it is handed in again that a snapshot is not needed.
const AGAIN_NS: u64 = 1_000_000_000;

/// What a backup and the store know of each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// When it was last read.
    pub(super) read_ns: Cell<u64>,
    pub(super) cut: Cell<bool>,
    pub(super) stop: Stop,
}

/// A state that is about to be kept readable.
pub(super) struct Pinned {
    /// When it is.
    pub(super) ticket: Ticket,
    pub(super) seq: u64,
    pub(super) wall_ms: u64,
    pub(super) shared: Rc<Shared>,
}

/// Snapshots of backups that are read.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    live: Vec<(SnapshotName, Rc<Shared>)>,
    /// Whether there are none but those.
    is_tidy: bool,
    /// Others are on their way out.
    removal: Option<Ticket>,
    /// When to hand that in again, if it came to nothing.
    again_ns: u64,
}

impl Store {
    /// Keeps a state readable.
    pub(super) fn pin(&mut self, of: Option<&SnapshotName>) -> Result<Pinned, Refusal> {
        self.expire_all()?;
        let mut next = self.next_views()?;
        let name = SnapshotName::of_backup(self.log().next_seq);
        let pinned = match of {
            None => self.snapshot_now(name.clone()),
            Some(of) => {
                let durable = self.index.views().snapshot(of);
                let of = durable.filter(|_| next.snapshot(of).is_some());
                let of = of.ok_or(Refusal::NoSuchSnapshot)?;
                Snapshot {
                    name: name.clone(),
                    ..of.clone()
                }
            }
        };
        let (seq, wall_ms) = (pinned.seq, pinned.wall_ms);
        let at = next.snapshots.partition_point(|one| one.seq <= seq);
        next.snapshots.insert(at, pinned);
        let ticket = self.submit_views(next, vec![], None)?;
        let shared = Rc::new(Shared::default());
        shared.read_ns.set(self.now.monotonic_ns);
        self.pins.live.push((name, Rc::clone(&shared)));
        Ok(Pinned {
            ticket,
            seq,
            wall_ms,
            shared,
        })
    }

    /// Forgets what no backup needs any more.
    pub(crate) fn sweep_pins(&mut self) -> Moved {
        let now_ns = self.now.monotonic_ns;
        let before = self.pins.live.len();
        self.pins.live.retain(|(_, shared)| {
            let idle = now_ns.saturating_sub(shared.read_ns.get()) > IDLE_NS;
            shared.cut.set(shared.cut.get() || idle);
            let is_wanted = !shared.cut.get() && !shared.stop.is_stopped();
            is_wanted && Rc::strong_count(shared) > 1
        });
        self.pins.is_tidy &= self.pins.live.len() == before;
        if self.pins.is_tidy || self.changeable().is_err() || !self.is_removed(now_ns) {
            return Moved::No;
        }
        if !self.has_stale(self.views()) {
            self.pins.is_tidy = true;
            return Moved::No;
        }
        let mut next = match self.next_views() {
            Ok(next) => next,
            Err(_) => return Moved::No,
        };
        next.snapshots.retain(|one| !self.is_stale(one));
        match self.submit_views(next, vec![], None) {
            Ok(ticket) => {
                self.pins.removal = Some(ticket);
                Moved::Yes
            }
            Err(_) => Moved::No,
        }
    }

    /// Whether what was handed in last has ended, and if in vain, long enough ago.
    fn is_removed(&mut self, now_ns: u64) -> bool {
        if let Some(ticket) = self.pins.removal.take() {
            match self.outcome(&ticket) {
                Poll::Pending => self.pins.removal = Some(ticket),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.pins.again_ns = now_ns.saturating_add(AGAIN_NS),
            }
        }
        self.pins.removal.is_none() && now_ns >= self.pins.again_ns
    }

    fn has_stale(&self, views: &Views) -> bool {
        views.snapshots.iter().any(|one| self.is_stale(one))
    }

    /// Whether it is one of a backup that nobody reads.
    fn is_stale(&self, snapshot: &Snapshot) -> bool {
        let live = &self.pins.live;
        snapshot.name.is_of_backup() && !live.iter().any(|(live, _)| *live == snapshot.name)
    }

    /// When a backup has been idle for too long, or its snapshot is to be forgotten at last, on the
    /// monotonic clock.
    pub(crate) fn next_cut_ns(&self) -> Option<u64> {
        if self.changeable().is_err() {
            return None;
        }
        let read = self
            .pins
            .live
            .iter()
            .map(|(_, shared)| shared.read_ns.get());
        let again_ns = self.pins.again_ns;
        let again = (again_ns > self.now.monotonic_ns).then_some(again_ns);
        let cut = read.min().map(|ns| ns.saturating_add(IDLE_NS + 1));
        cut.into_iter().chain(again).min()
    }
}
