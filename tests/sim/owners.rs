//! What the domain's owners ask through xenstore beside its end.

use crate::{request, until_ready};
use sim::domain::DOMID;
use tests::simulated::{LIMIT_NS, Options, Outcome, Simulation, faults};

fn node(name: &str) -> String {
    format!("/local/domain/{DOMID}/{name}")
}

/// The toolstack writes a node, and is given time.
fn write(simulation: &mut Simulation, name: &str, value: &[u8]) {
    simulation.world(|world| world.domain.xenstored.write(&node(name), value));
    let _ = simulation.run(LIMIT_NS, |_| false);
}

fn said(simulation: &Simulation, words: &str) -> usize {
    simulation.console().matches(words).count()
}

#[test]
fn a_sysrq_is_acknowledged_and_answered_with_how_things_stand() {
    let mut simulation = Simulation::begin(Options::new(21));
    until_ready(&mut simulation);
    for (nth, letter) in [(1, b"t"), (2, b"h")] {
        write(&mut simulation, "control/sysrq", letter);
        let left =
            simulation.world(|world| world.domain.xenstored.read_text(&node("control/sysrq")));
        assert_eq!(left.as_deref(), Some(""));
        for words in [
            "status: store ready",
            "status: vif Connected",
            "status: vbd Connected",
            "grants in use",
            "bytes of heap in use",
        ] {
            assert_eq!(
                said(&simulation, words),
                nth,
                "{words}: {}",
                simulation.console()
            );
        }
    }
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn another_size_of_memory_is_told_of_once_and_changes_nothing() {
    let mut simulation = Simulation::begin(Options::new(22));
    until_ready(&mut simulation);
    assert_eq!(said(&simulation, "there is no balloon"), 0);
    for _ in 0..3 {
        write(&mut simulation, "memory/target", b"4096");
    }
    assert_eq!(
        said(&simulation, "asks for 4096 KiB; there is no balloon"),
        1
    );
    write(&mut simulation, "memory/target", b"\xff\n");
    assert_eq!(said(&simulation, r"asks for \xff\n KiB"), 1);
    match request(&mut simulation, "PUT", "/kv/a/b", b"value") {
        Outcome::Answer(answer) => assert_eq!(answer.status, 201),
        Outcome::Lost(why) => panic!("{why}\n{}", simulation.console()),
    }
    assert_eq!(faults(&simulation), [""; 0]);
}
