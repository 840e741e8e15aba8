//! Looks at a guest from outside: one request, what it holds, what the others say of it.

use super::{Client, GUEST, LIMIT_NS, Outcome, Simulation};
use sim::machine::World;
use std::net::SocketAddrV4;

/// Between two questions whether it serves.
const PAUSE_NS: u64 = 50_000_000;

/// One request on a connection of its own.
pub fn request(simulation: &mut Simulation, method: &str, target: &str, body: &[u8]) -> Outcome {
    request_at(simulation, GUEST, (method, target), body)
}

/// One request on a connection of its own to one of the guest's ports.
pub fn request_at(
    simulation: &mut Simulation,
    door: SocketAddrV4,
    (method, target): (&str, &str),
    body: &[u8],
) -> Outcome {
    let mut client = simulation.world(|world| Client::connect_to(world, door));
    simulation.world(|world| client.ask(world, method, target, body));
    let mut outcome = None;
    let ran = simulation.run(LIMIT_NS, |world| {
        outcome = client.answer(world);
        outcome.is_some()
    });
    simulation.world(|world| client.abort(world));
    match outcome {
        Some(outcome) => outcome,
        None => Outcome::Lost(format!("{ran:?}")),
    }
}

/// Asks until the appliance says that it serves.
///
/// # Panics
/// If it never does.
pub fn until_ready(simulation: &mut Simulation) {
    for _ in 0..100 {
        match request(simulation, "GET", "/readyz?for=write", b"") {
            Outcome::Answer(answer) if answer.status == 200 => return,
            _ => {}
        }
        // Only the time has to go by.
        let _ = simulation.run(PAUSE_NS, |_| false);
    }
    panic!("it never serves:\n{}", simulation.console());
}

/// What the guest did that no guest may, as the others tell it.
pub fn faults(simulation: &Simulation) -> Vec<String> {
    simulation.world(|world| {
        let mut faults = world.domain.refused.clone();
        faults.extend(world.vif.iter().flat_map(|vif| vif.errors.clone()));
        faults.extend(world.vbd.iter().flat_map(|(vbd, _)| vbd.errors.clone()));
        faults.extend(world.peer.errors().to_vec());
        faults
    })
}

/// What a guest holds of the hypervisor's and the daemon's, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    ports: usize,
    grants: usize,
    watches: usize,
    transactions: usize,
}

impl Held {
    /// What the world's guest holds now.
    pub fn by(world: &World) -> Held {
        let domain = &world.domain;
        Held {
            ports: domain.events.count(),
            grants: domain.grants.permitted(&domain.arena).len(),
            watches: domain.xenstored.watch_count(domain.client),
            transactions: domain.xenstored.transaction_count(domain.client),
        }
    }
}
