//! Restores as a part of the work: all of a backup, or nothing of it.

use crate::model::{Name, State, Value, Values};
use crate::worker::{Trouble, Worker, change, now, put};
use sim::random::Random;
use std::task::Poll;
use store::backup::Restore;
use store::{
    Batch, Change, FormatPermission, Headers, MemoryDisk, Options, SnapshotName, State as Phase,
    Store, Wake,
};

/// Length of the disk that a backup is of.
const SOURCE_BYTES: u64 = 8 << 20;
/// Steps after which a restore that gets nowhere is left.
const STEPS_MAX: u32 = 20_000;

/// A backup, and what is in it.
fn source(random: &mut Random, keys: u64, value_bytes: u64) -> (Vec<u8>, Values) {
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: 4 << 20,
        seed: [7; 32],
        pages: Box::new(store::blob::HeapPages),
    };
    let disk = MemoryDisk::new(SOURCE_BYTES);
    let mut store = Store::opening(Box::new(disk), options);
    rest(&mut store);
    let mut values = Values::new();
    for number in 0..keys {
        let bucket = if random.chance(1, 3) { "c" } else { "b" };
        let name = (bucket, format!("key-{number}").into_bytes());
        let len = random.below(value_bytes) as usize / 3;
        values.insert(name, Value::draw(random, len));
    }
    let changes = values
        .iter()
        .map(|(name, value)| change(name, put(value)))
        .collect();
    store.submit(Batch { changes }).expect("taken");
    rest(&mut store);
    let large = ("b", b"large-0".to_vec());
    let value = Value::draw(random, 70_000);
    write_large(&mut store, &large, &value);
    values.insert(large, value);
    (streamed(&mut store), values)
}

fn rest(store: &mut Store) {
    for ns in 0..1_000_000 {
        if store.step(now(ns)) != Wake::Now {
            return;
        }
    }
    panic!("a store in memory never comes to rest");
}

fn write_large(store: &mut Store, name: &Name, value: &Value) {
    let (bucket, key, condition, _) = change(name, Change::Delete);
    let begun = store.begin_upload(bucket, key, condition, Headers::default(), None);
    let mut upload = begun.expect("begun");
    let mut at = 0;
    while at < value.bytes.len() {
        at += store
            .upload(&mut upload, &value.bytes[at..])
            .expect("taken");
        rest(store);
    }
    store.commit_upload(upload).expect("taken");
    rest(store);
}

fn streamed(store: &mut Store) -> Vec<u8> {
    let mut backup = store.begin_backup(None).expect("begun");
    let mut out = Vec::new();
    loop {
        match store.read_backup(&mut backup, &mut out) {
            Poll::Pending => rest(store),
            Poll::Ready(Ok(true)) => {}
            Poll::Ready(Ok(false)) => return out,
            Poll::Ready(Err(error)) => panic!("{error:?}"),
        }
    }
}

impl Worker {
    /// Restores a backup; one in four is given up on the way.
    pub(crate) fn restore(&mut self) {
        self.settle();
        let (keys, value_bytes) = (self.shape.keys, self.shape.value_bytes);
        let (stream, values) = source(&mut self.random, keys, value_bytes);
        let given_up = self.random.chance(1, 4);
        let end = match given_up {
            true => self.random.below(stream.len() as u64) as usize,
            false => stream.len(),
        };
        let Ok(mut restore) = self.store.begin_restore(false) else {
            assert_eq!(self.trouble, Trouble::Expected, "not begun");
            return;
        };
        if !self.take_stream(&mut restore, &stream[..end]) || given_up {
            drop(restore);
            self.settle();
            return;
        }
        self.end(&mut restore, values);
    }

    /// Whether all of it was taken.
    fn take_stream(&mut self, restore: &mut Restore, mut rest: &[u8]) -> bool {
        for _ in 0..STEPS_MAX {
            if rest.is_empty() {
                return true;
            }
            match self
                .store
                .take_backup(restore, &rest[..rest.len().min(9_000)])
            {
                Ok(taken) => rest = &rest[taken..],
                Err(error) => {
                    assert_eq!(self.trouble, Trouble::Expected, "{error:?}");
                    return false;
                }
            }
            let _ = self.step();
        }
        assert_eq!(self.trouble, Trouble::Expected, "a restore that never ends");
        false
    }

    /// From the first call on it may be shown, and once it has ended it is.
    fn end(&mut self, restore: &mut Restore, values: Values) {
        if *self.store.state() != Phase::Ready {
            return;
        }
        let mut state = self.restored(values);
        for step in 0..STEPS_MAX {
            let ended = self.store.end_restore(restore);
            if let Some(state) = state.take() {
                self.states.push(state);
                self.note();
            }
            match ended {
                Poll::Pending => {}
                Poll::Ready(Ok(_)) => {
                    self.acked += 1;
                    self.note();
                    break;
                }
                Poll::Ready(Err(error)) => {
                    assert_eq!(self.trouble, Trouble::Expected, "{error:?}");
                    self.unknown = true;
                    return;
                }
            }
            let _ = self.step();
            let expected = self.trouble == Trouble::Expected;
            assert!(step + 1 < STEPS_MAX || expected, "it never ends");
        }
        self.forget_what_was_before();
    }

    /// The state that is shown then.
    fn restored(&self, values: Values) -> Option<State> {
        let mut state = self.last();
        let snapshots = self.store.snapshots().expect("a store that reads");
        let own = snapshots
            .iter()
            .find(|one| one.name.is_of_restore())
            .expect("a restore keeps what it replaces");
        state.take_snapshot(&format!("before-restore-{}", own.seq.0));
        state.values = values;
        Some(state)
    }

    /// So that snapshots do not pile up.
    fn forget_what_was_before(&mut self) {
        let mut state = self.last();
        let Some(name) = state.snapshots.keys().next().cloned() else {
            return;
        };
        if self.random.chance(1, 2) {
            state.snapshots.remove(&name);
            let name = SnapshotName::new(&name).expect("a snapshot's name");
            let taken = self.store.delete_snapshot(&name);
            self.take(taken, state);
        }
    }
}
