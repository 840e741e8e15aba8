//! A store at work on a [`Rig`], with a history of what was submitted and acknowledged when.

use crate::model::{self, Name, State, Value};
use crate::pages::Supply;
use crate::rig::Rig;
use crate::shape::{Before, End, Shape};
use sim::disk::Event;
use sim::random::Random;
use std::collections::VecDeque;
use std::task::Poll;
use store::{
    Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, Now, Options, Refusal,
    Store, Ticket, Wake,
};

/// RAM of a store here.
const MEMORY_BYTES: u64 = 16 << 20;
/// Longest that a store may be stepped for one thing.
const STEPS_MAX: u32 = 1_000_000;
/// A store that wakes so soon by itself lacks memory; all else that it waits for is far off.
const SOON_NS: u64 = 1_000_000_000;
/// Steps without memory after which a test goes on.
const STARVED_STEPS_MAX: u32 = 30;
/// Steps after which an upload that gets nowhere is left.
const UPLOAD_STEPS_MAX: u32 = 2_000;
/// Below these free segments compaction is near.
const SEGMENTS_FREE_NEAR: u32 = 8;

/// How a store is opened by the `seed`-th opener.
pub(crate) fn options(seed: u64, supply: &Supply) -> Options {
    let mut bytes = [0; 32];
    Random::new(seed).fill(&mut bytes);
    Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed: bytes,
        pages: Box::new(supply.clone()),
    }
}

/// The time of a step.
pub(crate) fn now(ns: u64) -> Now {
    Now {
        monotonic_ns: ns,
        wall_ns: 1_700_000_000_000_000_000 + ns,
    }
}

/// One change, without a condition.
pub(crate) fn change(name: &Name, change: Change) -> (BucketName, Key, Condition, Change) {
    let bucket = BucketName::new(name.0).expect("a bucket's name");
    let key = Key::new(&name.1).expect("a key");
    (bucket, key, Condition::None, change)
}

/// A put.
pub(crate) fn put(value: &Value) -> Change {
    Change::Put {
        value: value.bytes.clone(),
        headers: Headers {
            expires_wall_ms: value.expires_ms,
            ..Headers::default()
        },
    }
}

/// Of the batches submitted, how many a crash must leave, and how many it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) acked: usize,
    pub(crate) submitted: usize,
}

/// One recorded life.
pub(crate) struct Life {
    pub(crate) base: Vec<u8>,
    pub(crate) events: Vec<Event>,
    /// Before any event, and after each.
    pub(crate) windows: Vec<Window>,
    /// Before any batch, and after each.
    pub(crate) states: Vec<State>,
}

/// How a batch ended that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Is the test's failure.
    No,
    /// Is expected: the disk fails.
    Expected,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Yes,
    No,
    /// Once there is memory.
    Starved,
}

/// A store at work.
pub(crate) struct Worker {
    pub(crate) shape: Shape,
    pub(crate) rig: Rig,
    pub(crate) store: Store,
    pub(crate) supply: Supply,
    pub(crate) random: Random,
    pub(crate) states: Vec<State>,
    pub(crate) waiting: VecDeque<Ticket>,
    pub(crate) acked: usize,
    pub(crate) trouble: Trouble,
    /// A batch ended without being acknowledged: none that came later may be.
    pub(crate) unknown: bool,
    acked_before_failure: usize,
    served: bool,
    windows: Vec<Window>,
    bulk: u64,
    ns: u64,
    /// How far the wall clock is ahead of the other.
    pub(crate) ahead_ns: u64,
}

impl Worker {
    /// Begins to open the store on `rig`, which shows one of `states`.
    pub(crate) fn new(shape: Shape, rig: Rig, states: Vec<State>, seed: u64) -> Worker {
        let supply = Supply::new();
        let store = Store::opening(Box::new(rig.clone()), options(seed, &supply));
        Worker {
            shape,
            rig,
            store,
            supply,
            random: Random::new(seed),
            states,
            waiting: VecDeque::new(),
            acked: 0,
            trouble: Trouble::No,
            unknown: false,
            acked_before_failure: 0,
            served: false,
            windows: Vec::new(),
            bulk: 0,
            ns: 0,
            ahead_ns: 0,
        }
    }

    /// So much time goes by in which nothing happens.
    pub(crate) fn pass(&mut self, ns: u64) {
        self.ns += ns;
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Now {
        let now = now(self.ns);
        Now {
            wall_ns: now.wall_ns + self.ahead_ns,
            ..now
        }
    }

    pub(crate) fn submitted(&self) -> usize {
        self.states.len() - 1
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            acked: self.acked,
            submitted: self.submitted(),
        }
    }

    /// Notes what is known where the log is now.
    pub(crate) fn note(&mut self) {
        let (len, window) = (self.rig.log_len(), self.window());
        let before = *self.windows.last().unwrap_or(&window);
        self.windows
            .resize((len + 1).max(self.windows.len()), before);
        self.windows[len] = window;
    }

    /// One step of the store, and one of the disk.
    pub(crate) fn step(&mut self) -> Rest {
        self.ns += 1_000_000;
        let wake = self.store.step(self.now());
        self.serve();
        self.collect();
        self.note();
        let failed_flushes = self.rig.failed_flushes();
        assert!(
            failed_flushes == 0 || self.acked == self.acked_before_failure,
            "acknowledged after a failed flush"
        );
        let ticked = self.rig.tick();
        if failed_flushes == 0 {
            self.acked_before_failure = self.acked;
        }
        self.note();
        match wake {
            Wake::Now => Rest::No,
            _ if ticked => Rest::No,
            Wake::At(Some(at_ns)) if at_ns < self.ns + SOON_NS => Rest::Starved,
            Wake::At(_) => Rest::Yes,
        }
    }

    /// Steps until both rest; where memory is missing, it is asked for again for a while.
    pub(crate) fn settle(&mut self) {
        let mut starved = 0;
        let rests = (0..STEPS_MAX).any(|_| match self.step() {
            Rest::Yes => true,
            Rest::Starved => {
                starved += 1;
                starved == STARVED_STEPS_MAX
            }
            Rest::No => {
                starved = 0;
                false
            }
        });
        assert!(rests, "the store never comes to rest");
    }

    /// What a store shows when it is first ready is as good as acknowledged: somebody may
    /// have seen it. What it does not show never was.
    fn serve(&mut self) {
        if self.served || *self.store.state() != store::State::Ready {
            return;
        }
        self.served = true;
        let listing = model::list(&mut self.store);
        let shown = self.states.iter().rposition(|state| listing.is(state));
        let shown = shown.unwrap_or_else(|| panic!("no state is shown: {}", listing.tell()));
        self.states.truncate(shown + 1);
        self.acked = shown;
        for window in &mut self.windows {
            window.submitted = window.submitted.min(shown);
        }
    }

    fn collect(&mut self) {
        while let Some(ticket) = self.waiting.front() {
            match self.store.outcome(ticket) {
                Poll::Pending => return,
                Poll::Ready(Ok(_)) => {
                    assert!(!self.unknown, "acknowledged after one that was not");
                    self.acked += 1;
                }
                Poll::Ready(Err(Refusal::OutcomeUnknown)) if self.trouble == Trouble::Expected => {
                    self.unknown = true;
                }
                Poll::Ready(Err(other)) => panic!("not committed: {other:?}"),
            }
            self.waiting.pop_front();
        }
    }

    /// Hands in a batch with what it makes of the last state.
    pub(crate) fn submit(
        &mut self,
        state: State,
        changes: Vec<(Name, Option<std::rc::Rc<Value>>)>,
    ) {
        let changes = changes.iter().map(|(name, value)| match value {
            Some(value) => change(name, put(value)),
            None => change(name, Change::Delete),
        });
        let batch = Batch {
            changes: changes.collect(),
        };
        let taken = self.store.submit(batch);
        self.take(taken, state);
    }

    pub(crate) fn take(&mut self, taken: Result<Ticket, Refusal>, state: State) {
        match taken {
            Ok(ticket) => {
                self.states.push(state);
                self.waiting.push_back(ticket);
            }
            Err(refusal) => assert!(self.trouble == Trouble::Expected, "not taken: {refusal:?}"),
        }
        self.note();
    }

    pub(crate) fn last(&self) -> State {
        self.states.last().expect("a state").next()
    }

    fn draw_name(&mut self) -> Name {
        let bucket = if self.random.chance(1, 3) { "c" } else { "b" };
        let number = self.random.below(self.shape.keys);
        (bucket, format!("key-{number}").into_bytes())
    }

    /// The length of a batch's `nth` value.
    fn draw_len(&mut self, nth: u64) -> usize {
        if self.shape.consecutive {
            let first = self.shape.value_bytes as usize + self.states.len();
            return if nth == 0 { first } else { 100 };
        }
        let len = self.random.below(self.shape.value_bytes) as usize;
        if self.random.chance(1, 3) {
            len
        } else {
            len / 5
        }
    }

    /// A batch of small changes, of keys that are put, put again and deleted.
    pub(crate) fn submit_small(&mut self) {
        let mut state = self.last();
        let mut changes = Vec::new();
        let count = match self.shape.consecutive {
            true => self.shape.changes,
            false => 1 + self.random.below(self.shape.changes),
        };
        for nth in 0..count {
            let name = self.draw_name();
            let deletes = !self.shape.consecutive && self.random.chance(1, 3);
            if deletes && state.values.contains_key(&name) {
                state.delete(name.clone());
                changes.push((name, None));
            } else {
                let len = self.draw_len(nth);
                let value = Value::draw(&mut self.random, len);
                let value = self.may_end(value);
                state.put(name.clone(), value.clone());
                changes.push((name, Some(value)));
            }
        }
        self.submit(state, changes);
    }

    /// A batch that takes `lens` bytes, most of a segment, under `names` that come round.
    pub(crate) fn submit_bulk(&mut self, names: &str, lens: &[usize], round: u64) {
        let mut state = self.last();
        let mut changes = Vec::new();
        for len in lens {
            let name = ("b", format!("{names}-{}", self.bulk % round).into_bytes());
            self.bulk += 1;
            let value = Value::draw(&mut self.random, *len);
            state.put(name.clone(), value.clone());
            changes.push((name, Some(value)));
        }
        let name = self.draw_name();
        let value = Value::draw(&mut self.random, 40);
        state.put(name.clone(), value.clone());
        changes.push((name, Some(value)));
        self.submit(state, changes);
    }

    /// A value in chunks, while the others go on; one in four is given up on the way.
    pub(crate) fn upload(&mut self) {
        let name = ("b", format!("large-{}", self.random.below(3)).into_bytes());
        let len = 66_000 + self.random.below(80_000) as usize;
        let value = Value::draw(&mut self.random, len);
        let given_up = self
            .random
            .chance(1, 4)
            .then(|| self.random.below(len as u64) as usize);
        let (bucket, key, condition, _) = change(&name, Change::Delete);
        let begun = self
            .store
            .begin_upload(bucket, key, condition, Headers::default(), None);
        let Ok(mut upload) = begun else {
            assert_eq!(self.trouble, Trouble::Expected, "not begun: {begun:?}");
            return;
        };
        let mut at = 0;
        let mut steps = 0;
        while at < len {
            if given_up.is_some_and(|end| at > end) {
                return;
            }
            match self.store.upload(&mut upload, &value.bytes[at..]) {
                Ok(taken) => at += taken,
                Err(_) if self.trouble == Trouble::Expected => return,
                Err(refusal) => panic!("not taken: {refusal:?}"),
            }
            let _ = self.step();
            steps += 1;
            if steps == UPLOAD_STEPS_MAX && self.trouble == Trouble::Expected {
                return;
            }
            assert!(steps < STEPS_MAX, "an upload that never ends");
        }
        let mut state = self.last();
        state.put(name, value);
        let taken = self.store.commit_upload(upload);
        self.take(taken, state);
    }

    fn submit_any(&mut self) {
        let one_in = |random: &mut Random, n: u64| n > 0 && random.chance(1, n);
        if one_in(&mut self.random, self.shape.undo_one_in) {
            self.submit_undo();
        } else if one_in(&mut self.random, self.shape.restores_one_in) {
            self.restore();
        } else if one_in(&mut self.random, self.shape.ends_one_in) {
            self.let_time_pass();
        } else if one_in(&mut self.random, self.shape.uploads_one_in) {
            self.upload();
        } else if one_in(&mut self.random, self.shape.bulk_one_in) {
            self.submit_bulk("bulk", &[60_000; 3], 3);
        } else {
            self.submit_small();
        }
    }

    /// Brings the disk to where recording is to begin.
    pub(crate) fn prepare(&mut self) {
        if self.shape.before == Before::Nothing {
            return;
        }
        self.settle();
        if self.shape.before == Before::AlmostASegment {
            self.submit_bulk("first", &[60_000; 3], 3);
            self.submit_bulk("first", &[60_000, 10_000], 3);
            self.settle();
            return;
        }
        // Some segments keep what they have: the others become free before them.
        for _ in 0..4 {
            self.submit_bulk("anchor", &[60_000, 60_000, 20_000], 12);
            self.submit_small();
            self.settle();
        }
        while self.store.statistics().segments_free > SEGMENTS_FREE_NEAR {
            self.submit_bulk("bulk", &[60_000; 3], 3);
            self.submit_small();
            self.settle();
        }
    }

    /// Begins to record: what was before is behind a flush.
    pub(crate) fn record(&mut self) -> Vec<u8> {
        let base = self.rig.disk(|disk| {
            disk.record();
            disk.durable_image()
        });
        assert!(self.waiting.is_empty(), "recording begins at rest");
        self.states.drain(..self.acked);
        self.acked = 0;
        self.windows = Vec::new();
        self.note();
        base
    }

    /// Works until its life ends.
    pub(crate) fn live(&mut self, end: End) {
        let mut left = self.shape.submissions;
        loop {
            let begins = self.waiting.len() < self.shape.in_flight && self.random.chance(1, 2);
            let ready = *self.store.state() == store::State::Ready;
            if left > 0 && begins && ready {
                self.submit_any();
                left -= 1;
            }
            let _ = self.step();
            if left == 0 && (end == End::Close || self.random.chance(1, 4)) {
                break;
            }
        }
        if end == End::Close {
            self.store.close();
            self.settle();
            assert_eq!(*self.store.state(), store::State::Closed);
            assert_eq!(
                self.acked,
                self.submitted(),
                "closed with something waiting"
            );
        }
    }

    /// What was recorded on `base`.
    pub(crate) fn into_life(self, base: Vec<u8>) -> Life {
        Life {
            base,
            events: self.rig.recorded(),
            windows: self.windows,
            states: self.states,
        }
    }
}
