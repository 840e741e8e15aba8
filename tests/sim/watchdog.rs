//! `watchdog=SECONDS`: a guest that stands still is ended, and one that works never is.
//!
//! Where it stands is said by an alarm, which is only told here; it goes off in `tests/image/`.

use crate::{request, until_ready};
use sim::domain::{DOMID, Ended};
use sim::resume::Save;
use tests::simulated::{
    COMMAND_LINE, LIMIT_NS, Options, Outcome, SimulatedAlarm, Simulation, Stuck, faults,
};

const SECOND_NS: u64 = 1_000_000_000;

fn watched(seconds: &str) -> Simulation {
    watched_by(seconds, None)
}

fn watched_by(seconds: &str, alarm: Option<SimulatedAlarm>) -> Simulation {
    let mut simulation = Simulation::begin(Options {
        command_line: format!("{COMMAND_LINE} watchdog={seconds}"),
        alarm,
        ..Options::new(7)
    });
    until_ready(&mut simulation);
    simulation
}

/// How long the alarm and the hypervisor's watchdog would still wait.
fn patience_ns(simulation: &Simulation) -> [Option<u64>; 2] {
    simulation.world(|world| {
        let domain = &world.domain;
        let left_ns = |due_ns: u64| due_ns.checked_sub(domain.now_ns).expect("in time");
        [domain.apic_timer_ns, domain.watchdog_ns()].map(|due_ns| due_ns.map(left_ns))
    })
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
    for (save, alarm) in [
        (Save::Moves(0), None),
        (Save::Fails, None),
        (Save::Moves(0), Some(SimulatedAlarm::up_to(u64::MAX))),
        (Save::Fails, Some(SimulatedAlarm::up_to(u64::MAX))),
    ] {
        let has_alarm = alarm.is_some();
        let mut simulation = watched_by("20", alarm);
        assert_eq!(simulation.pass(LIMIT_NS), Ok(()));
        assert_eq!(patience_ns(&simulation)[0].is_some(), has_alarm);
        simulation.world(|world| {
            world.domain.saves.push_back(save);
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            world.domain.xenstored.write(&path, b"suspend");
        });
        let saved = simulation.run(LIMIT_NS, |world| world.domain.saves.is_empty());
        assert_eq!(saved, Ok(()), "{}", simulation.console());
        assert_eq!(simulation.pass(10 * LIMIT_NS), Ok(()));
        assert!(puts(&mut simulation));
        assert_eq!(patience_ns(&simulation)[0].is_some(), has_alarm);
        stand_still(&simulation, 33 * SECOND_NS);
        assert_eq!(simulation.step(), Err(Stuck::Ended(Ended::Watchdog)));
    }
}

/// The hypervisor waits until the record is written, and no alarm is due while the guest works.
#[test]
fn the_alarm_is_first_and_never_due_while_the_loop_turns() {
    let mut simulation = watched_by("20", Some(SimulatedAlarm::up_to(u64::MAX)));
    let [None, Some(at_first_ns)] = patience_ns(&simulation) else {
        panic!("the alarm measures");
    };
    assert!(at_first_ns <= 20 * SECOND_NS);
    assert_eq!(simulation.pass(6 * SECOND_NS), Ok(()));
    let mut least_ns = u64::MAX;
    for _ in 0..1_000 {
        assert_eq!(simulation.pass(SECOND_NS), Ok(()));
        let [Some(alarm_ns), Some(hypervisor_ns)] = patience_ns(&simulation) else {
            panic!("both count");
        };
        least_ns = least_ns.min(alarm_ns);
        let for_its_words_ns = hypervisor_ns - alarm_ns;
        assert!((12 * SECOND_NS..13 * SECOND_NS).contains(&for_its_words_ns));
    }
    assert!(least_ns >= 14 * SECOND_NS, "{least_ns} ns were left");
    let told = simulation.console();
    assert!(told.contains("and says where it stands\n"), "{told}");
    assert_eq!(told.matches("watchdog: ").count(), 1, "{told}");
}

#[test]
fn an_alarm_that_cannot_count_so_far_leaves_it_to_the_hypervisor() {
    let alarm = SimulatedAlarm::up_to(19 * SECOND_NS);
    let mut simulation = watched_by("20", Some(alarm));
    for _ in 0..3 {
        let [None, Some(hypervisor_ns)] = patience_ns(&simulation) else {
            panic!("the hypervisor counts alone");
        };
        assert!(hypervisor_ns <= 20 * SECOND_NS);
        assert_eq!(simulation.pass(6 * SECOND_NS), Ok(()));
    }
    let told = simulation.console();
    assert!(told.contains("no timer here counts so far"), "{told}");
    assert!(!told.contains("and says where it stands"), "{told}");
}

/// As on QEMU's emulation.
#[test]
fn where_the_hypervisor_has_none_the_alarm_is_enough() {
    for alarm in [None, Some(SimulatedAlarm::up_to(u64::MAX))] {
        let mut simulation = Simulation::begin(Options {
            command_line: format!("{COMMAND_LINE} watchdog=20"),
            alarm: alarm.clone(),
            ..Options::new(7)
        });
        simulation.world(|world| world.domain.has_watchdogs = false);
        until_ready(&mut simulation);
        assert_eq!(simulation.pass(LIMIT_NS), Ok(()));
        let told = simulation.console();
        let words = match alarm {
            Some(_) => "nobody ends one that cannot say it",
            None => "nobody notices a loop that stands still",
        };
        assert_eq!(told.matches(words).count(), 1, "{told}");
        assert_eq!(told.matches("watchdog: ").count(), 1, "{told}");
        assert_eq!(patience_ns(&simulation)[0].is_some(), alarm.is_some());
        assert!(puts(&mut simulation));
    }
}

/// The hypervisor goes on counting: the owner is told, and it is called off before a save.
#[test]
fn a_watchdog_that_cannot_be_fed_any_more_is_told_of() {
    let mut simulation = watched("20");
    simulation.world(|world| world.domain.has_watchdogs = false);
    assert_eq!(simulation.pass(6 * SECOND_NS), Ok(()));
    let told = simulation.console();
    assert!(told.contains("cannot be fed any more"), "{told}");
    simulation.world(|world| world.domain.has_watchdogs = true);
    assert_eq!(simulation.pass(6 * SECOND_NS), Ok(()));
    assert!(matches!(patience_ns(&simulation)[1], Some(ns) if ns > 14 * SECOND_NS));
    assert!(puts(&mut simulation));
}
