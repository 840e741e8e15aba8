//! Bytes that change between two of the guest's loads (XSA-155).
//!
//! A slot that changes before it is copied is a lie like another. One that changes after has
//! changed nothing: what the guest acts on is its copy. The same goes for a producer index and
//! for the data itself.

use super::outcome::Outcome;
use super::ring::{Place, blk, rx, tx};
use super::stage::Stage;
use super::{Device, Scenario};
use crate::request;
use sim::machine::{Touch, World};
use tests::simulated::Simulation;
use xen_sys::io::ring::{RSP_PROD, SLOTS};

/// When the bytes change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before the slot is copied.
    Before,
    /// At the next access of any shared page after it was copied.
    After,
}

/// A field of a response: its name, where it is in the slot, and what it becomes.
type Field = (&'static str, usize, &'static [u8]);

const BLK: [Field; 5] = [
    ("id", 0, &[0xff; 8]),
    ("id", 0, &[1, 0, 0, 0, 0, 0, 0, 0]),
    ("operation", 8, &[0xff]),
    ("operation", 8, &[3]),
    ("all", 0, &[0xff; 12]),
];

/// A failure is no lie; it only must not be seen after success was.
const BLK_STATUS: Field = ("status", 10, &[0xff, 0xff]);

const RX: [Field; 6] = [
    ("id", 0, &[0xff; 2]),
    ("offset", 2, &[0xff; 2]),
    ("flags", 4, &[0x0c, 0]),
    ("length", 6, &[0xff, 0x7f]),
    ("length", 6, &[0x01, 0x10]),
    ("all", 0, &[0xff; 8]),
];

const TX: [Field; 3] = [
    ("id", 0, &[0xff; 2]),
    ("id", 0, &[63, 0]),
    ("status", 2, &[0xff; 2]),
];

/// One ring, and how the guest comes to look at it.
#[derive(Clone, Copy)]
struct Ring {
    name: &'static str,
    stage: Stage,
    device: Device,
    place: fn(&World) -> Place,
}

const BLK_RINGS: [Ring; 3] = [
    Ring {
        name: "a read's answer",
        stage: Stage::Reading,
        device: Device::Vbd,
        place: blk,
    },
    Ring {
        name: "a write's answer",
        stage: Stage::Writing,
        device: Device::Vbd,
        place: blk,
    },
    Ring {
        name: "a flush's answer",
        stage: Stage::Flushing,
        device: Device::Vbd,
        place: blk,
    },
];
const RX_RING: Ring = Ring {
    name: "a frame",
    stage: Stage::Serving,
    device: Device::Vif,
    place: rx,
};
const TX_RING: Ring = Ring {
    name: "a sent frame",
    stage: Stage::Sending,
    device: Device::Vif,
    place: tx,
};

impl Ring {
    /// Has somebody meddle, and lets the guest come by.
    fn meet(
        self,
        simulation: &mut Simulation,
        intruder: impl FnMut(&mut World, Touch, Place) + Send + 'static,
    ) {
        let mut intruder = intruder;
        simulation.world(|world| {
            let place = (self.place)(world);
            world.intruder = Some(Box::new(move |world, touch| intruder(world, touch, place)));
            if let Some(vif) = &mut world.vif {
                vif.is_deaf = false;
            }
        });
        if self.stage == Stage::Serving {
            // Frames come and go.
            let _ = request(simulation, "GET", "/healthz", b"");
        }
        let _ = simulation.run(5_000_000_000, |_| false);
        simulation.world(|world| world.intruder = None);
    }

    /// A slot's field becomes something else at that moment, once.
    fn flip(self, (field, at, bytes): Field, moment: Moment) -> Scenario {
        let name = format!("{}: {field} becomes {bytes:x?} {moment:?}", self.name);
        let act = move |simulation: &mut Simulation| {
            let mut copied = None;
            let mut done = false;
            self.meet(simulation, move |world, touch, place| {
                if done {
                    return;
                }
                let in_slots = touch.gfn == place.gfn && touch.offset >= SLOTS && touch.is_load;
                let target = match moment {
                    Moment::Before => in_slots.then_some(touch.offset),
                    Moment::After => copied,
                };
                if in_slots {
                    copied = Some(touch.offset);
                }
                if let Some(slot) = target {
                    world.domain.arena.copy_in(place.gfn, slot + at, bytes);
                    done = true;
                }
            });
        };
        let then = match moment {
            Moment::Before => Outcome::Either(self.device),
            Moment::After => Outcome::Works,
        };
        Scenario::new(name, self.stage, act, then)
    }

    /// The producer is another once the guest has loaded it; it is true again before the next load.
    fn flip_producer(self, by: u32) -> Scenario {
        let name = format!(
            "{}: the producer is {by:#x} further for a moment",
            self.name
        );
        let act = move |simulation: &mut Simulation| {
            let mut truth = None;
            self.meet(simulation, move |world, touch, place| {
                let arena = &world.domain.arena;
                if touch.gfn != place.gfn || !touch.is_load {
                    return;
                }
                if touch.offset >= SLOTS {
                    let prod = place.prod(&world.domain);
                    truth = truth.or(Some(prod));
                    arena.store_u32(place.gfn, RSP_PROD, prod.wrapping_add(by));
                } else if let Some(prod) = truth.take() {
                    arena.store_u32(place.gfn, RSP_PROD, prod);
                }
            });
        };
        Scenario::new(name, self.stage, act, Outcome::Works)
    }
}

/// What a frame or a block holds changes after it was copied out, on every page but the rings.
fn flip_data(ring: Ring) -> Scenario {
    let name = format!("{}: its data changes once it was copied", ring.name);
    let act = move |simulation: &mut Simulation| {
        let mut last: Option<Touch> = None;
        ring.meet(simulation, move |world, touch, place| {
            let is_data =
                |touch: &Touch| touch.is_load && touch.gfn != place.gfn && touch.len >= 14;
            if let Some(copied) = last.take() {
                let zeros = vec![0; copied.len];
                world
                    .domain
                    .arena
                    .copy_in(copied.gfn, copied.offset, &zeros);
            }
            last = Some(touch).filter(is_data);
        });
    };
    Scenario::new(name, ring.stage, act, Outcome::Works)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let both = |ring: Ring, field: Field| {
        [Moment::Before, Moment::After].map(|moment| ring.flip(field, moment))
    };
    let blk = BLK_RINGS.into_iter().flat_map(|ring| {
        let flips = BLK.into_iter().flat_map(move |field| both(ring, field));
        flips.chain([ring.flip(BLK_STATUS, Moment::After)])
    });
    let rx = RX.into_iter().flat_map(|field| both(RX_RING, field));
    let tx = TX.into_iter().flat_map(|field| both(TX_RING, field));
    let rings = BLK_RINGS.into_iter().chain([RX_RING, TX_RING]);
    let producers = rings.flat_map(|ring| [1, 1 << 31, u32::MAX].map(|by| ring.flip_producer(by)));
    let data = [BLK_RINGS[0], RX_RING].map(flip_data);
    blk.chain(rx)
        .chain(tx)
        .chain(producers)
        .chain(data)
        .collect()
}
