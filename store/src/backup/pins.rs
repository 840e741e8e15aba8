//! What keeps a backup's state readable: a snapshot of its own, for as long as it is read.
//!
//! # Invariants
//!
//! - A snapshot of this kind is forgotten once nobody reads its backup any more: because it was
//!   dropped, was not read for two minutes, or the store was opened anew.

use crate::disk::Moved;
use crate::index::views::Snapshot;
use crate::name::SnapshotName;
use crate::request::{Refusal, Ticket};
use crate::store::Store;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

/// A backup that nobody reads for so long is cut: it holds space.
const IDLE_NS: u64 = 120_000_000_000;

/// What a backup and the store know of each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// When it was last read.
    pub(super) read_ns: Cell<u64>,
    pub(super) cut: Cell<bool>,
}

/// Snapshots of backups that are read.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    live: Vec<(SnapshotName, Rc<Shared>)>,
    /// Whether those of an earlier life have been looked for.
    is_tidy: bool,
}

impl Store {
    /// Keeps a state readable; when it is, and under which name.
    pub(super) fn pin(
        &mut self,
        of: Option<&SnapshotName>,
    ) -> Result<(Ticket, SnapshotName, u64, Rc<Shared>), Refusal> {
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
        let seq = pinned.seq;
        let at = next.snapshots.partition_point(|one| one.seq <= seq);
        next.snapshots.insert(at, pinned);
        let ticket = self.submit_views(next, vec![], None)?;
        let shared = Rc::new(Shared::default());
        shared.read_ns.set(self.now.monotonic_ns);
        self.pins.live.push((name.clone(), Rc::clone(&shared)));
        Ok((ticket, name, seq, shared))
    }

    /// Forgets what no backup needs any more.
    pub(crate) fn sweep_pins(&mut self) -> Moved {
        let now_ns = self.now.monotonic_ns;
        let before = self.pins.live.len();
        self.pins.live.retain(|(_, shared)| {
            let idle = now_ns.saturating_sub(shared.read_ns.get()) > IDLE_NS;
            shared.cut.set(shared.cut.get() || idle);
            !shared.cut.get() && Rc::strong_count(shared) > 1
        });
        self.pins.is_tidy &= self.pins.live.len() == before;
        if self.pins.is_tidy || self.writable().is_err() {
            return Moved::No;
        }
        let mut next = match self.next_views() {
            Ok(next) => next,
            Err(_) => return Moved::No,
        };
        let live = &self.pins.live;
        let needed = |name: &SnapshotName| live.iter().any(|(live, _)| live == name);
        let count = next.snapshots.len();
        next.snapshots
            .retain(|one| !one.name.is_of_backup() || needed(&one.name));
        if next.snapshots.len() < count {
            // Nobody waits for it; if it comes to nothing, the next opening does it again.
            if self.submit_views(next, vec![], None).is_err() {
                return Moved::No;
            }
        }
        self.pins.is_tidy = true;
        Moved::Yes
    }

    /// When a backup has been idle for too long, on the monotonic clock.
    pub(crate) fn next_cut_ns(&self) -> Option<u64> {
        let read = self
            .pins
            .live
            .iter()
            .map(|(_, shared)| shared.read_ns.get());
        read.min().map(|ns| ns.saturating_add(IDLE_NS + 1))
    }
}
