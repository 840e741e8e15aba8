//! Which keys' time is over.
//!
//! Each leaf knows when the first of its versions is over, so that of a million keys a few
//! thousand leaves have to be asked, and all are asked again only when the first time has come.

use super::Index;
use super::keys::{Bucket, Under};
use super::leaf::NEVER_MS;
use super::tree::Place;
use super::views::{self, NOW};
use crate::name::{BucketName, Key};
use alloc::vec::Vec;

/// Leaves that are looked through at once.
const LEAVES_MAX: usize = 256;
/// When a leaf with keys that are on their way out is looked at again: they may still be there
/// then, if the disk took no tombstone.
const AGAIN_MS: u64 = 60_000;

/// Keys whose time is over.
pub(crate) type Due = Vec<(BucketName, Key)>;

impl Index {
    /// No key is over before, as far as is known; later than any time if none ever is.
    pub(crate) fn soonest_ms(&self) -> u64 {
        self.soonest_ms
    }

    /// Whether any version was ever met that has an end.
    pub(crate) fn has_ends(&self) -> bool {
        self.has_ends
    }

    /// Takes note of a version that may be over sooner than the others.
    pub(super) fn note_end(&mut self, expires_ms: u64) {
        if expires_ms > 0 {
            self.soonest_ms = self.soonest_ms.min(expires_ms);
            self.has_ends = true;
        }
    }

    /// Looks for keys whose time is over, some leaves at a time; the caller sees to it that they
    /// are removed.
    ///
    /// While more may be found, [`Index::soonest_ms`] stays where it was.
    pub(crate) fn take_due(&mut self, now_ms: u64, keys_max: usize) -> Due {
        let mut due = Due::new();
        let (mut soonest_ms, mut leaves) = (NEVER_MS, 0);
        for (name, bucket) in &mut self.buckets {
            let places: Vec<Place> = bucket
                .due_leaves(now_ms)
                .take(LEAVES_MAX - leaves)
                .collect();
            for place in places {
                leaves += 1;
                let (keys, next_ms) = bucket.due_in((name.as_str(), &self.views), place, now_ms);
                due.extend(keys.into_iter().map(|key| (name.clone(), key)));
                bucket.tree.set_soonest(place, next_ms);
                if due.len() >= keys_max || leaves == LEAVES_MAX {
                    return due;
                }
            }
            soonest_ms = soonest_ms.min(bucket.soonest_ms());
        }
        self.soonest_ms = soonest_ms;
        due
    }

    /// Keys that a view sees, in one bucket or in all that can be rolled back, and whose time is
    /// over.
    pub(crate) fn over_at(&self, at: u64, of: Option<&BucketName>, now_ms: u64) -> u64 {
        if !self.has_ends {
            return 0;
        }
        let buckets = self.buckets.iter();
        let undone = buckets.filter(|(name, _)| views::undoes(of, name.as_str()));
        let over = undone.map(|(name, bucket)| {
            let entries = bucket.tree.entries();
            let over = entries.filter(|(_, version)| version.is_put() && version.is_over(now_ms));
            let under = (name.as_str(), &self.views);
            let seen = over.filter(|(key, version)| {
                let seen = bucket.seen(under, key, at);
                seen.is_some_and(|(_, seen)| seen.seq == version.seq)
            });
            seen.count() as u64
        });
        over.sum()
    }

    /// What was undone brings versions back whose time may be over.
    pub(super) fn forget_soonest(&mut self) {
        self.buckets
            .values_mut()
            .for_each(|bucket| bucket.tree.forget_soonest());
        self.soonest_ms = 0;
    }
}

impl Bucket {
    fn due_leaves(&self, now_ms: u64) -> impl Iterator<Item = Place> {
        let leaves = self.tree.leaves();
        let due = leaves.filter(move |(_, leaf)| leaf.soonest_ms <= now_ms);
        due.map(|(place, _)| place)
    }

    fn soonest_ms(&self) -> u64 {
        let soonest = self.tree.leaves().map(|(_, leaf)| leaf.soonest_ms);
        soonest.min().unwrap_or(NEVER_MS)
    }

    /// The keys of a leaf whose time is over, and when the leaf has to be looked at again.
    fn due_in(&self, under: Under<'_>, first: Place, now_ms: u64) -> (Vec<Key>, u64) {
        let mut keys = Vec::new();
        let mut soonest_ms = NEVER_MS;
        let mut place = first;
        while let Some((key, version)) = self.tree.get(place) {
            if !place.is_in_leaf_of(first) {
                break;
            }
            if version.expires_ms > now_ms {
                soonest_ms = soonest_ms.min(version.expires_ms);
            } else if version.expires_ms > 0
                && let Some((_, seen)) = self.seen(under, key, NOW)
                && seen.seq == version.seq
            {
                soonest_ms = soonest_ms.min(now_ms + AGAIN_MS);
                keys.push(Key::new(key).expect("keys are validated where they enter"));
            }
            place = self.tree.next(place);
        }
        (keys, soonest_ms)
    }
}
