//! Snapshots: named states that stay readable, and rollback to one of them.
//!
//! # Invariants
//!
//! - A rollback takes a snapshot of what it undoes with the same record, so it can be undone.
//! - Each change is a record of the whole list; what the list says is durable with it.

use crate::admit::Verdict;
use crate::format::record::{self, Record};
use crate::format::views;
use crate::index::TOTALS_BYTES;
use crate::index::views::{Rollback, Snapshot, Views, undoes};
use crate::name::{BucketName, SnapshotName};
use crate::queue::{Body, Op, ViewsChange};
use crate::quota::Charge;
use crate::request::{At, Refusal, Seq, SnapshotStatus, Ticket, Unavailable};
use crate::store::Store;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

impl Store {
    /// The state a snapshot shows, good until the next step; `None` if there is no such snapshot.
    ///
    /// # Errors
    /// [`Unavailable`] while opening or when refused.
    pub fn at(&self, name: &SnapshotName) -> Result<Option<At>, Unavailable> {
        self.readable()?;
        let snapshot = self.index.views().snapshot(name);
        Ok(snapshot.map(|snapshot| At(snapshot.seq)))
    }

    /// The state of the snapshot that was taken at this sequence, as [`Store::at`].
    ///
    /// # Errors
    /// [`Unavailable`] while opening or when refused.
    pub fn at_seq(&self, seq: Seq) -> Result<Option<At>, Unavailable> {
        self.readable()?;
        let mut snapshots = self.index.views().snapshots.iter();
        Ok(snapshots
            .any(|snapshot| snapshot.seq == seq.0)
            .then_some(At(seq.0)))
    }

    /// All snapshots, in the order they were taken.
    ///
    /// What the appliance keeps for itself is not counted.
    ///
    /// # Errors
    /// [`Unavailable`] while opening, when refused, or where only a part is known.
    pub fn snapshots(&self) -> Result<Vec<SnapshotStatus>, Unavailable> {
        self.readable()?;
        self.is_whole()?;
        let snapshots = self.index.views().snapshots.iter();
        let status = |snapshot: &Snapshot| {
            let all = self.index.totals_at(snapshot.seq);
            let own = self.index.totals_of(snapshot.seq, &BucketName::system());
            SnapshotStatus {
                name: snapshot.name.clone(),
                seq: Seq(snapshot.seq),
                taken_wall_ms: snapshot.wall_ms,
                keys: all.keys - own.keys,
                live_bytes: all.charged_bytes - own.charged_bytes,
                held_bytes: self.index.held_alone(snapshot.seq),
            }
        };
        Ok(snapshots.map(status).collect())
    }

    /// Keeps what has been accepted so far readable under a name.
    ///
    /// # Errors
    /// [`Refusal::SnapshotExists`], [`Refusal::TooManySnapshots`], or as [`Store::submit`].
    pub fn take_snapshot(&mut self, name: SnapshotName) -> Result<Ticket, Refusal> {
        self.expire_all()?;
        let mut next = self.next_views()?;
        if next.snapshot(&name).is_some() {
            return Err(Refusal::SnapshotExists);
        }
        next.snapshots.push(self.snapshot_now(name));
        self.check_snapshot(&next, NewState::default())?;
        self.submit_views(next, vec![], None)
    }

    /// Whether disk and memory have room for one more snapshot, the last of these, and for what
    /// is to be written beside it.
    pub(crate) fn check_snapshot(&self, next: &Views, more: NewState) -> Result<(), Refusal> {
        let (limit_bytes, used_bytes) = (self.limit_beside(next), self.projected_bytes());
        if used_bytes.saturating_add(more.live_bytes) > limit_bytes {
            return Err(self.no_space(limit_bytes, used_bytes));
        }
        let totals = TOTALS_BYTES * self.index.buckets.len() as u64;
        let refusal = self.memory_refusal(totals.saturating_add(more.index_bytes));
        refusal.map_or(Ok(()), Err)
    }

    /// Forgets a snapshot: what only it showed becomes free, bit by bit.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSnapshot`], or as [`Store::submit`].
    pub fn delete_snapshot(&mut self, name: &SnapshotName) -> Result<Ticket, Refusal> {
        let mut next = self.next_views()?;
        if next.snapshot(name).is_none() {
            return Err(Refusal::NoSuchSnapshot);
        }
        next.snapshots.retain(|snapshot| snapshot.name != *name);
        self.submit_views(next, vec![], None)
    }

    /// Brings back what a snapshot shows, in one bucket or in all but the appliance's own.
    ///
    /// What was there goes into a snapshot first, whose name comes with the ticket: rolling back to
    /// that one undoes it. Quotas stay what they are.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSnapshot`], [`Refusal::TooManySnapshots`], or as [`Store::submit`].
    pub fn roll_back(
        &mut self,
        to: &SnapshotName,
        bucket: Option<&BucketName>,
    ) -> Result<(Ticket, SnapshotName), Refusal> {
        self.expire_all()?;
        let mut next = self.next_views()?;
        let durable = self.index.views().snapshot(to);
        let Some(to) = durable.filter(|_| next.snapshot(to).is_some()).cloned() else {
            return Err(Refusal::NoSuchSnapshot);
        };
        let at = self.log().next_seq;
        let before = SnapshotName::new(&format!("before-rollback-{at}"));
        let before = before.expect("letters, digits and hyphens");
        if next.snapshot(&before).is_some() {
            return Err(Refusal::SnapshotExists);
        }
        next.snapshots.push(self.snapshot_now(before.clone()));
        next.rollbacks.push(Rollback {
            at,
            to: to.seq,
            bucket: bucket.cloned(),
        });
        let charges = self.charges_back_to(to.seq, bucket);
        let ticket = self.submit_views(next, charges, Some(bucket.cloned()))?;
        Ok((ticket, before))
    }

    /// Removes all keys of a bucket at once; snapshots keep what they show of it.
    ///
    /// Its quota stays.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it has none, [`Refusal::TooManySnapshots`], or as
    /// [`Store::submit`].
    pub fn empty_bucket(&mut self, bucket: &BucketName) -> Result<Ticket, Refusal> {
        let mut next = self.next_views()?;
        if self.used(bucket).keys == 0 {
            return Err(Refusal::NotFound);
        }
        next.rollbacks.push(Rollback {
            at: self.log().next_seq,
            to: BEGINNING,
            bucket: Some(bucket.clone()),
        });
        let charges = self.charges_back_to(BEGINNING, Some(bucket));
        self.submit_views(next, charges, Some(Some(bucket.clone())))
    }

    pub(crate) fn snapshot_now(&self, name: SnapshotName) -> Snapshot {
        Snapshot {
            name,
            seq: self.log().next_seq,
            wall_ms: self.now.wall_ns / 1_000_000,
        }
    }

    /// Snapshots and rollbacks as they are once everything accepted is durable.
    pub(crate) fn next_views(&self) -> Result<Views, Refusal> {
        self.changeable()?;
        if self.is_queue_full() {
            return Err(Refusal::Unavailable(Unavailable::Busy));
        }
        Ok(self.views().clone())
    }

    /// The same, to look at.
    pub(crate) fn views(&self) -> &Views {
        self.queue.pending_views().unwrap_or(self.index.views())
    }

    /// Keys of a snapshot that a rollback to it would not bring back, since their time is over by
    /// now; none if there is no such snapshot.
    pub fn expired_keys(&self, of: &SnapshotName, bucket: Option<&BucketName>) -> u64 {
        let snapshot = self.index.views().snapshot(of);
        let over = |seq| self.index.over_at(seq, bucket, self.expiry_now_ms());
        snapshot.map_or(0, |snapshot| over(snapshot.seq))
    }

    /// What a rollback changes of each bucket's charge.
    pub(crate) fn charges_back_to(
        &self,
        seq: u64,
        only: Option<&BucketName>,
    ) -> Vec<(BucketName, Charge)> {
        let concerned = |name: &&BucketName| undoes(only, name.as_str());
        let known = self.index.buckets.keys();
        let mut names: Vec<&BucketName> = known.filter(concerned).collect();
        let pending = self.queue.pending_buckets().filter(concerned);
        names.extend(pending.filter(|name| !self.index.buckets.contains_key(*name)));
        let change = |name: &BucketName| {
            let then = Charge::from(self.index.totals_of(seq, name));
            (name.clone(), then - self.used(name))
        };
        names.into_iter().map(change).collect()
    }

    pub(crate) fn submit_views(
        &mut self,
        next: Views,
        charges: Vec<(BucketName, Charge)>,
        undoes: Option<Option<BucketName>>,
    ) -> Result<Ticket, Refusal> {
        let op = self.views_op(self.log().next_seq, next, charges, undoes)?;
        Ok(self.accept(Verdict::of(vec![op])))
    }

    /// Whether the list has room for what it is to say.
    pub(crate) fn check_list(&self, next: &Views) -> Result<(), Refusal> {
        let grows = views::encoded_len(next) > views::encoded_len(self.views());
        let list = views::encode(next);
        let seq = next.seq;
        let record_len = record::len(&Record::Views { seq, list: &list });
        if grows && record_len as u64 > self.layout().views_bytes_max() {
            let count = self.views().snapshots.len() as u32;
            return Err(Refusal::TooManySnapshots { count });
        }
        Ok(())
    }

    /// The change of all snapshots and rollbacks with sequence `seq`.
    pub(crate) fn views_op(
        &self,
        seq: u64,
        mut next: Views,
        charges: Vec<(BucketName, Charge)>,
        undoes: Option<Option<BucketName>>,
    ) -> Result<Op, Refusal> {
        next.seq = seq;
        self.check_list(&next)?;
        let list = views::encode(&next);
        let record_len = record::len(&Record::Views { seq, list: &list });
        Ok(Op {
            bucket: BucketName::system(),
            key: None,
            seq,
            modified_wall_ns: self.now.wall_ns,
            metadata: vec![],
            value_crc: 0,
            body: Body::Views(Box::new(ViewsChange {
                views: next,
                list,
                charges,
                undoes,
            })),
            record_len: record_len as u32,
            delta: 0,
            charge: Charge::default(),
            growth: 0,
            pos: 0,
        })
    }

    /// Live bytes the store can hold beside that list, which stands in each segment.
    fn limit_beside(&self, views: &Views) -> u64 {
        let layout = self.layout();
        let taken = views_bytes(views) * u64::from(layout.segment_count);
        layout.limit_bytes().saturating_sub(taken)
    }

    /// Live bytes the store can hold.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_beside(self.views())
    }
}

/// What is about to be written beside what is there, at least.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewState {
    pub(crate) live_bytes: u64,
    pub(crate) index_bytes: u64,
}

/// What the list takes of each segment.
pub(crate) fn views_bytes(views: &Views) -> u64 {
    match views.seq + views.snapshots.len() as u64 {
        0 => 0,
        _ => views::encoded_len(views) as u64 + VIEWS_RECORD_BYTES,
    }
}

/// The sequence before the first change.
pub(crate) const BEGINNING: u64 = 0;
/// What a record takes beside the list in it.
const VIEWS_RECORD_BYTES: u64 = 20;
