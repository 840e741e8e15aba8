//! What was accepted and is not durable yet.
//!
//! Conditions are judged against it; nobody else sees it. An answer that
//! observed it waits here until what it observed is durable.
//!
//! # Invariants
//!
//! - Batches become durable in the order they were accepted.
//! - `delta`, `growth`, `reserved` and the charges are the sums over what is
//!   pending, so that with the durable numbers they give what will be.

use crate::index::views::{Views, undoes};
use crate::name::{BucketName, Key};
use crate::quota::Charge;
use crate::request::{Committed, Metadata, QuotaLimits, Refusal, Ticket};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Where the outcome of a batch is left for its ticket.
pub(crate) type Outcome = Rc<RefCell<Option<Result<Committed, Refusal>>>>;

/// What a change writes.
#[derive(Debug)]
pub(crate) enum Body {
    Put {
        value: Vec<u8>,
    },
    Delete,
    Manifest {
        upload: u64,
        value_len: u64,
        upload_id: u64,
    },
    Quota {
        limits: QuotaLimits,
    },
    /// Other snapshots and rollbacks than before.
    Views(Box<ViewsChange>),
}

/// A change of the snapshots and rollbacks.
#[derive(Debug)]
pub(crate) struct ViewsChange {
    /// As they are then.
    pub(crate) views: Views,
    /// As the record has it.
    pub(crate) list: Vec<u8>,
    /// What it changes of the buckets' charges.
    pub(crate) charges: Vec<(BucketName, Charge)>,
    /// Whether it is a rollback, and of what: `None` is of everything.
    pub(crate) undoes: Option<Option<BucketName>>,
}

/// One accepted change.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) bucket: BucketName,
    /// `None` for a quota, and for snapshots, whose bucket is the system's.
    pub(crate) key: Option<Key>,
    pub(crate) seq: u64,
    pub(crate) modified_wall_ns: u64,
    pub(crate) metadata: Vec<u8>,
    pub(crate) value_crc: u32,
    pub(crate) body: Body,
    pub(crate) record_len: u32,
    /// Change of live bytes when it is durable.
    pub(crate) delta: i64,
    /// Change of the bucket's charge.
    pub(crate) charge: Charge,
    /// Growth of the index.
    pub(crate) growth: u64,
    /// Where it was written.
    pub(crate) pos: u64,
}

/// One accepted batch.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) committed: Committed,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: u64,
}

impl Waiting {
    /// What makes room, or undoes, may use a part of the reserve.
    pub(crate) fn only_deletes(&self) -> bool {
        let makes_room = |op: &Op| matches!(op.body, Body::Delete | Body::Views(_));
        self.ops.iter().all(makes_room)
    }
}

/// A key as it will be once everything accepted is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) metadata: Option<Metadata>,
    /// Bytes of its records that count.
    pub(crate) stored_len: u64,
    pub(crate) charge: Charge,
    /// The pending batch this was seen in.
    pub(crate) observed: Option<u64>,
    /// A snapshot keeps this version: who writes the key again frees nothing.
    pub(crate) kept: bool,
}

/// All that is pending.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) waiting_bytes: u64,
    /// Ops of all of them.
    pub(crate) waiting_ops: u64,
    overlay: BTreeMap<BucketName, BTreeMap<Box<[u8]>, Current>>,
    deferred: VecDeque<(u64, Outcome, Result<Committed, Refusal>)>,
    last_batch: u64,
    durable_batch: u64,
    pub(crate) delta: i64,
    pub(crate) growth: u64,
    pub(crate) reserved: u64,
    charges: BTreeMap<BucketName, Charge>,
    /// The last pending change of snapshots and rollbacks, and what pending rollbacks undo, with
    /// their batches.
    views: Option<Views>,
    undone: Vec<(Option<BucketName>, u64)>,
}

/// A ticket whose outcome is known already.
pub(crate) fn settled(result: Result<Committed, Refusal>) -> Ticket {
    Ticket(Rc::new(RefCell::new(Some(result))))
}

impl Queue {
    /// Number of the next batch.
    pub(crate) fn next_batch(&self) -> u64 {
        self.last_batch + 1
    }

    /// The pending version of a key, if there is one.
    pub(crate) fn pending(&self, bucket: &BucketName, key: &Key) -> Option<&Current> {
        self.overlay.get(bucket)?.get(key.as_bytes())
    }

    /// Buckets that have pending changes.
    pub(crate) fn pending_buckets(&self) -> impl Iterator<Item = &BucketName> {
        self.overlay.keys()
    }

    pub(crate) fn pending_charge(&self, bucket: &BucketName) -> Charge {
        self.charges.get(bucket).copied().unwrap_or_default()
    }

    /// Snapshots and rollbacks as they will be, if any change of them is pending.
    pub(crate) fn pending_views(&self) -> Option<&Views> {
        self.views.as_ref()
    }

    /// The last pending rollback that concerns a bucket.
    pub(crate) fn undone_by(&self, bucket: &BucketName) -> Option<u64> {
        let concerns = |only: &Option<BucketName>| undoes(only.as_ref(), bucket.as_str());
        let of_bucket = self.undone.iter().filter(|(only, _)| concerns(only));
        of_bucket.map(|(_, batch)| *batch).max()
    }

    /// A change of views is accepted: what is pending is kept by a new snapshot, or undone.
    fn accept_views(&mut self, batch: u64, change: &ViewsChange) {
        for (bucket, charge) in &change.charges {
            *self.charges.entry(bucket.clone()).or_default() += *charge;
        }
        if let Some(undone) = &change.undoes {
            let concerned = |name: &BucketName| undoes(undone.as_ref(), name.as_str());
            self.overlay.retain(|name, _| !concerned(name));
            self.undone.push((undone.clone(), batch));
        }
        let is_kept = change.views.newest() == Some(change.views.seq);
        for current in self.overlay.values_mut().flat_map(BTreeMap::values_mut) {
            current.kept |= is_kept;
        }
        self.views = Some(change.views.clone());
    }

    /// Takes in an accepted batch; `versions` are its keys afterwards.
    pub(crate) fn accept(
        &mut self,
        batch: Waiting,
        versions: Vec<(BucketName, Key, Current)>,
    ) -> Ticket {
        assert_eq!(batch.id, self.next_batch(), "batches are numbered in order");
        self.last_batch = batch.id;
        for (bucket, key, version) in versions {
            self.overlay
                .entry(bucket)
                .or_default()
                .insert(key.as_bytes().into(), version);
        }
        for op in &batch.ops {
            self.delta += op.delta;
            self.growth += op.growth;
            *self.charges.entry(op.bucket.clone()).or_default() += op.charge;
            if let Body::Views(change) = &op.body {
                self.accept_views(batch.id, change);
            }
        }
        self.waiting_bytes += batch.bytes;
        self.waiting_ops += batch.ops.len() as u64;
        let ticket = Ticket(Rc::clone(&batch.outcome));
        self.waiting.push_back(batch);
        ticket
    }

    /// An answer that may be known once batch `observed` is durable.
    pub(crate) fn defer(&mut self, observed: u64, result: Result<Committed, Refusal>) -> Ticket {
        if observed <= self.durable_batch {
            return settled(result);
        }
        let outcome: Outcome = Rc::default();
        self.deferred
            .push_back((observed, Rc::clone(&outcome), result));
        Ticket(outcome)
    }

    /// Takes the first batch out, to be written.
    pub(crate) fn take_front(&mut self) -> Option<Waiting> {
        let batch = self.waiting.pop_front()?;
        self.waiting_bytes -= batch.bytes;
        self.waiting_ops -= batch.ops.len() as u64;
        Some(batch)
    }

    /// An op of a batch has become durable: it is not pending any more.
    pub(crate) fn settle_op(&mut self, batch: u64, op: &Op) {
        self.delta -= op.delta;
        self.growth -= op.growth;
        self.settle_charge(&op.bucket, op.charge);
        if let Body::Views(change) = &op.body {
            for (bucket, charge) in &change.charges {
                self.settle_charge(bucket, *charge);
            }
            let last = self.views.as_ref().is_some_and(|views| views.seq == op.seq);
            if last {
                self.views = None;
            }
        }
        let Some(key) = &op.key else { return };
        let Some(keys) = self.overlay.get_mut(&op.bucket) else {
            return;
        };
        if keys
            .get(key.as_bytes())
            .is_some_and(|current| current.observed == Some(batch))
        {
            keys.remove(key.as_bytes());
        }
        if keys.is_empty() {
            self.overlay.remove(&op.bucket);
        }
    }

    fn settle_charge(&mut self, bucket: &BucketName, settled: Charge) {
        if let Some(charge) = self.charges.get_mut(bucket) {
            *charge -= settled;
            if *charge == Charge::default() {
                self.charges.remove(bucket);
            }
        }
    }

    /// Whether a batch is durable.
    pub(crate) fn is_durable(&self, batch: u64) -> bool {
        batch <= self.durable_batch
    }

    /// All batches up to `batch` are durable: answers that waited for them are released.
    pub(crate) fn durable_through(&mut self, batch: u64) {
        assert!(batch >= self.durable_batch && batch <= self.last_batch);
        self.durable_batch = batch;
        self.undone.retain(|(_, undoing)| *undoing > batch);
        let (ready, rest) = core::mem::take(&mut self.deferred)
            .into_iter()
            .partition(|(observed, _, _)| *observed <= batch);
        self.deferred = rest;
        let ready: VecDeque<(u64, Outcome, Result<Committed, Refusal>)> = ready;
        for (_, outcome, result) in ready {
            *outcome.borrow_mut() = Some(result);
        }
    }

    /// Everything pending ends with `refusal`.
    pub(crate) fn fail_all(&mut self, refusal: &Refusal) {
        let failed = core::mem::take(self);
        for batch in failed.waiting {
            *batch.outcome.borrow_mut() = Some(Err(refusal.clone()));
        }
        for (_, outcome, _) in failed.deferred {
            *outcome.borrow_mut() = Some(Err(refusal.clone()));
        }
        self.last_batch = failed.last_batch;
        self.durable_batch = failed.last_batch;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.deferred.is_empty()
    }
}
