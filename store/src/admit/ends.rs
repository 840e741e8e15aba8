//! Judging by what is over: its tombstones come first, and go to the limits like any write.

use super::{Proposal, Verdict};
use crate::disk::Moved;
use crate::name::{BucketName, Key};
use crate::queue::Body;
use crate::request::{Condition, Metadata, Refusal, Unavailable};
use crate::store::Store;
use alloc::vec::Vec;

impl Proposal {
    fn removal(bucket: BucketName, key: Key) -> Proposal {
        Proposal {
            bucket,
            key,
            condition: Condition::None,
            body: None,
            metadata: Vec::new(),
            modified_wall_ns: None,
            value_crc: 0,
            value_len: 0,
            chunks_len: 0,
        }
    }
}

impl Store {
    /// Whether a version's time is over.
    pub(super) fn is_past(&self, metadata: &Metadata) -> bool {
        let end = metadata.expires_wall_ms;
        end.is_some_and(|expires_ms| expires_ms <= self.expiry_now_ms())
    }

    /// What of these is over is decided before anything is judged by it.
    pub(super) fn decide_ends<'a>(
        &mut self,
        named: impl Iterator<Item = (&'a BucketName, &'a Key)>,
    ) {
        if !self.index.has_ends() {
            return;
        }
        let named = named.map(|(bucket, key)| (bucket.clone(), key.clone()));
        let over = named.filter(|(bucket, key)| {
            let standing = self.standing(bucket, key).metadata;
            standing.is_some_and(|metadata| self.is_past(&metadata))
        });
        let over: Vec<(BucketName, Key)> = over.collect();
        self.remove_due(&over);
    }

    /// Whether the limits take the tombstones of a batch.
    pub(crate) fn fits_limits(&self, verdict: &Verdict) -> bool {
        let delta: i64 = verdict.ops.iter().map(|op| op.delta).sum();
        let growth: u64 = verdict.ops.iter().map(|op| op.growth).sum();
        let room = self.limit_bytes().saturating_sub(self.projected_bytes());
        let on_disk = delta <= 0 || delta as u64 <= room;
        on_disk && (growth == 0 || self.memory_refusal(growth).is_none())
    }

    /// What is over and not removed yet may be what a refusal is about.
    pub(super) fn unless_due(&mut self, refusal: Refusal) -> Refusal {
        let is_space = matches!(refusal, Refusal::NoSpace(_)) && !self.is_restoring();
        match is_space && (self.expire_due_now() == Moved::Yes || self.has_due()) {
            true => Refusal::Unavailable(Unavailable::Busy),
            false => refusal,
        }
    }

    /// The tombstones of keys whose time is over, and how many they are.
    pub(crate) fn removal(&self, keys: &[(BucketName, Key)]) -> (Verdict, u64) {
        let mut verdict = Verdict::default();
        let batch = self.queue.next_batch();
        for (bucket, key) in keys {
            let current = self.standing(bucket, key);
            verdict.observed = verdict.observed.max(current.observed);
            // What was put meanwhile, or is brought back, has an end of its own.
            if !current
                .metadata
                .as_ref()
                .is_some_and(|metadata| self.is_past(metadata))
            {
                continue;
            }
            let number = verdict.ops.len() as u64;
            let removal = Proposal::removal(bucket.clone(), key.clone());
            let (op, version) = self.decide((removal, Body::Delete), &current, number, batch);
            verdict.committed.results.push((None, true));
            verdict.ops.push(op);
            verdict
                .versions
                .insert((bucket.clone(), key.clone()), version);
        }
        let removed = verdict.ops.len() as u64;
        (verdict, removed)
    }
}
