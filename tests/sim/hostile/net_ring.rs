//! The network's rings: producers, ids, offsets, lengths and flags that cannot be.

use super::outcome::Outcome;
use super::ring::{rx, rx_id, rx_response, tx, tx_id, tx_response};
use super::stage::Stage;
use super::{Device, Scenario};
use sim::machine::World;
use tests::simulated::Simulation;
use xen_sys::io::netif;

/// A lie, and the words that tell it.
type Lie = (&'static str, fn(&mut World), &'static str);

const CLAIMS: &str = "its ring claims";
const NOT_IN_FLIGHT: &str = "not in flight";
const OF_A_PAGE: &str = "of a page";
const NOT_NEGOTIATED: &str = "not negotiated";

fn rx_produce(world: &mut World, by: u32) {
    rx(world).produce(&mut world.domain, by);
}

fn tx_produce(world: &mut World, by: u32) {
    tx(world).produce(&mut world.domain, by);
}

/// Answers the next posted page.
fn deliver(world: &mut World, offset: u16, flags: u16, status: i16) {
    let id = rx_id(world);
    deliver_id(world, id, offset, flags, status);
}

fn deliver_id(world: &mut World, id: u16, offset: u16, flags: u16, status: i16) {
    let response = rx_response(id, offset, flags, status);
    rx(world).respond(&mut world.domain, &response);
}

fn sent(world: &mut World, id: u16) {
    let response = tx_response(id, netif::NETIF_RSP_OKAY);
    tx(world).respond(&mut world.domain, &response);
}

const RX: [Lie; 14] = [
    ("a ring and one more", |w| rx_produce(w, 257), CLAIMS),
    ("half of all numbers", |w| rx_produce(w, 1 << 31), CLAIMS),
    ("one taken back", |w| rx_produce(w, u32::MAX), CLAIMS),
    (
        "the largest id",
        |w| deliver_id(w, u16::MAX, 0, 0, 60),
        NOT_IN_FLIGHT,
    ),
    (
        "the first id that is none",
        |w| deliver_id(w, 128, 0, 0, 60),
        NOT_IN_FLIGHT,
    ),
    ("longer than a page", |w| deliver(w, 0, 0, 4097), OF_A_PAGE),
    (
        "the largest length",
        |w| deliver(w, 0, 0, i16::MAX),
        OF_A_PAGE,
    ),
    (
        "over the page's end",
        |w| deliver(w, 4000, 0, 100),
        OF_A_PAGE,
    ),
    (
        "one byte behind the page",
        |w| deliver(w, 4096, 0, 1),
        OF_A_PAGE,
    ),
    (
        "the largest offset",
        |w| deliver(w, u16::MAX, 0, 60),
        OF_A_PAGE,
    ),
    (
        "a frame of several pages",
        |w| deliver(w, 0, netif::NETRXF_MORE_DATA, 60),
        NOT_NEGOTIATED,
    ),
    (
        "an extra slot",
        |w| deliver(w, 0, netif::NETRXF_EXTRA_INFO, 60),
        NOT_NEGOTIATED,
    ),
    (
        "an extra slot of a frame of several pages",
        |w| {
            let flags = netif::NETRXF_EXTRA_INFO | netif::NETRXF_MORE_DATA;
            deliver(w, 0, flags, 60);
        },
        NOT_NEGOTIATED,
    ),
    (
        "one page twice",
        |w| {
            let id = rx_id(w);
            deliver_id(w, id, 0, 0, 60);
            // Posted again by then, it is in flight once: the other answer is too much.
            for _ in 0..129 {
                deliver_id(w, id, 0, 0, 60);
            }
        },
        CLAIMS,
    ),
];

const TX: [Lie; 8] = [
    ("an answer to nothing", |w| tx_produce(w, 65), CLAIMS),
    ("half of all numbers", |w| tx_produce(w, 1 << 31), CLAIMS),
    ("one taken back", |w| tx_produce(w, u32::MAX), CLAIMS),
    (
        "a ring taken back",
        |w| tx_produce(w, u32::MAX - 255),
        CLAIMS,
    ),
    ("the largest id", |w| sent(w, u16::MAX), NOT_IN_FLIGHT),
    ("the first id that is none", |w| sent(w, 64), NOT_IN_FLIGHT),
    (
        "an id of an idle page",
        |w| {
            let id = tx_id(w);
            sent(w, (id + 9) % 64);
        },
        NOT_IN_FLIGHT,
    ),
    (
        "one id for two frames",
        |w| {
            let id = tx_id(w);
            sent(w, id);
            sent(w, id);
        },
        "",
    ),
];

/// Odd and lawful: the frame is dropped, and nothing else happens.
const ODD: [(&str, u16, u16, i16); 9] = [
    ("no byte", 0, 0, 0),
    ("an error", 0, 0, -1),
    ("the largest error", 0, 0, i16::MIN),
    ("one byte", 0, 0, 1),
    ("a byte less than a header", 0, 0, 13),
    ("a header alone", 0, 0, 14),
    ("a whole page", 0, 0, 4096),
    ("the page's last byte", 4095, 0, 1),
    (
        "a checksum left to the guest",
        2,
        netif::NETRXF_CSUM_BLANK | netif::NETRXF_DATA_VALIDATED,
        60,
    ),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let broken = |side, stage: Stage, lies: &'static [Lie]| {
        lies.iter().map(move |(name, lie, words)| {
            let act = move |simulation: &mut Simulation| {
                simulation.world(lie);
                Device::Vif.unplug(simulation);
            };
            let then = Outcome::Broken(Device::Vif, words);
            Scenario::new(format!("{side}, {stage:?}: {name}"), stage, act, then)
        })
    };
    let odd = ODD.into_iter().map(|(name, offset, flags, status)| {
        let act = move |simulation: &mut Simulation| {
            simulation.world(|world| {
                let vif = world.vif.as_mut().expect("a network interface");
                vif.answer_page(&mut world.domain, (offset, flags, status));
            });
        };
        Scenario::new(format!("rx: {name}"), Stage::Serving, act, Outcome::Works)
    });
    broken("rx", Stage::Serving, &RX)
        .chain(broken("rx", Stage::Sending, &RX))
        .chain(broken("tx", Stage::Sending, &TX))
        .chain(odd)
        .collect()
}
