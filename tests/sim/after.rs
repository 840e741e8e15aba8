//! What must hold of a guest after anything that was done to it.

use sim::domain::{DOMID, Ended, STALE};
use sim::machine::World;
use std::collections::BTreeSet;
use tests::simulated::{LIMIT_NS, Outcome, Simulation, Stuck, request};

/// Shortest run of stale bytes in a granted page that is no accident.
const STALE_RUN: usize = 8;

/// No page is granted twice, and none shows what was there before.
pub(crate) fn leaks_nothing(simulation: &Simulation) {
    simulation.world(|world| {
        keeps_pages_apart(world);
        shows_nothing_stale(world);
    });
}

/// The guest serves, or has said since `from` that something failed; it answers on the console,
/// and ends when it is told to.
pub(crate) fn never_silent(simulation: &mut Simulation, from: usize) {
    let serves = matches!(
        request(simulation, "GET", "/readyz?for=write", b""),
        Outcome::Answer(answer) if answer.status == 200
    );
    let console = simulation.console().split_off(from);
    // How open the door stands is said by every guest here.
    let mut lines = console.lines().filter(|line| !line.contains("auth: open"));
    let complains = lines.any(|line| line.contains("WARN") || line.contains("ERROR"));
    assert!(serves || complains, "silence:\n{console}");
    answers_on_the_console(simulation);
    leaks_nothing(simulation);
    ends(simulation, true);
}

/// Whoever sits at the console is answered.
pub(crate) fn answers_on_the_console(simulation: &mut Simulation) {
    let before = simulation.console().len();
    simulation.world(|world| world.domain.typed.extend(b"help\n"));
    let answered = simulation.run(LIMIT_NS, |world| {
        world.domain.console.len() > before
            && world.domain.console_text()[before..].contains("poweroff, reboot")
    });
    assert_eq!(answered, Ok(()), "{}", simulation.console());
}

/// No frame is granted twice, and none that is mapped has been granted anew.
fn keeps_pages_apart(world: &World) {
    let permitted = world.domain.grants.permitted(&world.domain.arena);
    let distinct: BTreeSet<u64> = permitted.iter().map(|(_, gfn)| *gfn).collect();
    assert_eq!(distinct.len(), permitted.len(), "a page is granted twice");
}

/// What a backend may read is zero, or was written for it.
fn shows_nothing_stale(world: &World) {
    let arena = &world.domain.arena;
    for (_, gfn) in world.domain.grants.permitted(arena) {
        let mut page = [0; sim::arena::PAGE_BYTES];
        arena.copy_out(gfn, 0, &mut page);
        let stale = page.windows(STALE_RUN).any(|run| run == [STALE; STALE_RUN]);
        assert!(
            !stale,
            "frame {gfn:#x} is granted with what was there before"
        );
    }
}

/// The toolstack, or without xenstore whoever sits at the console, ends the domain.
pub(crate) fn ends(simulation: &mut Simulation, by_console: bool) {
    simulation.world(|world| {
        if by_console {
            world.domain.typed.extend(b"poweroff\n");
        } else {
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            world.domain.xenstored.write(&path, b"poweroff");
        }
    });
    let ended = simulation.run(3 * LIMIT_NS, |_| false);
    let console = simulation.console();
    assert_eq!(ended, Err(Stuck::Ended(Ended::Poweroff)), "\n{console}");
}
