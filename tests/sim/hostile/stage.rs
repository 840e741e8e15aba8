//! Where a guest stands when the lie comes.

use crate::{LIMIT_NS, request, until_ready};
use sim::machine::World;
use tests::data::value;
use tests::simulated::{Client, Options, Outcome, Simulation};
use xen_sys::io::blkif;

/// What a disk takes that keeps requests under way for the lie.
const SLOW_NS: u64 = 2_000_000_000;

/// A value that every serving guest has, and its key.
pub(super) const KEPT: &str = "/kv/a/kept";
pub(super) const KEPT_LEN: usize = 300_000;

/// A moment in a guest's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Created, and nothing done yet.
    Created,
    /// Reading its disk for the first time.
    Opening,
    /// Serving, with nothing to do.
    Serving,
    /// A write is with the disk.
    Writing,
    /// A flush is with the disk.
    Flushing,
    /// A read of a value is with the disk.
    Reading,
    /// A frame is with the network.
    Sending,
}

pub(super) fn kept() -> Vec<u8> {
    value(1, 1, KEPT_LEN)
}

impl Stage {
    /// A guest there.
    pub(super) fn reach(self) -> Simulation {
        let options = Options {
            interleaving: 0,
            ..Options::new(1)
        };
        let mut simulation = Simulation::begin(options);
        if self == Stage::Created {
            return simulation;
        }
        if self == Stage::Opening {
            slow(&simulation);
            under_way(&mut simulation, blkif::BLKIF_OP_READ);
            return simulation;
        }
        until_ready(&mut simulation);
        keep(&mut simulation);
        match self {
            Stage::Writing => with_disk(&mut simulation, "PUT", "/kv/a/b", blkif::BLKIF_OP_WRITE),
            Stage::Flushing => {
                with_disk(
                    &mut simulation,
                    "PUT",
                    "/kv/a/b",
                    blkif::BLKIF_OP_FLUSH_DISKCACHE,
                );
            }
            Stage::Reading => with_disk(&mut simulation, "GET", KEPT, blkif::BLKIF_OP_READ),
            Stage::Sending => sending(&mut simulation),
            Stage::Serving | Stage::Created | Stage::Opening => {}
        }
        simulation
    }
}

fn keep(simulation: &mut Simulation) {
    match request(simulation, "PUT", KEPT, &kept()) {
        Outcome::Answer(answer) => assert_eq!(answer.status, 201, "{}", answer.text()),
        Outcome::Lost(why) => panic!("{why}:\n{}", simulation.console()),
    }
}

fn slow(simulation: &Simulation) {
    simulation.world(|world| {
        let (_, disk) = world.vbd.as_mut().expect("a disk");
        let slow = &mut disk.faults().slow;
        (slow.min_ns, slow.max_ns) = (SLOW_NS, SLOW_NS);
    });
}

/// Asks, and runs until such a request is with the slow disk.
fn with_disk(simulation: &mut Simulation, method: &str, target: &str, operation: u8) {
    slow(simulation);
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| client.ask(world, method, target, b"value"));
    under_way(simulation, operation);
}

fn under_way(simulation: &mut Simulation, operation: u8) {
    let is_there = |world: &mut World| {
        let (backend, _) = world.vbd.as_ref().expect("a disk");
        backend.under_way().iter().any(|(_, op)| *op == operation)
    };
    let reached = simulation.run(LIMIT_NS, is_there);
    assert_eq!(reached, Ok(()), "{}", simulation.console());
}

/// Frames are in the TX ring, and the backend does not look at them.
fn sending(simulation: &mut Simulation) {
    let mut client = simulation.world(Client::connect);
    let tx_prod = |world: &mut World| {
        let (tx, ..) = super::ring::net_rings(world);
        world.domain.arena.load_u32(tx, xen_sys::io::ring::REQ_PROD)
    };
    let before = simulation.world(|world| {
        world.vif.as_mut().expect("a network").is_deaf = true;
        tx_prod(world)
    });
    simulation.world(|world| client.ask(world, "GET", "/healthz", b""));
    let reached = simulation.run(LIMIT_NS, |world| tx_prod(world) != before);
    assert_eq!(reached, Ok(()), "{}", simulation.console());
}
