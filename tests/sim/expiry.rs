//! What a client has seen to be over stays so, whatever becomes of the guest and of its clock.

use crate::{request, until_ready};
use sim::disk::Disk;
use sim::random::Random;
use std::collections::BTreeMap;
use tests::simulated::{Client, Cut, LIMIT_NS, Options, Outcome, Simulation};

const DISK_BYTES: u64 = 8 << 20;
const KEYS: usize = 6;
const SEEDS: u64 = 60;
/// Longer than any value here lasts.
const LATER_S: u32 = 100;
const PATIENCE_NS: u64 = 300_000;

fn target(key: usize) -> String {
    format!("/kv/b/{key}")
}

fn status(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Answer(answer) => Some(answer.status),
        _ => None,
    }
}

/// Asks on all connections at once, and goes on until all are answered or the patience ends;
/// with which status.
fn ask_all(
    simulation: &mut Simulation,
    clients: &mut [Client],
    target: impl Fn(usize) -> String,
    patience_ns: u64,
) -> Vec<Option<u16>> {
    for (key, client) in clients.iter_mut().enumerate() {
        simulation.world(|world| client.ask(world, "GET", &target(key), b""));
    }
    let mut answers = vec![None; clients.len()];
    let _ = simulation.run(patience_ns, |world| {
        for (client, answer) in clients.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                *answer = client.answer(world).and_then(|outcome| status(&outcome));
            }
        }
        answers.iter().all(Option::is_some)
    });
    answers
}

/// Connections to a guest that serves: one for each key.
fn connect(simulation: &mut Simulation) -> Vec<Client> {
    let connected = (0..KEYS).map(|_| simulation.world(Client::connect));
    let mut clients: Vec<Client> = connected.collect();
    let healthz = |_| String::from("/healthz");
    let answers = ask_all(simulation, &mut clients, healthz, LIMIT_NS);
    assert_eq!(answers, [Some(200); KEYS]);
    clients
}

/// The wall clock of the host, moved by so many seconds.
fn move_clock(simulation: &mut Simulation, wall_s: u32) {
    simulation.world(|world| world.domain.set_wall(wall_s));
}

/// How often which answers were given before a crash, and after it.
type Seen = BTreeMap<(Option<u16>, Option<u16>), u64>;

fn one_life(seed: u64, seen: &mut Seen) {
    let mut random = Random::new(seed);
    let disk = Disk::new(DISK_BYTES, random.fork());
    let mut simulation = Simulation::begin_on(Options::new(seed), disk);
    until_ready(&mut simulation);
    let begin_s = sim::clock::WALL_S;
    for key in 0..KEYS {
        let target = format!("{}?ttl={}", target(key), 20 + key);
        let put = request(&mut simulation, "PUT", &target, b"value");
        assert_eq!(status(&put), Some(201), "{put:?}");
    }
    // Nobody has had a reason to look when the requests come.
    let mut clients = connect(&mut simulation);
    move_clock(&mut simulation, begin_s + LATER_S);
    let patience_ns = random.below(PATIENCE_NS);
    let before = ask_all(&mut simulation, &mut clients, target, patience_ns);
    drop(clients);
    // Killed in the middle of it, and by the next clock nothing is over yet.
    let cut = if random.chance(1, 2) {
        Cut::Power
    } else {
        Cut::Guest
    };
    simulation.restart(cut);
    until_ready(&mut simulation);
    let mut clients = connect(&mut simulation);
    let after = ask_all(&mut simulation, &mut clients, target, LIMIT_NS);
    for (key, (before, after)) in before.iter().zip(&after).enumerate() {
        let came_back = *before == Some(404) && *after != Some(404);
        assert!(
            !came_back,
            "seed {seed}: key {key} came back: {}",
            simulation.console()
        );
        seen.entry((*before, *after))
            .and_modify(|count| *count += 1)
            .or_insert(1);
    }
    move_clock(&mut simulation, begin_s + LATER_S);
    let gone = ask_all(&mut simulation, &mut clients, target, LIMIT_NS);
    assert_eq!(gone, [Some(404); KEYS]);
}

#[test]
fn what_was_seen_to_be_over_does_not_come_back() {
    let mut seen = Seen::new();
    (0..SEEDS).for_each(|seed| one_life(seed, &mut seen));
    println!("answers before a crash, and after it: {seen:?}");
    for wanted in [(Some(404), Some(404)), (None, Some(404)), (None, Some(200))] {
        assert!(
            seen.contains_key(&wanted),
            "{wanted:?} has to be met: {seen:?}"
        );
    }
}
