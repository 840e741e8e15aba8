//! What a restore has taken in so far is there, and nobody sees it until all of it is.
//!
//! A restore begins with a snapshot of its own and a rollback to the beginning, in one record:
//! from there on *now* is what has come out of the backup, and *what is shown* is that snapshot.
//! One more record gives the snapshot another name, and with it now is shown; or it rolls back to
//! the snapshot, and all is as it was. A store that is opened with such a snapshot does the latter.
//!
//! # Invariants
//!
//! - While the newest snapshot is a restore's, only the restore changes anything.
//! - A restore's snapshot is gone once its restore has ended, or nobody holds it any more.

use crate::admit::Verdict;
use crate::backup::Stop;
use crate::disk::Moved;
use crate::index::views::{NOW, Rollback, Snapshot};
use crate::index::{Bucket, Totals};
use crate::name::{BucketName, SnapshotName};
use crate::queue::Op;
use crate::quota::Charge;
use crate::request::{At, QuotaLimits, Refusal, Ticket, Unavailable};
use crate::snapshots::{BEGINNING, NewState};
use crate::store::Store;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::task::Poll;

/// Who restores.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    held: Weak<()>,
    stop: Stop,
    /// The undoing that is on its way.
    undoing: Option<Ticket>,
    /// When to hand it in again, if it came to nothing.
    again_ns: u64,
}

/// The hold on a state that is put together; dropped before it is shown, all is as it was.
pub(crate) struct Staged {
    /// Nothing may be written before this is durable: it would be shown.
    pub(crate) ticket: Option<Ticket>,
    _held: Rc<()>,
}

/// After so long an undoing that came to nothing is handed in again.
const AGAIN_NS: u64 = 1_000_000_000;

impl Store {
    /// Whether anybody but a restore may change something.
    pub(crate) fn changeable(&self) -> Result<(), Refusal> {
        self.writable()?;
        match self.is_restoring() {
            true => Err(Refusal::Unavailable(Unavailable::Restoring)),
            false => Ok(()),
        }
    }

    /// Whether a restore has begun, and its end is not durable.
    pub(crate) fn is_restoring(&self) -> bool {
        self.index.views().shown() != NOW || self.views().shown() != NOW
    }

    /// Where to look for what is shown at `at`.
    pub(crate) fn shown(&self, at: At) -> u64 {
        match at {
            At::NOW => self.index.views().shown(),
            At(seq) => seq,
        }
    }

    /// What is shown of a bucket.
    pub(crate) fn shown_totals(&self, name: &BucketName, bucket: &Bucket) -> Totals {
        match self.index.views().shown() {
            NOW => bucket.totals,
            seq => self.index.totals_of(seq, name),
        }
    }

    /// What is there goes into a snapshot, and stays shown; what is written from now on is hidden.
    ///
    /// `more` is what surely will be written.
    pub(crate) fn stage(&mut self, more: NewState, stop: Stop) -> Result<Staged, Refusal> {
        self.expire_all()?;
        let mut next = self.next_views()?;
        let at = self.log().next_seq;
        if next.snapshot(&afterwards(at)).is_some() {
            return Err(Refusal::SnapshotExists);
        }
        let mut later = next.clone();
        later.snapshots.push(self.snapshot_now(afterwards(at)));
        let name = SnapshotName::of_restore(at);
        next.snapshots.push(self.snapshot_now(name));
        next.rollbacks.push(Rollback {
            at,
            to: BEGINNING,
            bucket: None,
        });
        later.rollbacks.clone_from(&next.rollbacks);
        self.check_list(&later)?;
        self.check_snapshot(&next, more)?;
        let charges = self.charges_back_to(BEGINNING, None);
        let ticket = Some(self.submit_views(next, charges, Some(None))?);
        let held = Rc::new(());
        self.staging = Staging {
            held: Rc::downgrade(&held),
            stop,
            ..Staging::default()
        };
        log::info!("store: a restore begins; nothing else is changed until it has ended");
        Ok(Staged {
            ticket,
            _held: held,
        })
    }

    /// Shows what was staged, under these quotas and no others; the name of the snapshot that
    /// what was there before is in.
    pub(crate) fn show_staged(
        &mut self,
        quotas: &BTreeMap<BucketName, QuotaLimits>,
    ) -> Result<(Ticket, SnapshotName), Refusal> {
        self.writable()?;
        if self.is_queue_full() {
            return Err(Refusal::Unavailable(Unavailable::Busy));
        }
        let mut next = self.views().clone();
        let before = next.snapshots.last_mut();
        let before = before.filter(|newest| newest.name.is_of_restore());
        let before = before.ok_or(Refusal::OutcomeUnknown)?;
        let name = afterwards(before.seq);
        before.name = name.clone();
        let mut ops = self.quota_ops(quotas);
        let seq = self.log().next_seq + ops.len() as u64;
        // What all buckets show changes.
        let all = self.index.buckets.keys();
        let charges = all.map(|name| (name.clone(), Charge::default()));
        ops.push(self.views_op(seq, next, charges.collect(), None)?);
        let verdict = Verdict::of(ops);
        self.check_space(&verdict)?;
        Ok((self.accept(verdict), name))
    }

    /// What changes the quotas there are into these.
    fn quota_ops(&self, quotas: &BTreeMap<BucketName, QuotaLimits>) -> Vec<Op> {
        let mut wanted: BTreeMap<&BucketName, QuotaLimits> = BTreeMap::new();
        for (name, bucket) in &self.index.buckets {
            if bucket.quota.is_some() && !name.is_system() {
                wanted.insert(name, QuotaLimits::default());
            }
        }
        wanted.extend(quotas.iter().map(|(name, limits)| (name, *limits)));
        wanted.retain(|name, limits| self.quota(name).0 != *limits);
        let wanted = (self.log().next_seq..).zip(wanted);
        wanted
            .map(|(seq, (name, limits))| self.quota_op(seq, name.clone(), limits))
            .collect()
    }

    /// Undoes a restore that nobody goes on with.
    pub(crate) fn sweep_staging(&mut self) -> Moved {
        if !self.is_undone() {
            return Moved::No;
        }
        let Staging { held, stop, .. } = &self.staging;
        let is_wanted = held.strong_count() > 0 && !stop.is_stopped();
        if is_wanted || !self.is_restoring() || self.queue.pending_views().is_some() {
            return Moved::No;
        }
        if self.writable().is_err() || self.is_queue_full() {
            return Moved::No;
        }
        let mut next = self.views().clone();
        let Some(Snapshot { seq, .. }) = next.snapshots.pop() else {
            return Moved::No;
        };
        next.rollbacks.push(Rollback {
            at: self.log().next_seq,
            to: seq,
            bucket: None,
        });
        let charges = self.charges_back_to(seq, None);
        match self.submit_views(next, charges, Some(None)) {
            Ok(ticket) => {
                log::warn!("store: a restore did not end: all becomes as it was before");
                self.staging.undoing = Some(ticket);
                Moved::Yes
            }
            Err(_) => Moved::No,
        }
    }

    /// Whether the last undoing has ended, and if in vain, long enough ago.
    fn is_undone(&mut self) -> bool {
        let now_ns = self.now.monotonic_ns;
        if let Some(ticket) = self.staging.undoing.take() {
            match self.outcome(&ticket) {
                Poll::Pending => self.staging.undoing = Some(ticket),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.staging.again_ns = now_ns.saturating_add(AGAIN_NS),
            }
        }
        self.staging.undoing.is_none() && now_ns >= self.staging.again_ns
    }

    /// When an undoing is to be handed in again, on the monotonic clock.
    pub(crate) fn next_undoing_ns(&self) -> Option<u64> {
        let again_ns = self.staging.again_ns;
        (self.is_restoring() && again_ns > self.now.monotonic_ns).then_some(again_ns)
    }
}

/// What the snapshot of a restore is called once that has ended.
fn afterwards(seq: u64) -> SnapshotName {
    let name = SnapshotName::new(&format!("before-restore-{seq}"));
    name.expect("letters, digits and hyphens")
}
