//! Limits that come near: said before they are reached.
//!
//! # Invariants
//!
//! - A level is said once when it is reached, and again only after the use has fallen
//!   [`BACK_PERCENT`] below it.

use crate::gather::Contents;
use crate::index::Totals;
use crate::name::BucketName;
use crate::queue::Body;
use crate::store::Store;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

/// How far below a level the use falls before the level is left.
const BACK_PERCENT: u64 = 5;

/// What is limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Bytes of the disk that records can take, snapshots' included.
    Disk,
    /// Bytes of RAM that the index can take.
    Memory,
    /// A bucket's quota in bytes.
    Quota(BucketName),
    /// A bucket's quota in keys.
    QuotaKeys(BucketName),
}

/// How near a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 80 % of it are used.
    High,
    /// 95 % of it are used.
    Critical,
}

/// A limit that is near, with the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Of what.
    pub resource: Resource,
    /// How near.
    pub level: Level,
    /// Bytes, or keys, in use.
    pub used: u64,
    /// How many there can be.
    pub limit: u64,
}

impl Level {
    /// From how many percent on.
    pub fn percent(self) -> u64 {
        match self {
            Level::High => 80,
            Level::Critical => 95,
        }
    }

    /// The level of a use, which was at `before`.
    fn of(used: u64, limit: u64, before: Option<Level>) -> Option<Level> {
        let reached = |level: &Level| {
            let stays = before.is_some_and(|before| before >= *level);
            let from = level.percent() - if stays { BACK_PERCENT } else { 0 };
            u128::from(used) * 100 >= u128::from(limit) * u128::from(from)
        };
        let levels = [Level::Critical, Level::High];
        levels.into_iter().find(|level| limit > 0 && reached(level))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning { used, limit, .. } = self;
        let percent = u128::from(*used) * 100 / u128::from(*limit).max(1);
        match &self.resource {
            Resource::Disk => write!(
                f,
                "{percent} % of the disk are used ({used} of {limit} bytes): delete keys or snapshots, or attach a larger disk"
            ),
            Resource::Memory => write!(
                f,
                "{percent} % of the index's memory are used ({used} of {limit} bytes): delete keys or snapshots, or give the VM more memory"
            ),
            Resource::Quota(bucket) => write!(
                f,
                "bucket {} uses {percent} % of its quota ({used} of {limit} bytes): delete keys or raise the quota",
                bucket.as_str()
            ),
            Resource::QuotaKeys(bucket) => write!(
                f,
                "bucket {} uses {percent} % of its quota ({used} of {limit} keys): delete keys or raise the quota",
                bucket.as_str()
            ),
        }
    }
}

/// The levels that are reached.
#[derive(Debug, Default)]
pub(crate) struct Pressure(BTreeMap<Resource, Warning>);

impl Pressure {
    /// Says what has been reached.
    fn note(&mut self, resource: Resource, used: u64, limit: u64) {
        let before = self.0.get(&resource).map(|warning| warning.level);
        let Some(level) = Level::of(used, limit, before) else {
            self.0.remove(&resource);
            return;
        };
        let warning = Warning {
            resource: resource.clone(),
            level,
            used,
            limit,
        };
        if before.is_none_or(|before| before < level) {
            log::warn!("store: {warning}");
        }
        self.0.insert(resource, warning);
    }
}

/// The buckets whose use a group changes.
pub(crate) fn touched(contents: &Contents) -> BTreeSet<BucketName> {
    let ops = contents.batches.iter().flat_map(|batch| &batch.ops);
    ops.flat_map(|op| match &op.body {
        Body::Views(change) => change
            .charges
            .iter()
            .map(|(name, _)| name.clone())
            .collect(),
        _ => alloc::vec![op.bucket.clone()],
    })
    .collect()
}

impl Store {
    /// The limits that are near, those of buckets last.
    pub fn warnings(&self) -> Vec<Warning> {
        self.pressure.0.values().cloned().collect()
    }

    /// Looks at the limits of everything, and of those buckets.
    pub(crate) fn watch_limits(&mut self, buckets: BTreeSet<BucketName>) {
        let (used, limit) = (self.projected_bytes(), self.limit_bytes());
        self.pressure.note(Resource::Disk, used, limit);
        let used = self.index.bytes() + self.large.bytes();
        let limit = self.index_limit_bytes();
        self.pressure.note(Resource::Memory, used, limit);
        for name in buckets {
            let bucket = self.index.buckets.get(&name);
            let limits = bucket.and_then(|bucket| bucket.quota);
            let limits = limits.map(|quota| quota.limits).unwrap_or_default();
            let Totals {
                keys,
                charged_bytes,
            } = bucket
                .map(|bucket| self.shown_totals(&name, bucket))
                .unwrap_or_default();
            let in_bytes = Resource::Quota(name.clone());
            self.pressure.note(in_bytes, charged_bytes, limits.bytes);
            let in_keys = Resource::QuotaKeys(name);
            self.pressure.note(in_keys, keys, limits.keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_and_left_again_further_below() {
        let level = |used, before| Level::of(used, 1000, before);
        assert_eq!(level(799, None), None);
        assert_eq!(level(800, None), Some(Level::High));
        assert_eq!(level(949, Some(Level::High)), Some(Level::High));
        assert_eq!(level(950, Some(Level::High)), Some(Level::Critical));
        assert_eq!(level(900, Some(Level::Critical)), Some(Level::Critical));
        assert_eq!(level(899, Some(Level::Critical)), Some(Level::High));
        assert_eq!(level(750, Some(Level::High)), Some(Level::High));
        assert_eq!(level(749, Some(Level::High)), None);
        assert_eq!(Level::of(u64::MAX, u64::MAX, None), Some(Level::Critical));
        assert_eq!(Level::of(5, 0, None), None, "no limit");
    }
}
