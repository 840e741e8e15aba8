//! More connections than places, all of one address: who behaves is served all the same.

use crate::until_ready;
use sim::machine::World;
use sim::peer::{Flow, Reads, Talks};
use tests::simulated::{Client, GUEST, Options, Outcome, Simulation, Stuck, faults, request};

const SECOND_NS: u64 = 1_000_000_000;
/// More than three times what a small guest has places for.
const CROWD: usize = 700;
/// So many come at a time, so often.
const WAVE: usize = 14;
const WAVE_NS: u64 = SECOND_NS / 5;
/// Longest that a request of who behaves may take.
const PROMPT_NS: u64 = 2 * SECOND_NS;
const LARGE_BYTES: usize = 60_000;
/// Bodies of which a part comes: more than there is room for by far.
const PARTS: usize = 700;
const PART_BYTES: usize = 5_000;
/// Steps in half a second that nothing happens in; a guest that never sleeps takes 100,000.
const STEPS_MAX: u64 = 5_000;

/// What one of the crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rude {
    /// Says nothing.
    Silent,
    /// Sends a head, a byte at a time.
    SlowHead,
    /// Sends a body, a byte at a time.
    SlowBody,
    /// Does not take its answer.
    SlowRead,
    /// Is gone without a word when the answer comes.
    Gone,
    /// Ends it in good order, with more behind its last request than anybody reads.
    Trailing,
}

fn begin(world: &mut World, rude: Rude) -> Flow {
    let flow = world.peer.connect(world.domain.now_ns, GUEST);
    if rude == Rude::SlowRead {
        let behaviour = world.peer.behaviour(flow);
        (behaviour.window_max, behaviour.reads) = (2_048, Reads::Never);
    }
    let says = match rude {
        Rude::Silent => "",
        Rude::SlowHead => "GET /kv/c/large HTTP/1.1\r\nHost: l\r\nX: ",
        Rude::SlowBody => "PUT /kv/c/a HTTP/1.1\r\nHost: l\r\nContent-Length: 100000\r\n\r\n",
        Rude::SlowRead => "GET /kv/c/large HTTP/1.1\r\nHost: l\r\n\r\n",
        Rude::Gone | Rude::Trailing => {
            "GET /kv/c/large HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n"
        }
    };
    world.peer.send(flow, says.as_bytes());
    if rude == Rude::Trailing {
        world.peer.send(flow, b"more");
        world.peer.finish(flow);
    }
    flow
}

/// What it goes on with after a while.
fn go_on(world: &mut World, rude: Rude, flow: Flow) {
    match rude {
        Rude::SlowHead | Rude::SlowBody => world.peer.send(flow, b"a"),
        Rude::Gone => world.peer.behaviour(flow).talks = Talks::Never,
        Rude::Silent | Rude::SlowRead | Rude::Trailing => {}
    }
}

/// Asks on a connection that is kept; how long it took.
fn ask(simulation: &mut Simulation, client: &mut Client, target: &str) -> u64 {
    let begun_ns = simulation.world(|world| {
        client.ask(world, "GET", target, b"");
        world.domain.now_ns
    });
    let mut outcome = None;
    let ran = simulation.run(PROMPT_NS, |world| {
        outcome = client.answer(world);
        outcome.is_some()
    });
    let Some(Outcome::Answer(answer)) = outcome else {
        panic!("{target}: {ran:?} {outcome:?}\n{}", simulation.console());
    };
    assert_eq!(answer.status, 200);
    simulation.world(|world| world.domain.now_ns) - begun_ns
}

fn metric(simulation: &mut Simulation, name: &str) -> u64 {
    let Outcome::Answer(answer) = request(simulation, "GET", "/metrics", b"") else {
        panic!("no answer");
    };
    let text = String::from_utf8(answer.body).expect("it is text");
    let values = text.lines().filter(|line| line.starts_with(name));
    let values = values.filter_map(|line| line.rsplit(' ').next());
    let values: Vec<u64> = values
        .map(|value| value.parse().expect("a number"))
        .collect();
    assert!(!values.is_empty(), "{name} is not told");
    values.iter().sum()
}

#[test]
fn who_behaves_is_served_beside_a_crowd_of_the_same_address() {
    for rude in [
        Rude::Silent,
        Rude::SlowHead,
        Rude::SlowBody,
        Rude::SlowRead,
        Rude::Gone,
        Rude::Trailing,
    ] {
        let mut simulation = Simulation::begin(Options::new(1));
        until_ready(&mut simulation);
        request(&mut simulation, "PUT", "/kv/c/large", &[b'l'; LARGE_BYTES]);
        let mut kept = simulation.world(Client::connect);
        let mut crowd = Vec::new();
        for _ in 0..CROWD / WAVE {
            simulation.world(|world| {
                crowd.iter().for_each(|flow| go_on(world, rude, *flow));
                crowd.extend((0..WAVE).map(|_| begin(world, rude)));
            });
            assert_eq!(simulation.pass(WAVE_NS), Ok(()), "{rude:?}");
            ask(&mut simulation, &mut kept, "/kv/c/large");
            let mut new = simulation.world(Client::connect);
            ask(&mut simulation, &mut new, "/healthz");
            simulation.world(|world| new.abort(world));
        }
        assert_eq!(
            metric(&mut simulation, "lampion_tcp_refused_total"),
            0,
            "{rude:?}"
        );
        let displaced = metric(&mut simulation, "lampion_http_displaced_total");
        let left = metric(&mut simulation, "lampion_tcp_connections ");
        match rude {
            Rude::Trailing => assert!(left < 20, "{left} hold a place"),
            _ => assert!(displaced > 400, "{rude:?}: {displaced}"),
        }
        assert_eq!(faults(&simulation), Vec::<String>::new(), "{rude:?}");
    }
}

#[test]
fn a_guest_rests_while_many_bodies_wait_for_room() {
    for disk_bytes in [Some(64 << 20), None] {
        let mut options = Options::new(1);
        (options.ram_bytes, options.disk_bytes) = (64 << 20, disk_bytes);
        let mut simulation = Simulation::begin(options);
        until_ready(&mut simulation);
        for nth in 0..PARTS {
            simulation.world(|world| {
                let flow = world.peer.connect(world.domain.now_ns, GUEST);
                let head = format!(
                    "PUT /kv/c/part{nth} HTTP/1.1\r\nHost: l\r\nContent-Length: 100000\r\n\r\n"
                );
                world.peer.send(flow, head.as_bytes());
                world.peer.send(flow, &[b'p'; PART_BYTES]);
            });
            assert_eq!(simulation.pass(SECOND_NS / 1_000), Ok(()));
        }
        assert_eq!(simulation.pass(SECOND_NS / 2), Ok(()));
        let mut steps = 0;
        let ran = simulation.run(SECOND_NS / 2, |_| {
            steps += 1;
            false
        });
        assert_eq!(ran, Err(Stuck::TooLate));
        assert!(steps < STEPS_MAX, "{disk_bytes:?}: {steps} steps");
        let before = metric(&mut simulation, "lampion_store_uploads_displaced_total");
        for bytes in [3, LARGE_BYTES] {
            let outcome = request(&mut simulation, "PUT", "/kv/c/put", &vec![b'v'; bytes]);
            let Outcome::Answer(answer) = outcome else {
                panic!("{bytes} bytes: {outcome:?}\n{}", simulation.console());
            };
            assert!(
                matches!(answer.status, 201 | 204),
                "{bytes} bytes: {answer:?}"
            );
        }
        let after = metric(&mut simulation, "lampion_store_uploads_displaced_total");
        assert!(after > before, "{disk_bytes:?}: nobody gave way");
        assert_eq!(faults(&simulation), Vec::<String>::new(), "{disk_bytes:?}");
    }
}
