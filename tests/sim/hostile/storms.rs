//! Too much of what is lawful: events, watch events, frames (XSA-391, XSA-349).
//!
//! While it lasts, requests are answered, and what the guest does for it is bounded: hypercalls
//! in a step, lines on the console, changes of xenstore.

use super::outcome::Outcome;
use super::ring::{blk, rx};
use super::stage::Stage;
use super::{Device, Scenario};
use crate::request;
use sim::domain::{DOMID, WINDOW_GFN};
use sim::machine::{Touch, World};
use std::mem::offset_of;
use tests::simulated::{Outcome as Answered, Simulation};
use xen_sys::shared_info::{SharedInfo, VcpuInfo};

const MS: u64 = 1_000_000;
/// Most hypercalls of a step, on average, that has little to do.
const HYPERCALLS_MAX: u64 = 6;
/// Lines that a guest may write about a storm.
const LINES_MAX: usize = 4;

/// Who is told of the guest's accesses.
type Storm = fn(&mut World, Touch);
/// What comes at once.
type Flood = fn(&mut World);

const STORMS: [(&str, Storm); 8] = [
    ("the disk's events", |world, _| {
        blk(world).notify(&mut world.domain);
    }),
    ("the network's events", |world, _| {
        rx(world).notify(&mut world.domain);
    }),
    ("every port's events", |world, _| all_ports(world)),
    (
        "every second port's events at loads alone",
        |world, touch| {
            if touch.is_load {
                all_ports(world);
            }
        },
    ),
    ("events of ports that are not open", |world, _| {
        foreign_ports(world, 0..64);
    }),
    ("events of all ports there can be", |world, _| {
        foreign_ports(world, 0..64);
        all_ports(world);
    }),
    ("the disk's state written again and again", |world, _| {
        state_again(world, Device::Vbd);
    }),
    ("the network's state written again and again", |world, _| {
        state_again(world, Device::Vif);
    }),
];

fn all_ports(world: &mut World) {
    let domain = &mut world.domain;
    for port in domain.events.ports() {
        domain.events.raise(&domain.arena, port);
    }
}

/// Bits of words full of ports that nobody opened, and all selectors.
fn foreign_ports(world: &mut World, words: std::ops::Range<usize>) {
    let arena = &world.domain.arena;
    for word in words.skip(1) {
        let at = offset_of!(SharedInfo, evtchn_pending) + word * 8;
        arena.set_u64(WINDOW_GFN, at, u64::MAX);
    }
    let selector = offset_of!(VcpuInfo, evtchn_pending_sel);
    arena.set_u64(WINDOW_GFN, selector, u64::MAX);
}

fn state_again(world: &mut World, device: Device) {
    let backend = match device {
        Device::Vif => world.vif.as_ref().map(|vif| vif.nodes().backend.clone()),
        Device::Vbd => world
            .vbd
            .as_ref()
            .map(|(vbd, _)| vbd.nodes().backend.clone()),
    };
    let path = format!("{}/state", backend.expect("a backend"));
    world.domain.xenstored.write(&path, b"4");
    let xenstored = &mut world.domain.xenstored;
    xenstored.allow(&path, DOMID, sim::xenstored::Access::Read);
}

/// A storm while the guest serves: it is answered all the same, within bounds.
fn storm(name: &str, storm: Storm, stage: Stage) -> Scenario {
    let act = move |simulation: &mut Simulation| {
        let (lines, steps) = (simulation.console().lines().count(), simulation.steps);
        let hypercalls = simulation.world(|world| {
            world.intruder = Some(Box::new(storm));
            world.domain.hypercalls
        });
        for _ in 0..5 {
            let answered = request(simulation, "GET", "/healthz", b"");
            assert!(matches!(answered, Answered::Answer(answer) if answer.status == 200));
        }
        let _ = simulation.run(10 * MS, |_| false);
        let hypercalls = simulation.world(|world| {
            world.intruder = None;
            world.domain.hypercalls - hypercalls
        });
        let steps = simulation.steps - steps;
        assert!(
            steps > 100,
            "the storm did not keep it awake: {steps} steps"
        );
        assert!(
            hypercalls <= steps * HYPERCALLS_MAX,
            "{hypercalls} in {steps} steps"
        );
        let lines = simulation.console().lines().count() - lines;
        assert!(
            lines <= LINES_MAX,
            "{lines} lines:\n{}",
            simulation.console()
        );
        // What was with a slow disk is over now.
        let _ = simulation.pass(10_000 * MS);
    };
    Scenario::new(format!("{stage:?}: {name}"), stage, act, Outcome::Works)
}

/// A flood at once, of which only the first has anything to say.
fn flood(name: &str, flood: Flood) -> Scenario {
    let act = move |simulation: &mut Simulation| {
        let lines = simulation.console().lines().count();
        simulation.world(flood);
        let answered = request(simulation, "GET", "/healthz", b"");
        assert!(matches!(answered, Answered::Answer(answer) if answer.status == 200));
        let lines = simulation.console().lines().count() - lines;
        assert!(
            lines <= LINES_MAX,
            "{lines} lines:\n{}",
            simulation.console()
        );
    };
    Scenario::new(name, Stage::Serving, act, Outcome::Works)
}

const FRAMES: usize = 3_000;

fn frames(world: &mut World, frame: impl Fn(usize) -> Vec<u8>) {
    for index in 0..FRAMES {
        world.wire.from_peer(world.domain.now_ns, frame(index));
    }
}

/// An Ethernet frame to everybody, of that type.
fn broadcast(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x52, 0x54, 0, 9, 9, 9]);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

const FLOODS: [(&str, Flood); 9] = [
    ("a flood of one watch's events", |world| {
        let client = world.domain.client;
        world.domain.xenstored.flood_watch(client, 20_000);
    }),
    ("a flood of runts", |world| frames(world, |_| vec![0xff; 7])),
    ("a flood of headers", |world| {
        frames(world, |_| broadcast(0x0800, &[]));
    }),
    ("a flood of unknown protocols", |world| {
        frames(world, |index| broadcast(index as u16, &[7; 100]));
    }),
    ("a flood of questions who has an address", |world| {
        frames(world, |index| {
            let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 9, 9, 9];
            arp.extend([10, 0, 2, index as u8, 0, 0, 0, 0, 0, 0, 10, 0, 2, 50]);
            broadcast(0x0806, &arp)
        });
    }),
    ("a flood of broken IPv4", |world| {
        frames(world, |index| broadcast(0x0800, &[index as u8; 60]));
    }),
    ("a flood of the longest frames", |world| {
        frames(world, |_| broadcast(0x0800, &[0x45; 1500]));
    }),
    ("a flood of zeros", |world| frames(world, |_| vec![0; 60])),
    ("words that no toolstack says", |world| {
        let path = format!("/local/domain/{DOMID}/control/shutdown");
        world.domain.xenstored.write(&path, b"dance");
    }),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let storms = [Stage::Serving, Stage::Writing]
        .into_iter()
        .flat_map(|stage| {
            STORMS
                .into_iter()
                .map(move |(name, act)| storm(name, act, stage))
        });
    let floods = FLOODS.into_iter().map(|(name, act)| flood(name, act));
    let unknown = Scenario::new(
        "an unknown word is not acknowledged",
        Stage::Serving,
        |simulation: &mut Simulation| {
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            simulation.world(|world| world.domain.xenstored.write(&path, b"dance"));
            let _ = simulation.pass(1_000 * MS);
            let word = simulation.world(|world| world.domain.xenstored.read_text(&path));
            assert_eq!(word.as_deref(), Some("dance"));
        },
        Outcome::Works,
    );
    storms.chain(floods).chain([unknown]).collect()
}
