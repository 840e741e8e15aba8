//! Versions that only a snapshot saw that is gone are looked for, a slice at a time.

use super::keys::after;
use super::{Index, Retired};
use crate::name::BucketName;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Keys of one slice.
const KEYS_PER_SLICE: usize = 256;

/// How far the search has come.
#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// The bucket and the key that are looked at next.
    next: Option<(Option<BucketName>, Box<[u8]>)>,
}

impl Reaper {
    /// Looks through all keys, from the first on.
    pub(super) fn begin(&mut self) {
        self.next = Some((None, Box::default()));
    }

    /// Whether it has looked at a key, or need not.
    pub(super) fn has_passed(&self, bucket: &str, key: &[u8]) -> bool {
        match &self.next {
            None => true,
            Some((None, _)) => false,
            Some((Some(name), next)) => (bucket, key) < (name.as_str(), &**next),
        }
    }
}

impl Index {
    /// Forgets the rollbacks that make no difference any more: those that no view goes through,
    /// and those whose hidden records have all gone with their segments.
    ///
    /// `oldest` and `newest` are generations of the segments there are. As long as a view sees a
    /// hidden record, it may be copied into a newer segment, and then die there.
    pub(crate) fn forget_rollbacks(&mut self, oldest: u64, newest: u64) {
        let is_settled = !self.is_reaping();
        let views = self.views.clone();
        let hidden_until = &mut self.hidden_until;
        self.views.rollbacks.retain(|rollback| {
            if !views.uses(rollback) {
                return false;
            }
            if !is_settled || views.sees_hidden(rollback) {
                hidden_until.remove(&rollback.at);
                return true;
            }
            *hidden_until.entry(rollback.at).or_insert(newest) >= oldest
        });
        let left = &self.views.rollbacks;
        self.hidden_until
            .retain(|at, _| left.iter().any(|rollback| rollback.at == *at));
    }

    /// Whether versions are being looked for that no view sees.
    pub(crate) fn is_reaping(&self) -> bool {
        self.reaper.next.is_some()
    }

    /// Looks at some keys more; what counts no longer.
    pub(crate) fn reap(&mut self) -> Vec<Retired> {
        let mut retired = Vec::new();
        let Some((name, mut key)) = self.reaper.next.take() else {
            return retired;
        };
        let from = match &name {
            None => self.buckets.keys().next(),
            Some(name) => self
                .buckets
                .range(name.clone()..)
                .next()
                .map(|(name, _)| name),
        };
        let Some(found) = from.cloned() else {
            return retired;
        };
        if Some(&found) != name.as_ref() {
            key = Box::default();
        }
        for _ in 0..KEYS_PER_SLICE {
            let bucket = self.buckets.get(&found);
            let Some(next) = bucket.and_then(|bucket| bucket.key_from(&key)) else {
                let after = self.buckets.range(found.clone()..);
                let after = after.map(|(name, _)| name).find(|name| **name != found);
                self.reaper.next = after.cloned().map(|name| (Some(name), Box::default()));
                return retired;
            };
            let under = found.as_str();
            retired.extend(self.change(under, |bucket, views| {
                let mut settled = bucket.settle((under, views), &next);
                settled.extend(bucket.drop_needless(under, &next));
                settled
            }));
            self.count_held(found.as_str(), &next);
            key = after(&next);
        }
        self.reaper.next = Some((Some(found), key));
        retired
    }
}
