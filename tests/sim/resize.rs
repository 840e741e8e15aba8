//! A disk that becomes larger while the guest serves, and one that lies about it.

use crate::{request, until_ready};
use tests::data::value;
use tests::http::Answer;
use tests::simulated::{Cut, LIMIT_NS, Options, Outcome, Simulation, faults};

const VALUE_BYTES: usize = 60_000;
const MIB: u64 = 1 << 20;

fn ask(simulation: &mut Simulation, method: &str, key: u64, body: &[u8]) -> Answer {
    let target = format!("/kv/b/{key}");
    match request(simulation, method, &target, body) {
        Outcome::Answer(answer) => answer,
        Outcome::Lost(why) => panic!("{method} {target}: {why}\n{}", simulation.console()),
    }
}

/// Puts new keys until the disk is full; how many there are then.
fn fill(simulation: &mut Simulation, from: u64) -> u64 {
    for key in from.. {
        match ask(simulation, "PUT", key, &value(key, 0, VALUE_BYTES)).status {
            201 => {}
            507 => return key,
            other => panic!("{other}\n{}", simulation.console()),
        }
    }
    unreachable!("there is no last key")
}

fn shows(simulation: &mut Simulation, keys: u64) {
    for key in 0..keys {
        let got = ask(simulation, "GET", key, b"");
        assert!(
            got.status == 200 && got.body == value(key, 0, VALUE_BYTES),
            "{key}"
        );
    }
}

/// The host makes the disk so long, and says so.
fn resize(simulation: &mut Simulation, len_bytes: u64) {
    simulation.world(|world| {
        let (vbd, disk) = world.vbd.as_mut().expect("a disk");
        disk.resize(len_bytes);
        vbd.resize(&mut world.domain, disk);
    });
    let _ = simulation.run(LIMIT_NS, |_| false);
}

#[test]
fn a_disk_that_grows_has_room_again_without_a_restart() {
    let mut simulation = Simulation::begin(Options::new(11));
    until_ready(&mut simulation);
    let before = fill(&mut simulation, 0);
    resize(&mut simulation, 48 * MIB);
    assert!(simulation.console().contains("the disk has grown"));
    let after = fill(&mut simulation, before);
    assert!(after > 2 * before, "{before} keys, then {after}");
    shows(&mut simulation, after);
    simulation.restart(Cut::Power);
    until_ready(&mut simulation);
    shows(&mut simulation, after);
    assert_eq!(faults(&simulation), [""; 0]);
}

/// Writing stops where the store no longer fits, and reading does not.
#[test]
fn a_disk_that_shrinks_is_told_of_and_read() {
    let mut simulation = Simulation::begin(Options::new(12));
    until_ready(&mut simulation);
    assert_eq!(
        ask(&mut simulation, "PUT", 0, &value(0, 0, VALUE_BYTES)).status,
        201
    );
    resize(&mut simulation, 12 * MIB);
    assert!(simulation.console().contains("the disk became smaller"));
    assert_eq!(ask(&mut simulation, "PUT", 1, b"1").status, 503);
    shows(&mut simulation, 1);
}

/// A size that is none changes nothing, however often it is said, and is told once.
#[test]
fn a_size_that_is_none_is_told_once() {
    let mut simulation = Simulation::begin(Options::new(13));
    until_ready(&mut simulation);
    for _ in 0..50 {
        simulation.world(|world| {
            let (vbd, _) = world.vbd.as_mut().expect("a disk");
            let nodes = vbd.nodes();
            nodes.write(&mut world.domain, "sectors", "-1");
            nodes.write(&mut world.domain, "state", 4);
        });
        simulation.pass(1_000_000).expect("it goes on");
    }
    let console = simulation.console();
    assert_eq!(
        console.matches("its size cannot be read again").count(),
        1,
        "{console}"
    );
    assert_eq!(
        ask(&mut simulation, "PUT", 0, &value(0, 0, VALUE_BYTES)).status,
        201
    );
    shows(&mut simulation, 1);
}
