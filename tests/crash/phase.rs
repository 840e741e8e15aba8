//! The things a store is at when something is refused: opening, a put, a batch, and so on.

use crate::explore::{Explorer, NOTHING};
use crate::model::{self, State};
use crate::rig::Rig;
use crate::shape::{Before, DISK_BYTES, Shape};
use crate::worker::{Trouble, Worker};
use sim::disk::{Choice, Disk};
use sim::random::Random;
use store::State as Phase;

/// What is done while requests fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A blank disk is formatted and opened.
    Format,
    /// A store that was not closed is opened; some sectors of what it wrote last cannot be read.
    Recover,
    /// The same, in a store on which segments were sealed and compacted.
    RecoverFull,
    Put,
    Batches,
    Upload,
    Compact,
    Close,
    Read,
    Restore,
}

impl Task {
    pub(crate) const ALL: [Task; 10] = [
        Task::Format,
        Task::Recover,
        Task::RecoverFull,
        Task::Put,
        Task::Batches,
        Task::Upload,
        Task::Compact,
        Task::Close,
        Task::Read,
        Task::Restore,
    ];

    fn shape(self) -> Shape {
        match self {
            Task::Compact | Task::RecoverFull => Shape::COMPACTION,
            _ => Shape::GROUPS,
        }
    }

    fn is_opening(self) -> bool {
        matches!(self, Task::Format | Task::Recover | Task::RecoverFull)
    }
}

/// A disk on which a task begins, and what is on it.
pub(crate) struct Bed {
    pub(crate) task: Task,
    shape: Shape,
    disk: Disk,
    state: State,
}

impl Bed {
    pub(crate) fn new(task: Task) -> Bed {
        let shape = Shape {
            before: match task {
                Task::Compact | Task::RecoverFull => Before::AlmostAll,
                _ => Before::Nothing,
            },
            ..task.shape()
        };
        let disk = Disk::new(DISK_BYTES, Random::new(5));
        let mut bed = Bed {
            task,
            shape,
            disk,
            state: State::default(),
        };
        if task != Task::Format {
            bed.fill();
        }
        bed
    }

    /// A life that ends in the middle of a batch.
    fn fill(&mut self) {
        let rig = Rig::new(self.disk.clone(), &self.shape, Random::new(6));
        let mut worker = Worker::new(self.shape, rig.clone(), vec![State::default()], 7);
        worker.prepare();
        worker.settle();
        for _ in 0..8 {
            worker.submit_small();
            worker.settle();
        }
        for _ in 0..4 {
            worker.submit_small();
        }
        while worker.rig.disk(|disk| disk.unflushed_sectors()) == 0 {
            worker.step();
        }
        worker.step();
        let window = worker.window();
        let mut random = Random::new(8);
        rig.disk(|disk| {
            disk.crash_with(&mut |_, versions| match random.below(4) {
                0 => Choice::Unreadable,
                1 => Choice::Version(0),
                _ => Choice::Version(versions - 1),
            });
        });
        self.disk = rig.disk(|disk| disk.clone());
        let image = self.disk.image();
        let unreadable: Vec<u64> = self.disk.unreadable_sectors().collect();
        let mut explorer = Explorer::new(self.shape, NOTHING, 9);
        let found = explorer.find(image, &unreadable, &worker.states, window);
        self.state = worker.states[found].clone();
    }

    /// A store on a copy of the disk; ready, if the task is not to open it.
    pub(crate) fn begin(&self) -> Worker {
        let rig = Rig::new(self.disk.clone(), &self.shape, Random::new(10));
        let mut worker = Worker::new(self.shape, rig, vec![self.state.clone()], 11);
        if !self.task.is_opening() {
            worker.settle();
            assert_eq!(*worker.store.state(), Phase::Ready);
        }
        worker.trouble = Trouble::Expected;
        worker
    }

    /// Does the task, as far as it goes.
    pub(crate) fn act(&self, worker: &mut Worker) {
        match self.task {
            Task::Format | Task::Recover | Task::RecoverFull => {
                worker.settle();
                worker.submit_small();
            }
            Task::Put => {
                for _ in 0..2 {
                    worker.submit_small();
                    worker.settle();
                }
            }
            Task::Batches => (0..8).for_each(|_| {
                worker.submit_small();
                worker.step();
            }),
            Task::Upload => (0..2).for_each(|_| {
                worker.submit_small();
                worker.upload();
            }),
            Task::Compact => (0..6).for_each(|_| {
                worker.submit_bulk("bulk", &[60_000; 3], 3);
                worker.submit_small();
                worker.settle();
            }),
            Task::Close => {
                worker.submit_small();
                worker.step();
                worker.store.close();
            }
            Task::Read => {}
            Task::Restore => worker.restore(),
        }
        worker.settle();
    }

    /// Reads everything; what cannot be read says so, and what can be is right.
    pub(crate) fn read_all(worker: &mut Worker) -> u64 {
        let state = worker.states[worker.acked].clone();
        let (store, rig) = (&mut worker.store, worker.rig.clone());
        let mut failed = 0;
        for (name, value) in &state.values {
            let mut step = |store: &mut store::Store| {
                store.step(crate::worker::now(1 << 50));
                rig.tick();
            };
            let read = model::compare(store, store::At::NOW, (name, value), &mut step);
            failed += u64::from(read.is_err());
        }
        failed
    }

    /// What the disk may be left with, opened anew, holds what was acknowledged.
    pub(crate) fn check_left(&self, worker: &Worker) {
        let disk = worker.rig.disk(|disk| disk.clone());
        let window = worker.window();
        let mut random = Random::new(12);
        for style in 0..3 {
            let mut disk = disk.clone();
            disk.crash_with(&mut |_, versions| match style {
                0 => Choice::Version(0),
                1 => Choice::Version(versions - 1),
                _ => Choice::Version(random.below(versions as u64) as usize),
            });
            let unreadable: Vec<u64> = disk.unreadable_sectors().collect();
            let mut explorer = Explorer::new(self.shape, NOTHING, 13 + style);
            explorer.find(disk.image(), &unreadable, &worker.states, window);
        }
    }
}
