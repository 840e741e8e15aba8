//! Crash points: kinds of workloads, each life of which is crashed everywhere.

use crate::explore::{Effort, Explorer, Figures};
use crate::model::State;
use crate::rig::Rig;
use crate::shape::{DISK_BYTES, End, Shape};
use crate::worker::Worker;
use sim::disk::Disk;
use sim::random::Random;

/// What a normal run does.
const NORMAL: Effort = Effort {
    exhaustive_max: [12, 5, 4],
    samples: [64, 8, 4],
    interrupt_one_in: [64, 400, 0],
};

/// Runs a workload by its seed and explores each of its lives.
pub(crate) fn explore(shape: Shape, effort: Effort, seed: u64) -> Figures {
    let mut random = Random::new(seed);
    let mut explorer = Explorer::new(shape, effort, seed);
    let mut disk = Disk::new(DISK_BYTES, random.fork());
    let mut states = vec![State::default()];
    for life in 0..shape.lives {
        let shape = shape.in_life(life);
        explorer.goes_on_as(shape);
        let rig = Rig::new(disk, &shape, random.fork());
        let mut worker = Worker::new(shape, rig.clone(), states, seed * 100 + u64::from(life));
        if life == 0 {
            worker.prepare();
        }
        let base = worker.record();
        let end = shape.ends[life as usize % shape.ends.len()];
        worker.live(end);
        let window = worker.window();
        let life = worker.into_life(base);
        rig.forget_requests();
        explorer.life(&life);
        disk = rig.disk(|disk| disk.clone());
        states = if end == End::Kill {
            disk.kill();
            life.states[window.acked..].to_vec()
        } else {
            disk.crash();
            let found = explorer.find(disk.image(), &[], &life.states, window);
            vec![life.states[found].clone()]
        };
    }
    explorer.figures
}

fn check(shape: Shape, seeds: u64, distinct_min: u64) {
    let mut figures = Figures::default();
    for seed in 1..=seeds {
        figures.add(explore(shape, NORMAL, seed));
    }
    println!("{}: {figures:?}", shape.name);
    assert!(
        figures.distinct >= distinct_min,
        "only {} distinct images",
        figures.distinct
    );
}

#[test]
fn small_values_survive_every_crash() {
    check(Shape::SMALL, 3, 25_000);
}

#[test]
fn groups_of_every_length_survive_every_crash() {
    check(Shape::LENGTHS, 1, 3_000);
}

#[test]
fn groups_of_batches_survive_every_crash() {
    check(Shape::GROUPS, 3, 50_000);
}

#[test]
fn units_of_4_kib_survive_every_crash() {
    check(Shape::PAGES, 1, 14_000);
}

#[test]
fn sectors_of_4_kib_survive_every_crash() {
    check(Shape::LARGE_SECTORS, 1, 6_000);
}

#[test]
fn uploads_survive_every_crash() {
    check(Shape::UPLOADS, 1, 4_000);
}

#[test]
fn the_seal_of_a_segment_survives_every_crash() {
    check(Shape::SEGMENTS, 1, 4_000);
}

#[test]
fn a_disk_that_moves_survives_every_crash() {
    check(Shape::MOVES, 8, 1_500);
}

#[test]
fn compaction_survives_every_crash() {
    check(Shape::COMPACTION, 1, 3_000);
}

#[test]
fn snapshots_and_rollbacks_survive_every_crash() {
    check(Shape::UNDO, 1, 10_000);
}

#[test]
fn restores_survive_every_crash() {
    check(Shape::RESTORES, 2, 4_000);
}

#[test]
fn ends_survive_every_crash() {
    check(Shape::ENDS, 1, 10_000);
}

#[test]
fn snapshots_survive_every_crash_while_compacting() {
    check(Shape::UNDO_FULL, 1, 2_000);
}

#[test]
fn compaction_with_discards_survives_every_crash() {
    check(Shape::DISCARDS, 1, 3_000);
}
