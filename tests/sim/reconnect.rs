//! The network's backend goes away in the middle of work, and comes back: the guest serves again.
//!
//! It may keep mapped what it had mapped, and let go of it at any later time; it may repeat its
//! state before; and others may write to xenstore during the handshake. Each time the guest
//! serves again in bounded time, and holds what it held before.

use crate::{seeds, until_ready};
use sim::machine::World;
use sim::random::Random;
use tests::simulated::{Client, Held, LIMIT_NS, Options, Outcome, Simulation, faults, request};

const SEEDS: u64 = 8;
const ROUNDS: u64 = 4;
/// A handshake that failed is tried again after 5 s; by itself it takes no time to speak of.
const BACK_NS_MAX: u64 = 7_000_000_000;
/// How long one question may take, asked of a guest that may still be deaf.
const PATIENCE_NS: u64 = 250_000_000;
/// Revoking is tried again every second.
const REVOKED_NS_MAX: u64 = 2_500_000_000;

/// Some of the simulated time goes by.
fn wait(simulation: &mut Simulation, ns: u64) {
    let _ = simulation.run(ns, |_| false);
}

fn vif(simulation: &Simulation, act: impl FnOnce(&mut sim::netback::Netback, &mut World)) {
    simulation.world(|world| {
        let mut vif = world.vif.take().expect("a network interface");
        act(&mut vif, world);
        world.vif = Some(vif);
    });
}

/// Asks anew until there is an answer; whether it came in time.
fn serves_within(simulation: &mut Simulation, limit_ns: u64) -> bool {
    let end_ns = simulation.world(|world| world.domain.now_ns) + limit_ns;
    while simulation.world(|world| world.domain.now_ns) < end_ns {
        let mut client = simulation.world(Client::connect);
        let mut outcome = None;
        simulation.world(|world| client.ask(world, "GET", "/kv/a/b", b""));
        let _ = simulation.run(PATIENCE_NS, |world| {
            outcome = client.answer(world);
            outcome.is_some()
        });
        simulation.world(|world| client.abort(world));
        if let Some(Outcome::Answer(answer)) = outcome {
            assert!(answer.status == 200 && answer.body == b"value");
            return true;
        }
    }
    false
}

/// The backend is away for a while; the guest does not know when it goes, nor when it is back.
fn interrupt(simulation: &mut Simulation, random: &mut Random) {
    // Requests are under way when it goes.
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| client.ask(world, "PUT", "/kv/c/d", &[7; 20_000]));
    if random.chance(1, 2) {
        vif(simulation, |vif, world| vif.repeat_state(&mut world.domain));
    }
    wait(simulation, random.below(3_000_000));
    vif(simulation, |vif, world| vif.go_away(&mut world.domain));
    let keeps = random.chance(1, 2);
    if keeps {
        // Some of it while the guest tries to take its pages back.
        wait(simulation, random.below(2_000_000_000));
    }
    vif(simulation, |vif, world| vif.let_go(&mut world.domain));
    wait(
        simulation,
        [0, 1_000_000, 9_000_000_000][random.below(3) as usize],
    );
    simulation.world(|world| {
        client.abort(world);
        world.domain.xenstored.conflict_next(random.below(4) as u32);
    });
    vif(simulation, |vif, world| vif.restart(&mut world.domain));
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0xbac);
    let mut simulation = Simulation::begin(Options {
        interleaving: [0, 2_000, 20_000][random.below(3) as usize],
        ..Options::new(seed)
    });
    until_ready(&mut simulation);
    let put = request(&mut simulation, "PUT", "/kv/a/b", b"value");
    assert!(matches!(put, Outcome::Answer(answer) if answer.status == 201));
    wait(&mut simulation, LIMIT_NS);
    let before = simulation.world(|world| Held::by(world));
    for _ in 0..ROUNDS {
        interrupt(&mut simulation, &mut random);
        let serves = serves_within(&mut simulation, BACK_NS_MAX);
        let console = simulation.console();
        assert!(
            serves,
            "its network is back, and it does not serve:\n{console}"
        );
        wait(&mut simulation, REVOKED_NS_MAX);
        let now = simulation.world(|world| Held::by(world));
        assert_eq!(now, before, "it holds what it held before:\n{console}");
        assert_eq!(faults(&simulation), [""; 0]);
    }
}

#[test]
fn the_guest_outlives_its_network_backend() {
    seeds::each(SEEDS, play);
}
