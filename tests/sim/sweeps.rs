//! The n-th of everything fails, for every n, until a run comes through without meeting it.
//!
//! After each: no panic, no silence, nothing acknowledged that is not there when the cause is
//! gone, and an end in good order.
//!
//! Source: SQLite's tests of out-of-memory and I/O errors ("How SQLite Is Tested", 3.1 and 3.2).

use crate::after;
use sim::disk::FailNth;
use tests::simulated::{Cut, LIMIT_NS, Options, Simulation, check_all, put_all};
use xen_sys::errno::Errno;

const SECOND_NS: u64 = 1_000_000_000;
/// How the hypervisor tells of a refused `EVTCHNOP_send`.
const SEND: &str = "op 32 command 4:";
/// More than any of these runs needs.
const N_MAX: u64 = 3_000;

fn options() -> Options {
    Options {
        interleaving: 0,
        ..Options::new(3)
    }
}

/// The disk works again, and so does everything.
fn heals(simulation: &mut Simulation, cut: Cut, acknowledged: &[bool]) {
    simulation.restart(cut);
    crate::until_ready(simulation);
    check_all(simulation, acknowledged);
    assert_eq!(put_all(simulation), [true; 3], "{}", simulation.console());
}

/// How many requests the disk has had.
fn io_count(simulation: &Simulation) -> u64 {
    simulation.world(|world| world.vbd.as_ref().map_or(0, |(_, disk)| disk.io_count()))
}

fn fail_nth(simulation: &Simulation, n: u64, how: FailNth) {
    simulation.world(|world| {
        let (_, disk) = world.vbd.as_mut().expect("a disk");
        disk.fail_nth(n, how);
    });
}

/// Sweeps over `n` until a run makes fewer requests; how many failed.
fn sweep(how: FailNth, mut run: impl FnMut(u64, FailNth) -> u64) -> u64 {
    for n in 0..N_MAX {
        if run(n, how) <= n {
            return n;
        }
    }
    panic!("{N_MAX} were not enough");
}

/// From a blank disk to values that are written: formatting, opening, writing.
fn first_boot(n: u64, how: FailNth) -> u64 {
    let mut simulation = Simulation::begin(options());
    fail_nth(&simulation, n, how);
    let _ = simulation.pass(SECOND_NS);
    let acknowledged = put_all(&mut simulation);
    let count = io_count(&simulation);
    after::leaks_nothing(&simulation);
    heals(&mut simulation, Cut::Guest, &acknowledged);
    count
}

/// A guest on what a killed one left: recovery, and writing after it.
fn recovery(n: u64, how: FailNth) -> u64 {
    let mut simulation = Simulation::begin(options());
    crate::until_ready(&mut simulation);
    let before = put_all(&mut simulation);
    simulation.restart(Cut::Power);
    let from = io_count(&simulation);
    fail_nth(&simulation, n, how);
    let _ = simulation.pass(SECOND_NS);
    let again = put_all(&mut simulation);
    let count = io_count(&simulation) - from;
    let acknowledged: Vec<bool> = before.iter().zip(&again).map(|(a, b)| a | b).collect();
    heals(&mut simulation, Cut::Power, &acknowledged);
    count
}

#[test]
fn any_request_of_the_disk_may_fail_from_the_first_boot_on() {
    for how in [FailNth::Once, FailNth::FromThenOn] {
        let count = sweep(how, first_boot);
        println!("first boot, {how:?}: {count} requests failed, one after another");
        assert!(count > 20);
    }
}

#[test]
fn any_request_of_the_disk_may_fail_in_a_recovery() {
    for how in [FailNth::Once, FailNth::FromThenOn] {
        let count = sweep(how, recovery);
        println!("recovery, {how:?}: {count} requests failed, one after another");
        assert!(count > 20);
    }
}

#[test]
fn any_hypercall_may_be_refused() {
    for errno in [Errno::ENOSPC, Errno::EINVAL] {
        let mut said = 0;
        let count = sweep(FailNth::Once, |n, _| {
            let refused = Options {
                refuse_hypercall: Some((n, errno)),
                ..options()
            };
            let mut simulation = match Simulation::try_begin(refused) {
                Ok(simulation) => simulation,
                // The image says this as its last words.
                Err(error) => {
                    assert!(
                        error.to_string().contains("the hypervisor refused to"),
                        "{error}"
                    );
                    said += 1;
                    return u64::MAX;
                }
            };
            let _ = simulation.pass(2 * LIMIT_NS);
            let made = simulation.world(|world| world.domain.hypercalls);
            // Xen refuses to notify only where the other end is gone, and then xenstore tells it:
            // a notification that is merely lost is nothing a guest can know of.
            if made <= n {
                return made;
            }
            let is_send = |refused: &String| refused.starts_with(SEND);
            if simulation.world(|world| world.domain.refused.iter().any(is_send)) {
                return made;
            }
            if simulation.console().is_empty() {
                // It was refused its console, and serves without.
                crate::until_ready(&mut simulation);
                after::ends(&mut simulation, false);
            } else {
                after::never_silent(&mut simulation, 0);
            }
            made
        });
        println!("{errno}: {count} hypercalls refused, one after another, {said} of them the end");
        assert!(count > 20);
    }
}

#[test]
fn any_page_may_be_the_last() {
    let all = kernel::budget::Budget::from_ram(options().ram_bytes).pool_pages;
    for pages in 0..all {
        let mut simulation = Simulation::begin(Options {
            pool_pages: Some(pages),
            ..options()
        });
        let _ = simulation.pass(2 * LIMIT_NS);
        after::never_silent(&mut simulation, 0);
    }
    println!("{all} sizes of the pool");
}
