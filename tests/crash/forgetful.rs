//! A flush fails and the disk forgets: what it had in its cache is read, and never durable.
//!
//! That is what a host's page cache does. A guest that is started again reads the end of its
//! log from there; what it then shows somebody has to be written anew first. A log of what
//! the disk did cannot say that, so each crash here is the disk's own.
//!
//! Not among the workloads is a flush that seals a segment: the new segment's header is then
//! in the cache only, and opening does not write it anew.
//!
//! Source: Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020.

use crate::explore::{Explorer, NOTHING};
use crate::model::State;
use crate::rig::Rig;
use crate::shape::{Before, DISK_BYTES, Shape};
use crate::worker::{Trouble, Worker};
use sim::disk::{Choice, Disk};
use sim::random::Random;

const ALWAYS: u32 = 1_000_000;
/// Batches of each life.
const BATCHES: u32 = 8;

/// A batch; where a segment is nearly full, enough to seal it.
fn work(worker: &mut Worker) {
    if worker.shape.before == Before::Nothing {
        worker.submit_small();
    } else {
        worker.submit_bulk("later", &[6_000], 3);
    }
}

/// Works until the `n`-th flush has failed; whether there was one.
fn fails_at(worker: &mut Worker, n: u64) -> bool {
    let mut left = BATCHES;
    for _ in 0..10_000 {
        if worker.rig.flushes() == n {
            worker.rig.disk(|disk| {
                disk.faults().flush_error = ALWAYS;
                disk.faults().forgetful_flush_error = ALWAYS;
            });
        }
        let begins = worker.waiting.is_empty() || worker.shape.before == Before::Nothing;
        if left > 0 && begins && *worker.store.state() == store::State::Ready {
            work(worker);
            left -= 1;
        }
        let _ = worker.step();
        if worker.rig.failed_flushes() > 0 {
            return true;
        }
    }
    false
}

/// Each end of a power cut now, as far as it is looked at, holds what was shown.
fn cut(worker: &Worker, random: &mut Random) {
    let disk = worker.rig.disk(|disk| disk.clone());
    for style in 0..4 {
        let mut disk = disk.clone();
        disk.crash_with(&mut |_, versions| match style {
            0 => Choice::Version(0),
            1 => Choice::Version(versions - 1),
            _ => Choice::Version(random.below(versions as u64) as usize),
        });
        let mut explorer = Explorer::new(worker.shape, NOTHING, 20 + style);
        explorer.find(disk.image(), &[], &worker.states, worker.window());
    }
}

/// Whether the life had an `n`-th flush.
fn check(shape: Shape, n: u64) -> bool {
    let mut random = Random::new(n);
    let rig = Rig::new(Disk::new(DISK_BYTES, random.fork()), &shape, random.fork());
    let mut worker = Worker::new(shape, rig.clone(), vec![State::default()], 30 + n);
    worker.prepare();
    worker.trouble = Trouble::Expected;
    let n = worker.rig.flushes() + n;
    if !fails_at(&mut worker, n) {
        return false;
    }
    let acked = worker.acked;
    let states = worker.states.split_off(acked);
    drop(worker);
    rig.forget_requests();
    let mut disk = rig.disk(|disk| disk.clone());
    *disk.faults() = sim::disk::Faults::default();
    disk.kill();
    let rig = Rig::new(disk, &shape, random.fork());
    let mut worker = Worker::new(shape, rig, states, 40 + n);
    let mut left = 2;
    for _ in 0..60 {
        if left > 0 && *worker.store.state() == store::State::Ready {
            worker.submit_small();
            left -= 1;
        }
        let _ = worker.step();
        if worker.rig.disk(|disk| disk.unflushed_sectors()) > 0 {
            cut(&worker, &mut random);
        }
    }
    worker.settle();
    assert_eq!(worker.acked, worker.submitted());
    true
}

#[test]
fn what_is_shown_after_a_failed_flush_outlives_a_power_cut() {
    for shape in [Shape::GROUPS, Shape::PAGES] {
        let shape = Shape {
            bulk_one_in: 0,
            ..shape
        };
        let failed = (0..100).take_while(|n| check(shape, *n)).count();
        println!("{}: {failed} flushes failed and forgot", shape.name);
        assert!(failed > 3, "only {failed} flushes");
    }
}
