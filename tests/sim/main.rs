//! The whole appliance in a simulated world, many seeds.

#![forbid(unsafe_code)]

mod after;
mod answers;
mod events;
mod flushes;
mod hostile;
mod memory;
mod reconnect;
mod seeds;
mod sweeps;

use tests::simulated::{LIMIT_NS, Options, Outcome, Simulation, faults, request};

/// Between two questions whether it serves.
const PAUSE_NS: u64 = 50_000_000;

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
