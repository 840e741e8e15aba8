//! Quotas of buckets: what is counted, and the refusal to go beyond.
//!
//! # Invariants
//!
//! - What a bucket uses is the sum over the keys that are shown now, and what is pending.

use crate::admit::Verdict;
use crate::index::{Totals, Version};
use crate::name::BucketName;
use crate::queue::{Body, Op};
use crate::request::{NoSpace, QuotaLimits, Refusal, Ticket};
use crate::store::Store;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{AddAssign, Sub, SubAssign};

/// What something costs a quota, or a difference of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) bytes: i64,
    pub(crate) keys: i64,
}

impl Charge {
    /// What a version costs.
    pub(crate) fn of(version: &Version, key: &[u8]) -> Charge {
        Charge {
            bytes: version.charge(key) as i64,
            keys: i64::from(version.is_put()),
        }
    }
}

impl From<Totals> for Charge {
    fn from(totals: Totals) -> Charge {
        Charge {
            bytes: totals.charged_bytes as i64,
            keys: totals.keys as i64,
        }
    }
}

impl AddAssign for Charge {
    fn add_assign(&mut self, other: Charge) {
        self.bytes += other.bytes;
        self.keys += other.keys;
    }
}

impl SubAssign for Charge {
    fn sub_assign(&mut self, other: Charge) {
        self.bytes -= other.bytes;
        self.keys -= other.keys;
    }
}

impl Sub for Charge {
    type Output = Charge;

    fn sub(mut self, other: Charge) -> Charge {
        self -= other;
        self
    }
}

impl QuotaLimits {
    /// A refusal, if `more` beside `used` is beyond; what does not grow is never refused.
    fn refuses(&self, used: Charge, more: Charge) -> Option<NoSpace> {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let is_over = |limit: u64, used: i64, more: i64| {
            limit > 0 && more > 0 && count(used) + more as u64 > limit
        };
        if is_over(self.bytes, used.bytes, more.bytes) {
            return Some(NoSpace::Quota {
                limit_bytes: self.bytes,
                used_bytes: count(used.bytes),
            });
        }
        is_over(self.keys, used.keys, more.keys).then_some(NoSpace::QuotaKeys {
            limit: self.keys,
            used: count(used.keys),
        })
    }
}

impl Store {
    /// What a bucket uses once everything accepted is durable.
    pub(crate) fn used(&self, name: &BucketName) -> Charge {
        let shown = self.index.buckets.get(name);
        let mut used = Charge::from(shown.map_or_else(Totals::default, |bucket| bucket.totals));
        used += self.queue.pending_charge(name);
        used
    }

    pub(crate) fn check_quotas(&self, ops: &[Op]) -> Result<(), Refusal> {
        let mut charges: BTreeMap<&BucketName, Charge> = BTreeMap::new();
        for op in ops {
            *charges.entry(&op.bucket).or_default() += op.charge;
        }
        for (name, charge) in charges {
            let bucket = self.index.buckets.get(name);
            let quota = bucket.and_then(|bucket| bucket.quota);
            let refused = quota.and_then(|quota| quota.limits.refuses(self.used(name), charge));
            if let Some(refused) = refused {
                return Err(Refusal::NoSpace(refused));
            }
        }
        Ok(())
    }

    /// Sets the quota of a bucket.
    ///
    /// What is in the bucket stays, even if it is more than that.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn set_quota(
        &mut self,
        bucket: BucketName,
        limits: QuotaLimits,
    ) -> Result<Ticket, Refusal> {
        self.changeable()?;
        self.check_buckets(core::iter::once(&bucket))?;
        let verdict = Verdict::of(Vec::from([self.quota_op(
            self.log().next_seq,
            bucket,
            limits,
        )]));
        self.check_space(&verdict)?;
        Ok(self.accept(verdict))
    }

    /// The change of a bucket's quota with sequence `seq`.
    pub(crate) fn quota_op(&self, seq: u64, bucket: BucketName, limits: QuotaLimits) -> Op {
        let old = self.index.buckets.get(&bucket);
        let old = old.and_then(|bucket| bucket.quota);
        let mut op = Op {
            bucket,
            key: None,
            seq,
            modified_wall_ns: self.now.wall_ns,
            metadata: Vec::new(),
            value_crc: 0,
            body: Body::Quota { limits },
            record_len: 0,
            delta: 0,
            charge: Charge::default(),
            growth: 0,
            pos: 0,
        };
        op.record_len = crate::gather::record_len(&op);
        op.delta = i64::from(op.record_len) - old.map_or(0, |old| i64::from(old.record_len));
        op
    }

    /// The quota of a bucket once everything accepted is durable.
    pub fn accepted_quota(&self, bucket: &BucketName) -> QuotaLimits {
        let in_flight = self.in_flight.iter();
        let in_flight = in_flight.flat_map(|group| &group.contents.batches);
        let batches = in_flight.chain(&self.queue.waiting);
        let mut pending = batches.flat_map(|batch| &batch.ops).filter_map(|op| {
            let Body::Quota { limits } = op.body else {
                return None;
            };
            (op.bucket == *bucket).then_some(limits)
        });
        let last = pending.next_back();
        last.unwrap_or_else(|| self.quota(bucket).0)
    }

    /// The quota of a bucket, and what it uses of it, durably.
    pub fn quota(&self, bucket: &BucketName) -> (QuotaLimits, QuotaLimits) {
        let found = self.index.buckets.get(bucket);
        let limits = found.and_then(|bucket| bucket.quota);
        let used = found.map(|found| self.shown_totals(bucket, found));
        let used = used.unwrap_or_default();
        let used = QuotaLimits {
            bytes: used.charged_bytes,
            keys: used.keys,
        };
        (
            limits.map_or_else(QuotaLimits::default, |quota| quota.limits),
            used,
        )
    }
}
