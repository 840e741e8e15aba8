//! An end or a save is asked for at each step of a boot, and while the store is at work.
//!
//! It comes about, and what was acknowledged is there afterwards, though the power is cut.

use crate::{request, until_ready};
use sim::domain::{DOMID, Ended};
use sim::machine::World;
use sim::random::Random;
use sim::resume::Save;
use std::collections::BTreeMap;
use tests::data::value;
use tests::simulated::{
    Client, Cut, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, Stuck, check_all, faults,
    put_all,
};

/// Far above what any of it takes while the disk answers.
const SOON_NS: u64 = 5_000_000_000;
/// No boot takes more steps.
const STEPS_MAX: u64 = 5_000;
const SEEDS: u64 = 12;
const WRITERS: u64 = 3;
const KEYS: u64 = 30;
const VALUE_BYTES: usize = 40_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Poweroff,
    Reboot,
    Save,
}

const ALL: [Asked; 3] = [Asked::Poweroff, Asked::Reboot, Asked::Save];

/// As `xl` asks.
fn ask(simulation: &Simulation, asked: Asked) {
    let word: &[u8] = match asked {
        Asked::Poweroff => b"poweroff",
        Asked::Reboot => b"reboot",
        Asked::Save => b"suspend",
    };
    simulation.world(|world| {
        if asked == Asked::Save {
            world.domain.saves.push_back(Save::Moves(0));
        }
        let path = format!("/local/domain/{DOMID}/control/shutdown");
        world.domain.xenstored.write(&path, word);
    });
}

/// What was asked comes about.
fn comes_about(simulation: &mut Simulation, asked: Asked) -> Result<(), Stuck> {
    let is_saved = |world: &mut World| asked == Asked::Save && world.domain.saves.is_empty();
    match (simulation.run(SOON_NS, is_saved), asked) {
        (Err(Stuck::Ended(Ended::Poweroff)), Asked::Poweroff)
        | (Err(Stuck::Ended(Ended::Reboot)), Asked::Reboot)
        | (Ok(()), Asked::Save) => Ok(()),
        (Ok(()), _) => Err(Stuck::TooLate),
        (Err(stuck), _) => Err(stuck),
    }
}

/// A guest that has just been created: on a blank disk, on one that was closed, on one that was
/// not. What the disk has is acknowledged.
fn created(disk: usize, options: Options) -> (Simulation, Vec<bool>) {
    let mut simulation = Simulation::begin(options);
    if disk == 0 {
        return (simulation, vec![false; 3]);
    }
    until_ready(&mut simulation);
    let acknowledged = put_all(&mut simulation);
    assert_eq!(acknowledged, [true; 3]);
    if disk == 1 {
        ask(&simulation, Asked::Poweroff);
        assert_eq!(comes_about(&mut simulation, Asked::Poweroff), Ok(()));
    }
    simulation.restart(Cut::Power);
    (simulation, acknowledged)
}

/// Asks after so many steps; whether the guest served by then.
fn asked_after(steps: u64, disk: usize, asked: Asked) -> bool {
    let (mut simulation, acknowledged) = created(disk, Options::new(steps));
    for _ in 0..steps {
        // Nobody has anything to do: so it stays.
        if simulation.step() == Err(Stuck::Forever) {
            break;
        }
    }
    let was_ready = simulation.console().contains("store: ready\n");
    ask(&simulation, asked);
    let end = comes_about(&mut simulation, asked);
    let console = simulation.console();
    assert_eq!(end, Ok(()), "{asked:?} after {steps} steps:\n{console}");
    if asked != Asked::Save {
        simulation.restart(Cut::Power);
    }
    until_ready(&mut simulation);
    check_all(&mut simulation, &acknowledged);
    assert_eq!(faults(&simulation), [""; 0], "{asked:?} after {steps}");
    was_ready
}

#[test]
fn at_each_step_of_a_boot() {
    for disk in 0..3 {
        for asked in ALL {
            let steps = (0..STEPS_MAX).find(|steps| asked_after(*steps, disk, asked));
            let steps = steps.expect("a boot ends");
            assert!(steps > 20, "{steps} steps are no boot");
        }
    }
}

/// Clients that overwrite, each its own keys, one after the other.
struct Load {
    clients: Vec<(Client, u64)>,
    /// Of each key: acknowledged last, and sent last.
    versions: BTreeMap<u64, [u64; 2]>,
}

impl Load {
    fn begin(world: &mut World) -> Load {
        let mut load = Load {
            clients: Vec::new(),
            versions: BTreeMap::new(),
        };
        for writer in 0..WRITERS {
            load.clients.push((Client::connect(world), 0));
            load.send(world, writer);
        }
        load
    }

    fn send(&mut self, world: &mut World, writer: u64) {
        let (client, nth) = &mut self.clients[writer as usize];
        let (key, version) = (writer * KEYS + *nth % KEYS, *nth / KEYS + 1);
        self.versions.entry(key).or_default()[1] = version;
        let body = value(key, version, VALUE_BYTES);
        client.ask(world, "PUT", &format!("/kv/b/{key}"), &body);
    }

    /// Takes the answers, and sends what is next; how many came.
    fn turn(&mut self, world: &mut World) -> u64 {
        let mut answers = 0;
        for writer in 0..WRITERS {
            let (client, nth) = &mut self.clients[writer as usize];
            let Some(Outcome::Answer(answer)) = client.answer(world) else {
                continue;
            };
            let key = writer * KEYS + *nth % KEYS;
            match answer.status {
                201 | 204 => {
                    let [acknowledged, sent] = self.versions.entry(key).or_default();
                    *acknowledged = *sent;
                }
                // It says that it ends.
                503 => continue,
                _ => panic!("{}", answer.text()),
            }
            *nth += 1;
            answers += 1;
            self.send(world, writer);
        }
        answers
    }

    fn check(&self, simulation: &mut Simulation) {
        for (key, [acknowledged, sent]) in &self.versions {
            let got = request(simulation, "GET", &format!("/kv/b/{key}"), b"");
            let Outcome::Answer(answer) = got else {
                panic!("{key}: {got:?}");
            };
            let fits = (*acknowledged..=*sent).any(|version| match version {
                0 => answer.status == 404,
                _ => answer.status == 200 && answer.body == value(*key, version, VALUE_BYTES),
            });
            assert!(fits, "{key}: {acknowledged} to {sent}: {}", answer.status);
        }
    }
}

fn metric(simulation: &mut Simulation, name: &str) -> u64 {
    let Outcome::Answer(answer) = request(simulation, "GET", "/metrics", b"") else {
        panic!("no metrics");
    };
    let text = answer.text();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
    values
        .next()
        .map_or(0, |value| value.trim().parse().expect("a number"))
}

/// Overwrites, a backup that is read, and a store that compacts; then one of all is asked for.
/// How many segments had been compacted by then.
fn at_work(seed: u64) -> u64 {
    let mut random = Random::new(seed ^ 0x9a5e);
    let asked = ALL[random.below(3) as usize];
    let mut simulation = Simulation::begin(Options::new(seed));
    until_ready(&mut simulation);
    let mut load = simulation.world(Load::begin);
    let (mut answered, wanted) = (0, WRITERS * KEYS * 5 + random.below(WRITERS * KEYS));
    let worked = simulation.run(20 * LIMIT_NS, |world| {
        answered += load.turn(world);
        answered >= wanted
    });
    assert_eq!(worked, Ok(()), "{answered}:\n{}", simulation.console());
    let compacted = metric(&mut simulation, "lampion_store_compactions_total");
    let mut backup = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
    simulation.world(|world| backup.ask(world, "GET", "/-/admin/backup", b""));
    let moment_ns = random.below(200_000_000);
    let _ = simulation.run(moment_ns, |world| {
        load.turn(world);
        backup.answer(world);
        false
    });
    ask(&simulation, asked);
    let is_saved = |world: &World| asked == Asked::Save && world.domain.saves.is_empty();
    let ended = simulation.run(50_000_000_000, |world| {
        load.turn(world);
        backup.answer(world);
        is_saved(world)
    });
    let console = simulation.console();
    match asked {
        Asked::Poweroff => assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)), "{console}"),
        Asked::Reboot => assert_eq!(ended, Err(Stuck::Ended(Ended::Reboot)), "{console}"),
        Asked::Save => assert_eq!(ended, Ok(()), "{console}"),
    }
    if asked != Asked::Save {
        simulation.restart(Cut::Power);
    }
    until_ready(&mut simulation);
    if asked != Asked::Save {
        let console = simulation.console();
        assert!(console.contains("closed cleanly"), "{console}");
    }
    load.check(&mut simulation);
    assert_eq!(faults(&simulation), [""; 0], "seed {seed}");
    compacted
}

#[test]
fn while_it_compacts_and_is_backed_up() {
    let compacted = (1..=SEEDS).map(at_work).filter(|segments| *segments > 0);
    let compacted = compacted.count() as u64;
    assert!(compacted > SEEDS / 2, "{compacted} of {SEEDS} compacted");
}
