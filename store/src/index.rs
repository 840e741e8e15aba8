//! Every key in memory: which versions there are, and where their records lie.
//!
//! # Invariants
//!
//! - A version is here as long as a view sees it: that of now, or a snapshot's.
//! - The put and manifest records of a key in segments that recovery would read are its versions
//!   and the `dead` of its newest one. So a tombstone is needed exactly as long as an older
//!   version or a dead record is left; and where only hidden dead records are left, a
//!   [`Form::Ghost`] keeps their count.
//! - No version that the view of now sees is over before `soonest_ms`.
//! - `bytes` is the RAM all this takes.

mod due;
mod filling;
mod held;
mod hints;
mod horizon;
mod keys;
mod leaf;
mod page;
mod reap;
mod recovery;
mod short;
mod tree;
mod version;
pub(crate) mod views;

pub(crate) use filling::{Filled, Filling};
pub(crate) use keys::Bucket;
pub(crate) use leaf::Beginning;
pub(crate) use page::PAGE_OVER_MAX;
pub(crate) use short::ShortKey;
pub(crate) use version::{Form, PackedVersion, Version, charge};

use crate::name::BucketName;
use crate::request::QuotaLimits;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use views::{NOW, Views};

/// RAM a version takes beside its key's bytes, with the slack of leaves that are split.
const VERSION_BYTES: u64 = 56;
const BUCKET_BYTES: u64 = 512;
/// What a snapshot takes of RAM for each bucket there is.
pub(crate) const TOTALS_BYTES: u64 = 128;

/// The record that sets a bucket's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) pos: u64,
    pub(crate) seq: u64,
    pub(crate) record_len: u32,
    pub(crate) limits: QuotaLimits,
}

/// A record that counts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retired {
    pub(crate) pos: u64,
    pub(crate) len: u64,
    pub(crate) seq: u64,
    pub(crate) form: Form,
}

/// What a view of one bucket has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) keys: u64,
    /// Sum of [`Version::charge`].
    pub(crate) charged_bytes: u64,
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) buckets: BTreeMap<BucketName, Bucket>,
    views: Views,
    /// What each snapshot has, by its sequence.
    totals: BTreeMap<u64, BTreeMap<BucketName, Totals>>,
    /// RAM of that.
    totals_bytes: u64,
    /// RAM of all trees.
    tree_bytes: u64,
    now: Totals,
    reaper: reap::Reaper,
    held: held::Held,
    hints: hints::Hints,
    /// By the sequence of a rollback: the segment in which the last record that it hides can lie,
    /// once no view sees such a record any more.
    hidden_until: BTreeMap<u64, u64>,
    horizon: Option<horizon::Horizon>,
    soonest_ms: u64,
    has_ends: bool,
    /// While it is made out of a disk: `totals` of buckets follow each version that comes.
    counts: bool,
}

impl Default for Index {
    fn default() -> Self {
        Index {
            buckets: BTreeMap::new(),
            views: Views::default(),
            totals: BTreeMap::new(),
            totals_bytes: 0,
            tree_bytes: 0,
            now: Totals::default(),
            reaper: reap::Reaper::default(),
            held: held::Held::default(),
            hints: hints::Hints::default(),
            hidden_until: BTreeMap::new(),
            horizon: None,
            soonest_ms: leaf::NEVER_MS,
            has_ends: false,
            counts: true,
        }
    }
}

/// RAM a new version takes.
pub(crate) fn growth(key: &[u8]) -> u64 {
    VERSION_BYTES + key.len() as u64
}

impl Index {
    pub(crate) fn bytes(&self) -> u64 {
        let buckets = BUCKET_BYTES * self.buckets.len() as u64;
        self.tree_bytes + buckets + self.totals_bytes + hints::Hints::BYTES
    }

    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// What a view has.
    pub(crate) fn totals_at(&self, seq: u64) -> Totals {
        if seq == NOW {
            return self.now;
        }
        let of_buckets = self.totals.get(&seq);
        sum(of_buckets.into_iter().flat_map(BTreeMap::values))
    }

    /// What a snapshot has of a bucket.
    pub(crate) fn totals_of(&self, seq: u64, name: &BucketName) -> Totals {
        let of_bucket = self.totals.get(&seq).and_then(|totals| totals.get(name));
        of_bucket.copied().unwrap_or_default()
    }

    /// What a view has, and the buckets it has any of, or that have a quota; but for our own.
    pub(crate) fn shown_at(&self, seq: u64) -> (Totals, Vec<BucketName>) {
        let totals = |name: &BucketName, bucket: &Bucket| match seq {
            NOW => bucket.totals,
            seq => self.totals_of(seq, name),
        };
        let own = |name: &BucketName| name.is_system();
        let known = self.buckets.iter().filter(|(name, _)| !own(name));
        let mut shown = BTreeMap::new();
        for (name, bucket) in known {
            let of_bucket = totals(name, bucket);
            if of_bucket.keys > 0 || bucket.quota.is_some() {
                shown.insert(name.clone(), of_bucket);
            }
        }
        let sum = sum(shown.values());
        (sum, shown.into_keys().collect())
    }

    /// The value a key has in a view, of a key that is likely to be asked for again.
    pub(crate) fn get_often(&self, name: &[u8], key: &[u8], at: u64) -> Option<PackedVersion<'_>> {
        let (name, bucket) = self.buckets.get_key_value(name)?;
        if !self.is_known(name.as_str(), key) {
            return None;
        }
        let straight = self.views.rollbacks.is_empty() || self.views.is_straight(name.as_str());
        if at == NOW && straight {
            let newest = self.hints.newest(bucket, key)?;
            if newest.form() != Form::Ghost {
                return newest.form().is_put().then_some(newest);
            }
        }
        self.get_rarely((name.as_str(), bucket), key, at)
    }

    /// The same where something was undone, or is not seen by all.
    #[cold]
    fn get_rarely<'b>(
        &'b self,
        (name, bucket): (&str, &'b Bucket),
        key: &[u8],
        at: u64,
    ) -> Option<PackedVersion<'b>> {
        let (place, seen) = bucket.seen((name, &self.views), key, at)?;
        seen.is_put().then(|| bucket.tree.packed(place, key))?
    }

    /// The value a key has now.
    pub(crate) fn get(&self, bucket: &str, key: &[u8]) -> Option<Version> {
        self.get_at(bucket, key, NOW)
    }

    /// The value a key has in a view.
    pub(crate) fn get_at(&self, bucket: &str, key: &[u8], at: u64) -> Option<Version> {
        let seen = self.seen(bucket, key, at)?;
        seen.is_put().then_some(seen)
    }

    /// The version of a key that a view sees, a tombstone included.
    pub(crate) fn seen(&self, name: &str, key: &[u8], at: u64) -> Option<Version> {
        self.seen_under((name, &self.views), key, at)
    }

    /// The same, under snapshots and rollbacks that are not durable yet.
    pub(crate) fn seen_under(
        &self,
        (name, views): (&str, &Views),
        key: &[u8],
        at: u64,
    ) -> Option<Version> {
        let bucket = self.buckets.get(name)?;
        let (_, version) = bucket.seen((name, views), key, at)?;
        Some(version)
    }

    /// Whether the record of a version lies at `pos`.
    pub(crate) fn is_at(&self, name: &str, key: &[u8], seq: u64, pos: u64) -> bool {
        let bucket = self.buckets.get(name);
        let version = bucket.and_then(|bucket| bucket.version(key, seq));
        version.is_some_and(|(_, version)| version.pos == pos && version.form != Form::Ghost)
    }

    /// Changes a bucket, which is made if it is not there.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Bucket, &Views) -> T) -> T {
        if !self.buckets.contains_key(name) {
            let name = BucketName::stored(name).expect("names are validated where they enter");
            self.buckets.insert(name, Bucket::default());
        }
        let bucket = self.buckets.get_mut(name).expect("just made");
        let before = (bucket.ram_bytes(), bucket.totals);
        let result = change(bucket, &self.views);
        self.tree_bytes = self.tree_bytes + bucket.ram_bytes() - before.0;
        self.now.keys = self.now.keys + bucket.totals.keys - before.1.keys;
        self.now.charged_bytes =
            self.now.charged_bytes + bucket.totals.charged_bytes - before.1.charged_bytes;
        if bucket.is_empty() {
            self.buckets.remove(name);
        }
        result
    }

    /// A put or a tombstone is durable; what counts no longer.
    // Its instructions are counted by its name: `cargo xtask count index-insert`.
    #[inline(never)]
    pub(crate) fn write(&mut self, name: &str, key: &[u8], version: Version) -> Vec<Retired> {
        self.note_end(version.expires_ms);
        let share = self.counted_share(name, key);
        let retired = self.change(name, |bucket, views| {
            bucket.write((name, views), key, version)
        });
        if let Some(before) = share {
            self.recount_held(name, key, &before);
        }
        retired
    }

    /// A put record that is no version is about to go with its segment; gives back the
    /// tombstones that are thereby no longer needed.
    pub(crate) fn forget_put(&mut self, name: &str, key: &[u8]) -> Vec<Retired> {
        self.change(name, |bucket, _| bucket.forget_put(name, key))
    }

    /// The record of a version was copied; whether it still counted where it was.
    pub(crate) fn relocate(
        &mut self,
        name: &str,
        (key, seq): (&[u8], u64),
        from: u64,
        to: u64,
    ) -> bool {
        let bucket = self.buckets.get_mut(name);
        bucket.is_some_and(|bucket| bucket.relocate(key, seq, from, to))
    }

    /// The quota record of a bucket was copied.
    pub(crate) fn relocate_quota(&mut self, name: &str, from: u64, to: u64) -> bool {
        let bucket = self.buckets.get_mut(name);
        match bucket.and_then(|bucket| bucket.quota.as_mut()) {
            Some(quota) if quota.pos == from => {
                quota.pos = to;
                true
            }
            _ => false,
        }
    }

    /// Sets a quota, or takes it away; gives back the record that no longer counts.
    pub(crate) fn set_quota(&mut self, name: &str, quota: Quota) -> Option<Quota> {
        self.change(name, |bucket, _| bucket.quota.replace(quota))
    }

    /// Snapshots or rollbacks have changed, durably.
    pub(crate) fn set_views(&mut self, views: Views) {
        self.views = views;
        let snapshots = self.views.snapshots.iter();
        let seqs: Vec<u64> = snapshots.map(|snapshot| snapshot.seq).collect();
        for seq in &seqs {
            let now = || {
                let now = self.buckets.iter();
                let now = now.map(|(name, bucket)| (name.clone(), bucket.totals));
                now.collect()
            };
            self.totals.entry(*seq).or_insert_with(now);
        }
        for rollback in &self.views.rollbacks {
            // Others that are in the list were done before, or have been forgotten meanwhile.
            if rollback.at == self.views.seq {
                let to = self.totals.get(&rollback.to);
                for (name, bucket) in &mut self.buckets {
                    if views::undoes(rollback.bucket.as_ref(), name.as_str()) {
                        let totals = to.and_then(|to| to.get(name)).copied();
                        bucket.totals = totals.unwrap_or_default();
                    }
                }
            }
        }
        self.totals.retain(|seq, _| seqs.binary_search(seq).is_ok());
        self.add_up();
        if self
            .views
            .rollbacks
            .iter()
            .any(|rollback| rollback.at == self.views.seq)
        {
            self.forget_soonest();
        }
        self.reaper.begin();
        self.forget_held();
    }

    fn add_up(&mut self) {
        self.now = self.sum();
        let totals = self.totals.values().map(BTreeMap::len).sum::<usize>();
        self.totals_bytes = TOTALS_BYTES * totals as u64;
    }

    fn sum(&self) -> Totals {
        sum(self.buckets.values().map(|bucket| &bucket.totals))
    }
}

fn sum<'a>(totals: impl Iterator<Item = &'a Totals>) -> Totals {
    totals.fold(Totals::default(), |sum, totals| Totals {
        keys: sum.keys + totals.keys,
        charged_bytes: sum.charged_bytes + totals.charged_bytes,
    })
}

#[cfg(test)]
mod history;
#[cfg(test)]
mod tests;
