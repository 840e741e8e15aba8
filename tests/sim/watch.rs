//! Who watches costs nothing while there is nothing to tell.

use tests::simulated::{Client, Options, Outcome, Simulation, request, until_ready};

const SECOND_NS: u64 = 1_000_000_000;
/// Watching clients.
const WATCHERS: usize = 8;
/// Steps in ten seconds without work: timers of TCP, and some for what devices look after.
const IDLE_STEPS_MAX: u64 = 400;

#[test]
fn an_idle_watcher_keeps_the_loop_asleep() {
    for disk in ["", " disk=none"] {
        let mut simulation = Simulation::begin(Options {
            command_line: format!("ip=10.0.2.50/24 gw=10.0.2.2 auth=open{disk}"),
            ..Options::new(1)
        });
        until_ready(&mut simulation);
        let watchers: Vec<Client> = (0..WATCHERS)
            .map(|_| {
                simulation.world(|world| {
                    let mut client = Client::connect(world);
                    client.ask(world, "GET", "/-/watch/b", b"");
                    client
                })
            })
            .collect();
        assert_eq!(simulation.pass(5 * SECOND_NS), Ok(()));
        let put = request(&mut simulation, "PUT", "/kv/b/k", b"value");
        assert!(matches!(put, Outcome::Answer(answer) if answer.status == 201));
        assert_eq!(simulation.pass(5 * SECOND_NS), Ok(()));
        let before = simulation.steps;
        assert_eq!(simulation.pass(10 * SECOND_NS), Ok(()));
        let steps = simulation.steps - before;
        assert!(steps < IDLE_STEPS_MAX, "{steps} steps{disk}");
        let metrics = request(&mut simulation, "GET", "/metrics", b"");
        let Outcome::Answer(metrics) = metrics else {
            panic!("{metrics:?}");
        };
        let watching = format!("\nlampion_http_watchers {}\n", watchers.len());
        assert!(metrics.text().contains(&watching), "they are still there");
    }
}

/// Nothing is written meanwhile, so nobody is woken who could be found gone.
#[test]
fn watchers_that_are_gone_leave_nothing_behind() {
    let mut simulation = Simulation::begin(Options::new(2));
    until_ready(&mut simulation);
    for _ in 0..50 {
        let client = simulation.world(|world| {
            let mut client = Client::connect(world);
            client.ask(world, "GET", "/-/watch/b", b"");
            client
        });
        assert_eq!(simulation.pass(SECOND_NS / 10), Ok(()));
        simulation.world(|world| client.abort(world));
        assert_eq!(simulation.pass(SECOND_NS / 10), Ok(()));
    }
    let metrics = request(&mut simulation, "GET", "/metrics", b"");
    let Outcome::Answer(metrics) = metrics else {
        panic!("{metrics:?}");
    };
    assert!(metrics.text().contains("\nlampion_http_watchers 0\n"));
}
