//! What is seen at which sequence: snapshots, and the rollbacks that hide.
//!
//! A view at sequence P sees, of each key, the newest version that is not hidden. A rollback at R
//! to S hides what came between from every view behind R: such a view sees what came after R, and
//! below that what a view at S sees. So what a view can see is a list of spans of sequences.
//!
//! # Invariants
//!
//! - Snapshots are in the order of their sequences, and so are rollbacks.

use crate::name::{BucketName, SnapshotName, is_system};
use alloc::vec;
use alloc::vec::Vec;

/// The view of now.
pub(crate) const NOW: u64 = u64::MAX;

/// A named sequence that stays readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) name: SnapshotName,
    pub(crate) seq: u64,
    pub(crate) wall_ms: u64,
}

/// What was undone, in one bucket or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rollback {
    /// Its own sequence.
    pub(crate) at: u64,
    /// Back to this one.
    pub(crate) to: u64,
    pub(crate) bucket: Option<BucketName>,
}

impl Rollback {
    /// The bucket's name; empty for all of them.
    fn name(&self) -> &str {
        self.bucket.as_ref().map_or("", BucketName::as_str)
    }

    fn matters_to(&self, bucket: &str) -> bool {
        undoes(self.bucket.as_ref(), bucket)
    }
}

/// Whether what is undone of one bucket, or of all, is undone of this one.
///
/// The appliance's own bucket is none of them: who rolls back is not to lose the token.
pub(crate) fn undoes(of: Option<&BucketName>, bucket: &str) -> bool {
    match of {
        Some(only) => only.as_str() == bucket,
        None => !is_system(bucket),
    }
}

/// All snapshots and rollbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Views {
    /// The record that says so.
    pub(crate) seq: u64,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) rollbacks: Vec<Rollback>,
}

/// What a view of one bucket can see: from behind the first number to the second, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spans(Vec<(u64, u64)>);

impl Spans {
    pub(crate) fn has(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|(below, _)| *below >= seq);
        self.0.get(at).is_some_and(|(_, top)| seq <= *top)
    }
}

impl Views {
    /// Whether there is no snapshot and no rollback: only the newest version of a key counts.
    pub(crate) fn is_plain(&self) -> bool {
        self.snapshots.is_empty() && self.rollbacks.is_empty()
    }

    /// The snapshot of this name.
    pub(crate) fn snapshot(&self, name: &SnapshotName) -> Option<&Snapshot> {
        self.snapshots
            .iter()
            .find(|snapshot| snapshot.name == *name)
    }

    /// What is shown instead of now: what was there before a restore that has not ended.
    ///
    /// Nothing else changes the list meanwhile, so its snapshot is the newest.
    pub(crate) fn shown(&self) -> u64 {
        let newest = self.snapshots.last();
        let staged = newest.filter(|newest| newest.name.is_of_restore());
        staged.map_or(NOW, |snapshot| snapshot.seq)
    }

    /// The newest sequence that a snapshot keeps.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.snapshots.last().map(|snapshot| snapshot.seq)
    }

    /// The rollbacks that matter to a bucket, in order.
    fn rollbacks_of(&self, bucket: &str) -> impl DoubleEndedIterator<Item = &Rollback> {
        let matters = move |rollback: &&Rollback| rollback.matters_to(bucket);
        self.rollbacks.iter().filter(matters)
    }

    /// Whether nothing was ever undone in a bucket.
    pub(crate) fn is_straight(&self, bucket: &str) -> bool {
        self.rollbacks_of(bucket).next().is_none()
    }

    /// What the view at `at` of a bucket can see.
    pub(crate) fn spans(&self, bucket: &str, at: u64) -> Spans {
        let mut spans = vec![];
        let mut top = at;
        for rollback in self.rollbacks_of(bucket).rev() {
            if rollback.at < top {
                spans.push((rollback.at, top));
                top = rollback.to;
            }
        }
        spans.push((0, top));
        Spans(spans)
    }

    /// Whether a snapshot was taken from `from` on and before `before`.
    pub(crate) fn any_between(&self, from: u64, before: u64) -> bool {
        !self.between(from, before).is_empty()
    }

    /// The snapshots that were taken from `from` on and before `before`.
    pub(crate) fn between(&self, from: u64, before: u64) -> &[Snapshot] {
        let first = self
            .snapshots
            .partition_point(|snapshot| snapshot.seq < from);
        let taken = &self.snapshots[first..];
        &taken[..taken.partition_point(|snapshot| snapshot.seq < before)]
    }

    /// Whether any view of what a rollback matters to has a span that passes `test`.
    fn any_span(&self, rollback: &Rollback, test: impl Fn(&(u64, u64)) -> bool) -> bool {
        let own = self.rollbacks.iter().map(Rollback::name);
        let names = own.chain([""]).filter(|name| rollback.matters_to(name));
        let mut spans = names.flat_map(|name| self.all().map(move |at| self.spans(name, at)));
        spans.any(|spans| spans.0.iter().any(&test))
    }

    /// Whether any view goes through a rollback: without it, some would see more.
    pub(crate) fn uses(&self, rollback: &Rollback) -> bool {
        self.any_span(rollback, |span| span.0 == rollback.at)
    }

    /// Whether any view sees some of what a rollback hides from others.
    pub(crate) fn sees_hidden(&self, rollback: &Rollback) -> bool {
        self.any_span(rollback, |span| {
            span.0 < rollback.at && span.1 > rollback.to
        })
    }

    /// What can be read: what is shown now, and each snapshot.
    pub(crate) fn readable(&self) -> impl Iterator<Item = u64> {
        core::iter::once(self.shown()).chain(self.all().skip(1))
    }

    /// All views there are: of now, and of each snapshot.
    pub(crate) fn all(&self) -> impl Iterator<Item = u64> {
        let snapshots = self.snapshots.iter().map(|snapshot| snapshot.seq);
        core::iter::once(NOW).chain(snapshots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(rollbacks: &[(u64, u64)]) -> Views {
        let rollback = |(at, to): &(u64, u64)| Rollback {
            at: *at,
            to: *to,
            bucket: None,
        };
        Views {
            rollbacks: rollbacks.iter().map(rollback).collect(),
            ..Views::default()
        }
    }

    fn seen(views: &Views, at: u64) -> Vec<u64> {
        let spans = views.spans("b", at);
        (1..40).filter(|seq| spans.has(*seq)).collect()
    }

    #[test]
    fn a_rollback_hides_what_came_between() {
        let views = views(&[(20, 10)]);
        assert_eq!(
            seen(&views, NOW),
            (1..=10).chain(21..40).collect::<Vec<_>>()
        );
        assert_eq!(
            seen(&views, 25),
            (1..=10).chain(21..=25).collect::<Vec<_>>()
        );
        assert_eq!(seen(&views, 15), (1..=15).collect::<Vec<_>>());
        assert_eq!(
            seen(&views, 20),
            (1..=20).collect::<Vec<_>>(),
            "the one it took first"
        );
    }

    #[test]
    fn a_rollback_is_undone_by_one_to_just_before_it() {
        let views = views(&[(20, 10), (30, 20)]);
        assert_eq!(
            seen(&views, NOW),
            (1..=20).chain(31..40).collect::<Vec<_>>()
        );
        assert_eq!(
            seen(&views, 30),
            (1..=10).chain(21..=30).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_snapshot_from_before_a_rollback_sees_what_it_hides() {
        let mut views = views(&[(20, 10)]);
        let rollback = views.rollbacks[0].clone();
        assert!(views.uses(&rollback) && !views.sees_hidden(&rollback));
        let name = SnapshotName::new("before").expect("a name");
        views.snapshots = vec![Snapshot {
            name,
            seq: 20,
            wall_ms: 0,
        }];
        assert!(views.uses(&rollback) && views.sees_hidden(&rollback));
    }

    #[test]
    fn a_rollback_that_was_undone_is_used_by_who_saw_it() {
        let mut views = views(&[(20, 10), (30, 20)]);
        let undone = views.rollbacks[0].clone();
        assert!(!views.uses(&undone) && views.uses(&views.rollbacks[1]));
        let name = SnapshotName::new("between").expect("a name");
        views.snapshots = vec![Snapshot {
            name,
            seq: 25,
            wall_ms: 0,
        }];
        assert!(views.uses(&undone));
    }

    #[test]
    fn one_of_another_bucket_does_not_matter() {
        let other = BucketName::new("other").expect("a name");
        let mut views = views(&[(20, 10)]);
        views.rollbacks[0].bucket = Some(other);
        assert_eq!(seen(&views, NOW), (1..40).collect::<Vec<_>>());
        assert!(views.is_straight("b") && !views.is_straight("other"));
    }
}
