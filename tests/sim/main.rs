//! The whole appliance in a simulated world, many seeds.

#![forbid(unsafe_code)]

mod answers;
mod events;
mod flushes;
mod hostile;
mod kills;
mod reconnect;
mod seeds;

use tests::simulated::{Client, Options, Outcome, Simulation};

/// Longest that anything may take, in the simulated time.
const LIMIT_NS: u64 = 60_000_000_000;

/// Between two questions whether it serves.
const PAUSE_NS: u64 = 50_000_000;

/// One request on a connection of its own.
fn request(simulation: &mut Simulation, method: &str, target: &str, body: &[u8]) -> Outcome {
    let mut client = simulation.world(Client::connect);
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
fn until_ready(simulation: &mut Simulation) {
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
fn faults(simulation: &Simulation) -> Vec<String> {
    simulation.world(|world| {
        let mut faults = world.domain.refused.clone();
        faults.extend(world.vif.iter().flat_map(|vif| vif.errors.clone()));
        faults.extend(world.vbd.iter().flat_map(|(vbd, _)| vbd.errors.clone()));
        faults.extend(world.peer.errors().to_vec());
        faults
    })
}

#[test]
fn a_value_comes_back() {
    let mut simulation = Simulation::begin(Options::new(1));
    until_ready(&mut simulation);
    let value = vec![7; 100_000];
    match request(&mut simulation, "PUT", "/kv/a/b", &value) {
        Outcome::Answer(answer) => assert_eq!(answer.status, 201, "{}", answer.text()),
        Outcome::Lost(why) => panic!("{why}\n{}", simulation.console()),
    }
    match request(&mut simulation, "GET", "/kv/a/b", b"") {
        Outcome::Answer(answer) => assert!(answer.status == 200 && answer.body == value),
        Outcome::Lost(why) => panic!("{why}\n{}", simulation.console()),
    }
    assert_eq!(faults(&simulation), [""; 0]);
}
