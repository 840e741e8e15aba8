//! Flushes that fail and are forgotten: what was acknowledged or served stays.
//!
//! After a failed flush the disk's cache may count as clean: reads still see what was written,
//! later flushes end well without it, and a power cut takes it. So what a guest finds in the
//! tail of its log is not durable because it can be read, nor because a later flush ended well:
//! it has to be written again, and that flushed, before anybody is shown it.

use crate::{seeds, until_ready};
use sim::random::Random;
use std::mem;
use tests::data::value;
use tests::http::Answer;
use tests::simulated::{Client, Cut, LIMIT_NS, Options, Outcome, Simulation, faults, request};

const SEEDS: u64 = 12;
const ROUNDS: u64 = 4;
const KEYS: u64 = 4;
/// Longest that a request takes of a disk whose store is looked at while it opens: a peer finds
/// a new guest after 200 ms.
const OPENING_NS_MAX: u64 = 300_000_000;
/// Between two questions to a store that opens.
const PAUSE_NS: u64 = 5_000_000;
/// Changes until the disk is left alone again, if none fails.
const CHANGES_MAX: u64 = 40;

/// One key's versions: `stands`, or one of `lost + 1..=sent`, may be found.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    stands: u64,
    sent: u64,
    lost: u64,
}

type Versions = [Known; KEYS as usize];

fn body(key: u64, version: u64) -> Vec<u8> {
    let len = match (key + version) % 3 {
        0 => 50_000,
        1 => 90_000,
        _ => (key * 37 + version * 101) as usize % 3000,
    };
    value(key, version, len)
}

fn path(key: u64) -> String {
    format!("/kv/b/{key}")
}

impl Known {
    /// Notes what was found of the key, if it may be; whether it was not known to stand.
    fn judge(&mut self, key: u64, get: &Answer, console: &str) -> bool {
        let is_found = |version: &u64| match version {
            0 => get.status == 404,
            _ => get.status == 200 && get.body == body(key, *version),
        };
        let found = (0..=self.sent).rev().find(is_found);
        let may_be = |version| version == self.stands || version > self.lost.max(self.stands);
        assert!(
            found.is_some_and(may_be),
            "key {key}: version {found:?} where {self:?}, status {}:\n{console}",
            get.status
        );
        let is_news = found != Some(self.stands);
        self.stands = found.unwrap_or_default();
        self.lost = self.sent;
        is_news
    }
}

/// Changes keys until a change is not acknowledged.
fn write(simulation: &mut Simulation, versions: &mut Versions, random: &mut Random) {
    for _ in 0..CHANGES_MAX {
        let key = random.below(KEYS);
        let known = &mut versions[key as usize];
        known.sent += 1;
        let put = request(simulation, "PUT", &path(key), &body(key, known.sent));
        match put {
            Outcome::Answer(answer) if matches!(answer.status, 201 | 204) => {
                known.stands = known.sent;
            }
            Outcome::Answer(answer) if matches!(answer.status, 500 | 503) => return,
            other => panic!("{other:?}:\n{}", simulation.console()),
        }
    }
}

/// Reads keys from the guest's first moment on, for so many steps after the first answer, and
/// no longer when it shows what nobody has been told before.
fn read_early(simulation: &mut Simulation, versions: &mut Versions, steps: u64) {
    let mut client = simulation.world(Client::connect);
    let (mut end, mut listens) = (None, false);
    for turn in 0.. {
        let key = turn % KEYS;
        simulation.world(|world| client.ask(world, "GET", &path(key), b""));
        let mut outcome = None;
        let ran = simulation.run(LIMIT_NS, |world| {
            outcome = client.answer(world);
            outcome.is_some()
        });
        match outcome {
            Some(Outcome::Answer(get)) if get.status == 503 && end.is_none() => {
                listens = true;
                let _ = simulation.run(PAUSE_NS, |_| false);
                let refused = mem::replace(&mut client, simulation.world(Client::connect));
                simulation.world(|world| refused.abort(world));
            }
            Some(Outcome::Answer(get)) => {
                let console = simulation.console();
                if versions[key as usize].judge(key, &get, &console) {
                    return;
                }
                listens = true;
                end = end.or(Some(simulation.steps + steps));
            }
            Some(Outcome::Lost(_)) if !listens => client = simulation.world(Client::connect),
            lost => panic!("{lost:?}, {ran:?}:\n{}", simulation.console()),
        }
        if end.is_some_and(|end| simulation.steps >= end) {
            return;
        }
    }
}

fn check(simulation: &mut Simulation, versions: &mut Versions) {
    until_ready(simulation);
    for (key, known) in (0..).zip(versions) {
        match request(simulation, "GET", &path(key), b"") {
            Outcome::Answer(get) => {
                let _ = known.judge(key, &get, &simulation.console());
            }
            other => panic!("key {key}: {other:?}:\n{}", simulation.console()),
        }
    }
    assert_eq!(faults(simulation), [""; 0]);
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0xf1);
    let mut simulation = Simulation::begin(Options {
        interleaving: [0, 20_000][random.below(2) as usize],
        ..Options::new(seed)
    });
    let mut versions = Versions::default();
    for _ in 0..ROUNDS {
        check(&mut simulation, &mut versions);
        let slow_ns = [0, 300_000, 5_000_000][random.below(3) as usize];
        simulation.world(|world| {
            let (_, disk) = world.vbd.as_mut().expect("a disk");
            disk.faults().slow.max_ns = slow_ns;
            disk.faults().flush_error = 100_000;
            disk.faults().forgetful_flush_error = 1_000_000;
        });
        write(&mut simulation, &mut versions, &mut random);
        simulation.world(|world| {
            let (_, disk) = world.vbd.as_mut().expect("a disk");
            disk.faults().flush_error = 0;
            disk.faults().slow.max_ns = OPENING_NS_MAX;
        });
        simulation.restart(Cut::Guest);
        read_early(&mut simulation, &mut versions, random.below(60));
        simulation.restart(Cut::Power);
        simulation.world(|world| {
            let (_, disk) = world.vbd.as_mut().expect("a disk");
            disk.faults().slow.max_ns = 0;
        });
    }
    check(&mut simulation, &mut versions);
}

#[test]
fn what_was_served_outlives_a_forgotten_flush() {
    seeds::each(SEEDS, play);
}
