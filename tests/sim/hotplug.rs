//! Devices that come and go while clients write.
//!
//! Backends die with what they had cached and begin again, and a toolstack detaches a device and
//! attaches it anew. Each time the appliance goes on by itself, what it acknowledged is there, and
//! it holds what it held before.

use crate::{request, seeds, until_ready};
use sim::blkback::Blkback;
use sim::disk::Disk;
use sim::domain::DOMID;
use sim::machine::World;
use sim::netback::Netback;
use sim::random::Random;
use std::collections::BTreeMap;
use tests::data::value;
use tests::simulated::{Client, Held, LIMIT_NS, Options, Outcome, Simulation, faults};

const SEEDS: u64 = 40;
/// A thousand in all.
const CYCLES: u64 = 25;
const CLIENTS: u64 = 4;
const KEYS: u64 = 6;
const VALUE_BYTES: usize = 5_000;
const MS: u64 = 1_000_000;
/// How long a device may be away; changes are refused after ten seconds.
const AWAY_NS: [u64; 5] = [0, MS, 300 * MS, 4_000 * MS, 25_000 * MS];
/// How long one answer may take.
const ANSWER_NS_MAX: u64 = 40_000 * MS;
/// How soon a device works that is there again: a handshake that failed is tried again after 5 s,
/// and a peer that was not heard repeats what it has sent later each time.
const BACK_NS_MAX: u64 = 8_000 * MS;
const VBD: u32 = 51_712;

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    DiskDies,
    DiskIsDetached,
    NetworkDies,
    NetworkIsDetached,
    /// The domain of the disk's backend dies with what it had in xenstore; the toolstack removes
    /// what is left of the device, and attaches it with a backend in another domain.
    DiskMoves,
    NetworkMoves,
}

const EVENTS: [Event; 6] = [
    Event::DiskDies,
    Event::DiskIsDetached,
    Event::NetworkDies,
    Event::NetworkIsDetached,
    Event::DiskMoves,
    Event::NetworkMoves,
];

fn wait(simulation: &mut Simulation, ns: u64) {
    let _ = simulation.run(ns, |_| false);
}

fn with_vbd(simulation: &Simulation, act: impl FnOnce(&mut Blkback, &mut Disk, &mut World)) {
    simulation.world(|world| {
        let (mut vbd, mut disk) = world.vbd.take().expect("a disk");
        act(&mut vbd, &mut disk, world);
        world.vbd = Some((vbd, disk));
    });
}

fn with_vif(simulation: &Simulation, act: impl FnOnce(&mut Netback, &mut World)) {
    simulation.world(|world| {
        let mut vif = world.vif.take().expect("a network interface");
        act(&mut vif, world);
        world.vif = Some(vif);
    });
}

/// The guest's directory of a device.
fn device(kind: &str, number: u32) -> String {
    format!("/local/domain/{DOMID}/device/{kind}/{number}")
}

/// The next driver domain.
fn other(domid: u16) -> u16 {
    domid.max(DOMID) + 1
}

/// A device goes, is away for so long, and is there again.
fn happen(simulation: &mut Simulation, event: Event, away_ns: u64) {
    match event {
        Event::DiskDies => {
            with_vbd(simulation, |vbd, disk, world| {
                vbd.die(&mut world.domain, disk)
            });
            wait(simulation, away_ns);
            with_vbd(simulation, |vbd, _, world| vbd.restart(&mut world.domain));
        }
        Event::DiskIsDetached => {
            with_vbd(simulation, |vbd, _, world| {
                vbd.begin_detach(&mut world.domain)
            });
            let is_closed = |world: &mut World| {
                let vbd = world.vbd.as_ref();
                vbd.is_some_and(|(vbd, _)| vbd.is_closed())
            };
            let closed = simulation.run(LIMIT_NS, is_closed);
            assert_eq!(closed, Ok(()), "it lets go:\n{}", simulation.console());
            let mut disk = simulation.world(|world| {
                let (vbd, disk) = world.vbd.take().expect("a disk");
                vbd.nodes().remove(&mut world.domain);
                disk
            });
            disk.crash();
            wait(simulation, away_ns);
            simulation.world(|world| {
                let vbd = Blkback::attach(&mut world.domain, VBD);
                world.vbd = Some((vbd, disk));
            });
        }
        Event::NetworkDies => {
            with_vif(simulation, |vif, world| vif.go_away(&mut world.domain));
            wait(simulation, away_ns);
            with_vif(simulation, |vif, world| vif.restart(&mut world.domain));
        }
        Event::NetworkIsDetached => {
            with_vif(simulation, |vif, world| vif.begin_detach(&mut world.domain));
            let is_closed = |world: &mut World| world.vif.as_ref().is_some_and(Netback::is_closed);
            let closed = simulation.run(LIMIT_NS, is_closed);
            assert_eq!(closed, Ok(()), "it lets go:\n{}", simulation.console());
            simulation.world(|world| {
                let vif = world.vif.take().expect("a network interface");
                vif.nodes().remove(&mut world.domain);
            });
            wait(simulation, away_ns);
            simulation.world(|world| world.vif = Some(Netback::attach(&mut world.domain, 0)));
        }
        Event::DiskMoves => move_disk(simulation, away_ns),
        Event::NetworkMoves => move_network(simulation, away_ns),
    }
}

fn move_disk(simulation: &mut Simulation, away_ns: u64) {
    let (domid, disk) = simulation.world(|world| {
        let (mut vbd, mut disk) = world.vbd.take().expect("a disk");
        vbd.die(&mut world.domain, &mut disk);
        vbd.nodes().remove_backend(&mut world.domain);
        (vbd.nodes().domid, disk)
    });
    wait(simulation, away_ns);
    simulation.world(|world| {
        world.domain.xenstored.remove(&device("vbd", VBD));
        let vbd = Blkback::attach_in(&mut world.domain, other(domid), VBD);
        world.vbd = Some((vbd, disk));
    });
}

fn move_network(simulation: &mut Simulation, away_ns: u64) {
    let domid = simulation.world(|world| {
        let mut vif = world.vif.take().expect("a network interface");
        vif.leave(&mut world.domain);
        vif.nodes().remove_backend(&mut world.domain);
        vif.nodes().domid
    });
    wait(simulation, away_ns);
    simulation.world(|world| {
        world.domain.xenstored.remove(&device("vif", 0));
        let vif = Netback::attach_in(&mut world.domain, other(domid), 0);
        world.vif = Some(vif);
    });
}

/// Of each key, which versions it may have.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    acknowledged: u64,
    asked: u64,
}

/// Puts that are under way while the device goes, and what becomes of them.
struct Writers {
    clients: Vec<(Client, u64)>,
    known: BTreeMap<u64, Known>,
    refused: u64,
}

impl Writers {
    fn begin(&mut self, simulation: &mut Simulation, version: u64, random: &mut Random) {
        for number in 0..CLIENTS {
            let key = number * KEYS + random.below(KEYS);
            let body = value(key, version, VALUE_BYTES);
            let mut client = simulation.world(Client::connect);
            simulation.world(|world| client.ask(world, "PUT", &format!("/kv/b/{key}"), &body));
            self.known.entry(key).or_default().asked = version;
            self.clients.push((client, key));
        }
    }

    /// Whoever is not answered by then asks in vain, and does not know what became of it.
    fn end(&mut self, simulation: &mut Simulation, version: u64, event: Event) {
        for (mut client, key) in std::mem::take(&mut self.clients) {
            let mut outcome = None;
            let _ = simulation.run(ANSWER_NS_MAX, |world| {
                outcome = client.answer(world);
                outcome.is_some()
            });
            let console = simulation.console();
            match outcome {
                Some(Outcome::Answer(answer)) if answer.status / 100 == 2 => {
                    let known = self.known.entry(key).or_default();
                    known.acknowledged = version;
                }
                Some(Outcome::Answer(answer)) => {
                    // Whoever waited for longer than anybody should, and who came later.
                    let is_unknown = answer.text().contains("write-outcome-unknown");
                    assert!(
                        answer.status == 503 || is_unknown,
                        "{event:?}: {}\n{console}",
                        answer.text()
                    );
                    self.refused += 1;
                }
                // A peer gives a connection up in time.
                other => assert!(
                    matches!(event, Event::NetworkDies | Event::NetworkIsDetached),
                    "{event:?}: {other:?}\n{console}"
                ),
            }
            simulation.world(|world| client.abort(world));
        }
    }

    fn check(&mut self, simulation: &mut Simulation) {
        for (key, known) in &mut self.known {
            let got = request(simulation, "GET", &format!("/kv/b/{key}"), b"");
            let Outcome::Answer(answer) = got else {
                panic!("{key}: {got:?}\n{}", simulation.console());
            };
            let is = |version: u64| match version {
                0 => answer.status == 404,
                _ => answer.status == 200 && answer.body == value(*key, version, VALUE_BYTES),
            };
            let found = [known.acknowledged, known.asked]
                .into_iter()
                .find(|version| is(*version));
            let console = simulation.console();
            let found = found.unwrap_or_else(|| {
                panic!(
                    "{key}: {known:?}: {}, {}\n{console}",
                    answer.status,
                    answer.text()
                )
            });
            (known.acknowledged, known.asked) = (found, found);
        }
    }
}

/// Asks until a write is taken.
fn until_back(simulation: &mut Simulation, event: Event) {
    let end_ns = simulation.world(|world| world.domain.now_ns) + BACK_NS_MAX;
    loop {
        let mut client = simulation.world(Client::connect);
        simulation.world(|world| client.ask(world, "GET", "/readyz?for=write", b""));
        let mut outcome = None;
        let _ = simulation.run(250 * MS, |world| {
            outcome = client.answer(world);
            outcome.is_some()
        });
        simulation.world(|world| client.abort(world));
        if matches!(&outcome, Some(Outcome::Answer(answer)) if answer.status == 200) {
            return;
        }
        let now_ns = simulation.world(|world| world.domain.now_ns);
        let console = simulation.console();
        assert!(now_ns < end_ns, "{event:?}: {outcome:?}\n{console}");
        wait(simulation, 250 * MS);
    }
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0x407);
    let mut simulation = Simulation::begin(Options {
        interleaving: [0, 2_000, 20_000][random.below(3) as usize],
        ..Options::new(seed)
    });
    until_ready(&mut simulation);
    let mut writers = Writers {
        clients: Vec::new(),
        known: BTreeMap::new(),
        refused: 0,
    };
    let mut before = None;
    for cycle in 1..=CYCLES {
        let event = EVENTS[random.below(EVENTS.len() as u64) as usize];
        let away_ns = AWAY_NS[random.below(5) as usize];
        writers.begin(&mut simulation, cycle, &mut random);
        wait(&mut simulation, random.below(6 * MS));
        happen(&mut simulation, event, away_ns);
        until_back(&mut simulation, event);
        writers.end(&mut simulation, cycle, event);
        writers.check(&mut simulation);
        wait(&mut simulation, LIMIT_NS);
        let held = simulation.world(|world| Held::by(world));
        let console = simulation.console();
        assert_eq!(
            held,
            *before.get_or_insert(held),
            "{cycle}: {event:?} for {away_ns} ns:\n{console}"
        );
        assert_eq!(faults(&simulation), [""; 0], "{console}");
    }
}

#[test]
fn a_thousand_times_a_device_goes_and_comes_and_nothing_is_lost() {
    seeds::each(SEEDS, play);
}

/// Nobody is there to be waited for, and nothing is due: the guest sleeps.
#[test]
fn a_guest_whose_disk_never_comes_sleeps() {
    let mut simulation = Simulation::begin(Options::new(9));
    simulation.world(|world| world.vbd = None);
    wait(&mut simulation, LIMIT_NS);
    let before = simulation.steps;
    wait(&mut simulation, 10 * LIMIT_NS);
    let steps = simulation.steps - before;
    assert!(steps < 2_000, "{steps} steps in ten minutes");
}
