//! The token of the appliance: made at first boot, rotated by its owner, kept over power cuts.

use crate::until_ready;
use sim::domain::DOMID;
use std::net::SocketAddrV4;
use tests::http::Answer;
use tests::simulated::{Client, Cut, GUEST, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation};

const MS: u64 = 1_000_000;

fn begin(seed: u64) -> Simulation {
    let mut simulation = Simulation::begin(Options {
        command_line: "ip=10.0.2.50/24 gw=10.0.2.2".into(),
        ..Options::new(seed)
    });
    until_ready(&mut simulation);
    simulation
}

/// The token that dom0 can read.
fn shown(simulation: &mut Simulation) -> Option<String> {
    // What is published is on its way for a moment.
    let _ = simulation.run(50 * MS, |_| false);
    let path = format!("/local/domain/{DOMID}/data/lampion/token");
    let text = simulation.world(|world| world.domain.xenstored.read_text(&path));
    text.filter(|text| !text.is_empty())
}

/// One request with a token.
fn ask(
    simulation: &mut Simulation,
    door: SocketAddrV4,
    token: &str,
    (method, target): (&str, &str),
) -> Answer {
    let mut client = simulation.world(|world| Client::connect_to(world, door));
    client.present(token);
    simulation.world(|world| client.ask(world, method, target, b""));
    let mut outcome = None;
    let _ = simulation.run(LIMIT_NS, |world| {
        outcome = client.answer(world);
        outcome.is_some()
    });
    simulation.world(|world| client.abort(world));
    match outcome {
        Some(Outcome::Answer(answer)) => answer,
        other => panic!("{method} {target}: {other:?}\n{}", simulation.console()),
    }
}

fn rotate(simulation: &mut Simulation, token: &str) -> String {
    let answer = ask(
        simulation,
        GUEST_ADMIN,
        token,
        ("POST", "/-/admin/token/rotate"),
    );
    let text = answer.text();
    let new = text.strip_prefix("{\"token\":\"");
    let new = new.and_then(|text| text.strip_suffix("\"}\n"));
    new.unwrap_or_else(|| panic!("{}: {text}", answer.status))
        .to_owned()
}

fn write(simulation: &mut Simulation, token: &str) -> u16 {
    ask(simulation, GUEST, token, ("PUT", "/kv/b/k")).status
}

#[test]
fn a_token_is_rotated_again_and_again_and_kept_over_power_cuts() {
    let mut simulation = begin(1);
    let mut token = shown(&mut simulation).expect("the first token");
    let mut all = vec![token.clone()];
    assert_eq!(write(&mut simulation, &token), 201);
    assert_eq!(shown(&mut simulation), None, "somebody has logged in");
    for _ in 0..3 {
        let new = rotate(&mut simulation, &token);
        assert_eq!(new.len(), 32);
        assert!(!all.contains(&new), "{new} again");
        assert_eq!(shown(&mut simulation).as_ref(), Some(&new));
        for old in &all {
            assert_eq!(write(&mut simulation, old), 401);
        }
        assert_eq!(write(&mut simulation, &new), 204);
        assert_eq!(shown(&mut simulation), None, "somebody has logged in");
        simulation.restart(Cut::Power);
        until_ready(&mut simulation);
        for old in &all {
            assert_eq!(write(&mut simulation, old), 401);
        }
        assert_eq!(write(&mut simulation, &new), 204);
        all.push(new.clone());
        token = new;
    }
    let console = simulation.console();
    assert!(
        all.iter().all(|token| !console.contains(token)),
        "{console}"
    );
}

/// Who asked is gone before the answer: the token is in force all the same, and dom0 can read it.
#[test]
fn a_token_that_nobody_waits_for_is_shown_to_dom0() {
    let mut rotated = 0;
    for after_ns in [0, 300_000, MS, 3 * MS, 10 * MS] {
        let mut simulation = begin(2);
        let old = shown(&mut simulation).expect("the first token");
        assert_eq!(write(&mut simulation, &old), 201);
        let mut client = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
        client.present(&old);
        simulation.world(|world| client.ask(world, "POST", "/-/admin/token/rotate", b""));
        let _ = simulation.run(after_ns, |_| false);
        simulation.world(|world| client.abort(world));
        match shown(&mut simulation) {
            Some(new) => {
                rotated += 1;
                assert_eq!(write(&mut simulation, &old), 401);
                assert_eq!(write(&mut simulation, &new), 204);
            }
            // The request did not come as far as that.
            None => assert_eq!(write(&mut simulation, &old), 204),
        }
    }
    assert!(
        (1..5).contains(&rotated),
        "{rotated} of 5 came as far as that"
    );
}

/// Two who ask at once get tokens that hold, or are told that the old one does not.
#[test]
fn two_who_ask_at_once_know_the_token_in_force() {
    let mut simulation = begin(3);
    let old = shown(&mut simulation).expect("the first token");
    let mut clients = [(); 2].map(|()| {
        let mut client = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
        client.present(&old);
        client
    });
    for client in &mut clients {
        simulation.world(|world| client.ask(world, "POST", "/-/admin/token/rotate", b""));
    }
    let mut answers = [None, None];
    let _ = simulation.run(LIMIT_NS, |world| {
        for (client, answer) in clients.iter_mut().zip(&mut answers) {
            *answer = answer.take().or_else(|| client.answer(world));
        }
        answers.iter().all(Option::is_some)
    });
    let in_force = shown(&mut simulation).expect("a new token");
    let mut told = 0;
    for answer in answers {
        let Some(Outcome::Answer(answer)) = answer else {
            panic!("{answer:?}\n{}", simulation.console());
        };
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
        told += u32::from(answer.text().contains(&in_force));
    }
    assert!(told >= 1, "{}", simulation.console());
    assert_eq!(write(&mut simulation, &in_force), 201);
}
