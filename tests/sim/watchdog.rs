//! `watchdog=SECONDS`: a guest that stands still is ended, and one that works never is.

use crate::{request, until_ready};
use sim::domain::{DOMID, Ended};
use sim::resume::Save;
use tests::simulated::{COMMAND_LINE, LIMIT_NS, Options, Outcome, Simulation, Stuck, faults};

const SECOND_NS: u64 = 1_000_000_000;

fn watched(seconds: &str) -> Simulation {
    let mut simulation = Simulation::begin(Options {
        command_line: format!("{COMMAND_LINE} watchdog={seconds}"),
        ..Options::new(7)
    });
    until_ready(&mut simulation);
    simulation
}

/// The vCPU does not run for so long.
fn stand_still(simulation: &Simulation, ns: u64) {
    simulation.world(|world| {
        let now_ns = world.domain.now_ns + ns;
        world.domain.advance_to(now_ns);
        world.step();
    });
}

fn puts(simulation: &mut Simulation) -> bool {
    let put = request(simulation, "PUT", "/kv/b/1", b"value");
    matches!(put, Outcome::Answer(answer) if matches!(answer.status, 201 | 204))
}

#[test]
fn a_guest_that_has_nothing_to_do_is_not_stuck() {
    let mut simulation = watched("20");
    let steps = simulation.steps;
    assert_eq!(simulation.pass(60 * LIMIT_NS), Ok(()));
    assert!(puts(&mut simulation));
    let steps = simulation.steps - steps;
    assert!(steps < 3_600, "{steps} steps in an hour");
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn a_guest_that_stands_still_is_ended_by_the_hypervisor() {
    let mut simulation = watched("20");
    stand_still(&simulation, 14 * SECOND_NS);
    assert!(puts(&mut simulation), "it was fed within five seconds");
    stand_still(&simulation, 21 * SECOND_NS);
    assert_eq!(simulation.step(), Err(Stuck::Ended(Ended::Watchdog)));
}

#[test]
fn without_being_asked_for_there_is_none() {
    for seconds in ["off", "3", "x"] {
        let mut simulation = watched(seconds);
        stand_still(&simulation, 86_400 * SECOND_NS);
        assert!(puts(&mut simulation), "{seconds}");
        let complains = simulation
            .console()
            .contains("`watchdog=` is ignored: write 5 to 86400");
        assert_eq!(complains, seconds != "off", "{}", simulation.console());
    }
}

/// Nobody counts while the toolstack saves it, and somebody does afterwards.
#[test]
fn it_rests_while_the_domain_is_saved() {
    for save in [Save::Moves(0), Save::Fails] {
        let mut simulation = watched("20");
        simulation.world(|world| {
            world.domain.saves.push_back(save);
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            world.domain.xenstored.write(&path, b"suspend");
        });
        let saved = simulation.run(LIMIT_NS, |world| world.domain.saves.is_empty());
        assert_eq!(saved, Ok(()), "{}", simulation.console());
        assert_eq!(simulation.pass(10 * LIMIT_NS), Ok(()));
        assert!(puts(&mut simulation));
        stand_still(&simulation, 21 * SECOND_NS);
        assert_eq!(simulation.step(), Err(Stuck::Ended(Ended::Watchdog)));
    }
}
