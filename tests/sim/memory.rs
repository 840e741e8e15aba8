//! What a guest holds of its memory stays what it is, whatever it does for a day.

use crate::{request, until_ready};
use sim::random::Random;
use tests::data::value;
use tests::simulated::{Client, Options, Outcome, Simulation};

const KEYS: u64 = 16;
/// Until caches, tables and buffers have the size they keep.
const WARM: usize = 50;
/// Rounds of each of the two stretches that are compared.
const STRETCH: usize = 50;
const SECOND_NS: u64 = 1_000_000_000;

/// Every key is written, read or removed, and some connections are left in the middle of it.
fn round(simulation: &mut Simulation, random: &mut Random) {
    for key in 0..KEYS {
        let target = format!("/kv/b/{key}");
        let len = random.below(4_000) as usize;
        let answered = match random.below(8) {
            0 => request(simulation, "DELETE", &target, b""),
            1 => request(simulation, "PUT", "/kv/b/large", &value(key, 1, 150_000)),
            2..5 => request(simulation, "PUT", &target, &value(key, 1, len)),
            _ => request(simulation, "GET", &target, b""),
        };
        assert!(
            matches!(&answered, Outcome::Answer(answer) if answer.status < 500),
            "{answered:?}"
        );
    }
    let mut left = simulation.world(Client::connect);
    simulation.world(|world| left.ask(world, "PUT", "/kv/b/left", &value(9, 9, 90_000)));
    simulation
        .pass(random.below(2_000_000))
        .expect("it goes on");
    simulation.world(|world| left.abort(world));
}

/// At rest, with no connection left.
fn held_bytes(simulation: &mut Simulation) -> u64 {
    simulation.pass(600 * SECOND_NS).expect("it rests");
    simulation.heap().used_bytes
}

/// Far less than what the smallest allocation makes of a stretch that leaves one a round.
const GROWTH_BYTES_MAX: u64 = 4 * STRETCH as u64;

/// The number in the middle: what comes and goes in single rounds does not move it.
fn median(held: &[u64]) -> u64 {
    let mut sorted = held.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// By how much more is usual in the second stretch than in the first.
fn growth_bytes(held: &[u64]) -> u64 {
    let (before, after) = held.split_at(STRETCH);
    median(after).saturating_sub(median(before))
}

#[test]
fn what_each_round_leaves_is_growth_and_one_step_is_none() {
    // As a summary that is gathered comes and goes.
    let at_rest = |round: u64| 104_000 + [0, 64, 900, 64, 0, 64][round as usize % 6];
    let rounds = 2 * STRETCH as u64;
    let held = |more: &dyn Fn(u64) -> u64| -> Vec<u64> {
        (0..rounds)
            .map(|round| at_rest(round) + more(round))
            .collect()
    };
    let step = |round: u64| if round > STRETCH as u64 { 32 } else { 0 };
    assert!(growth_bytes(&held(&step)) <= GROWTH_BYTES_MAX);
    assert!(growth_bytes(&held(&|round| 8 * round)) > GROWTH_BYTES_MAX);
}

#[test]
fn a_guest_holds_after_a_day_what_it_held_before() {
    let mut simulation = Simulation::begin(Options {
        ram_bytes: 12 << 20,
        ..Options::new(5)
    });
    let mut random = Random::new(5);
    until_ready(&mut simulation);
    let mut held = Vec::new();
    for _ in 0..WARM + 2 * STRETCH {
        round(&mut simulation, &mut random);
        // Every key has a value again, so that the index is as large as before.
        for key in 0..KEYS {
            let _ = request(
                &mut simulation,
                "PUT",
                &format!("/kv/b/{key}"),
                &value(key, 2, 100),
            );
        }
        held.push(held_bytes(&mut simulation));
    }
    let growth = growth_bytes(&held[WARM..]);
    println!("at rest: {growth} bytes more in the end; {held:?}");
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "{growth} bytes more at rest after {STRETCH} rounds: {held:?}"
    );
}
