//! Discards: what compaction frees is given back, and only that.

use crate::{request, until_ready};
use sim::disk::Disk;
use tests::data::value;
use tests::simulated::{Cut, Options, Outcome, Simulation, faults};

const KEYS: u64 = 16;
const VALUE_BYTES: usize = 50_000;
/// All keys written so often are several times the disk of 16 MiB.
const ROUNDS: u64 = 60;

fn disk<T>(simulation: &Simulation, change: impl FnOnce(&mut Disk) -> T) -> T {
    simulation.world(|world| change(&mut world.vbd.as_mut().expect("a disk").1))
}

fn answered(simulation: &mut Simulation, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    match request(simulation, method, target, body) {
        Outcome::Answer(answer) if answer.status < 300 => answer.body,
        other => panic!("{method} {target}: {other:?}\n{}", simulation.console()),
    }
}

fn overwrite(simulation: &mut Simulation, rounds: std::ops::Range<u64>) {
    for round in rounds {
        for key in 0..KEYS {
            let value = value(key, round, VALUE_BYTES);
            answered(simulation, "PUT", &format!("/kv/b/{key}"), &value);
        }
    }
}

fn shows(simulation: &mut Simulation, round: u64) {
    for key in 0..KEYS {
        let found = answered(simulation, "GET", &format!("/kv/b/{key}"), b"");
        assert!(found == value(key, round, VALUE_BYTES), "key {key}");
    }
}

/// A number out of the metrics.
fn counted(simulation: &mut Simulation, name: &str) -> u64 {
    let page = answered(simulation, "GET", "/metrics", b"");
    let page = String::from_utf8(page).expect("text");
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let numbers = lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok());
    numbers.sum()
}

/// With discards that do nothing to some of the sectors: they are a hint.
#[test]
fn what_is_freed_is_discarded_and_what_counts_is_not() {
    for ignored in [0, 300_000, 1_000_000] {
        let mut simulation = Simulation::begin(Options::new(8));
        disk(&simulation, |disk| disk.faults().ignored_discard = ignored);
        until_ready(&mut simulation);
        overwrite(&mut simulation, 0..ROUNDS);
        assert!(counted(&mut simulation, "lampion_blkfront_discards_total") > 10);
        shows(&mut simulation, ROUNDS - 1);
        simulation.restart(Cut::Power);
        until_ready(&mut simulation);
        shows(&mut simulation, ROUNDS - 1);
        assert_eq!(faults(&simulation), [""; 0]);
    }
}

#[test]
fn a_disk_that_offers_discards_and_takes_none_is_asked_once() {
    let mut simulation = Simulation::begin(Options::new(9));
    until_ready(&mut simulation);
    disk(&simulation, |disk| disk.faults().no_discard = true);
    overwrite(&mut simulation, 0..ROUNDS);
    assert_eq!(
        counted(&mut simulation, "lampion_blkfront_discards_total"),
        1
    );
    let said = simulation.console().matches("takes no discard").count();
    assert_eq!(said, 1, "{}", simulation.console());
    shows(&mut simulation, ROUNDS - 1);
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn a_disk_that_offers_no_discards_is_never_asked() {
    let mut simulation = Simulation::begin(Options::new(9));
    disk(&simulation, |disk| disk.faults().no_discard = true);
    until_ready(&mut simulation);
    overwrite(&mut simulation, 0..ROUNDS);
    assert_eq!(
        counted(&mut simulation, "lampion_blkfront_discards_total"),
        0
    );
    assert_eq!(faults(&simulation), [""; 0]);
}
