//! A backend that answers one frame twice: its page is not freed twice.

use crate::until_ready;
use sim::machine::World;
use tests::simulated::{Client, GUEST, LIMIT_NS, Options, Simulation};
use xen_sys::io::{netif, ring};

const SLOT_BYTES: usize = size_of::<netif::NetifTxRequest>();
/// Where a request has its number.
const ID: usize = 8;

fn slot(index: u32) -> usize {
    ring::SLOTS + (index % netif::NET_TX_RING_SIZE) as usize * SLOT_BYTES
}

/// Frames that wait to be answered.
fn waiting(world: &World) -> u32 {
    let vif = world.vif.as_ref().expect("a network interface");
    let (tx, _, _) = vif.rings().expect("it is connected");
    let index = |at| world.domain.arena.load_u32(tx, at).unwrap_or(0);
    index(ring::REQ_PROD).wrapping_sub(index(ring::RSP_PROD))
}

/// Answers the oldest frame in place of the next one, too.
fn answer_twice(world: &mut World) {
    let vif = world.vif.take().expect("a network interface");
    let (tx, _, port) = vif.rings().expect("it is connected");
    let domain = &mut world.domain;
    let prod = domain.arena.load_u32(tx, ring::RSP_PROD).unwrap_or(0);
    let id = domain.arena.load_u16(tx, slot(prod) + ID).unwrap_or(0);
    for index in [prod, prod.wrapping_add(1)] {
        domain.arena.store_u16(tx, slot(index), id);
        domain.arena.store_u16(tx, slot(index) + 2, 0);
    }
    let prod = prod.wrapping_add(2);
    domain.arena.store_u32(tx, ring::RSP_PROD, prod);
    domain.events.raise(&domain.arena, port);
}

#[test]
fn a_frame_that_is_answered_twice_is_a_lie() {
    let mut simulation = Simulation::begin(Options {
        interleaving: 0,
        ..Options::new(1)
    });
    until_ready(&mut simulation);
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| {
        world.vif.as_mut().expect("a network interface").is_deaf = true;
        client.ask(world, "GET", "/", b"");
        world.peer.ping(world.domain.now_ns, *GUEST.ip());
    });
    let ran = simulation.run(LIMIT_NS, |world| waiting(world) >= 2);
    assert_eq!(ran, Ok(()), "{}", simulation.console());
    simulation.world(answer_twice);
    let _ = simulation.run(1_000_000_000, |_| false);
    let console = simulation.console();
    assert!(
        console.contains("not in flight"),
        "the lie is not noticed:\n{console}"
    );
}
