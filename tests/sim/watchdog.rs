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
fn patience_ns(simulation: &Simulation, alarm: &SimulatedAlarm) -> [Option<u64>; 2] {
    simulation.world(|world| {
        let domain = &world.domain;
        let left_ns = |due_ns: u64| due_ns.checked_sub(domain.now_ns).expect("in time");
        [alarm.due_ns(), domain.watchdog_ns()].map(|due_ns| due_ns.map(left_ns))
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

/// The hypervisor waits until the record is written, and no alarm is due while the guest works.
#[test]
fn the_alarm_is_first_and_never_due_while_the_loop_turns() {
    let alarm = SimulatedAlarm::up_to(u64::MAX);
    let mut simulation = watched_by("20", Some(alarm.clone()));
    let mut least_ns = u64::MAX;
    for _ in 0..1_000 {
        assert_eq!(simulation.pass(SECOND_NS), Ok(()));
        let [Some(alarm_ns), Some(hypervisor_ns)] = patience_ns(&simulation, &alarm) else {
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
    let simulation = watched_by("20", Some(alarm.clone()));
    let [None, Some(hypervisor_ns)] = patience_ns(&simulation, &alarm) else {
        panic!("the hypervisor counts alone");
    };
    assert!(hypervisor_ns <= 20 * SECOND_NS);
    let told = simulation.console();
    assert!(told.contains("no timer here counts so far"), "{told}");
}

/// As on QEMU's emulation.
#[test]
fn where_the_hypervisor_has_none_the_alarm_is_enough() {
    let counting = SimulatedAlarm::up_to(u64::MAX);
    for alarm in [None, Some(counting.clone())] {
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
        assert!(puts(&mut simulation));
    }
    assert!(counting.due_ns().is_some());
}

#[test]
fn no_alarm_is_on_while_the_domain_is_saved() {
    let alarm = SimulatedAlarm::up_to(u64::MAX);
    let mut simulation = watched_by("20", Some(alarm.clone()));
    simulation.world(|world| {
        world.domain.saves.push_back(Save::Moves(0));
        let path = format!("/local/domain/{DOMID}/control/shutdown");
        world.domain.xenstored.write(&path, b"suspend");
    });
    let mut was_off = false;
    while simulation.world(|world| !world.domain.saves.is_empty()) {
        assert_eq!(simulation.step(), Ok(()));
        was_off |= alarm.due_ns().is_none();
    }
    assert!(was_off, "{}", simulation.console());
    assert_eq!(simulation.pass(LIMIT_NS), Ok(()));
    assert!(alarm.due_ns().is_some());
}
