//! What the lies on real Xen have shown of the guest, again in the simulated world.
//!
//! Here is no backend but the test, which writes its states by hand and takes its time.

use sim::device::XenbusState;
use sim::domain::DOMID;
use sim::machine::World;
use sim::xenstored::Access;
use tests::simulated::{Options, Simulation};
use xen_sys::io::ring;

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;

fn frontend_state(world: &World) -> XenbusState {
    let path = format!("/local/domain/{DOMID}/device/vif/0/state");
    XenbusState::parse(world.domain.xenstored.read(&path).unwrap_or_default())
}

fn set_backend_state(world: &mut World, state: XenbusState) {
    let path = format!("/local/domain/0/backend/vif/{DOMID}/0/state");
    world
        .domain
        .xenstored
        .write(&path, state.digit().as_bytes());
}

fn until_frontend_is(simulation: &mut Simulation, state: XenbusState, limit_ns: u64) {
    let ran = simulation.run(limit_ns, |world| frontend_state(world) == state);
    assert_eq!(ran, Ok(()), "{state:?}:\n{}", simulation.console());
}

/// The guest asks where the backend is, and is told.
fn look_at_backend(simulation: &mut Simulation) {
    assert_eq!(simulation.pass(MILLISECOND_NS), Ok(()));
}

/// A guest whose network is there, and whose backend does nothing of itself any more.
fn connected_network() -> Simulation {
    let mut simulation = Simulation::begin(Options {
        disk_bytes: None,
        interleaving: 0,
        ..Options::new(1)
    });
    let connected = simulation.run(60 * SECOND_NS, |world| {
        world.vif.as_ref().is_some_and(|vif| vif.rings().is_some())
    });
    assert_eq!(connected, Ok(()));
    // Long enough that its loss is no flapping.
    assert_eq!(simulation.pass(6 * SECOND_NS), Ok(()));
    simulation.world(|world| {
        let mut vif = world.vif.take().expect("a network interface");
        vif.disconnect(&mut world.domain);
    });
    simulation
}

/// A guest whose network's backend has closed, and has not yet seen that it is wanted again.
fn closing_network() -> Simulation {
    let mut simulation = connected_network();
    simulation.world(|world| set_backend_state(world, XenbusState::Closing));
    until_frontend_is(&mut simulation, XenbusState::Closed, SECOND_NS);
    look_at_backend(&mut simulation);
    simulation.world(|world| set_backend_state(world, XenbusState::Closed));
    until_frontend_is(&mut simulation, XenbusState::Initialising, SECOND_NS);
    simulation
}

/// Where the directory above may not be read, the daemon does not say that there is nothing.
#[test]
fn a_backend_whose_nodes_are_gone_has_gone() {
    let mut simulation = connected_network();
    simulation.world(|world| {
        let parent = format!("/local/domain/0/backend/vif/{DOMID}");
        world.domain.xenstored.allow(&parent, DOMID, Access::None);
        world.domain.xenstored.remove(&format!("{parent}/0"));
    });
    let _ = simulation.run(SECOND_NS, |_| false);
    let console = simulation.console();
    assert_eq!(
        console.matches("the backend went away").count(),
        1,
        "{console}"
    );
}

#[test]
fn a_closed_backend_has_time_to_open_again() {
    let mut simulation = closing_network();
    look_at_backend(&mut simulation);
    simulation.world(|world| set_backend_state(world, XenbusState::InitWait));
    until_frontend_is(&mut simulation, XenbusState::Connected, SECOND_NS);
    let console = simulation.console();
    assert!(!console.contains("cannot connect"), "{console}");
}

#[test]
fn a_backend_that_stays_closed_is_tried_for_ever_and_said_once() {
    let mut simulation = closing_network();
    let mut tries = 0;
    let mut last = XenbusState::Initialising;
    let ran = simulation.run(200 * SECOND_NS, |world| {
        let now = frontend_state(world);
        tries += u32::from(now != last && now == XenbusState::Initialising);
        last = now;
        false
    });
    let console = simulation.console();
    assert_eq!(ran, Err(tests::simulated::Stuck::TooLate), "{console}");
    assert!(tries >= 4, "{tries} tries:\n{console}");
    assert_eq!(console.matches("cannot connect").count(), 1, "{console}");
}

#[test]
fn a_lie_of_a_disk_is_told_once_with_what_helps() {
    let mut simulation = Simulation::begin(Options {
        interleaving: 0,
        ..Options::new(1)
    });
    let ready = simulation.run(60 * SECOND_NS, |world| {
        world.domain.console_text().contains("store: ready")
    });
    assert_eq!(ready, Ok(()), "{}", simulation.console());
    simulation.world(|world| {
        let (backend, _) = world.vbd.as_ref().expect("a disk");
        let (gfn, port) = backend.ring().expect("it is connected");
        let arena = &world.domain.arena;
        let produced = arena.load_u32(gfn, ring::RSP_PROD).unwrap_or(0);
        arena.store_u32(gfn, ring::RSP_PROD, produced.wrapping_add(33));
        world.domain.events.raise(&world.domain.arena, port);
        world.vbd = None;
    });
    let _ = simulation.run(5 * SECOND_NS, |_| false);
    let console = simulation.console();
    let errors: Vec<&str> = console
        .lines()
        .filter_map(|line| line.split_once(" ERROR ").map(|(_, said)| said))
        .collect();
    let of = |start: &str| errors.iter().filter(|said| said.starts_with(start)).count();
    assert_eq!(of("device/vbd/51712: "), 1, "{console}");
    assert!(of("store: ") <= 1, "{console}");
    assert!(
        !console.contains("detach"),
        "nothing but a new start helps:\n{console}"
    );
}

/// Nobody writes: it is not the first write that finds out.
#[test]
fn a_disk_that_goes_is_told_before_anybody_writes() {
    let mut simulation = Simulation::begin(Options {
        interleaving: 0,
        ..Options::new(1)
    });
    let ready = simulation.run(60 * SECOND_NS, |world| {
        world.domain.console_text().contains("store: ready")
    });
    assert_eq!(ready, Ok(()), "{}", simulation.console());
    simulation.world(|world| {
        let path = format!("/local/domain/0/backend/vbd/{DOMID}/51712/state");
        let state = XenbusState::Closing.digit();
        world.domain.xenstored.write(&path, state.as_bytes());
    });
    let _ = simulation.run(10 * SECOND_NS, |_| false);
    let console = simulation.console();
    let told = "the backend went away";
    assert_eq!(console.matches(told).count(), 1, "{console}");
    assert!(
        console.contains("store: the disk is back after"),
        "{console}"
    );
}
