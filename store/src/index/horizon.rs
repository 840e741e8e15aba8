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
    /// RAM that all behind it would take, as far as it was met; of a key that was met twice more.
    unknown_bytes: u64,
}

impl Index {
    /// Whether all versions of a key are here.
    pub(crate) fn is_known(&self, name: &str, key: &[u8]) -> bool {
        let horizon = self.horizon.as_ref();
        horizon.is_none_or(|horizon| (name, key) < (horizon.bucket.as_str(), &*horizon.key))
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

    /// RAM that the whole index would take, or somewhat less.
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
