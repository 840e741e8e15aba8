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

/// The number that is there most often.
fn usual(held: &[u64]) -> u64 {
    let mut sorted = held.to_vec();
    sorted.sort_unstable();
    let same = sorted.chunk_by(|one, other| one == other);
    same.max_by_key(|same| same.len()).expect("rounds")[0]
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
    let (before, after) = held[WARM..].split_at(STRETCH);
    let usual = usual(after);
    println!("at rest: {usual} bytes in the end; {held:?}");
    // What the summary of the segment being written takes comes and goes in steps, so that the
    // same few numbers return; what each round leaves behind would make all of them new.
    assert!(
        before.contains(&usual),
        "{usual} bytes at rest, and never before: {held:?}"
    );
}
