//! Backends and daemons that lie: their device is broken, and the guest goes on.
//!
//! A scenario brings a guest to a stage, does one thing to it that no honest other side does,
//! and says what has to become of it. What has to hold after any of them is in `outcome`.
//!
//! Source: the rules are `docs/xen.md`'s, after the advisories XSA-155, 349, 376, 391, 396,
//! 403 and 465.

mod daemons;
mod disk_ring;
mod fetch;
mod grants;
mod net_ring;
mod nodes;
mod outcome;
mod ring;
mod stage;
mod states;
mod storms;

use outcome::Outcome;
use stage::Stage;
use tests::simulated::Simulation;

/// Fewer than these are not all there once were.
const SCENARIOS_MIN: usize = 486;

/// One lie, and what has to become of it.
struct Scenario {
    name: String,
    stage: Stage,
    act: Box<dyn Fn(&mut Simulation)>,
    then: Outcome,
}

/// A device of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Vif,
    Vbd,
}

impl Device {
    /// How the guest calls it.
    fn path(self) -> &'static str {
        match self {
            Device::Vif => "device/vif/0",
            Device::Vbd => "device/vbd/51712",
        }
    }

    /// The backend ends, without a word and with all that it has mapped.
    fn unplug(self, simulation: &Simulation) {
        simulation.world(|world| match self {
            Device::Vif => world.vif = None,
            Device::Vbd => world.vbd = None,
        });
    }
}

impl Scenario {
    fn new(
        name: impl Into<String>,
        stage: Stage,
        act: impl Fn(&mut Simulation) + 'static,
        then: Outcome,
    ) -> Scenario {
        Scenario {
            name: name.into(),
            stage,
            act: Box::new(act),
            then,
        }
    }

    fn play(&self) {
        let said = Said(&self.name);
        let mut simulation = self.stage.reach();
        let from = simulation.console().len();
        (self.act)(&mut simulation);
        self.then.judge(&mut simulation, from);
        drop(said);
    }
}

/// Names the scenario when a check fails.
struct Said<'a>(&'a str);

impl Drop for Said<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in the scenario: {}", self.0);
        }
    }
}

/// Plays all of them; how many there were.
fn play(scenarios: &[Scenario]) {
    scenarios.iter().for_each(Scenario::play);
    println!("{} scenarios", scenarios.len());
}

#[test]
fn a_lie_on_the_disks_ring_breaks_the_disk_alone() {
    play(&disk_ring::scenarios());
}

#[test]
fn a_lie_on_the_networks_rings_breaks_the_network_alone() {
    play(&net_ring::scenarios());
}

#[test]
fn what_changes_between_two_loads_is_seen_once() {
    play(&fetch::scenarios());
}

#[test]
fn nodes_that_make_no_sense_are_refused_by_name() {
    play(&nodes::scenarios());
}

#[test]
fn states_that_skip_vanish_or_flap_are_followed() {
    play(&states::scenarios());
}

#[test]
fn a_page_that_a_backend_may_hold_is_not_used_again() {
    play(&grants::scenarios());
}

#[test]
fn storms_and_floods_do_not_stop_the_service() {
    play(&storms::scenarios());
}

#[test]
fn daemons_that_break_their_protocol_cost_their_link_alone() {
    play(&daemons::scenarios());
}

#[test]
fn no_scenario_has_been_lost() {
    let all = [
        disk_ring::scenarios(),
        net_ring::scenarios(),
        fetch::scenarios(),
        nodes::scenarios(),
        states::scenarios(),
        grants::scenarios(),
        storms::scenarios(),
        daemons::scenarios(),
    ];
    let names: std::collections::BTreeSet<&String> = all
        .iter()
        .flatten()
        .map(|scenario| &scenario.name)
        .collect();
    let count: usize = all.iter().map(Vec::len).sum();
    assert_eq!(names.len(), count, "every scenario has a name of its own");
    assert!(count >= SCENARIOS_MIN, "{count} scenarios");
    println!("{count} scenarios");
}
