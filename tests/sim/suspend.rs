//! The domain is saved and goes on, here or elsewhere, while clients write all the time.
//!
//! Each connection outlives it, no acknowledged write is lost though the old backend loses all
//! that was not durable, and the guest holds afterwards what it held before.

use crate::{request, seeds, until_ready};
use sim::domain::{DOMID, Ended};
use sim::random::Random;
use sim::resume::Save;
use std::collections::BTreeMap;
use tests::data::value;
use tests::simulated::{Client, Held, LIMIT_NS, Options, Outcome, Simulation, Stuck, faults};

const SEEDS: u64 = 12;
const ROUNDS: u64 = 4;
const CLIENTS: u64 = 4;
/// Each client's puts in a round; the suspend is asked for somewhere between them.
const PUTS: u64 = 12;
/// Other hosts' system time, ahead of ours.
const SKEWS_NS: [u64; 3] = [0, 0_u64.wrapping_sub(3_000_000_000), 7_000_000_000_000_000];
const VALUE_BYTES: usize = 9_000;

pub(crate) fn ask_for_suspend(simulation: &mut Simulation, save: Save) {
    simulation.world(|world| {
        world.domain.saves.push_back(save);
        let path = format!("/local/domain/{DOMID}/control/shutdown");
        world.domain.xenstored.write(&path, b"suspend");
    });
}

/// What each key was last acknowledged to hold.
type Acknowledged = BTreeMap<u64, u64>;

/// Clients put one value after the other, each on one connection; a suspend comes between.
fn write_through(
    simulation: &mut Simulation,
    random: &mut Random,
    save: Save,
    acknowledged: &mut Acknowledged,
) {
    let mut clients: Vec<(Client, u64)> = (0..CLIENTS)
        .map(|_| (simulation.world(Client::connect), 0))
        .collect();
    let all = CLIENTS * PUTS;
    let asked_after = random.below(all);
    let (mut done, mut asked) = (0, false);
    let version = acknowledged.values().copied().max().unwrap_or(0) + 1;
    let put = |key: u64| (format!("/kv/b/{key}"), value(key, version, VALUE_BYTES));
    for (number, (client, _)) in (0..).zip(&mut clients) {
        let (target, body) = put(number * PUTS);
        simulation.world(|world| client.ask(world, "PUT", &target, &body));
    }
    while done < all {
        if !asked && done >= asked_after {
            ask_for_suspend(simulation, save);
            asked = true;
        }
        let mut ended = None;
        let waited = simulation.run(LIMIT_NS, |world| {
            let answers = (0..).zip(&mut clients);
            ended = answers
                .filter_map(|(number, (client, _))| Some((number, client.answer(world)?)))
                .next();
            ended.is_some()
        });
        let console = simulation.console();
        assert_eq!(waited, Ok(()), "nobody answers:\n{console}");
        let (number, outcome) = ended.expect("an answer");
        let Outcome::Answer(answer) = outcome else {
            panic!("a connection did not outlive it: {outcome:?}\n{console}");
        };
        assert!(matches!(answer.status, 201 | 204), "{}", answer.text());
        let (client, nth) = &mut clients[number as usize];
        acknowledged.insert(number * PUTS + *nth, version);
        *nth += 1;
        done += 1;
        if *nth < PUTS {
            let (target, body) = put(number * PUTS + *nth);
            simulation.world(|world| client.ask(world, "PUT", &target, &body));
        }
    }
    for (client, _) in clients {
        simulation.world(|world| client.abort(world));
    }
}

fn all_is_there(simulation: &mut Simulation, acknowledged: &Acknowledged) {
    for (key, version) in acknowledged {
        let got = request(simulation, "GET", &format!("/kv/b/{key}"), b"");
        let Outcome::Answer(answer) = got else {
            panic!("{key}: {got:?}");
        };
        let expected = value(*key, *version, VALUE_BYTES);
        assert!(answer.status == 200 && answer.body == expected, "{key}");
    }
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0x505);
    let mut simulation = Simulation::begin(Options {
        interleaving: [0, 2_000, 20_000][random.below(3) as usize],
        ..Options::new(seed)
    });
    until_ready(&mut simulation);
    let mut acknowledged = Acknowledged::new();
    let mut before = None;
    let mut moves = 0;
    for round in 0..ROUNDS {
        let skew_ns = SKEWS_NS[random.below(3) as usize];
        let save = match random.chance(1, 4) {
            true => Save::Fails,
            false => Save::Moves(skew_ns),
        };
        moves += u64::from(save != Save::Fails);
        write_through(&mut simulation, &mut random, save, &mut acknowledged);
        let _ = simulation.run(LIMIT_NS, |_| false);
        all_is_there(&mut simulation, &acknowledged);
        let _ = simulation.run(LIMIT_NS, |_| false);
        let console = simulation.console();
        let left = simulation.world(|world| world.domain.saves.len());
        assert_eq!(left, 0, "round {round}: it was not suspended:\n{console}");
        assert_eq!(
            console.matches("resumed in another domain").count() as u64,
            moves
        );
        let held = simulation.world(|world| Held::by(world));
        assert_eq!(
            held,
            *before.get_or_insert(held),
            "round {round}:\n{console}"
        );
        let feature = simulation.world(|world| {
            let path = format!("/local/domain/{DOMID}/control/feature-suspend");
            world.domain.xenstored.read_text(&path)
        });
        assert_eq!(feature.as_deref(), Some("1"));
        assert_eq!(faults(&simulation), [""; 0]);
    }
}

#[test]
fn nothing_is_lost_and_nobody_is_cut_off_when_the_domain_goes_on_elsewhere() {
    seeds::each(SEEDS, play);
}

fn begun(seed: u64) -> Simulation {
    let mut simulation = Simulation::begin(Options::new(seed));
    until_ready(&mut simulation);
    simulation
}

/// Somebody puts a value and does not wait for what becomes of it.
fn put_and_leave(simulation: &mut Simulation, after_ns: u64) {
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| client.ask(world, "PUT", "/kv/b/1", &value(1, 1, VALUE_BYTES)));
    let _ = simulation.run(after_ns, |_| false);
    simulation.world(|world| client.abort(world));
}

fn disk(simulation: &Simulation, act: impl FnOnce(&mut sim::disk::Disk)) {
    simulation.world(|world| act(&mut world.vbd.as_mut().expect("a disk").1));
}

fn puts(simulation: &mut Simulation) -> u16 {
    match request(simulation, "PUT", "/kv/b/2", b"value") {
        Outcome::Answer(answer) => answer.status,
        Outcome::Lost(why) => panic!("{why}\n{}", simulation.console()),
    }
}

/// Also when nobody else brings the step that flushes once the last request has ended.
#[test]
fn a_domain_that_nobody_asks_anything_is_saved_at_once() {
    for nth in 0..60 {
        let mut simulation = begun(31);
        put_and_leave(&mut simulation, nth * 40_000);
        ask_for_suspend(&mut simulation, Save::Moves(0));
        let moved = simulation.run(1_000_000_000, |world| world.domain.saves.is_empty());
        assert_eq!(moved, Ok(()), "{nth}:\n{}", simulation.console());
    }
}

#[test]
fn a_disk_that_does_not_come_to_rest_is_no_reason_to_lose_anything() {
    let mut simulation = begun(32);
    let slow_ns = 40_000_000_000;
    disk(&simulation, |disk| {
        disk.faults().slow = sim::disk::Latency {
            min_ns: slow_ns,
            max_ns: slow_ns,
        };
    });
    put_and_leave(&mut simulation, 50_000_000);
    ask_for_suspend(&mut simulation, Save::Moves(0));
    let _ = simulation.run(35_000_000_000, |_| false);
    let console = simulation.console();
    assert!(console.contains("did not end in 30 s"), "{console}");
    assert_eq!(simulation.world(|world| world.domain.saves.len()), 1);
    disk(&simulation, |disk| disk.faults().slow = Default::default());
    let _ = simulation.run(60_000_000_000, |_| false);
    assert!(matches!(puts(&mut simulation), 201 | 204));
}

#[test]
fn a_disk_that_does_not_flush_is_not_left_behind() {
    let mut simulation = begun(33);
    disk(&simulation, |disk| disk.faults().flush_error = 1_000_000);
    ask_for_suspend(&mut simulation, Save::Moves(0));
    let _ = simulation.run(1_000_000_000, |_| false);
    let console = simulation.console();
    assert!(console.contains("could not be flushed"), "{console}");
    assert_eq!(simulation.world(|world| world.domain.saves.len()), 1);
    disk(&simulation, |disk| disk.faults().flush_error = 0);
    assert_eq!(puts(&mut simulation), 201);
}

#[test]
fn a_disk_that_is_not_there_elsewhere_is_told_of_and_nobody_waits_for_ever() {
    let mut simulation = begun(34);
    ask_for_suspend(&mut simulation, Save::Moves(0));
    let moved = simulation.run(LIMIT_NS, |world| world.domain.saves.is_empty());
    assert_eq!(moved, Ok(()));
    // Its nodes say that it waits, and it does nothing.
    let disk = simulation.world(|world| world.vbd.take());
    let mut client = simulation.world(Client::connect);
    simulation.world(|world| client.ask(world, "PUT", "/kv/b/1", b"value"));
    let mut outcome = None;
    let _ = simulation.run(2 * LIMIT_NS, |world| {
        outcome = outcome.take().or_else(|| client.answer(world));
        outcome.is_some()
    });
    let console = simulation.console();
    assert!(
        console.contains("the disk has been away for 10 s"),
        "{console}"
    );
    let Some(Outcome::Answer(answer)) = outcome else {
        panic!("{outcome:?}:\n{console}");
    };
    // What waited may have been written, for all that is known; what comes now is not.
    assert!(answer.text().contains("write-outcome-unknown"));
    let Outcome::Answer(answer) = request(&mut simulation, "PUT", "/kv/b/2", b"value") else {
        panic!("no answer:\n{}", simulation.console());
    };
    assert!(answer.status == 503 && answer.text().contains("disk-away"));
    simulation.world(|world| world.vbd = disk);
    let _ = simulation.run(LIMIT_NS, |_| false);
    assert_eq!(puts(&mut simulation), 201);
}

/// An end takes the place of a suspend that has not come about yet.
#[test]
fn an_end_that_is_asked_for_while_the_domain_comes_to_rest_is_one() {
    let mut simulation = begun(35);
    let slow = sim::disk::Latency {
        min_ns: 2_000_000_000,
        max_ns: 2_000_000_000,
    };
    disk(&simulation, |disk| disk.faults().slow = slow);
    put_and_leave(&mut simulation, 50_000_000);
    ask_for_suspend(&mut simulation, Save::Moves(0));
    let _ = simulation.run(100_000_000, |_| false);
    simulation.world(|world| world.domain.typed.extend(b"poweroff\n"));
    let ended = simulation.run(LIMIT_NS, |_| false);
    let console = simulation.console();
    assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)), "{console}");
    assert_eq!(simulation.world(|world| world.domain.saves.len()), 1);
    assert!(!console.contains("did not answer in time"), "{console}");
}
