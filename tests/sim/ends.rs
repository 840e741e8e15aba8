//! The orderly end needs nobody's help.

use sim::domain::Ended;
use tests::simulated::{
    GUEST_ADMIN, LIMIT_NS, Options, Outcome, Simulation, Stuck, request_at, until_ready,
};

/// Far below every limit of the end, and far above what a disk takes to flush.
const SOON_NS: u64 = 1_000_000_000;

/// Both daemons fall silent as soon as the word is in the console's ring: no event of theirs
/// brings a step that the end itself did not ask for.
#[test]
fn an_end_that_is_asked_for_takes_no_event_from_outside() {
    for seed in 1..=20 {
        let mut simulation = Simulation::begin(Options::new(seed));
        until_ready(&mut simulation);
        assert_eq!(simulation.pass(5 * SOON_NS), Ok(()));
        let asked_ns = simulation.world(|world| {
            world.domain.typed.extend(b"poweroff\n");
            world.step();
            world.domain.holds_console = true;
            let client = world.domain.client;
            world.domain.xenstored.disconnect(client);
            world.domain.now_ns
        });
        let ended = simulation.run(LIMIT_NS, |_| false);
        let took_ns = simulation.world(|world| world.domain.now_ns) - asked_ns;
        assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)), "seed {seed}");
        assert!(took_ns < SOON_NS, "seed {seed}: {took_ns} ns");
    }
}

/// The owner asks over HTTP: the answer comes, and then the end.
#[test]
fn an_end_that_is_asked_for_on_the_admin_port_is_answered_and_comes() {
    for (seed, word, expect) in [(1, "off", Ended::Poweroff), (2, "reboot", Ended::Reboot)] {
        let mut simulation = Simulation::begin(Options::new(seed));
        until_ready(&mut simulation);
        let target = format!("/-/admin/power/{word}");
        let asked = request_at(&mut simulation, GUEST_ADMIN, ("POST", &target), b"");
        let Outcome::Answer(answer) = asked else {
            panic!("{asked:?}");
        };
        assert_eq!((answer.status, answer.field("connection")), (202, None));
        let asked_ns = simulation.world(|world| world.domain.now_ns);
        let ended = simulation.run(LIMIT_NS, |_| false);
        let took_ns = simulation.world(|world| world.domain.now_ns) - asked_ns;
        assert_eq!(ended, Err(Stuck::Ended(expect)), "{word}");
        assert!(took_ns < SOON_NS, "{word}: {took_ns} ns");
    }
}
