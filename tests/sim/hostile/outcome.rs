//! What has to become of a lie, and what has to hold after any.

use super::Device;
use super::stage::{KEPT, kept};
use crate::{LIMIT_NS, request};
use sim::domain::{DOMID, Ended, STALE};
use sim::machine::World;
use std::collections::BTreeSet;
use tests::simulated::{Outcome as Answered, Simulation, Stuck};

/// Within this time the guest has noticed.
const NOTICE_NS: u64 = 1_000_000_000;
/// Shortest run of stale bytes in a granted page that is no accident.
const STALE_RUN: usize = 8;
/// What the guest says, once, of a device that it gives up.
const BROKEN: &str = "is not to be believed";

/// What has to become of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The device is broken, and one line with these words says why.
    Broken(Device, &'static str),
    /// The device does not connect, and lines with these words say why.
    Unconnected(Device, &'static str),
    /// The device is lost until a reboot, and one line with these words says so.
    Lost(Device, &'static str),
    /// It is broken, or nothing has happened.
    Either(Device),
    /// Nothing has happened.
    Works,
    /// The disk works, and its store has stopped to write.
    ReadOnly,
    /// The guest serves, or says on the console that something failed; it is never silent.
    Answers,
    /// Devices work; xenstore does not, and a line with these words says so.
    WithoutXenstore(&'static str),
}

impl Outcome {
    pub(super) fn judge(self, simulation: &mut Simulation, from: usize) {
        if let Outcome::Answers = self {
            return answers(simulation, from);
        }
        let _ = simulation.run(NOTICE_NS, |_| false);
        let console = simulation.console().split_off(from);
        let lost = match self {
            Outcome::ReadOnly => {
                assert_eq!(count(&console, BROKEN), 0, "{console}");
                Some(Device::Vbd)
            }
            Outcome::Works => {
                assert_eq!(count(&console, BROKEN), 0, "{console}");
                None
            }
            Outcome::Broken(device, words) => {
                assert_eq!(count(&console, BROKEN), 1, "{console}");
                assert!(says(&console, device, words), "no `{words}`:\n{console}");
                Some(device)
            }
            Outcome::Unconnected(device, words) => {
                assert!(says(&console, device, words), "no `{words}`:\n{console}");
                Some(device)
            }
            Outcome::Lost(device, words) => {
                assert_eq!(count(&console, words), 1, "{console}");
                assert!(says(&console, device, words), "no `{words}`:\n{console}");
                Some(device)
            }
            Outcome::Either(device) => match count(&console, BROKEN) {
                0 => None,
                1 => Some(device),
                _ => panic!("it is said more than once:\n{console}"),
            },
            Outcome::Answers => None,
            Outcome::WithoutXenstore(words) => {
                assert_eq!(count(&console, words), 1, "{console}");
                None
            }
        };
        goes_on(simulation, lost);
        leaks_nothing(simulation);
        ends(simulation, matches!(self, Outcome::WithoutXenstore(_)));
    }
}

fn leaks_nothing(simulation: &Simulation) {
    simulation.world(|world| {
        keeps_pages_apart(world);
        shows_nothing_stale(world);
        assert_eq!(world.domain.refused, [""; 0], "hypercalls were refused");
    });
}

fn answers(simulation: &mut Simulation, from: usize) {
    let serves = matches!(
        request(simulation, "GET", "/readyz?for=write", b""),
        Answered::Answer(answer) if answer.status == 200
    );
    let console = simulation.console().split_off(from);
    // How open the door stands is said by every guest here.
    let mut lines = console.lines().filter(|line| !line.contains("auth: open"));
    let complains = lines.any(|line| line.contains("WARN") || line.contains("ERROR"));
    assert!(serves || complains, "silence:\n{console}");
    answers_on_the_console(simulation);
    leaks_nothing(simulation);
    ends(simulation, true);
}

fn count(console: &str, words: &str) -> usize {
    console.lines().filter(|line| line.contains(words)).count()
}

fn says(console: &str, device: Device, words: &str) -> bool {
    let mut lines = console.lines();
    lines.any(|line| line.contains(device.path()) && line.contains(words))
}

/// Everything but what the lost device is needed for.
fn goes_on(simulation: &mut Simulation, lost: Option<Device>) {
    if lost == Some(Device::Vif) {
        return answers_on_the_console(simulation);
    }
    assert_eq!(status(simulation, "GET", "/healthz"), 200);
    let writes = if lost.is_none() { 200 } else { 503 };
    let ready = until(simulation, "/readyz?for=write", writes);
    assert_eq!(ready, writes, "{}", simulation.console());
    if lost.is_none() {
        let put = status(simulation, "PUT", "/kv/a/after");
        assert!(matches!(put, 201 | 204), "{put}:\n{}", simulation.console());
    }
    match request(simulation, "GET", KEPT, b"") {
        Answered::Answer(answer) if answer.status == 200 => assert!(answer.body == kept()),
        Answered::Answer(answer) => assert!(
            matches!(answer.status, 404 | 500 | 503),
            "{}: {}",
            answer.status,
            answer.text()
        ),
        Answered::Lost(_) if lost.is_some() => {}
        Answered::Lost(why) => panic!("{why}:\n{}", simulation.console()),
    }
}

/// Asks again while a guest that has only just begun is not yet where it should be.
fn until(simulation: &mut Simulation, target: &str, wanted: u16) -> u16 {
    for _ in 0..40 {
        if status(simulation, "GET", target) == wanted {
            return wanted;
        }
        let _ = simulation.run(NOTICE_NS, |_| false);
    }
    status(simulation, "GET", target)
}

fn status(simulation: &mut Simulation, method: &str, target: &str) -> u16 {
    match request(simulation, method, target, b"after") {
        Answered::Answer(answer) => answer.status,
        Answered::Lost(why) => panic!("{target}: {why}:\n{}", simulation.console()),
    }
}

fn answers_on_the_console(simulation: &mut Simulation) {
    let before = simulation.console().len();
    simulation.world(|world| world.domain.typed.extend(b"help\n"));
    let answered = simulation.run(LIMIT_NS, |world| {
        world.domain.console.len() > before
            && world.domain.console_text()[before..].contains("poweroff, reboot")
    });
    assert_eq!(answered, Ok(()), "{}", simulation.console());
}

/// No frame is granted twice, and none that is mapped has been granted anew.
fn keeps_pages_apart(world: &World) {
    let permitted = world.domain.grants.permitted(&world.domain.arena);
    let distinct: BTreeSet<u64> = permitted.iter().map(|(_, gfn)| *gfn).collect();
    assert_eq!(distinct.len(), permitted.len(), "a page is granted twice");
}

/// What a backend may read is zero, or was written for it.
fn shows_nothing_stale(world: &World) {
    let arena = &world.domain.arena;
    for (_, gfn) in world.domain.grants.permitted(arena) {
        let mut page = [0; sim::arena::PAGE_BYTES];
        arena.copy_out(gfn, 0, &mut page);
        let stale = page.windows(STALE_RUN).any(|run| run == [STALE; STALE_RUN]);
        assert!(
            !stale,
            "frame {gfn:#x} is granted with what was there before"
        );
    }
}

/// The toolstack, or without xenstore whoever sits at the console, ends the domain.
fn ends(simulation: &mut Simulation, by_console: bool) {
    simulation.world(|world| {
        if by_console {
            world.domain.typed.extend(b"poweroff\n");
        } else {
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            world.domain.xenstored.write(&path, b"poweroff");
        }
    });
    let ended = simulation.run(3 * LIMIT_NS, |_| false);
    let console = simulation.console();
    assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)), "\n{console}");
}
