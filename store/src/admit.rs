//! Judging what is handed in: conditions, limits, space.
//!
//! Conditions are judged against everything accepted before, durable or not.
//! What was refused after looking at pending state is told only when that state
//! is durable, and fails with it.

use crate::crowding::promised;
use crate::format::checksum::crc32c;
use crate::format::layout::{CHUNK_BYTES, METADATA_BYTES_MAX};
use crate::index::views::NOW;
use crate::index::{self, Form};
use crate::metadata;
use crate::name::{BucketName, Key};
use crate::queue::{Body, Current, Op, Outcome, Waiting};
use crate::quota::Charge;
use crate::request::{
    Batch, Change, Committed, Condition, Metadata, Refusal, Seq, Ticket, Unavailable, Upload,
};
use crate::store::Store;
use crate::uploads::Submitted;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

mod ends;

/// Buckets a store takes.
pub(crate) const BUCKETS_MAX: u32 = 1024;
/// Batches that may wait.
const WAITING_MAX: usize = 4096;
/// RAM of a change that waits, beside what it writes.
const OP_BYTES: u64 = 512;

/// A change ready to be judged.
struct Proposal {
    bucket: BucketName,
    key: Key,
    condition: Condition,
    /// None where only the condition is judged.
    body: Option<Body>,
    metadata: Vec<u8>,
    /// If not now.
    modified_wall_ns: Option<u64>,
    value_crc: u32,
    value_len: u64,
    /// Bytes of chunk records that belong to it.
    chunks_len: u64,
}

/// What judging a batch came to.
#[derive(Default)]
pub(crate) struct Verdict {
    ops: Vec<Op>,
    versions: BTreeMap<(BucketName, Key), Current>,
    committed: Committed,
    observed: Option<u64>,
}

impl Verdict {
    /// The last pending batch that was looked at.
    pub(crate) fn observed(&self) -> Option<u64> {
        self.observed
    }

    /// Of changes that are none of a key.
    pub(crate) fn of(ops: Vec<Op>) -> Verdict {
        Verdict {
            ops,
            ..Verdict::default()
        }
    }
}

/// Whether `condition` holds of a key at version `current`.
fn holds(condition: &Condition, current: Option<&Metadata>) -> bool {
    match condition {
        Condition::None => true,
        Condition::Exists => current.is_some(),
        Condition::Absent => current.is_none(),
        Condition::AnyOf(seqs) => current.is_some_and(|current| seqs.contains(&current.seq)),
        Condition::NoneOf(seqs) => current.is_none_or(|current| !seqs.contains(&current.seq)),
        // RFC 9110 13.1.4: ignored where there is no date to compare.
        Condition::UnmodifiedSince(seconds) => {
            current.is_none_or(|current| current.modified_wall_ns / 1_000_000_000 <= *seconds)
        }
    }
}

impl Store {
    pub(crate) fn submit_batch(&mut self, batch: Batch) -> Result<Ticket, Refusal> {
        self.writable()?;
        let mut proposals = Vec::new();
        for (bucket, key, condition, change) in batch.changes {
            let (body, metadata, value_crc, value_len) = match change {
                Change::Put { value, headers } => {
                    let limit_bytes = CHUNK_BYTES as u64;
                    if value.len() > CHUNK_BYTES {
                        return Err(Refusal::TooLarge { limit_bytes });
                    }
                    let (crc, len) = (crc32c(0, &value), value.len() as u64);
                    let body = Some(Body::Put { value });
                    (body, checked_metadata(&headers)?, crc, len)
                }
                Change::Delete => (Some(Body::Delete), Vec::new(), 0, 0),
                Change::Check => (None, Vec::new(), 0, 0),
            };
            let chunks_len = 0;
            proposals.push(Proposal {
                bucket,
                key,
                condition,
                body,
                metadata,
                modified_wall_ns: None,
                value_crc,
                value_len,
                chunks_len,
            });
        }
        self.propose(proposals).map(|submitted| match submitted {
            Submitted::Accepted(ticket) | Submitted::Deferred(ticket) => ticket,
        })
    }

    /// A value that came by an upload and fits one record.
    pub(crate) fn submit_value(
        &mut self,
        (bucket, key): (BucketName, Key),
        condition: Condition,
        (metadata, modified_wall_ns): (Vec<u8>, Option<u64>),
        value: Vec<u8>,
    ) -> Result<Ticket, Refusal> {
        self.writable()?;
        let (value_crc, value_len) = (crc32c(0, &value), value.len() as u64);
        let body = Some(Body::Put { value });
        let chunks_len = 0;
        let proposal = Proposal {
            bucket,
            key,
            condition,
            body,
            metadata,
            modified_wall_ns,
            value_crc,
            value_len,
            chunks_len,
        };
        self.propose(alloc::vec![proposal])
            .map(|submitted| match submitted {
                Submitted::Accepted(ticket) | Submitted::Deferred(ticket) => ticket,
            })
    }

    /// The manifest of an upload whose chunks are written or wait.
    pub(crate) fn submit_manifest(&mut self, id: u64) -> Result<Submitted, Refusal> {
        self.writable()?;
        let Some(state) = self.upload_state(id) else {
            return Err(Refusal::OutcomeUnknown);
        };
        let value_len = state.value_len;
        let proposal = Proposal {
            bucket: state.bucket.clone(),
            key: state.key.clone(),
            condition: state.condition.clone(),
            body: Some(Body::Manifest {
                upload: state.upload,
                value_len,
                upload_id: id,
            }),
            metadata: state.metadata.clone(),
            modified_wall_ns: state.modified_wall_ns,
            value_crc: state.crc,
            value_len,
            chunks_len: state.stored_len(),
        };
        self.propose(alloc::vec![proposal])
    }

    /// Judges the beginning of an upload, as far as it can be judged now.
    pub(crate) fn admit_upload(
        &mut self,
        (bucket, key): (BucketName, Key),
        condition: Condition,
        headers: &crate::request::Headers,
        len_bytes: Option<u64>,
    ) -> Result<Upload, Refusal> {
        self.writable()?;
        let metadata = checked_metadata(headers)?;
        let limit_bytes = self.layout().value_bytes_max();
        if len_bytes.is_some_and(|len_bytes| len_bytes > limit_bytes) {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let current = self.accepted_version(&bucket, &key);
        let fails = current.observed.is_none() && !holds(&condition, current.metadata.as_ref());
        self.check_buckets(core::iter::once(&bucket))?;
        // What there is no space for is refused for that, whatever the condition.
        self.has_space(promised(len_bytes))?;
        if fails {
            return Err(Refusal::Condition {
                index: 0,
                current: current.metadata,
            });
        }
        if !self.has_upload_place() {
            return Err(Refusal::Unavailable(Unavailable::Busy));
        }
        Ok(self.add_upload((bucket, key), condition, metadata, len_bytes))
    }

    /// A key as it will be when everything accepted is durable, which is decided now if its time
    /// is over.
    pub(crate) fn accepted_version(&mut self, bucket: &BucketName, key: &Key) -> Current {
        self.decide_ends(core::iter::once((bucket, key)));
        self.current(bucket, key)
    }

    /// A key as it will be when everything accepted is durable.
    fn current(&self, bucket: &BucketName, key: &Key) -> Current {
        let mut current = self.standing(bucket, key);
        let standing = current.metadata.take();
        current.metadata = standing.filter(|metadata| !self.is_past(metadata));
        current
    }

    /// The same, whether its time is over or not.
    fn standing(&self, bucket: &BucketName, key: &Key) -> Current {
        if let Some(pending) = self.queue.pending(bucket, key) {
            return pending.clone();
        }
        let (name, key) = (bucket.as_str(), key.as_bytes());
        let observed = self.queue.undone_by(bucket);
        let views = self.views();
        let Some(seen) = self.index.seen_under((name, views), key, NOW) else {
            return Current {
                observed,
                ..Current::default()
            };
        };
        let chunks = match seen.form {
            Form::Chunked => self.large.stored_len(seen.seq),
            _ => 0,
        };
        Current {
            metadata: seen.is_put().then(|| seen.metadata()),
            stored_len: seen.record_len(name, key) + chunks,
            charge: Charge::of(&seen, key),
            observed,
            kept: views.newest().is_some_and(|newest| newest > seen.seq),
        }
    }

    fn propose(&mut self, proposals: Vec<Proposal>) -> Result<Submitted, Refusal> {
        if self.is_queue_full() {
            return Err(Refusal::Unavailable(Unavailable::Busy));
        }
        let named = proposals.iter();
        self.decide_ends(named.map(|proposal| (&proposal.bucket, &proposal.key)));
        let all_deletes = proposals
            .iter()
            .all(|proposal| matches!(proposal.body, Some(Body::Delete)));
        let wanted = !proposals.is_empty();
        let (refusal, observed) = match self.judge(proposals) {
            Err(refused) => refused,
            Ok(verdict) if verdict.ops.is_empty() => {
                let observed = verdict.observed;
                if !(all_deletes && wanted) {
                    let ticket = self
                        .queue
                        .defer(observed.unwrap_or(0), Ok(verdict.committed));
                    return Ok(Submitted::Deferred(ticket));
                }
                (Refusal::NotFound, observed)
            }
            Ok(verdict) => {
                self.check_space(&verdict)
                    .map_err(|refusal| self.unless_due(refusal))?;
                return Ok(Submitted::Accepted(self.accept(verdict)));
            }
        };
        match observed {
            None => Err(refusal),
            Some(observed) => Ok(Submitted::Deferred(
                self.queue.defer(observed, Err(refusal)),
            )),
        }
    }

    /// Whether so much waits that nothing more is taken for now.
    pub(crate) fn is_queue_full(&self) -> bool {
        let waiting_bytes = self.queue.waiting_bytes + self.queue.waiting_ops * OP_BYTES;
        self.queue.waiting.len() >= WAITING_MAX || waiting_bytes >= self.waiting_max()
    }

    fn judge(&mut self, proposals: Vec<Proposal>) -> Result<Verdict, (Refusal, Option<u64>)> {
        let mut verdict = Verdict::default();
        let batch = self.queue.next_batch();
        for (index, mut proposal) in proposals.into_iter().enumerate() {
            let name = (proposal.bucket.clone(), proposal.key.clone());
            let current = match verdict.versions.get(&name) {
                Some(current) => current.clone(),
                None => self.current(&name.0, &name.1),
            };
            if current.observed != Some(batch) {
                verdict.observed = verdict.observed.max(current.observed);
            }
            let before = current.metadata.is_some();
            if !holds(&proposal.condition, current.metadata.as_ref()) {
                // What this batch would have put there never was.
                let told = match current.observed == Some(batch) {
                    true => self.current(&name.0, &name.1),
                    false => current,
                };
                verdict.observed = verdict.observed.max(told.observed);
                let refusal = Refusal::Condition {
                    index,
                    current: told.metadata,
                };
                return Err((refusal, verdict.observed));
            }
            let Some(body) = proposal.body.take() else {
                let checked = (current.metadata, before);
                verdict.committed.results.push(checked);
                continue;
            };
            if matches!(body, Body::Delete) && !before {
                verdict.committed.results.push((None, false));
                continue;
            }
            let number = verdict.ops.len() as u64;
            let (op, version) = self.decide((proposal, body), &current, number, batch);
            verdict
                .committed
                .results
                .push((version.metadata.clone(), before));
            verdict.ops.push(op);
            verdict.versions.insert(name, version);
        }
        Ok(verdict)
    }

    /// The op of one change, and the key after it.
    fn decide(
        &self,
        (proposal, body): (Proposal, Body),
        current: &Current,
        number: u64,
        batch: u64,
    ) -> (Op, Current) {
        let seq = self.log().next_seq + number;
        // As precise as the index keeps it.
        let modified_wall_ns = proposal.modified_wall_ns.unwrap_or(self.now.wall_ns);
        let modified_wall_ns = modified_wall_ns / 1_000_000 * 1_000_000;
        let key = proposal.key.as_bytes();
        let replaces = current.metadata.is_some() && !current.kept;
        let growth = if replaces { 0 } else { index::growth(key) };
        let deleted = matches!(body, Body::Delete);
        let bytes = index::charge(key, proposal.metadata.len() as u64, proposal.value_len);
        let charge = match deleted {
            true => Charge::default(),
            false => Charge {
                bytes: bytes as i64,
                keys: 1,
            },
        };
        let mut op = Op {
            bucket: proposal.bucket,
            key: Some(proposal.key),
            seq,
            modified_wall_ns,
            metadata: proposal.metadata,
            value_crc: proposal.value_crc,
            body,
            record_len: 0,
            delta: 0,
            charge: charge - current.charge,
            growth,
            pos: 0,
        };
        op.record_len = crate::gather::record_len(&op);
        let freed = if current.kept { 0 } else { current.stored_len };
        op.delta = i64::from(op.record_len) - freed as i64;
        let metadata = (!deleted).then_some(Metadata {
            seq: Seq(seq),
            len_bytes: proposal.value_len,
            checksum: proposal.value_crc,
            modified_wall_ns,
            expires_wall_ms: expires_wall_ms(&op.metadata),
        });
        let version = Current {
            metadata,
            stored_len: u64::from(op.record_len) + proposal.chunks_len,
            charge,
            observed: Some(batch),
            kept: false,
        };
        (op, version)
    }

    pub(crate) fn check_space(&mut self, verdict: &Verdict) -> Result<(), Refusal> {
        let limit_bytes = self.layout().batch_bytes_max();
        if verdict
            .ops
            .iter()
            .map(|op| u64::from(op.record_len))
            .sum::<u64>()
            > limit_bytes
        {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let growth: u64 = verdict.ops.iter().map(|op| op.growth).sum();
        let all_deletes = verdict.ops.iter().all(|op| matches!(op.body, Body::Delete));
        if growth > 0
            && !all_deletes
            && let Some(refusal) = self.memory_refusal(growth)
        {
            return Err(refusal);
        }
        let delta: i64 = verdict.ops.iter().map(|op| op.delta).sum();
        let (limit_bytes, used_bytes) = (self.limit_bytes(), self.projected_bytes());
        if delta > 0 && used_bytes + delta as u64 > limit_bytes {
            return Err(self.no_space(limit_bytes, used_bytes));
        }
        let puts = verdict
            .ops
            .iter()
            .filter(|op| !matches!(op.body, Body::Delete | Body::Views(_)));
        self.check_buckets(puts.map(|op| &op.bucket))?;
        // A bucket may have more than its quota, and so may a backup of it.
        match self.is_restoring() {
            true => Ok(()),
            false => self.check_quotas(&verdict.ops),
        }
    }

    pub(crate) fn check_buckets<'a>(
        &self,
        wanted: impl Iterator<Item = &'a BucketName>,
    ) -> Result<(), Refusal> {
        // The appliance's own is none of those that are counted.
        let known =
            |bucket: &&BucketName| !bucket.is_system() && !self.index.buckets.contains_key(*bucket);
        let new: BTreeSet<&BucketName> = wanted.filter(known).collect();
        if new.is_empty() {
            return Ok(());
        }
        let pending = self.queue.pending_buckets().filter(known);
        let new = new
            .into_iter()
            .chain(pending)
            .collect::<BTreeSet<_>>()
            .len();
        if self.index.buckets.len() + new > BUCKETS_MAX as usize {
            return Err(Refusal::TooManyBuckets { limit: BUCKETS_MAX });
        }
        Ok(())
    }

    pub(crate) fn accept(&mut self, verdict: Verdict) -> Ticket {
        let bytes = verdict.ops.iter().map(|op| u64::from(op.record_len)).sum();
        self.log_mut().next_seq += verdict.ops.len() as u64;
        let versions = verdict.versions.into_iter();
        let versions = versions
            .map(|((bucket, key), version)| (bucket, key, version))
            .collect();
        let batch = Waiting {
            id: self.queue.next_batch(),
            ops: verdict.ops,
            committed: verdict.committed,
            outcome: Outcome::default(),
            bytes,
        };
        self.queue.accept(batch, versions)
    }
}

fn expires_wall_ms(metadata: &[u8]) -> Option<u64> {
    let expires_ms = metadata::expires_ms(metadata);
    (expires_ms > 0).then_some(expires_ms)
}

fn checked_metadata(headers: &crate::request::Headers) -> Result<Vec<u8>, Refusal> {
    let encoded = metadata::encode(headers);
    if encoded.len() > METADATA_BYTES_MAX {
        return Err(Refusal::TooLarge {
            limit_bytes: METADATA_BYTES_MAX as u64,
        });
    }
    Ok(encoded)
}
