//! The same for as long as there is time: seeds nobody has seen, and lives of other lengths.
//!
//! `LAMPION_CRASH_MINUTES` says how long; `LAMPION_CRASH_SEED` is the first seed, else the
//! clock's. Each seed is printed before its result, so that a failure can be had again.
//!
//! Images are told apart within one seed. Two seeds share none: all checksums of a store
//! are seeded with its id, and the id with the seed. What is on a disk before its first
//! opening has written anything is counted once for each seed that begins with a blank one.

use crate::explore::{Effort, Figures};
use crate::points;
use crate::shape::Shape;
use sim::random::Random;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// More of what is sampled, and recoveries interrupted more often, than in a normal run.
const HUNT: Effort = Effort {
    exhaustive_max: [12, 6, 4],
    samples: [256, 16, 4],
    interrupt_one_in: [64, 200, 0],
};

/// Of sixteen seeds, so many are of a kind: the last two cost several times as much an image.
const KINDS: [Shape; 17] = [
    Shape::SMALL,
    Shape::GROUPS,
    Shape::SMALL,
    Shape::PAGES,
    Shape::SMALL,
    Shape::GROUPS,
    Shape::LARGE_SECTORS,
    Shape::UPLOADS,
    Shape::MOVES,
    Shape::GROUPS,
    Shape::UNDO,
    Shape::RESTORES,
    Shape::ENDS,
    Shape::UNDO_FULL,
    Shape::UPLOADS,
    Shape::SEGMENTS,
    Shape::COMPACTION,
];

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// A kind, and how many lives of what length, by the seed: an image of a short log is opened
/// several times as fast as one of a long one, and short histories show most of what there is
/// to find (Mohan et al., OSDI 2018, section 4).
fn shape_of(seed: u64) -> Shape {
    let shape = KINDS[(seed % 16) as usize];
    let mut random = Random::new(!seed);
    Shape {
        lives: shape.lives + random.below(3) as u32,
        submissions: shape.submissions / 8 * (1 + random.below(4) as u32),
        discard: random.chance(1, 2),
        ..shape
    }
}

/// One worker's part: seeds in turn, until the time is over.
fn hunt_on(next: &AtomicU64, all: &Mutex<Figures>, began: Instant, end: Instant) {
    while Instant::now() < end {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let shape = shape_of(seed);
        println!("seed {seed}: {}", shape.name);
        let figures = points::explore(shape, HUNT, seed);
        let mut all = all.lock().expect("no worker fails while it counts");
        all.add(figures);
        let seconds = began.elapsed().as_secs();
        println!(
            "seed {seed} is fine; after {seconds} s: {} distinct images of {} shown, at {} log \
             positions, {} recoveries interrupted",
            all.distinct, all.shown, all.positions, all.interrupted
        );
    }
}

#[test]
#[ignore = "goes on for LAMPION_CRASH_MINUTES: cargo xtask sim --hunt"]
fn hunt() {
    let minutes = number("LAMPION_CRASH_MINUTES");
    let minutes = minutes.expect("LAMPION_CRASH_MINUTES says how long to hunt");
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let clock = clock.map_or(0, |since| since.as_secs());
    let next = AtomicU64::new(number("LAMPION_CRASH_SEED").unwrap_or(clock));
    let began = Instant::now();
    let end = began + Duration::from_secs(minutes * 60);
    let all = Mutex::new(Figures::default());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| hunt_on(&next, &all, began, end));
        }
    });
    let all = all.into_inner().expect("no worker fails while it counts");
    println!("{} distinct images: {all:?}", all.distinct);
    assert!(all.distinct > 0, "nothing was looked at");
}
