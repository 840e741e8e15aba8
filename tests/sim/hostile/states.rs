//! States that skip, vanish, flap, or are none.

use super::outcome::Outcome;
use super::stage::Stage;
use super::{Device, Scenario};
use sim::machine::World;
use tests::simulated::Simulation;

/// What stands in a state node; `None` is that the whole directory is gone.
type Value = Option<&'static [u8]>;

const INIT_WAIT: Value = Some(b"2");

/// Not a backend's that works.
const ENDS: [Value; 11] = [
    None,
    Some(b""),
    Some(b"0"),
    Some(b"1"),
    INIT_WAIT,
    Some(b"3"),
    Some(b"5"),
    Some(b"6"),
    Some(b"9"),
    Some(b"abc"),
    Some(&[0xff, 0xfe]),
];

/// A backend that works may say this.
const GOES_ON: [Value; 3] = [Some(b"4"), Some(b"7"), Some(b"8")];

const MS: u64 = 1_000_000;
const FLAPS: u32 = 300;
/// Lines that a guest may write about a device that flaps.
const LINES_MAX: usize = 40;
/// Changes of xenstore's tree that it may make meanwhile, the backend's own included.
const CHANGES_MAX: u64 = 2_000;

fn backend(world: &World, device: Device) -> String {
    match device {
        Device::Vif => world.vif.as_ref().expect("a vif").nodes().backend.clone(),
        Device::Vbd => {
            let (vbd, _) = world.vbd.as_ref().expect("a disk");
            vbd.nodes().backend.clone()
        }
    }
}

/// Writes a state behind the backend's back.
fn say(simulation: &Simulation, device: Device, value: Value) {
    simulation.world(|world| {
        let backend = backend(world, device);
        match value {
            None => world.domain.xenstored.remove(&backend),
            Some(value) => {
                let path = format!("{backend}/state");
                world.domain.xenstored.write(&path, value);
                let xenstored = &mut world.domain.xenstored;
                xenstored.allow(&path, sim::domain::DOMID, sim::xenstored::Access::Read);
            }
        }
    });
}

/// The backend is as if it had just been started.
fn come_back(simulation: &Simulation, device: Device) {
    simulation.world(|world| {
        let domain = &mut world.domain;
        match device {
            Device::Vif => world.vif.as_mut().expect("a vif").restart(domain),
            Device::Vbd => world.vbd.as_mut().expect("a disk").0.restart(domain),
        }
    });
}

fn pass(simulation: &mut Simulation, duration_ns: u64) {
    let passed = simulation.pass(duration_ns);
    assert_eq!(passed, Ok(()), "{}", simulation.console());
}

fn shown(value: Value) -> String {
    value.map_or("gone".to_owned(), |value| value.escape_ascii().to_string())
}

/// The state is said in the middle of a handshake; then an honest backend starts.
fn in_a_handshake(device: Device, value: Value) -> Scenario {
    let name = format!("{}: {} in the handshake", device.path(), shown(value));
    let act = move |simulation: &mut Simulation| {
        say(simulation, device, value);
        pass(simulation, 100 * MS);
        come_back(simulation, device);
        // It tries again after a pause.
        pass(simulation, 40_000 * MS);
    };
    Scenario::new(name, Stage::Created, act, Outcome::Works)
}

/// The state is said by a backend that works; then an honest one starts.
fn at_work(device: Device, value: Value) -> Scenario {
    let name = format!("{}: {} at work", device.path(), shown(value));
    let act = move |simulation: &mut Simulation| {
        say(simulation, device, value);
        pass(simulation, 100 * MS);
        come_back(simulation, device);
        pass(simulation, 40_000 * MS);
    };
    Scenario::new(name, Stage::Serving, act, Outcome::Works)
}

fn goes_on(device: Device, value: Value) -> Scenario {
    let name = format!("{}: {} changes nothing", device.path(), shown(value));
    let act = move |simulation: &mut Simulation| say(simulation, device, value);
    Scenario::new(name, Stage::Serving, act, Outcome::Works)
}

/// Up and down, faster than anybody can connect; what the guest does of it is bounded.
fn flapping(device: Device, stage: Stage, states: [Value; 2], every_ns: u64) -> Scenario {
    let [one, other] = states.map(shown);
    let name = format!(
        "{}, {stage:?}: {one} and {other} every {} ms",
        device.path(),
        every_ns / MS
    );
    let act = move |simulation: &mut Simulation| {
        let lines = |simulation: &Simulation| simulation.console().lines().count();
        let changes = |simulation: &Simulation| simulation.world(|w| w.domain.xenstored.version());
        let before = (lines(simulation), changes(simulation));
        for flap in 0..FLAPS {
            say(simulation, device, states[(flap % 2) as usize]);
            pass(simulation, every_ns);
        }
        let (lines, changes) = (lines(simulation) - before.0, changes(simulation) - before.1);
        assert!(
            lines <= LINES_MAX,
            "{lines} lines:\n{}",
            simulation.console()
        );
        assert!(changes <= CHANGES_MAX, "{changes} changes of the tree");
        come_back(simulation, device);
        pass(simulation, 40_000 * MS);
    };
    Scenario::new(name, stage, act, Outcome::Works)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let both = [Device::Vif, Device::Vbd];
    let mut all = Vec::new();
    for device in both {
        let in_a_handshake = ENDS
            .into_iter()
            .filter(|value| *value != INIT_WAIT)
            .map(|value| in_a_handshake(device, value));
        all.extend(in_a_handshake);
        all.extend(ENDS.map(|value| at_work(device, value)));
        all.extend(GOES_ON.map(|value| goes_on(device, value)));
        for stage in [Stage::Created, Stage::Serving] {
            let closed: [Value; 2] = [Some(b"6"), Some(b"4")];
            all.push(flapping(device, stage, closed, MS));
            all.push(flapping(device, stage, closed, 50 * MS));
            all.push(flapping(device, stage, [INIT_WAIT, Some(b"6")], 5 * MS));
        }
    }
    all
}
