//! Nodes of a backend or of the toolstack that make no sense, or change once they were read.

use super::outcome::Outcome;
use super::stage::Stage;
use super::{Device, Scenario};
use crate::until_ready;
use sim::device::Nodes;
use tests::simulated::Simulation;

/// What is in a node; `None` is that it is not there.
type Value = Option<&'static [u8]>;

/// Who writes the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Frontend,
    Backend,
}

/// A node, what is in it, and the words that tell it; without words the device works.
type Bad = (Side, &'static str, &'static [Value], Option<&'static str>);

const HUGE: &[u8] = b"99999999999999999999999999";
const LONG: &[u8] = &[b'7'; 2000];
const BINARY: &[u8] = &[0xff, 0xfe, 0x00, 0x80];

const VBD: [Bad; 8] = [
    (
        Side::Backend,
        "sectors",
        &[
            None,
            Some(b""),
            Some(b"0"),
            Some(b"-1"),
            Some(b"abc"),
            Some(b"12 34"),
            Some(b"0x8000"),
            Some(b"18446744073709551615"),
            Some(HUGE),
            Some(LONG),
            Some(BINARY),
        ],
        Some("its node sectors makes no sense"),
    ),
    (
        Side::Backend,
        "sector-size",
        &[
            Some(b""),
            Some(b"0"),
            Some(b"3"),
            Some(b"511"),
            Some(b"8192"),
            Some(b"4294967808"),
            Some(b"-512"),
            Some(b"abc"),
            Some(BINARY),
        ],
        Some("its node sector-size makes no sense"),
    ),
    (
        Side::Backend,
        "physical-sector-size",
        &[Some(b"0"), Some(b"768"), Some(b"65536"), Some(b"abc")],
        Some("its node physical-sector-size makes no sense"),
    ),
    (Side::Backend, "sector-size", &[None], None),
    (
        Side::Backend,
        "info",
        &[None, Some(b""), Some(b"abc"), Some(HUGE)],
        None,
    ),
    (
        Side::Backend,
        "feature-barrier",
        &[Some(b"abc"), Some(b"2"), Some(BINARY)],
        None,
    ),
    (Side::Backend, "trusted", &[Some(b"0")], None),
    (
        Side::Frontend,
        "backend-id",
        &[
            None,
            Some(b""),
            Some(b"abc"),
            Some(b"-1"),
            Some(b"65536"),
            Some(HUGE),
            Some(BINARY),
        ],
        Some("cannot connect"),
    ),
];

const VIF: [Bad; 6] = [
    (
        Side::Frontend,
        "mac",
        &[
            None,
            Some(b""),
            Some(b"00:16:3e:00:00"),
            Some(b"00:16:3e:00:00:01:02"),
            Some(b"01:16:3e:00:00:01"),
            Some(b"zz:16:3e:00:00:01"),
            Some(b"00163e000001"),
            Some(BINARY),
        ],
        Some("cannot connect"),
    ),
    (
        Side::Frontend,
        "mtu",
        &[
            Some(b""),
            Some(b"0"),
            Some(b"67"),
            Some(b"4001"),
            Some(b"-1"),
            Some(b"abc"),
            Some(HUGE),
        ],
        None,
    ),
    (
        Side::Backend,
        "feature-rx-copy",
        &[None, Some(b"0"), Some(b"2"), Some(b"abc"), Some(BINARY)],
        Some("its node feature-rx-copy makes no sense"),
    ),
    (
        Side::Backend,
        "feature-sg",
        &[None, Some(b"abc"), Some(BINARY)],
        None,
    ),
    (Side::Backend, "trusted", &[Some(b"0")], None),
    (
        Side::Frontend,
        "backend-id",
        &[None, Some(b"abc"), Some(b"65536")],
        Some("cannot connect"),
    ),
];

/// Changed under a device that works: what was read once is not read again.
const CHANGED: [(Device, &str, &[u8]); 8] = [
    (Device::Vbd, "sectors", b"0"),
    (Device::Vbd, "sectors", HUGE),
    (Device::Vbd, "sector-size", b"4096"),
    (Device::Vbd, "sector-size", BINARY),
    (Device::Vbd, "feature-flush-cache", b"0"),
    (Device::Vbd, "info", b"7"),
    (Device::Vif, "feature-rx-copy", b"0"),
    (Device::Vif, "feature-sg", b"1"),
];

fn with_nodes(
    simulation: &Simulation,
    device: Device,
    act: impl FnOnce(&mut sim::domain::Domain, Nodes),
) {
    simulation.world(|world| {
        let nodes = match device {
            Device::Vif => world.vif.as_ref().expect("a network interface").nodes(),
            Device::Vbd => world.vbd.as_ref().expect("a disk").0.nodes(),
        };
        let nodes = nodes.clone();
        act(&mut world.domain, nodes);
    });
}

/// The node is this, whatever the honest backend would write there.
fn spoil(simulation: &Simulation, device: Device, side: Side, key: &str, value: Value) {
    match side {
        Side::Backend => simulation.world(|world| {
            let spoilt = (key.to_owned(), value.map(<[u8]>::to_vec));
            match device {
                Device::Vif => world
                    .vif
                    .as_mut()
                    .expect("a vif")
                    .spoil(&mut world.domain, spoilt),
                Device::Vbd => {
                    let (vbd, _) = world.vbd.as_mut().expect("a disk");
                    vbd.spoil(&mut world.domain, spoilt);
                }
            }
        }),
        Side::Frontend => with_nodes(simulation, device, |domain, nodes| {
            let path = format!("{}/{key}", nodes.frontend);
            match value {
                None => domain.xenstored.remove(&path),
                Some(value) => {
                    domain.xenstored.write(&path, value);
                    domain.xenstored.set_owner(&path, sim::domain::DOMID);
                }
            }
        }),
    }
}

fn bad(device: Device, (side, key, values, words): Bad) -> impl Iterator<Item = Scenario> {
    values.iter().map(move |value| {
        let shown = value.map(|value| value.escape_ascii().to_string());
        let shown = shown.map(|shown| shown[..shown.len().min(40)].to_owned());
        let name = format!("{}, {side:?}'s {key} is {shown:?}", device.path());
        let act = move |simulation: &mut Simulation| {
            spoil(simulation, device, side, key, *value);
            if words.is_none() {
                until_ready(simulation);
            }
        };
        let then = words.map_or(Outcome::Works, |words| Outcome::Unconnected(device, words));
        Scenario::new(name, Stage::Created, act, then)
    })
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let vbd = VBD.into_iter().flat_map(|row| bad(Device::Vbd, row));
    let vif = VIF.into_iter().flat_map(|row| bad(Device::Vif, row));
    let changed = CHANGED.into_iter().map(|(device, key, value)| {
        let shown = value.escape_ascii();
        let name = format!("{}, {key} changes to {shown} at work", device.path());
        let act = move |simulation: &mut Simulation| {
            with_nodes(simulation, device, |domain, nodes| {
                let path = format!("{}/{key}", nodes.backend);
                domain.xenstored.write(&path, value);
            });
        };
        Scenario::new(name, Stage::Serving, act, Outcome::Works)
    });
    vbd.chain(vif).chain(changed).collect()
}
