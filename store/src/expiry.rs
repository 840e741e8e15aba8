//! Values whose time is over: decided once, by a tombstone.
//!
//! A value is hidden from the moment on at which the clock says that its time is over, and its
//! tombstone is logged like any delete. An answer that could see it missing before that tombstone
//! is durable waits for it: see [`Store::observed`]. So neither a clock that steps back nor a
//! crash ever brings a value back that somebody has seen to be over.
//!
//! While a backup is restored, as in a store that cannot write, the clock alone decides.
//!
//! # Invariants
//!
//! - While tombstones of this kind are pending, the clock they were decided by counts, if it is
//!   ahead of the one there is.
//! - When a snapshot or a rollback is accepted, the tombstone of everything that is over has been
//!   accepted before it. So a snapshot shows what was there at its time, by the order of the log.

use crate::Now;
use crate::disk::Moved;
use crate::index::Version;
use crate::name::{BucketName, Key};
use crate::request::{At, Committed, Refusal, Ticket, Unavailable};
use crate::store::Store;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Tombstones of one batch, so that it fits any disk's groups.
const BATCH_KEYS: usize = 32;
/// Keys that are removed at once, or some more.
const SLICE_KEYS: usize = 256;
/// Batches of tombstones that may wait.
const PENDING_MAX: usize = 64;
/// Between two looks through all keys; what is read or written is decided at once.
const REST_NS: u64 = 100_000_000;
/// The longest sleep: a timer set for later than some days may end at once.
const WAIT_NS_MAX: u64 = 86_400_000_000_000;
/// A wall clock that goes so much more or less than the monotonic one has been set.
const STEP_NS: i128 = 60_000_000_000;

/// What is known of values that are over.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// Batches of tombstones that are pending, and by which clock each was decided.
    pending: VecDeque<(u64, u64)>,
    /// Not before is it looked for what else is over, on the monotonic clock.
    next_look_ns: u64,
    /// The last batch that an answer depends on which has not been given yet.
    observed: u64,
    /// Values that were over.
    pub(crate) expired: u64,
    /// How often the wall clock was set.
    pub(crate) clock_steps: u64,
    /// Wall clock minus monotonic clock, as last seen.
    offset_ns: Option<i128>,
}

impl Store {
    /// The time that decides what is over, in milliseconds since 1970.
    pub(crate) fn expiry_now_ms(&self) -> u64 {
        let decided = self.removals();
        let decided_ms = decided
            .map(|(_, decided_ms)| *decided_ms)
            .max()
            .unwrap_or(0);
        decided_ms.max(self.now.wall_ns / 1_000_000)
    }

    /// Whether the time of a version of now is over.
    pub(crate) fn is_over(&self, version: &Version) -> bool {
        self.has_ended(version.expires_ms)
    }

    /// Whether what is over then, or never if that is 0, is over.
    pub(crate) fn has_ended(&self, expires_ms: u64) -> bool {
        expires_ms > 0 && expires_ms <= self.expiry_now_ms()
    }

    /// A ticket for what reads since the last call have seen to be over, while that is not durable.
    ///
    /// Their answers may be given once it has an outcome, whatever that is: where the disk takes
    /// no more, the clock alone decides. `None` if they need not wait.
    pub fn observed(&mut self) -> Option<Ticket> {
        match core::mem::take(&mut self.expiry.observed) {
            0 => None,
            batch if self.queue.is_durable(batch) => None,
            batch => {
                let nothing = Committed {
                    results: Vec::new(),
                };
                Some(self.queue.defer(batch, Ok(nothing)))
            }
        }
    }

    /// Whether a read may show a version; if its time is over, that is decided now.
    pub(crate) fn shows(
        &mut self,
        at: At,
        (bucket, key): (&BucketName, &Key),
        version: &Version,
    ) -> bool {
        if at != At::NOW || !self.is_over(version) {
            return true;
        }
        self.observe(Vec::from([(bucket.clone(), key.clone())]));
        false
    }

    /// A read has seen that these are over.
    pub(crate) fn observe(&mut self, keys: Vec<(BucketName, Key)>) {
        if let Some(batch) = self.remove_due(&keys) {
            self.expiry.observed = self.expiry.observed.max(batch);
        }
    }

    /// Removes what is over, a slice at a time.
    pub(crate) fn expire_due(&mut self) -> Moved {
        match self.now.monotonic_ns >= self.expiry.next_look_ns {
            true => self.expire_due_now(),
            false => Moved::No,
        }
    }

    pub(crate) fn expire_due_now(&mut self) -> Moved {
        let now_ms = self.expiry_now_ms();
        if self.index.soonest_ms() > now_ms || self.changeable().is_err() || self.is_crowded() {
            return Moved::No;
        }
        let due = self.index.take_due(now_ms, SLICE_KEYS);
        self.remove_due(&due);
        if self.index.soonest_ms() > now_ms {
            self.expiry.next_look_ns = self.now.monotonic_ns.saturating_add(REST_NS);
        }
        Moved::Yes
    }

    /// Whether so many tombstones wait that the disk is to take them first.
    fn is_crowded(&self) -> bool {
        self.removals().count() >= PENDING_MAX || self.is_queue_full()
    }

    /// Removes all that is over.
    ///
    /// # Errors
    /// [`Unavailable::Busy`] if that is more than can wait at once.
    pub(crate) fn expire_all(&mut self) -> Result<(), Refusal> {
        self.changeable()?;
        while self.expire_due_now() == Moved::Yes {}
        match self.has_due() {
            false => Ok(()),
            true => Err(Refusal::Unavailable(Unavailable::Busy)),
        }
    }

    /// Whether tombstones are on their way.
    pub(crate) fn is_removing(&self) -> bool {
        self.removals().next().is_some()
    }

    /// Batches of tombstones that still may become durable.
    fn removals(&self) -> impl Iterator<Item = &(u64, u64)> {
        let pending = self.expiry.pending.iter();
        pending.filter(|(batch, _)| !self.queue.is_durable(*batch))
    }

    /// Batches of tombstones that are pending, from that batch on.
    pub(crate) fn removals_since(&self, first: u64) -> usize {
        let pending = &self.expiry.pending;
        pending.len() - pending.partition_point(|(batch, _)| *batch < first)
    }

    /// Whether something may be over that has not been removed yet.
    pub(crate) fn has_due(&self) -> bool {
        self.index.soonest_ms() <= self.expiry_now_ms()
    }

    /// Hands in the tombstones of keys whose time is over; the batch that has the last of them.
    ///
    /// Where the limits take no more, the clock alone hides them, as in a store that cannot write.
    pub(crate) fn remove_due(&mut self, keys: &[(BucketName, Key)]) -> Option<u64> {
        self.changeable().ok()?;
        let now_ms = self.expiry_now_ms();
        let mut last = None;
        for keys in keys.chunks(BATCH_KEYS) {
            let (verdict, removed) = self.removal(keys);
            last = last.max(verdict.observed());
            if removed > 0 && self.fits_limits(&verdict) {
                let batch = self.queue.next_batch();
                self.accept(verdict);
                self.expiry.pending.push_back((batch, now_ms));
                self.expiry.expired += removed;
                last = Some(batch);
            }
        }
        last
    }

    /// Batches up to this one are durable.
    pub(crate) fn note_expired(&mut self, durable_batch: u64) {
        let pending = &mut self.expiry.pending;
        pending.retain(|(batch, _)| *batch > durable_batch);
    }

    /// When there is something to remove, on the monotonic clock.
    pub(crate) fn next_expiry_ns(&self) -> Option<u64> {
        let soonest_ms = self.index.soonest_ms();
        if !self.index.has_ends() || self.changeable().is_err() || self.is_crowded() {
            return None;
        }
        let wait_ns = soonest_ms
            .saturating_mul(1_000_000)
            .saturating_sub(self.now.wall_ns);
        let at_ns = self
            .now
            .monotonic_ns
            .saturating_add(wait_ns.min(WAIT_NS_MAX));
        Some(at_ns.max(self.expiry.next_look_ns))
    }

    /// Takes note of the time, and of a wall clock that was set meanwhile.
    pub(crate) fn note_time(&mut self, now: Now) {
        let offset_ns = i128::from(now.wall_ns) - i128::from(now.monotonic_ns);
        let step_ns = self.expiry.offset_ns.map_or(0, |before| offset_ns - before);
        if step_ns.abs() > STEP_NS {
            self.expiry.clock_steps += 1;
            let seconds = step_ns / 1_000_000_000;
            log::warn!(
                "store: the wall clock was set by {seconds:+} s; values with a time are over by the clock there is now"
            );
        }
        self.expiry.offset_ns = Some(offset_ns);
        self.now = now;
    }
}
