//! The token of the appliance: made at first boot, rotated by its owner, kept over power cuts.

use crate::until_ready;
use sim::blkback::Blkback;
use sim::disk::Disk;
use sim::domain::{DOMID, Domain};
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
    let mut simulation = begin(2);
    let old = shown(&mut simulation).expect("the first token");
    assert_eq!(write(&mut simulation, &old), 201);
    with_vbd(&simulation, |vbd, disk, domain| vbd.die(domain, disk));
    let mut client = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
    client.present(&old);
    simulation.world(|world| client.ask(world, "POST", "/-/admin/token/rotate", b""));
    let _ = simulation.run(500 * MS, |_| false);
    assert!(simulation.world(|world| client.answer(world)).is_none());
    simulation.world(|world| client.abort(world));
    assert_eq!(shown(&mut simulation), None, "it is not on the disk yet");
    with_vbd(&simulation, |vbd, _, domain| vbd.restart(domain));
    let _ = simulation.run(10_000 * MS, |_| false);
    let new = shown(&mut simulation).expect("another token");
    assert_eq!(write(&mut simulation, &old), 401);
    assert_eq!(write(&mut simulation, &new), 204);
}

fn with_vbd(simulation: &Simulation, act: impl FnOnce(&mut Blkback, &mut Disk, &mut Domain)) {
    simulation.world(|world| {
        let (mut vbd, mut disk) = world.vbd.take().expect("a disk");
        act(&mut vbd, &mut disk, &mut world.domain);
        world.vbd = Some((vbd, disk));
    });
}

/// A disk that is away holds a rotation up, however often it is asked for; the guest sleeps
/// meanwhile, the old token holds, and all who asked have the one token that there is in the end.
#[test]
fn a_rotation_waits_for_a_disk_that_is_away() {
    let mut simulation = begin(4);
    let old = shown(&mut simulation).expect("the first token");
    with_vbd(&simulation, |vbd, disk, domain| vbd.die(domain, disk));
    let mut clients = [(); 3].map(|()| {
        let mut client = simulation.world(|world| Client::connect_to(world, GUEST_ADMIN));
        client.present(&old);
        simulation.world(|world| client.ask(world, "POST", "/-/admin/token/rotate", b""));
        let _ = simulation.run(500 * MS, |_| false);
        client
    });
    let before = simulation.steps;
    let _ = simulation.run(10_000 * MS, |_| false);
    let steps = simulation.steps - before;
    assert!(steps < 2_000, "{steps} steps in ten seconds");
    assert_eq!(
        ask(&mut simulation, GUEST, &old, ("GET", "/kv/b/k")).status,
        404
    );
    with_vbd(&simulation, |vbd, _, domain| vbd.restart(domain));
    let mut tokens = Vec::new();
    for client in &mut clients {
        let mut outcome = None;
        let _ = simulation.run(LIMIT_NS, |world| {
            outcome = client.answer(world);
            outcome.is_some()
        });
        match outcome {
            Some(Outcome::Answer(answer)) if answer.status == 200 => tokens.push(answer.text()),
            other => panic!("{other:?}\n{}", simulation.console()),
        }
    }
    let in_force = shown(&mut simulation).expect("a new token");
    assert!(
        tokens.iter().all(|text| text.contains(&in_force)),
        "{tokens:?}"
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
    let mut told = false;
    for answer in answers {
        let Some(Outcome::Answer(answer)) = answer else {
            panic!("{answer:?}\n{}", simulation.console());
        };
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text());
        assert!(answer.status == 401 || answer.text().contains(&in_force));
        told |= answer.status == 200;
    }
    assert!(told, "{}", simulation.console());
    assert_eq!(write(&mut simulation, &in_force), 201);
}
