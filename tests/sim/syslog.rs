//! The log over the network, as the server that it is for has it.

use crate::until_ready;
use sim::domain::Ended;
use tests::simulated::{LIMIT_NS, Options, Outcome, Simulation, Stuck, request};

const SECOND_NS: u64 = 1_000_000_000;

fn simulation(seed: u64, words: &str) -> Simulation {
    let options = Options::new(seed);
    Simulation::begin(Options {
        command_line: format!("{} {words}", options.command_line),
        ..options
    })
}

/// What came since, each as text; all of it is for this port.
fn take(simulation: &mut Simulation, port: u16) -> Vec<String> {
    let datagrams = simulation.world(|world| world.peer.take_datagrams());
    let text = |payload: Vec<u8>| String::from_utf8(payload).expect("it is text");
    let lines = datagrams.into_iter().map(|datagram| {
        assert_eq!(datagram.port, port);
        text(datagram.payload)
    });
    lines.collect()
}

/// Lines that were sent, or lost, by the metrics.
fn counted(simulation: &mut Simulation, what: &str) -> u64 {
    let Outcome::Answer(answer) = request(simulation, "GET", "/metrics", b"") else {
        panic!("no answer");
    };
    let text = String::from_utf8(answer.body).expect("it is text");
    let name = format!("lampion_syslog_{what}_total ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.expect("it is told").parse().expect("a number")
}

fn has(lines: &[String], start: &str, end: &str) -> bool {
    let mut lines = lines.iter();
    lines.any(|line| line.starts_with(start) && line.ends_with(end))
}

#[test]
fn the_server_has_what_the_console_has_from_the_first_line_to_the_last() {
    for seed in 1..=10 {
        let mut simulation = simulation(seed, "syslog=10.0.2.2 hostname=shop");
        until_ready(&mut simulation);
        // The neighbour's address is forgotten meanwhile.
        assert_eq!(simulation.pass(130 * SECOND_NS), Ok(()));
        let typed = |world: &mut sim::machine::World| world.domain.typed.extend(b"poweroff\n");
        simulation.world(typed);
        let ended = simulation.run(LIMIT_NS, |_| false);
        assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)));
        // What the guest has left in the ring is the backend's.
        simulation.world(|world| world.step());
        let lines = take(&mut simulation, 514);
        let said: Vec<&str> = lines
            .iter()
            .map(|line| line.split_once(" shop lampion - - - ").expect("its form").1)
            .collect();
        let console = simulation.console();
        let on_console = console.lines().filter_map(|line| line.split_once("] "));
        // Behind the time and the level.
        let on_console: Vec<&str> = on_console.map(|(_, line)| line[6..].trim_start()).collect();
        assert!(on_console.len() > 10, "{console}");
        assert_eq!(said, on_console, "seed {seed}");
    }
}

#[test]
fn requests_go_to_the_server_alone_whatever_the_level_of_the_log() {
    for level in ["info", "error"] {
        let words = format!("syslog=10.0.2.2:5514 log.access=syslog log.level={level}");
        let mut simulation = simulation(1, &words);
        until_ready(&mut simulation);
        request(&mut simulation, "GET", "/kv/a/none", b"");
        assert_eq!(simulation.pass(2 * SECOND_NS), Ok(()));
        let lines = take(&mut simulation, 5514);
        let line = "\"GET /kv/a/none HTTP/1.1\" 404 ";
        let requests: Vec<&String> = lines.iter().filter(|other| other.contains(line)).collect();
        assert_eq!(requests.len(), 1, "{lines:#?}");
        assert!(requests[0].starts_with("<190>1 "), "{}", requests[0]);
        assert!(requests[0].contains(" lampion lampion - access - 10.0.2.2 - - ["));
        assert!(
            !simulation.console().contains(line),
            "{}",
            simulation.console()
        );
        let is_told = has(&lines, "<30>1 ", "http: ready at http://10.0.2.50/");
        assert_eq!(is_told, level == "info");
    }
}

#[test]
fn a_server_far_away_is_sent_to_by_the_router() {
    let mut simulation = simulation(1, "syslog=203.0.113.9 gw=10.0.2.2 log.access=syslog");
    until_ready(&mut simulation);
    assert_eq!(simulation.pass(SECOND_NS), Ok(()));
    // It is another network than the peer's, who hands on nothing.
    assert_eq!(take(&mut simulation, 514), Vec::<String>::new());
    assert!(counted(&mut simulation, "sent") > 5);
    assert_eq!(counted(&mut simulation, "lost"), 0);
}

#[test]
fn a_server_without_a_way_to_it_is_told_once_and_hinders_nothing() {
    let options = Options::new(1);
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 auth=open metrics=open syslog=203.0.113.9 \
                       log.access=syslog"
            .to_owned(),
        ..options
    });
    until_ready(&mut simulation);
    for _ in 0..400 {
        request(&mut simulation, "GET", "/kv/a/none", b"");
    }
    let console = simulation.console();
    let told = "syslog: 203.0.113.9 is on another network, and there is no router";
    assert_eq!(console.matches(told).count(), 1, "{console}");
    assert_eq!(counted(&mut simulation, "sent"), 0);
    assert!(counted(&mut simulation, "lost") > 100);
}

#[test]
fn a_wish_that_goes_nowhere_is_told() {
    let mut simulation = simulation(1, "log.access=syslog");
    until_ready(&mut simulation);
    let console = simulation.console();
    let told = "config: `log.access=syslog` goes nowhere: add syslog=ADDRESS";
    assert_eq!(console.matches(told).count(), 1, "{console}");
}

#[test]
fn what_says_where_the_token_is_stays_on_the_console() {
    let options = Options::new(1);
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2 syslog=10.0.2.2".to_owned(),
        ..options
    });
    assert_eq!(simulation.pass(5 * SECOND_NS), Ok(()));
    let console = simulation.console();
    assert!(console.contains("auth: read the token"), "{console}");
    let lines = take(&mut simulation, 514);
    assert!(has(&lines, "<30>1 ", "store: ready"), "{lines:#?}");
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("auth: read the token")),
        "{lines:#?}"
    );
}
