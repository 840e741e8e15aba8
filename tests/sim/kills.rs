//! Killed in the middle of writing, at any step: what was acknowledged is there.

use crate::{LIMIT_NS, until_ready};
use sim::machine::World;
use sim::random::Random;
use std::collections::BTreeMap;
use tests::data::value;
use tests::simulated::{Client, Cut, Options, Outcome, Simulation};

const SEEDS: u64 = 12;
const ROUNDS: u64 = 6;
const WRITERS: usize = 4;
const KEYS_EACH: u64 = 6;

/// One key's versions: `stands`, or one of `lost + 1..=sent`, may be found.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    stands: u64,
    sent: u64,
    lost: u64,
}

struct Writer {
    client: Client,
    number: u64,
    turn: u64,
    under_way: Option<(u64, u64)>,
    over: bool,
}

type Versions = BTreeMap<u64, Known>;

fn body_len(key: u64, version: u64) -> usize {
    match (key + version) % 9 {
        0 => 70_000 + (version as usize * 311) % 90_000,
        _ => (key * 37 + version * 101) as usize % 3000,
    }
}

impl Writer {
    fn step(&mut self, world: &mut World, versions: &mut Versions) {
        if self.over {
            return;
        }
        if let Some((key, version)) = self.under_way {
            match self.client.answer(world) {
                None => return,
                Some(Outcome::Lost(_)) => {
                    self.over = true;
                    return;
                }
                Some(Outcome::Answer(answer)) => {
                    let status = answer.status;
                    assert!(matches!(status, 201 | 204), "{status}: {}", answer.text());
                    versions.entry(key).or_default().stands = version;
                }
            }
        }
        let key = self.number * KEYS_EACH + self.turn % KEYS_EACH;
        self.turn += 1;
        let known = versions.entry(key).or_default();
        known.sent += 1;
        let version = known.sent;
        let body = value(key, version, body_len(key, version));
        self.client
            .ask(world, "PUT", &format!("/kv/b/{key}"), &body);
        self.under_way = Some((key, version));
    }
}

fn write_for(simulation: &mut Simulation, versions: &mut Versions, steps: u64) {
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer {
            client: simulation.world(Client::connect),
            number: number as u64,
            turn: 0,
            under_way: None,
            over: false,
        })
        .collect();
    let end = simulation.steps + steps;
    while simulation.steps < end {
        simulation.world(|world| {
            for writer in &mut writers {
                writer.step(world, versions);
            }
        });
        if let Err(stuck) = simulation.step() {
            panic!("{stuck:?}:\n{}", simulation.console());
        }
    }
}

/// Every key holds what was acknowledged last, or what was sent to the guest just killed.
fn check(simulation: &mut Simulation, versions: &mut Versions) {
    let mut client = simulation.world(Client::connect);
    for (key, known) in versions.iter_mut() {
        simulation.world(|world| client.ask(world, "GET", &format!("/kv/b/{key}"), b""));
        let mut outcome = None;
        let ran = simulation.run(LIMIT_NS, |world| {
            outcome = client.answer(world);
            outcome.is_some()
        });
        let Some(Outcome::Answer(get)) = outcome else {
            panic!("key {key}: {outcome:?}, {ran:?}:\n{}", simulation.console());
        };
        let is_found = |version: &u64| match version {
            0 => get.status == 404,
            _ => get.status == 200 && get.body == value(*key, *version, body_len(*key, *version)),
        };
        let found = (0..=known.sent).rev().find(is_found);
        let is_right = |version| version == known.stands || version > known.lost.max(known.stands);
        assert!(
            found.is_some_and(is_right),
            "key {key}: version {found:?} where {known:?}, status {}:\n{}",
            get.status,
            simulation.console()
        );
        known.stands = found.unwrap_or_default();
        known.lost = known.sent;
    }
}

fn play(seed: u64) {
    let mut simulation = Simulation::begin(Options::new(seed));
    let mut random = Random::new(seed ^ 0x5eed);
    let mut versions = Versions::new();
    for _ in 0..ROUNDS {
        let loss = [0, 0, 20_000][random.below(3) as usize];
        let delay_max_ns = [0, 100_000, 3_000_000][random.below(3) as usize];
        simulation.world(|world| {
            world.wire.weather.loss = loss;
            world.wire.weather.twice = loss / 2;
            world.wire.weather.delay_max_ns = delay_max_ns;
        });
        until_ready(&mut simulation);
        check(&mut simulation, &mut versions);
        write_for(&mut simulation, &mut versions, 200 + random.below(3000));
        simulation.restart(if random.chance(1, 2) {
            Cut::Power
        } else {
            Cut::Guest
        });
    }
    until_ready(&mut simulation);
    check(&mut simulation, &mut versions);
    let acknowledged = versions.values().filter(|known| known.stands > 0).count();
    assert!(acknowledged > 0, "nothing was written at all");
}

#[test]
fn what_was_acknowledged_outlives_any_kill() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        play(seed);
    }
}
