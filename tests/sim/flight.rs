//! What a guest that dies leaves on its disk, and the next one shows.

use crate::{request, seeds, until_ready};
use sim::disk::Latency;
use sim::random::Random;
use tests::simulated::{
    Client, Cut, GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, faults, request_at,
};
use xen_sys::io::ring;

const SEEDS: u64 = 30;
const MS: u64 = 1_000_000;

fn crashes(simulation: &mut Simulation, method: &str) -> (u16, String) {
    match request_at(simulation, GUEST_ADMIN, (method, "/-/admin/crash"), b"") {
        Outcome::Answer(answer) => (answer.status, answer.text()),
        Outcome::Lost(why) => panic!("{why}\n{}", simulation.console()),
    }
}

/// Clients write at that moment, so the ring is in use.
fn at_work(simulation: &mut Simulation, random: &mut Random) {
    for key in 0..random.below(12) {
        let mut client = simulation.world(Client::connect);
        let target = format!("/kv/b/{key}");
        simulation.world(|world| client.ask(world, "PUT", &target, &[key as u8; 40_000]));
    }
    let _ = simulation.run(random.below(20 * MS), |_| false);
}

fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0xf1);
    let mut simulation = Simulation::begin(Options {
        interleaving: [0, 2_000, 20_000][random.below(3) as usize],
        ..Options::new(seed)
    });
    until_ready(&mut simulation);
    assert_eq!(
        crashes(&mut simulation, "GET"),
        (200, "{\"crashes\":[]}\n".into())
    );
    let put = request(&mut simulation, "PUT", "/kv/b/kept", b"1");
    assert!(matches!(put, Outcome::Answer(answer) if answer.status == 201));
    for number in 1..=2 {
        at_work(&mut simulation, &mut random);
        let words = format!("PANIC at src/a.rs:{number}:1: \"why\"; backtrace 0x1");
        assert_eq!(
            simulation.die(&words),
            Some(Ok(number)),
            "{}",
            simulation.console()
        );
        // The disk has it for good: the power goes with the guest.
        simulation.restart(Cut::Power);
        until_ready(&mut simulation);
        let console = simulation.console();
        assert!(
            console.contains("not acknowledged, see /-/admin/crash"),
            "{console}"
        );
        let (status, text) = crashes(&mut simulation, "GET");
        assert_eq!(status, 200);
        assert_eq!(text.matches("\"number\"").count() as u64, number, "{text}");
        let told = format!("PANIC at src/a.rs:{number}:1: \\\"why\\\"; backtrace 0x1");
        for words in [&*told, "vbd ring: req_prod", "vif rx ring:", "store: ready"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let kept = request(&mut simulation, "GET", "/kv/b/kept", b"");
    assert!(matches!(kept, Outcome::Answer(answer) if answer.body == b"1"));
    assert_eq!(crashes(&mut simulation, "DELETE").0, 202);
    let _ = simulation.run(LIMIT_NS, |_| false);
    assert!(crashes(&mut simulation, "GET").1.contains("[]"));
    simulation.restart(Cut::Power);
    until_ready(&mut simulation);
    assert!(crashes(&mut simulation, "GET").1.contains("[]"), "for good");
    assert_eq!(faults(&simulation), [""; 0]);
}

#[test]
fn the_next_guest_shows_what_the_last_one_died_of_until_it_is_acknowledged() {
    seeds::each(SEEDS, play);
}

/// Nobody waits for ever for a last word.
#[test]
fn a_disk_that_does_not_answer_does_not_keep_a_guest_from_dying() {
    let mut simulation = Simulation::begin(Options::new(3));
    until_ready(&mut simulation);
    simulation.world(|world| {
        let slow_ns = 3_600_000 * MS;
        let (_, disk) = world.vbd.as_mut().expect("a disk");
        disk.faults().slow = Latency {
            min_ns: slow_ns,
            max_ns: slow_ns,
        };
    });
    let begun_ns = simulation.world(|world| world.domain.now_ns);
    let died = simulation.die("PANIC");
    assert_eq!(died, Some(Err("the disk did not answer in time".into())));
    let took_ns = simulation.world(|world| world.domain.now_ns) - begun_ns;
    assert!(took_ns < 11_000 * MS, "{took_ns} ns");
}

/// What is not known to be the store's disk is not written to.
#[test]
fn a_guest_without_its_disk_leaves_nothing_anywhere() {
    let mut simulation = Simulation::begin(Options::new(4));
    assert_eq!(simulation.die("PANIC"), None);
    until_ready(&mut simulation);
    simulation.world(|world| {
        let (mut vbd, mut disk) = world.vbd.take().expect("a disk");
        vbd.die(&mut world.domain, &mut disk);
        world.vbd = Some((vbd, disk));
    });
    let _ = simulation.run(100 * MS, |_| false);
    assert_eq!(simulation.die("PANIC"), None);
}

/// Ends that are made up for ever are as good as none.
#[test]
fn a_backend_that_makes_up_ends_does_not_keep_a_guest_from_dying() {
    let mut simulation = Simulation::begin(Options::new(5));
    until_ready(&mut simulation);
    simulation.world(|world| {
        let (backend, _) = world.vbd.as_ref().expect("a disk");
        let (gfn, _) = backend.ring().expect("it is connected");
        world.vbd = None;
        let mut is_asked = false;
        world.intruder = Some(Box::new(move |world, touch| {
            if touch.gfn != gfn {
                return;
            }
            is_asked |= !touch.is_load && touch.offset == ring::REQ_PROD;
            if is_asked && touch.is_load && touch.offset == ring::RSP_PROD {
                let arena = &world.domain.arena;
                let produced = arena.load_u32(gfn, ring::RSP_PROD).unwrap_or(0);
                arena.store_u32(gfn, ring::RSP_PROD, produced.wrapping_add(1));
            }
        }));
    });
    let died = simulation.die("PANIC");
    assert_eq!(died, Some(Err("the disk did not answer in time".into())));
}
