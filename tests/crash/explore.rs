//! Every crash of a recorded life, opened and held against the model.
//!
//! # What is checked of each image
//!
//! - The store opens, ready to read and write.
//! - It shows the state after one of the batches that were submitted, and after all that
//!   were acknowledged: keys, lengths and checksums of everything, and each byte of what
//!   the batches around the crash wrote; of one image in some, each byte of everything.
//! - Of some: what that opening writes, and a batch after it, is crashed everywhere again,
//!   and each of those images opens to the very same state, or to the batch.
//!
//! An image is what an opening reads of it. Two that no opening can tell apart count once,
//! and are checked once for each expectation.

use crate::image::Image;
use crate::look::Look;
use crate::model::{self, Name, State, Value};
use crate::pages::Supply;
use crate::shape::Shape;
use crate::worker::{self, Life, Window};
use sim::disk::{Event, Replay, SECTOR_BYTES};
use sim::random::Random;
use std::collections::HashSet;
use std::task::Poll;
use store::{At, Batch, Change, State as Phase, Store, Wake};

/// How deep a crash may lie in a recovery's recovery.
const DEPTHS: usize = 3;
/// One image in so many has all its values read.
const READ_ALL_ONE_IN: u64 = 32;
/// Images with unreadable sectors, at each point.
const UNREADABLE_SAMPLES: usize = 4;
/// Steps of a store on a disk that answers at once.
const STEPS_MAX: u64 = 100_000;

/// How much is looked at, by depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// All images of a point where so many sectors are open.
    pub(crate) exhaustive_max: [usize; DEPTHS],
    /// Else so many of them.
    pub(crate) samples: [usize; DEPTHS],
    /// One image in so many has its recovery interrupted, or 0.
    pub(crate) interrupt_one_in: [u64; DEPTHS],
}

/// For one image at a time.
pub(crate) const NOTHING: Effort = Effort {
    exhaustive_max: [0; DEPTHS],
    samples: [0; DEPTHS],
    interrupt_one_in: [0; DEPTHS],
};

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) positions: u64,
    pub(crate) shown: u64,
    pub(crate) distinct: u64,
    pub(crate) interrupted: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Figures) {
        self.positions += other.positions;
        self.shown += other.shown;
        self.distinct += other.distinct;
        self.interrupted += other.interrupted;
    }
}

/// Explores lives of one store, one after the other.
pub(crate) struct Explorer {
    shape: Shape,
    effort: Effort,
    image: Image,
    random: Random,
    supply: Supply,
    /// What openings read of the images so far.
    distinct: HashSet<u64>,
    /// With what was expected, in this life.
    judged: HashSet<(u64, usize, usize)>,
    pub(crate) figures: Figures,
    /// For a failure's report: the seed, and where it is.
    seed: u64,
    path: Vec<usize>,
}

impl Explorer {
    pub(crate) fn new(shape: Shape, effort: Effort, seed: u64) -> Explorer {
        Explorer {
            shape,
            effort,
            image: Image::new(Vec::new()),
            random: Random::new(seed),
            supply: Supply::new(),
            distinct: HashSet::new(),
            judged: HashSet::new(),
            figures: Figures::default(),
            seed,
            path: Vec::new(),
        }
    }

    /// The next life is of this shape.
    pub(crate) fn goes_on_as(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Explores all crashes of a life.
    pub(crate) fn life(&mut self, life: &Life) {
        self.image = Image::new(life.base.clone());
        self.judged.clear();
        assert_eq!(life.windows.len(), life.events.len() + 1);
        self.explore(&life.events, &life.windows, &life.states, 0);
        self.figures.distinct = self.distinct.len() as u64;
    }

    /// Which of the states a disk shows, some of whose sectors cannot be read.
    pub(crate) fn find(
        &mut self,
        image: Vec<u8>,
        unreadable: &[u64],
        states: &[State],
        window: Window,
    ) -> usize {
        self.image = Image::new(image);
        unreadable
            .iter()
            .for_each(|sector| self.image.wear_out(*sector));
        self.visit(states, window, DEPTHS - 1)
    }

    fn explore(&mut self, events: &[Event], windows: &[Window], states: &[State], depth: usize) {
        let mut replay = Replay::new(self.image.clone());
        let mut random = self.random.fork();
        let exhaustive_max = self.effort.exhaustive_max[depth];
        let samples = self.effort.samples[depth];
        for (position, window) in windows.iter().enumerate() {
            if let Some(event) = position.checked_sub(1).map(|at| &events[at]) {
                replay.apply(event);
            }
            self.path.push(position);
            self.figures.positions += 1;
            replay.states(exhaustive_max, samples, &mut random, &mut |_| {
                self.visit(states, *window, depth);
            });
            let open: Vec<u64> = replay.unflushed().collect();
            if !open.is_empty() && depth + 1 < DEPTHS {
                let mut worn = random.fork();
                replay.states(0, UNREADABLE_SAMPLES, &mut random, &mut |_| {
                    self.visit_worn(&open, &mut worn, states, *window, depth);
                });
            }
            self.path.pop();
        }
    }

    /// As [`Explorer::visit`], with some of the open sectors unreadable: with all of the physical
    /// sector each lies in, whatever else is there.
    fn visit_worn(
        &mut self,
        open: &[u64],
        random: &mut Random,
        states: &[State],
        window: Window,
        depth: usize,
    ) {
        let image = self.image.clone();
        let mark = image.mark();
        let one_in = 1 + random.below(8);
        let whole = u64::from(self.shape.sectors.1) / SECTOR_BYTES;
        for sector in open.iter().filter(|_| random.chance(1, one_in)) {
            let first = sector / whole * whole;
            (first..first + whole).for_each(|sector| image.wear_out(sector));
        }
        self.visit(states, window, depth);
        image.roll_back(mark);
    }

    /// Opens the image as it is now, and checks it; which state it shows.
    fn visit(&mut self, states: &[State], window: Window, depth: usize) -> usize {
        let look = Look::at(&self.image, &self.shape);
        let options = worker::options(self.seed + 1000 + depth as u64, &self.supply);
        let mut store = Store::opening(Box::new(look.clone()), options);
        drive(&mut store);
        assert_eq!(*store.state(), Phase::Ready, "a crash is no damage");
        self.figures.shown += 1;
        let reads = look.reads();
        self.distinct.insert(reads);
        let known = !self.judged.insert((reads, window.acked, window.submitted));
        if known && depth == 0 {
            return window.acked;
        }
        let found = self.check(&mut store, states, window);
        let one_in = self.effort.interrupt_one_in[depth];
        if one_in > 0 && self.random.chance(1, one_in) {
            self.interrupt(store, &look, &states[found], depth);
        }
        found
    }

    fn check(&mut self, store: &mut Store, states: &[State], window: Window) -> usize {
        let listing = model::list(store);
        let mut fitting = (window.acked..=window.submitted).filter(|n| listing.is(&states[*n]));
        let Some(found) = fitting.next() else {
            let expected = states[window.acked].values.keys();
            let expected = expected.map(|(bucket, key)| format!("{bucket}/{}", key.escape_ascii()));
            panic!(
                "no state of {window:?} is shown: {}; acknowledged {:?}",
                listing.tell(),
                expected.collect::<Vec<_>>()
            );
        };
        let state = &states[found];
        let values = &state.values;
        if self.random.chance(1, READ_ALL_ONE_IN) {
            for (name, value) in values {
                read_back(store, At::NOW, name, value);
            }
            for (snapshot, values) in &state.snapshots {
                let at = model::at(store, snapshot);
                for (name, value) in values.iter() {
                    read_back(store, at, name, value);
                }
            }
            return found;
        }
        for touched in &states[window.acked.saturating_sub(1)..=found] {
            for name in &touched.touched {
                if let Some(value) = values.get(name) {
                    read_back(store, At::NOW, name, value);
                }
            }
        }
        found
    }

    /// One batch more; then everything written since the opening began is crashed.
    fn interrupt(&mut self, mut store: Store, look: &Look, state: &State, depth: usize) {
        self.figures.interrupted += 1;
        let mut after = state.next();
        let value = Value::draw(&mut self.random, 600);
        let name = ("b", b"after".to_vec());
        let mut changes = vec![worker::change(&name, worker::put(&value))];
        if let Some(first) = state.values.keys().find(|first| **first != name) {
            changes.push(worker::change(first, Change::Delete));
            after.delete(first.clone());
        }
        after.put(name, value);
        let opened = look.log_len();
        let ticket = store.submit(Batch { changes }).expect("taken");
        drive(&mut store);
        let outcome = store.outcome(&ticket);
        assert!(matches!(outcome, Poll::Ready(Ok(_))), "{outcome:?}");
        let acked = look.log_len();
        drop(store);
        let events = look.take_log();
        let window = |position: usize| Window {
            acked: usize::from(position >= acked),
            submitted: usize::from(position >= opened),
        };
        let windows: Vec<Window> = (0..=events.len()).map(window).collect();
        let image = self.image.clone();
        let mark = image.mark();
        self.explore(&events, &windows, &[state.clone(), after], depth + 1);
        image.roll_back(mark);
    }
}

fn read_back(store: &mut Store, at: At, name: &Name, value: &Value) {
    let read = model::compare(store, at, (name, value), &mut drive);
    assert_eq!(read, Ok(()), "{name:?} cannot be read");
}

/// Steps a store whose disk answers at once until it rests.
pub(crate) fn drive(store: &mut Store) {
    let rests = (0..STEPS_MAX).any(|ns| store.step(worker::now(ns)) != Wake::Now);
    assert!(rests, "the store never comes to rest");
}

impl Drop for Explorer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}, seed {}, at log positions {:?}: {:?}, {} distinct images before",
                self.shape.name,
                self.seed,
                self.path,
                self.figures,
                self.distinct.len()
            );
        }
    }
}
