//! Snapshots, rollbacks and emptied buckets as a part of the work.

use crate::worker::Worker;
use store::{BucketName, Refusal, SnapshotName};

/// Snapshots there are at a time.
const SNAPSHOTS_MAX: usize = 5;

fn name_of(name: &str) -> SnapshotName {
    SnapshotName::new(name).expect("a snapshot's name")
}

impl Worker {
    /// Takes a snapshot, forgets one, or rolls back to one.
    pub(crate) fn submit_undo(&mut self) {
        let mut state = self.last();
        let durable = &self.states[self.acked].snapshots;
        let both = durable
            .keys()
            .filter(|name| state.snapshots.contains_key(*name));
        let known: Vec<String> = both.cloned().collect();
        let nth = self.random.below(known.len().max(1) as u64) as usize;
        let some = known.get(nth).cloned();
        let is_full = state.snapshots.len() >= SNAPSHOTS_MAX;
        if self.random.chance(1, 6) {
            return self.empty_bucket();
        }
        match (some, self.random.below(3)) {
            (Some(name), 0) => self.roll_back(&name),
            (Some(name), _) if is_full => {
                state.snapshots.remove(&name);
                let taken = self.store.delete_snapshot(&name_of(&name));
                self.take(taken, state);
            }
            _ if is_full => self.submit_small(),
            _ => {
                let name = format!("s{}", self.random.below(1 << 30));
                state.take_snapshot(&name);
                let taken = self.store.take_snapshot(name_of(&name));
                self.take(taken, state);
            }
        }
    }

    fn empty_bucket(&mut self) {
        let mut state = self.last();
        let name = BucketName::new("c").expect("a bucket's name");
        match self.store.empty_bucket(&name) {
            Err(Refusal::NotFound) => {
                assert!(state.values.keys().all(|(bucket, _)| *bucket != "c"));
            }
            taken => {
                state.values.retain(|(bucket, _), _| *bucket != "c");
                self.take(taken, state);
            }
        }
    }

    fn roll_back(&mut self, to: &str) {
        let mut state = self.last();
        let bucket = [None, Some("b"), Some("c")][self.random.below(3) as usize];
        let name = bucket.map(|name| BucketName::new(name).expect("a bucket's name"));
        let (taken, before) = self
            .store
            .roll_back(&name_of(to), name.as_ref())
            .expect("a rollback is taken");
        state.take_snapshot(before.as_str());
        state.roll_back(to, bucket);
        self.take(Ok(taken), state);
    }
}
