//! What snapshots keep that is not shown now: how much each of them holds alone.
//!
//! It is counted anew after each change of the snapshots, while the reaper passes all keys; a
//! write that comes between corrects what has been counted already.
//!
//! # Invariants
//!
//! - The sums are over the keys before the reaper's, or over all keys where it rests.

use super::Index;
use super::keys::{Bucket, NEWEST, Under};
use super::views::{NOW, Views};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Bytes of keys, values and headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// What only the snapshot at this sequence shows.
    alone: BTreeMap<u64, u64>,
    /// What some snapshot shows, and now does not.
    all: u64,
}

/// What the versions of one key add to that: bytes, and whose alone they are.
type Share = Vec<(u64, Option<u64>)>;

impl Held {
    fn add(&mut self, share: &Share) {
        for (bytes, only) in share {
            self.all += bytes;
            if let Some(seq) = only {
                *self.alone.entry(*seq).or_default() += bytes;
            }
        }
    }

    fn remove(&mut self, share: &Share) {
        for (bytes, only) in share {
            self.all -= bytes;
            if let Some(alone) = only.and_then(|seq| self.alone.get_mut(&seq)) {
                *alone -= bytes;
            }
        }
    }
}

impl Index {
    /// Bytes that only the snapshot at this sequence shows: what deleting it frees. `None` while
    /// that is being counted.
    pub(crate) fn held_alone(&self, seq: u64) -> Option<u64> {
        let held = self.held.alone.get(&seq).copied().unwrap_or_default();
        (!self.is_reaping()).then_some(held)
    }

    /// Bytes that are kept for snapshots and not shown now. `None` while that is being counted.
    pub(crate) fn held(&self) -> Option<u64> {
        (!self.is_reaping()).then_some(self.held.all)
    }

    /// The snapshots have changed.
    pub(super) fn forget_held(&mut self) {
        self.held = Held::default();
    }

    /// The reaper has passed a key.
    pub(super) fn count_held(&mut self, name: &str, key: &[u8]) {
        let share = self.share(name, key);
        self.held.add(&share);
    }

    /// What a key has added so far, before it changes.
    pub(super) fn counted_share(&self, name: &str, key: &[u8]) -> Option<Share> {
        let counts = !self.views.snapshots.is_empty() && self.reaper.has_passed(name, key);
        counts.then(|| self.share(name, key))
    }

    /// A key has changed that had added this.
    pub(super) fn recount_held(&mut self, name: &str, key: &[u8], before: &Share) {
        let after = self.share(name, key);
        self.held.remove(before);
        self.held.add(&after);
    }

    fn share(&self, name: &str, key: &[u8]) -> Share {
        let bucket = self.buckets.get(name);
        bucket.map_or_else(Vec::new, |bucket| bucket.share((name, &self.views), key))
    }
}

impl Bucket {
    fn share(&self, under: Under<'_>, key: &[u8]) -> Share {
        match under.1.is_straight(under.0) {
            true => self.straight_share(under.1, key),
            false => self.bent_share(under, key),
        }
    }

    /// Where nothing was undone, a version is seen up to the next newer one.
    fn straight_share(&self, views: &Views, key: &[u8]) -> Share {
        let (mut share, mut newer) = (Share::new(), None);
        let mut place = self.tree.seek(key, NEWEST);
        while let Some(version) = self.tree.of(place, key) {
            if let Some(newer) = newer.replace(version.seq)
                && version.is_put()
                && let [first, others @ ..] = views.between(version.seq, newer)
            {
                let only = others.is_empty().then_some(first.seq);
                share.push((version.charge(key), only));
            }
            place = self.tree.next(place);
        }
        share
    }

    fn bent_share(&self, under: Under<'_>, key: &[u8]) -> Share {
        let mut seers: BTreeMap<u64, (u64, Vec<u64>)> = BTreeMap::new();
        for at in under.1.all() {
            if let Some((_, seen)) = self.seen(under, key, at).filter(|(_, seen)| seen.is_put()) {
                let entry = seers.entry(seen.seq).or_default();
                entry.0 = seen.charge(key);
                entry.1.push(at);
            }
        }
        let hidden = seers.into_values();
        let hidden = hidden.filter(|(_, seers)| !seers.contains(&NOW));
        let share = hidden.map(|(bytes, seers)| match seers[..] {
            [only] => (bytes, Some(only)),
            _ => (bytes, None),
        });
        share.collect()
    }
}
