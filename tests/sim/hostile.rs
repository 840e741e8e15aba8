//! Backends that lie: the device is broken and said to be, and the guest goes on.
//!
//! Each case is one lie on a ring of a guest that serves. After it the console names the device
//! and the lie, and the toolstack's `poweroff` is answered: nothing hangs and nothing panics.

use crate::{LIMIT_NS, request, until_ready};
use sim::domain::{DOMID, Domain, Ended};
use sim::machine::World;
use tests::simulated::{Client, Options, Outcome, Simulation, Stuck};
use xen_sys::io::{blkif, netif, ring};

/// A lie: what it does, and words of what the console says of it.
type Lie = (&'static str, fn(&mut World), &'static str);

const BLK_SLOT_BYTES: u32 = size_of::<blkif::BlkifRequest>() as u32;
const NET_RX_SLOT_BYTES: u32 = size_of::<netif::NetifRxResponse>() as u32;

/// Adds to the producer of responses, and notifies.
fn produce(domain: &mut Domain, gfn: u64, port: u32, by: u32) {
    let prod = domain.arena.load_u32(gfn, ring::RSP_PROD).unwrap_or(0);
    domain
        .arena
        .store_u32(gfn, ring::RSP_PROD, prod.wrapping_add(by));
    domain.events.raise(&domain.arena, port);
}

/// Writes a response of any bytes into the next slot, and publishes it.
fn respond(
    domain: &mut Domain,
    (gfn, port): (u64, u32),
    (slots, bytes): (u32, u32),
    response: &[u8],
) {
    let prod = domain.arena.load_u32(gfn, ring::RSP_PROD).unwrap_or(0);
    let at = ring::SLOTS + (prod % slots * bytes) as usize;
    domain.arena.copy_in(gfn, at, response);
    produce(domain, gfn, port, 1);
}

fn blk_ring(world: &mut World) -> (u64, u32) {
    let (backend, _) = world.vbd.as_ref().expect("a disk");
    backend.ring().expect("it is connected")
}

fn blk_respond(world: &mut World, id: u64, operation: u8, status: i16) {
    let place = blk_ring(world);
    let mut response = [0; 16];
    response[..8].copy_from_slice(&id.to_le_bytes());
    response[8] = operation;
    response[10..12].copy_from_slice(&status.to_le_bytes());
    let shape = (blkif::BLK_RING_SIZE, BLK_SLOT_BYTES);
    respond(&mut world.domain, place, shape, &response);
}

/// The number of a request that is under way.
fn blk_id(world: &mut World) -> u64 {
    let (backend, _) = world.vbd.as_ref().expect("a disk");
    *backend
        .ids_under_way()
        .first()
        .expect("a request is under way")
}

fn net_rings(world: &mut World) -> (u64, u64, u32) {
    let backend = world.vif.as_ref().expect("a network interface");
    backend.rings().expect("it is connected")
}

fn rx_respond(world: &mut World, id: u16, offset: u16, flags: u16, status: i16) {
    let (_, rx, port) = net_rings(world);
    let fields = [id, offset, flags, status.cast_unsigned()];
    let response: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .collect();
    let shape = (netif::NET_RX_RING_SIZE, NET_RX_SLOT_BYTES);
    respond(&mut world.domain, (rx, port), shape, &response);
}

/// The number of the page posted for the next frame.
fn rx_id(world: &mut World) -> u16 {
    let (_, rx, _) = net_rings(world);
    let prod = world.domain.arena.load_u32(rx, ring::RSP_PROD).unwrap_or(0);
    let at = ring::SLOTS + (prod % netif::NET_RX_RING_SIZE * NET_RX_SLOT_BYTES) as usize;
    world.domain.arena.load_u16(rx, at).unwrap_or(0)
}

fn blk_produce(world: &mut World, by: u32) {
    let (gfn, port) = blk_ring(world);
    produce(&mut world.domain, gfn, port, by);
}

fn rx_produce(world: &mut World, by: u32) {
    let (_, rx, port) = net_rings(world);
    produce(&mut world.domain, rx, port, by);
}

fn tx_produce(world: &mut World, by: u32) {
    let (tx, _, port) = net_rings(world);
    produce(&mut world.domain, tx, port, by);
}

const BLK: &[Lie] = &[
    (
        "one response too many",
        |w| blk_produce(w, 32),
        "its ring claims",
    ),
    (
        "a ring and one more",
        |w| blk_produce(w, 33),
        "its ring claims",
    ),
    (
        "half of all numbers",
        |w| blk_produce(w, 1 << 31),
        "its ring claims",
    ),
    (
        "one backwards",
        |w| blk_produce(w, u32::MAX),
        "its ring claims",
    ),
    (
        "a ring backwards",
        |w| blk_produce(w, 32_u32.wrapping_neg()),
        "its ring claims",
    ),
    (
        "an id out of range",
        |w| blk_respond(w, 1 << 40, 1, 0),
        "not in flight",
    ),
    (
        "the largest id",
        |w| blk_respond(w, u64::MAX, 1, 0),
        "not in flight",
    ),
    (
        "an id of nobody",
        |w| {
            let taken = blk_id(w);
            blk_respond(w, (taken + 1) % 4, 1, 0);
        },
        "not in flight",
    ),
    (
        "one answer twice",
        |w| {
            let id = blk_id(w);
            blk_respond(w, id, 1, 0);
            blk_respond(w, id, 1, 0);
        },
        "its ring claims 2 responses",
    ),
    (
        "another operation",
        |w| {
            let id = blk_id(w);
            blk_respond(w, id, 0, 0);
        },
        "which was not asked",
    ),
    (
        "an operation that is none",
        |w| {
            let id = blk_id(w);
            blk_respond(w, id, 255, 0);
        },
        "which was not asked",
    ),
];

const NET: &[Lie] = &[
    (
        "RX: one too many",
        |w| rx_produce(w, 257),
        "its ring claims",
    ),
    (
        "RX: half of all numbers",
        |w| rx_produce(w, 1 << 31),
        "its ring claims",
    ),
    (
        "RX: one backwards",
        |w| rx_produce(w, u32::MAX),
        "its ring claims",
    ),
    (
        "RX: an id out of range",
        |w| rx_respond(w, u16::MAX, 0, 0, 60),
        "not in flight",
    ),
    (
        "RX: longer than a page",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, 0, 0, 4097);
        },
        "of a page",
    ),
    (
        "RX: the largest length",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, 0, 0, i16::MAX);
        },
        "of a page",
    ),
    (
        "RX: over the end of the page",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, 4000, 0, 100);
        },
        "of a page",
    ),
    (
        "RX: the largest offset",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, u16::MAX, 0, 60);
        },
        "of a page",
    ),
    (
        "RX: a frame of several pages",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, 0, netif::NETRXF_MORE_DATA, 60);
        },
        "not negotiated",
    ),
    (
        "RX: an extra slot",
        |w| {
            let id = rx_id(w);
            rx_respond(w, id, 0, netif::NETRXF_EXTRA_INFO, 60);
        },
        "not negotiated",
    ),
    (
        "TX: a response to nothing",
        |w| tx_produce(w, 1),
        "its ring claims",
    ),
    (
        "TX: half of all numbers",
        |w| tx_produce(w, 1 << 31),
        "its ring claims",
    ),
    (
        "TX: one backwards",
        |w| tx_produce(w, u32::MAX),
        "its ring claims",
    ),
];

/// A guest that serves, with a write under way on a disk that takes its time.
fn serving() -> Simulation {
    let mut simulation = Simulation::begin(Options {
        interleaving: 0,
        ..Options::new(1)
    });
    until_ready(&mut simulation);
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| {
        let (_, disk) = world.vbd.as_mut().expect("a disk");
        let slow = &mut disk.faults().slow;
        (slow.min_ns, slow.max_ns) = (2_000_000_000, 2_000_000_000);
        client.ask(world, "PUT", "/kv/a/b", b"value");
    });
    let under_way = simulation.run(LIMIT_NS, |world| {
        let (backend, _) = world.vbd.as_ref().expect("a disk");
        !backend.ids_under_way().is_empty()
    });
    assert_eq!(under_way, Ok(()), "{}", simulation.console());
    simulation
}

fn check((name, lie, words): Lie, device: &str) {
    let mut simulation = serving();
    let before = simulation.console().len();
    simulation.world(lie);
    // The backend's own part would trip over its own lie: it is gone from now on.
    simulation.world(|world| {
        let World { vbd, vif, .. } = world;
        if device.contains("vbd") {
            *vbd = None;
        } else {
            *vif = None;
        }
    });
    let _ = simulation.run(1_000_000_000, |_| false);
    let console = simulation.console().split_off(before);
    assert!(
        console.contains(device),
        "{name}: it is not said:\n{console}"
    );
    assert!(console.contains(words), "{name}:\n{console}");
    if device.contains("vbd") {
        let health = request(&mut simulation, "GET", "/healthz", b"");
        assert!(
            matches!(health, Outcome::Answer(answer) if answer.status == 200),
            "{name}"
        );
        let ready = request(&mut simulation, "GET", "/readyz?for=write", b"");
        assert!(
            matches!(ready, Outcome::Answer(answer) if answer.status == 503),
            "{name}"
        );
    }
    simulation.world(|world| {
        let path = format!("/local/domain/{DOMID}/control/shutdown");
        world.domain.xenstored.write(&path, b"poweroff");
    });
    let ended = simulation.run(3 * LIMIT_NS, |_| false);
    let console = simulation.console();
    assert_eq!(
        ended,
        Err(Stuck::Ended(Ended::Poweroff)),
        "{name}:\n{console}"
    );
}

#[test]
fn a_lying_disk_is_broken_and_the_guest_goes_on() {
    for lie in BLK {
        check(*lie, "device/vbd/51712");
    }
}

#[test]
fn a_lying_network_is_broken_and_the_guest_goes_on() {
    for lie in NET {
        check(*lie, "device/vif/0");
    }
}
