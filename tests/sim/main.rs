//! The whole appliance in a simulated world, many seeds.

#![forbid(unsafe_code)]

mod access;
mod admin;
mod after;
mod answers;
mod crowd;
mod discards;
mod ends;
mod events;
mod expiry;
mod flight;
mod flushes;
mod hostile;
mod hotplug;
mod index;
mod memory;
mod million;
mod owners;
mod phases;
mod reconnect;
mod resize;
mod seeds;
mod site;
mod starved;
mod suspend;
mod sweeps;
mod syslog;
mod tls;
mod token;
mod watch;
mod watchdog;

use tests::simulated::{LIMIT_NS, Options, Outcome, Simulation, faults, request, until_ready};

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
