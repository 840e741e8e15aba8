//! Pages that a backend keeps mapped after its device has ended (XSA-396).
//!
//! What the backend may still write is marked by it; the mark must stay, and the page must not
//! be granted anew, until the backend lets go.

use super::outcome::Outcome;
use super::ring::blk;
use super::stage::Stage;
use super::{Device, Scenario};
use crate::request;
use sim::arena::PAGE_BYTES;
use sim::grant::{Mapping, Need};
use sim::machine::World;
use std::ops::Range;
use tests::simulated::Simulation;

const SECOND_NS: u64 = 1_000_000_000;
const MARK: [u8; PAGE_BYTES] = [0x77; PAGE_BYTES];
/// How long a backend keeps what it has.
const HELD_NS: u64 = 20 * SECOND_NS;

/// Entries of a device, in the order of their making.
fn entries(world: &World, device: Device) -> Vec<u32> {
    let permitted = world.domain.grants.permitted(&world.domain.arena);
    let ring = match device {
        Device::Vif => world
            .vif
            .as_ref()
            .and_then(|vif| vif.rings())
            .map(|(tx, ..)| tx),
        Device::Vbd => Some(blk(world).gfn),
    };
    // A device's entries are neighbours: its ring's tells which.
    let budget = kernel::budget::Budget::from_ram(16 << 20);
    // Those of the last write, and the ring.
    let blk_pages = budget.blk_requests * 11 + 4 + 1;
    let net_pages = budget.rx_pages + budget.tx_pages + 2;
    let at = permitted.iter().position(|(_, gfn)| Some(*gfn) == ring);
    let at = at.expect("the ring is granted") as u32;
    let count = match device {
        Device::Vif => net_pages,
        Device::Vbd => blk_pages,
    };
    assert!(at < blk_pages + net_pages, "two devices and nothing else");
    // In the order of their making, the ring of each device is its last entry.
    let range: Range<u32> = at + 1 - count..at + 1;
    permitted[range.start as usize..range.end as usize]
        .iter()
        .map(|(entry, _)| *entry)
        .collect()
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
enum Kept {
    First,
    Last,
    All,
}

impl Kept {
    fn of(self, entries: &[u32]) -> Vec<u32> {
        match self {
            Kept::First => entries[..1].to_vec(),
            Kept::Last => entries[entries.len() - 1..].to_vec(),
            Kept::All => entries.to_vec(),
        }
    }
}

/// Maps, once more, so many of the device's pages.
fn hold(world: &mut World, device: Device, kept: Kept, need: Need) -> Vec<Mapping> {
    let entries = kept.of(&entries(world, device));
    let domain = &mut world.domain;
    let mapped = entries.into_iter().filter_map(|entry| {
        let mapped = domain.grants.map(&domain.arena, 0, entry, need);
        // What is sent is granted for reading alone.
        mapped.ok()
    });
    mapped.collect()
}

/// The backend writes into all that it holds.
fn mark(world: &World, held: &[Mapping]) {
    for mapping in held {
        world.domain.arena.copy_in(mapping.gfn, 0, &MARK);
    }
}

/// Nobody else has written there, and nothing there was granted anew.
fn check(world: &World, held: &[Mapping]) {
    let permitted = world.domain.grants.permitted(&world.domain.arena);
    for mapping in held {
        let mut page = [0; PAGE_BYTES];
        world.domain.arena.copy_out(mapping.gfn, 0, &mut page);
        assert!(page == MARK, "frame {:#x} is used again", mapping.gfn);
        let grants = permitted.iter().filter(|(_, gfn)| *gfn == mapping.gfn);
        assert_eq!(
            grants.count(),
            1,
            "frame {:#x} is granted anew",
            mapping.gfn
        );
    }
}

fn release(world: &mut World, held: Vec<Mapping>) {
    for mapping in held {
        let gfn = mapping.gfn;
        let unmapped = world.domain.grants.unmap(&world.domain.arena, mapping);
        assert_eq!(unmapped, Ok(()), "frame {gfn:#x}");
    }
}

fn pass(simulation: &mut Simulation, duration_ns: u64) {
    assert_eq!(
        simulation.pass(duration_ns),
        Ok(()),
        "{}",
        simulation.console()
    );
}

fn restart_vif(simulation: &Simulation) {
    simulation.world(|world| {
        let vif = world.vif.as_mut().expect("a network interface");
        vif.leave(&mut world.domain);
    });
}

/// The network's backend goes, keeps pages, comes back, and lets go at last.
fn vif(kept: Kept, need: Need) -> Scenario {
    let name = format!("device/vif/0: {kept:?} kept for {need:?} over a restart");
    let act = move |simulation: &mut Simulation| {
        let before = simulation.world(|w| w.domain.grants.permitted(&w.domain.arena).len());
        let held = simulation.world(|world| hold(world, Device::Vif, kept, need));
        assert!(!held.is_empty());
        restart_vif(simulation);
        pass(simulation, SECOND_NS);
        simulation.world(|world| {
            mark(world, &held);
            let vif = world.vif.as_mut().expect("a network interface");
            vif.restart(&mut world.domain);
        });
        pass(simulation, HELD_NS);
        if !matches!(kept, Kept::All) {
            // What is in reserve is enough to go on.
            let _ = request(simulation, "GET", "/healthz", b"");
        }
        simulation.world(|world| {
            check(world, &held);
            release(world, held);
        });
        pass(simulation, HELD_NS);
        let after = simulation.world(|w| w.domain.grants.permitted(&w.domain.arena).len());
        assert_eq!(
            after,
            before,
            "everything was taken back:\n{}",
            simulation.console()
        );
    };
    Scenario::new(name, Stage::Serving, act, Outcome::Works)
}

/// The disk's backend lies and keeps pages; the network's restarts, and does not get them.
fn vbd(kept: Kept, stage: Stage) -> Scenario {
    let name = format!("device/vbd/51712, {stage:?}: {kept:?} kept after a lie");
    let act = move |simulation: &mut Simulation| {
        let held = simulation.world(|world| {
            let held = hold(world, Device::Vbd, kept, Need::Write);
            blk(world).produce(&mut world.domain, 1 << 31);
            held
        });
        Device::Vbd.unplug(simulation);
        pass(simulation, SECOND_NS);
        simulation.world(|world| mark(world, &held));
        pass(simulation, 6 * SECOND_NS);
        restart_vif(simulation);
        pass(simulation, SECOND_NS);
        simulation.world(|world| {
            let vif = world.vif.as_mut().expect("a network interface");
            vif.restart(&mut world.domain);
        });
        pass(simulation, HELD_NS);
        let _ = request(simulation, "GET", "/healthz", b"");
        simulation.world(|world| check(world, &held));
    };
    let then = Outcome::Broken(Device::Vbd, "its ring claims");
    Scenario::new(name, stage, act, then)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let each = [Kept::First, Kept::Last, Kept::All];
    let vif = each
        .into_iter()
        .flat_map(|kept| [Need::Read, Need::Write].map(|need| vif(kept, need)));
    let vbd = each.into_iter().flat_map(|kept| {
        [Stage::Serving, Stage::Reading, Stage::Writing].map(|stage| vbd(kept, stage))
    });
    vif.chain(vbd).collect()
}
