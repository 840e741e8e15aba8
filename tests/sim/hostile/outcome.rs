//! What has to become of a lie, and what has to hold after any.

use super::Device;
use super::stage::{KEPT, kept};
use crate::after;
use tests::simulated::{Outcome as Answered, Simulation, request};

/// Within this time the guest has noticed.
const NOTICE_NS: u64 = 1_000_000_000;
/// What the guest says, once, of a device that it gives up.
const BROKEN: &str = "is not to be believed";

/// What has to become of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The device is broken, and one line with these words says why.
    Broken(Device, &'static str),
    /// The device does not connect, and lines with these words say why.
    Unconnected(Device, &'static str),
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
            return after::never_silent(simulation, from);
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
        after::leaks_nothing(simulation);
        assert_eq!(
            simulation.world(|world| world.domain.refused.clone()),
            [""; 0]
        );
        after::ends(simulation, matches!(self, Outcome::WithoutXenstore(_)));
    }
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
        return after::answers_on_the_console(simulation);
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
