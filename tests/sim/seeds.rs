//! Whole seeds: a guest through its lives, and one seed played twice.

use sim::trace::Trace;
use tests::play::{Played, play};

/// Seeds of a test run; `cargo xtask sim` plays more.
const SEEDS: u64 = 24;

fn passes(seed: u64) -> Played {
    let played = play(seed, Trace::default());
    played.unwrap_or_else(|failure| {
        panic!("seed {seed}: {failure}\nreplay it: cargo xtask sim --seed {seed}")
    })
}

/// A number from the environment, or what the tests take.
fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Plays as many seeds as the environment says, or `count`.
pub(crate) fn each(count: u64, play: fn(u64)) {
    let first = number("LAMPION_SIM_FIRST", 0);
    for seed in first..first + number("LAMPION_SIM_COUNT", count) {
        let replay = Replay(seed);
        play(seed);
        drop(replay);
    }
}

/// Says how to see it again when a seed fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("alone: LAMPION_SIM_COUNT=1 LAMPION_SIM_FIRST={}", self.0);
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_any_kill() {
    each(SEEDS, |seed| {
        passes(seed);
    });
}

/// What each has found: compaction took a torn gap between groups for damage.
const ONCE_FAILED: [u64; 1] = [164];

#[test]
fn seeds_that_once_failed_pass() {
    for seed in ONCE_FAILED {
        passes(seed);
    }
}

#[test]
fn one_seed_is_one_run() {
    let first = passes(7);
    assert_ne!(first, passes(8));
    assert_eq!(first, passes(7), "whatever ran before it");
    let traces = [(); 2].map(|()| {
        let trace = Trace::kept();
        play(7, trace.clone()).expect("as before");
        trace.lines()
    });
    assert!(
        traces[0].len() > 1000 && traces[0] == traces[1],
        "each event is the same"
    );
}
