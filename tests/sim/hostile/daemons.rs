//! The daemons of xenstore and console: they are domain 0's, and can be broken all the same.

use super::Scenario;
use super::outcome::Outcome;
use super::stage::Stage;
use sim::domain::{CONSOLE_GFN, STORE_GFN};
use sim::machine::World;
use sim::xenstored::ReplyLie;
use tests::simulated::Simulation;
use xen_sys::io::{console, xs_wire};

const GIVEN_UP: &str = "xenstore is given up";

/// A word of a ring's page is so much further than it is.
fn shift(world: &mut World, gfn: u64, at: usize, by: u32) {
    let arena = &world.domain.arena;
    let now = arena.load_u32(gfn, at).unwrap_or(0);
    arena.store_u32(gfn, at, now.wrapping_add(by));
    for port in world.domain.events.ports() {
        world.domain.events.raise(&world.domain.arena, port);
    }
}

const SHIFTS: [u32; 4] = [4096, 1 << 31, u32::MAX - 5, 60_000];

/// The daemon ends, with its ring as it is.
fn dead_xenstore(at: usize, by: u32) -> impl Fn(&mut Simulation) {
    move |simulation| {
        simulation.world(|world| {
            let client = world.domain.client;
            world.domain.xenstored.disconnect(client);
            shift(world, STORE_GFN, at, by);
        });
    }
}

fn indices() -> Vec<Scenario> {
    let mut all = Vec::new();
    for by in SHIFTS {
        all.push(Scenario::new(
            format!("xenstore's producer of replies is {by:#x} further"),
            Stage::Serving,
            dead_xenstore(xs_wire::RSP_PROD, by),
            Outcome::WithoutXenstore(GIVEN_UP),
        ));
        for (name, at) in [
            ("consumer of output", console::OUT_CONS),
            ("producer of input", console::IN_PROD),
        ] {
            all.push(Scenario::new(
                format!("the console's {name} is {by:#x} further for a moment"),
                Stage::Serving,
                move |simulation: &mut Simulation| {
                    let truth = simulation.world(|world| {
                        let truth = world.domain.arena.load_u32(CONSOLE_GFN, at);
                        world.domain.holds_console = true;
                        shift(world, CONSOLE_GFN, at, by);
                        truth
                    });
                    let _ = simulation.pass(10_000_000);
                    simulation.world(|world| {
                        let truth = truth.expect("a word");
                        world.domain.arena.store_u32(CONSOLE_GFN, at, truth);
                        world.domain.holds_console = false;
                    });
                },
                Outcome::Works,
            ));
        }
    }
    all
}

/// Requests of a guest until it serves.
const START_REQUESTS: usize = 60;

const LIES: [ReplyLie; 6] = [
    ReplyLie::WrongRequestId,
    ReplyLie::WrongType,
    ReplyLie::TooLong,
    ReplyLie::Truncated,
    ReplyLie::UnknownType,
    ReplyLie::ShortLength,
];

/// The reply to the so many-th request of a guest that starts is wrong.
fn lies() -> Vec<Scenario> {
    let some = [0, 1, 3, 6, 10, 15, 21].to_vec();
    // An error is what any request may meet: each of a start's meets it once.
    let every = (0..START_REQUESTS).collect();
    let nths = |lie| match lie {
        ReplyLie::Truncated => Vec::clone(&every),
        _ => some.clone(),
    };
    let mut all = Vec::new();
    for lie in LIES {
        for nth in nths(lie) {
            let act = move |simulation: &mut Simulation| {
                simulation.world(|world| {
                    let client = world.domain.client;
                    world.domain.xenstored.corrupt_reply(client, nth, lie);
                });
                let _ = simulation.pass(120_000_000_000);
                let has_lied = |world: &mut World| {
                    let client = world.domain.client;
                    world.domain.xenstored.has_lied(client)
                };
                assert!(simulation.world(has_lied), "it never came to that reply");
            };
            let name = format!("xenstore's reply {nth} is {lie:?}");
            all.push(Scenario::new(name, Stage::Created, act, Outcome::Answers));
        }
    }
    all
}

const ERRORS: [&str; 5] = ["EACCES", "ENOSPC", "EAGAIN", "EIO", "EQUOTA"];
const KINDS: [(&str, u32); 6] = [
    ("read", xs_wire::XS_READ),
    ("write", xs_wire::XS_WRITE),
    ("watch", xs_wire::XS_WATCH),
    ("directory", xs_wire::XS_DIRECTORY),
    ("transaction's start", xs_wire::XS_TRANSACTION_START),
    ("transaction's end", xs_wire::XS_TRANSACTION_END),
];

/// The first request of a kind is refused.
fn errors() -> Vec<Scenario> {
    let all = KINDS.into_iter().flat_map(|(name, kind)| {
        ERRORS.into_iter().map(move |error| {
            let act = move |simulation: &mut Simulation| {
                simulation.world(|world| {
                    let client = world.domain.client;
                    world.domain.xenstored.fail_next(client, kind, error);
                });
                let _ = simulation.pass(120_000_000_000);
            };
            let name = format!("xenstore's first {name} fails with {error}");
            Scenario::new(name, Stage::Created, act, Outcome::Answers)
        })
    });
    all.collect()
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = indices();
    all.extend(lies());
    all.extend(errors());
    all
}
