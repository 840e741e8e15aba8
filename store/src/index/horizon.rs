//! An index for which there is too little memory: what comes first of its keys, and all of that.
//!
//! # Invariants
//!
//! - Of keys before the horizon every version is here that would be here with more memory; of
//!   those behind it none is believed.

use super::{Index, growth};
use crate::name::BucketName;
use alloc::boxed::Box;
use core::cmp::Ordering;

/// The first key of which nothing is known.
#[derive(Clone, Debug)]
pub(crate) struct Horizon {
    bucket: BucketName,
    key: Box<[u8]>,
    /// RAM that all records behind it would take, were each of them a version that counts.
    unknown_bytes: u64,
}

impl Horizon {
    #[cold]
    fn is_behind(&self, name: &str, key: &[u8]) -> bool {
        (name, key) < (self.bucket.as_str(), &*self.key)
    }
}

impl Index {
    /// Whether all versions of a key are here.
    pub(crate) fn is_known(&self, name: &str, key: &[u8]) -> bool {
        let horizon = self.horizon.as_ref();
        horizon.is_none_or(|horizon| horizon.is_behind(name, key))
    }

    /// Whether all versions of all keys of a bucket are here, or of those before `end`.
    pub(super) fn is_known_before(&self, name: &str, end: Option<&[u8]>) -> bool {
        let Some(horizon) = &self.horizon else {
            return true;
        };
        match name.cmp(horizon.bucket.as_str()) {
            Ordering::Less => true,
            Ordering::Equal => end.is_some_and(|end| end <= &*horizon.key),
            Ordering::Greater => false,
        }
    }

    /// Whether all versions of all keys are here.
    pub(crate) fn is_whole(&self) -> bool {
        self.horizon.is_none()
    }

    /// RAM that the whole index would take at most.
    pub(crate) fn whole_bytes(&self) -> u64 {
        let unknown = self.horizon.as_ref();
        self.bytes() + unknown.map_or(0, |horizon| horizon.unknown_bytes)
    }

    /// A version behind the horizon was met.
    pub(super) fn pass_by(&mut self, key: &[u8]) {
        if let Some(horizon) = &mut self.horizon {
            horizon.unknown_bytes += growth(key);
        }
    }

    /// Gives up the last keys until no more than `bytes` are taken; false if that cannot be.
    pub(crate) fn give_up(&mut self, bytes: u64) -> bool {
        while self.bytes() > bytes {
            let mut last = self.buckets.iter_mut().rev();
            let Some((name, bucket)) = last.find(|(_, bucket)| bucket.tree.len() > 0) else {
                return false;
            };
            let (name, before) = (name.clone(), bucket.ram_bytes());
            let key = bucket.tree.drop_last_leaf();
            // Newer versions of it may have been the last ones of the leaf before.
            while let Some(last) = bucket.tree.before(bucket.tree.end())
                && bucket.tree.of(last, &key).is_some()
            {
                bucket.tree.remove(last);
            }
            let gone = before - bucket.ram_bytes();
            let is_empty = bucket.is_empty();
            self.tree_bytes -= gone;
            if is_empty {
                self.buckets.remove(&name);
            }
            let unknown_bytes = self.horizon.take().map_or(0, |before| before.unknown_bytes);
            self.horizon = Some(Horizon {
                bucket: name,
                key,
                unknown_bytes: unknown_bytes + gone,
            });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::put;
    use super::super::views::{NOW, Snapshot, Views};
    use super::*;
    use crate::name::SnapshotName;
    use crate::tests::bed::Random;
    use alloc::format;

    /// However the last leaf is cut off, nothing is left of a key that is not known.
    #[test]
    fn a_key_is_known_with_all_its_versions_or_not_at_all() {
        let mut random = Random(5);
        let mut index = Index::default();
        let snapshot = |seq: u64| Snapshot {
            name: SnapshotName::new(&format!("s{seq}")).expect("a name"),
            seq,
            wall_ms: 0,
        };
        let views = Views {
            seq: 1,
            snapshots: (1..8).map(|nth| snapshot(nth * 1_000)).collect(),
            ..Views::default()
        };
        index.recover_views(views);
        for seq in 2..8_000 {
            let key = format!("key {:03}", random.below(300));
            index.recover("b", key.as_bytes(), put(seq, seq), |pos| (0, pos));
        }
        let most = index.bytes();
        assert!(index.is_whole());
        for part in (1..40).rev() {
            assert!(index.give_up(most / 40 * part) || index.totals_at(NOW).keys == 0);
            let horizon = index.horizon.as_ref().expect("some are given up");
            for (name, bucket) in &index.buckets {
                for (key, _) in bucket.versions() {
                    assert!((name, key) < (&horizon.bucket, &*horizon.key), "{part}");
                }
            }
            let bytes = index.buckets.values().map(|bucket| bucket.ram_bytes());
            assert_eq!(index.tree_bytes, bytes.sum::<u64>());
        }
    }
}
