//! Killed in the middle of writing, at any step: what was acknowledged is there.

use crate::{LIMIT_NS, faults, until_ready};
use sim::machine::World;
use sim::random::Random;
use std::collections::BTreeMap;
use tests::data::value;
use tests::http::Answer;
use tests::simulated::{Client, Cut, Options, Outcome, Simulation};

const SEEDS: u64 = 12;
const ROUNDS: u64 = 6;
const WRITERS: usize = 4;
const KEYS_EACH: u64 = 6;
/// On a network that loses nothing every request is answered within this time.
const ANSWER_NS_MAX: u64 = 5_000_000_000;

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
    under_way: Option<Request>,
    asked_ns: u64,
    over: bool,
}

/// What a writer waits for, of one of its own keys.
#[derive(Clone, Copy, Debug)]
enum Request {
    Put { key: u64, version: u64 },
    Get { key: u64 },
}

type Versions = BTreeMap<u64, Known>;

fn body_len(key: u64, version: u64) -> usize {
    match (key + version) % 9 {
        0 | 1 => 70_000 + (version as usize * 311) % 250_000,
        _ => (key * 37 + version * 101) as usize % 3000,
    }
}

impl Writer {
    fn step(&mut self, world: &mut World, versions: &mut Versions) {
        if self.over {
            return;
        }
        if let Some(request) = self.under_way {
            match self.client.answer(world) {
                None => {
                    let waited_ns = world.domain.now_ns - self.asked_ns;
                    let limit_ns = if world.wire.weather.loss > 0 {
                        LIMIT_NS
                    } else {
                        ANSWER_NS_MAX
                    };
                    assert!(
                        waited_ns < limit_ns,
                        "{request:?}: {waited_ns} ns without an answer"
                    );
                    return;
                }
                Some(Outcome::Lost(_)) => {
                    self.over = true;
                    return;
                }
                Some(Outcome::Answer(answer)) => request.judge(&answer, versions),
            }
        }
        self.ask(world, versions);
    }

    /// Every third request reads a key that this writer alone writes.
    fn ask(&mut self, world: &mut World, versions: &mut Versions) {
        let key = self.number * KEYS_EACH + self.turn * 5 % KEYS_EACH;
        self.turn += 1;
        let target = format!("/kv/b/{key}");
        let known = versions.entry(key).or_default();
        let request = if self.turn.is_multiple_of(3) {
            self.client.ask(world, "GET", &target, b"");
            Request::Get { key }
        } else {
            known.sent += 1;
            let version = known.sent;
            let body = value(key, version, body_len(key, version));
            self.client.ask(world, "PUT", &target, &body);
            Request::Put { key, version }
        };
        self.under_way = Some(request);
        self.asked_ns = world.domain.now_ns;
    }
}

impl Request {
    fn judge(self, answer: &Answer, versions: &mut Versions) {
        let status = answer.status;
        match self {
            Request::Put { key, version } => {
                assert!(matches!(status, 201 | 204), "{status}: {}", answer.text());
                versions.entry(key).or_default().stands = version;
            }
            Request::Get { key } => {
                let version = versions.entry(key).or_default().stands;
                assert!(
                    is_version(answer, key, version),
                    "{key}: {status}, not {version}"
                );
            }
        }
    }
}

/// Whether the answer is this version of the key; version 0 is that there is none.
fn is_version(get: &Answer, key: u64, version: u64) -> bool {
    match version {
        0 => get.status == 404,
        _ => get.status == 200 && get.body == value(key, version, body_len(key, version)),
    }
}

fn write_for(simulation: &mut Simulation, versions: &mut Versions, steps: u64) {
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer {
            client: simulation.world(Client::connect),
            number: number as u64,
            turn: 0,
            under_way: None,
            asked_ns: 0,
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
        let is_found = |version: &u64| is_version(&get, *key, *version);
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

/// What a guest holds of the hypervisor's and the daemon's, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    ports: usize,
    grants: usize,
    watches: usize,
    transactions: usize,
}

impl Held {
    fn by(world: &World) -> Held {
        let domain = &world.domain;
        Held {
            ports: domain.events.count(),
            grants: domain.grants.permitted(&domain.arena).len(),
            watches: domain.xenstored.watch_count(domain.client),
            transactions: domain.xenstored.transaction_count(domain.client),
        }
    }
}

/// Plays one seed; how many steps it took, and when it ended.
fn play(seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed ^ 0x5eed);
    let mut simulation = Simulation::begin(Options {
        ram_bytes: [10 << 20, 16 << 20][random.below(2) as usize],
        interleaving: [0, 2_000, 20_000, 200_000][random.below(4) as usize],
        ..Options::new(seed)
    });
    let mut versions = Versions::new();
    let mut first = None;
    for _ in 0..ROUNDS {
        let loss = [0, 0, 20_000][random.below(3) as usize];
        let delay_max_ns = [0, 100_000, 3_000_000][random.below(3) as usize];
        let slow_ns = [0, 300_000, 5_000_000][random.below(3) as usize];
        simulation.world(|world| {
            if let Some((_, disk)) = &mut world.vbd {
                disk.faults().slow.max_ns = slow_ns;
            }
            world.wire.weather.loss = loss;
            world.wire.weather.twice = loss / 2;
            world.wire.weather.delay_max_ns = delay_max_ns;
        });
        until_ready(&mut simulation);
        check(&mut simulation, &mut versions);
        let held = simulation.world(|world| Held::by(world));
        assert_eq!(held, *first.get_or_insert(held), "each life holds the same");
        write_for(&mut simulation, &mut versions, 200 + random.below(3000));
        let now = simulation.world(|world| Held::by(world));
        assert_eq!(now, held, "serving takes nothing for good");
        assert_eq!(faults(&simulation), [""; 0]);
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
    let now_ns = simulation.world(|world| world.domain.now_ns);
    (simulation.steps, now_ns)
}

/// Says how to see it again when a seed fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("replay it: cargo xtask sim --seed {}", self.0);
        }
    }
}

/// A number that `cargo xtask sim` gives, or what the tests take.
fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn what_was_acknowledged_outlives_any_kill() {
    let first = number("LAMPION_SIM_FIRST", 0);
    for seed in first..first + number("LAMPION_SIM_COUNT", SEEDS) {
        let replay = Replay(seed);
        play(seed);
        drop(replay);
    }
}

#[test]
fn one_seed_is_one_run() {
    let first = play(7);
    assert_ne!(first, play(8));
    assert_eq!(first, play(7), "whatever ran before it");
}
