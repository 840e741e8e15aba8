//! The disk's ring: producers, ids, operations and statuses that cannot be.

use super::outcome::Outcome;
use super::ring::{blk, blk_response, blk_under_way};
use super::stage::Stage;
use super::{Device, Scenario};
use sim::machine::World;
use tests::simulated::Simulation;

const STAGES: [Stage; 4] = [
    Stage::Opening,
    Stage::Reading,
    Stage::Writing,
    Stage::Flushing,
];

/// A lie, told to a guest with a request under way; the words that tell it.
type Lie = (&'static str, fn(&mut World), &'static str);

const CLAIMS: &str = "its ring claims";
const NOT_IN_FLIGHT: &str = "not in flight";
const NOT_ASKED: &str = "which was not asked";

fn produce(world: &mut World, by: u32) {
    blk(world).produce(&mut world.domain, by);
}

/// Answers what is under way with another id or operation.
fn respond(world: &mut World, change: fn(u64, u8) -> (u64, u8)) {
    let (id, operation) = blk_under_way(world);
    let (id, operation) = change(id, operation);
    let place = blk(world);
    place.respond(&mut world.domain, &blk_response(id, operation, 0));
}

const LIES: [Lie; 13] = [
    ("a ring of answers", |w| produce(w, 32), CLAIMS),
    ("a ring of answers and one", |w| produce(w, 33), CLAIMS),
    ("half of all numbers", |w| produce(w, 1 << 31), CLAIMS),
    ("one answer taken back", |w| produce(w, u32::MAX), CLAIMS),
    (
        "a ring of answers taken back",
        |w| produce(w, 32_u32.wrapping_neg()),
        CLAIMS,
    ),
    (
        "an id of a slot that is none",
        |w| respond(w, |id, op| (id | 0xffff, op)),
        NOT_IN_FLIGHT,
    ),
    (
        "the largest id",
        |w| respond(w, |_, op| (u64::MAX, op)),
        NOT_IN_FLIGHT,
    ),
    (
        "an id of an idle slot",
        |w| respond(w, |id, op| (id ^ 7, op)),
        NOT_IN_FLIGHT,
    ),
    (
        "an id of the slot's last life",
        |w| respond(w, |id, op| (id - (1 << 32), op)),
        NOT_IN_FLIGHT,
    ),
    (
        "an id of the slot's next life",
        |w| respond(w, |id, op| (id + (1 << 32), op)),
        NOT_IN_FLIGHT,
    ),
    ("one answer twice", twice, CLAIMS),
    (
        "another operation",
        |w| respond(w, |id, op| (id, op ^ 1)),
        NOT_ASKED,
    ),
    (
        "an operation that is none",
        |w| respond(w, |id, _| (id, 255)),
        NOT_ASKED,
    ),
];

fn twice(world: &mut World) {
    let (id, operation) = blk_under_way(world);
    let place = blk(world);
    let count = world
        .vbd
        .as_ref()
        .map_or(0, |(vbd, _)| vbd.under_way().len());
    for _ in 0..=count {
        place.respond(&mut world.domain, &blk_response(id, operation, 0));
    }
}

/// A status that is none is a failure: what was asked is not done.
const STATUSES: [i16; 4] = [1, -3, i16::MAX, i16::MIN];

pub(super) fn scenarios() -> Vec<Scenario> {
    let lies = STAGES.into_iter().flat_map(|stage| {
        LIES.into_iter().map(move |(name, lie, words)| {
            let act = move |simulation: &mut Simulation| {
                simulation.world(lie);
                // The backend's own half would trip over its lie.
                Device::Vbd.unplug(simulation);
            };
            let then = Outcome::Broken(Device::Vbd, words);
            Scenario::new(format!("disk, {stage:?}: {name}"), stage, act, then)
        })
    });
    let statuses = [Stage::Writing, Stage::Flushing]
        .into_iter()
        .flat_map(|stage| {
            STATUSES.into_iter().map(move |status| {
                let act = move |simulation: &mut Simulation| {
                    simulation.world(|world| {
                        let (vbd, _) = world.vbd.as_mut().expect("a disk");
                        vbd.answer_all(&mut world.domain, status);
                    });
                };
                let name = format!("disk, {stage:?}: status {status}");
                Scenario::new(name, stage, act, Outcome::ReadOnly)
            })
        });
    lies.chain(statuses).collect()
}
