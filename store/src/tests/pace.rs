//! When a group begins: how many puts share a flush, and that nobody waits for nobody.

use super::bed::*;
use super::closed_loop::{WRITE_NS, World};
use crate::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

const DISK: u64 = 1 << 30;
const MS: u64 = 1_000_000;

#[test]
fn clients_that_ask_again_at_once_share_a_flush() {
    for flush_ns in [400_000, MS, 4 * MS] {
        for clients in [2, 4, 16, 50, 200] {
            let mut world = World::new(DISK, flush_ns);
            world.set_clients(clients as usize);
            let figures = world.run(300 * flush_ns);
            let tenths = figures.puts * 10 / figures.flushes;
            std::println!(
                "{clients} clients, {flush_ns} ns: {}.{}",
                tenths / 10,
                tenths % 10
            );
            assert!(
                figures.share(8, clients),
                "{clients}, {flush_ns}: {figures:?}"
            );
        }
    }
}

/// So many clients have just been answered. A flush takes 1 ms: a group may be held 200 us.
fn answered(clients: usize) -> World {
    let mut world = World::new(DISK, MS);
    let tickets: Vec<Ticket> = (0..clients).map(|_| world.submit()).collect();
    world.rest();
    for ticket in tickets {
        assert!(world.store.outcome(&ticket).is_ready());
    }
    world
}

#[test]
fn a_hold_ends_when_it_was_said_to_end_though_nobody_came() {
    let mut world = answered(2);
    let groups = world.store.statistics().groups;
    let begun_ns = world.clock.get();
    let ticket = world.submit();
    let until_ns = begun_ns + 200_000;
    assert_eq!(world.step(), Wake::At(Some(until_ns)));
    world.clock.set(until_ns - 1);
    assert_eq!(world.step(), Wake::At(Some(until_ns)));
    assert!(!world.is_writing(), "it is held");
    world.clock.set(until_ns);
    assert_eq!(world.step(), Wake::At(None), "the disk has it now");
    assert!(world.is_writing());
    world.rest();
    assert!(world.store.outcome(&ticket).is_ready());
    assert_eq!(world.store.statistics().groups, groups + 1);
}

#[test]
fn a_hold_ends_when_the_other_comes() {
    let mut world = answered(2);
    let begun_ns = world.clock.get();
    let _first = world.submit();
    assert_eq!(world.step(), Wake::At(Some(begun_ns + 200_000)));
    world.clock.set(begun_ns + 1_000);
    let _second = world.submit();
    assert_eq!(world.step(), Wake::At(None));
    assert!(world.is_writing());
}

#[test]
fn a_clock_that_goes_back_ends_a_hold() {
    let mut world = answered(2);
    let begun_ns = world.clock.get();
    let _first = world.submit();
    assert_ne!(world.step(), Wake::At(None));
    world.clock.set(begun_ns - 1);
    assert_eq!(world.step(), Wake::At(None));
    assert!(world.is_writing());
}

#[test]
fn much_that_waits_is_not_held() {
    let mut world = answered(8);
    let _first = world.submit();
    assert_ne!(world.step(), Wake::At(None));
    let large = |k| one("b", k, Condition::None, put_change(&[1; 60_000]));
    let change = |k| large(k).changes.remove(0);
    let changes = ["k1", "k2", "k3", "k4", "k5"].map(change).to_vec();
    let _ticket = world.store.submit(Batch { changes }).expect("taken");
    assert_eq!(world.step(), Wake::At(None));
    assert!(world.is_writing());
}

#[test]
fn a_store_that_closes_holds_nothing() {
    let mut world = answered(2);
    let ticket = world.submit();
    assert_ne!(world.step(), Wake::At(None));
    world.store.close();
    let _ = world.step();
    assert!(world.is_writing());
    world.rest();
    assert_eq!(*world.store.state(), State::Closed);
    assert!(matches!(world.store.outcome(&ticket), Poll::Ready(Ok(_))));
}

#[test]
fn a_disk_that_goes_during_a_hold_leaves_nothing_to_wake_for() {
    let mut world = answered(2);
    let ticket = world.submit();
    assert_ne!(world.step(), Wake::At(None));
    world.is_gone.set(true);
    while world.step() == Wake::Now {}
    assert_eq!(world.step(), Wake::At(None));
    assert!(matches!(world.store.outcome(&ticket), Poll::Ready(Err(_))));
}

#[test]
fn who_comes_much_later_is_not_held() {
    let mut world = answered(2);
    world.clock.set(world.clock.get() + 5 * MS);
    let _ticket = world.submit();
    assert_eq!(world.step(), Wake::At(None));
    assert!(world.is_writing());
}

#[test]
fn a_client_alone_never_waits() {
    let mut world = World::new(DISK, MS);
    world.set_clients(1);
    // No step of the store's takes time here, and each turn of the world takes 2 us.
    let figures = world.run(1000 * MS);
    assert_eq!(figures.puts, figures.flushes);
    assert_eq!(world.wakes, [0; 0]);
    let most_ns = figures.puts * (MS + WRITE_NS + world.away_ns.1);
    assert!(figures.took_ns <= most_ns + 2 * MS, "{figures:?}");
}

#[test]
fn tombstones_are_nobody_who_comes_back() {
    let mut world = World::new(DISK, MS);
    let expires_wall_ms = Some(now(10 * MS).wall_ns / MS);
    let headers = Headers {
        expires_wall_ms,
        ..Headers::default()
    };
    let put = |number: u32| {
        let put = Change::Put {
            value: vec![1],
            headers: headers.clone(),
        };
        one("b", &format!("{number}"), Condition::None, put)
            .changes
            .remove(0)
    };
    // More than one batch of tombstones.
    let changes = (0..40).map(put).collect();
    let _ticket = world.store.submit(Batch { changes }).expect("taken");
    while world.store.statistics().expired == 0 || world.is_writing() {
        world.run(1);
    }
    assert_eq!(world.store.statistics().expired, 40);
    let _ticket = world.submit();
    let _ = world.step();
    assert!(world.is_writing());
}

#[test]
fn flushes_that_have_become_quick_are_not_waited_for() {
    let mut world = World::new(DISK, MS);
    world.set_clients(16);
    world.run(100 * MS);
    assert!(!world.wakes.is_empty(), "groups were held");
    world.flush_ns.set(130_000);
    world.run(5 * MS);
    world.wakes.clear();
    world.run(100 * MS);
    assert_eq!(world.wakes, [0; 0]);
}

#[test]
fn clients_that_come_and_go_share_flushes_again() {
    let mut world = World::new(DISK, MS);
    for clients in [50, 3, 50, 1, 16, 2, 200] {
        world.set_clients(clients);
        world.run(5 * MS);
        let figures = world.run(100 * MS);
        assert!(figures.share(8, clients as u64), "{clients}: {figures:?}");
    }
}

/// Puts in a second by clients that are away for so long, with holds and without.
fn puts(clients: usize, flush_ns: u64, away_ns: (u64, u64)) -> [u64; 2] {
    let world = || World::new(DISK, flush_ns);
    [world(), world().unpaced()].map(|mut world| {
        world.away_ns = away_ns;
        world.set_clients(clients);
        world.run(600 * MS).puts
    })
}

#[test]
fn clients_that_think_lose_next_to_nothing() {
    let aways = [
        (20_000, 300_000),
        (20_000, 600_000),
        (250_000, 350_000),
        (MS, 4 * MS),
        (0, 10 * MS),
    ];
    for flush_ns in [400_000, MS] {
        for away_ns in aways {
            for clients in [2, 16, 50] {
                let [paced, unpaced] = puts(clients, flush_ns, away_ns);
                let told = (clients, flush_ns, away_ns, paced, unpaced);
                assert!(paced * 100 >= unpaced * 95, "{told:?}");
            }
        }
    }
}

#[test]
fn clients_that_have_thought_share_flushes_again() {
    let mut world = World::new(DISK, MS);
    let quick_ns = world.away_ns;
    for thinks_ns in [(MS, 4 * MS), (250_000, 350_000)] {
        world.away_ns = thinks_ns;
        world.set_clients(16);
        world.run(1000 * MS);
        world.away_ns = quick_ns;
        world.run(100 * MS);
        let figures = world.run(100 * MS);
        assert!(figures.share(8, 16), "{thinks_ns:?}: {figures:?}");
    }
}

#[test]
fn a_large_value_on_its_way_does_not_part_clients() {
    let mut world = World::new(DISK, MS);
    world.begin_upload();
    world.set_clients(16);
    let figures = world.run(300 * MS);
    assert!(figures.share(8, 16), "{figures:?}");
}

#[test]
fn compaction_does_not_part_clients() {
    let mut world = World::new(8 << 20, MS).with_keys(2_000);
    world.set_clients(50);
    let figures = world.run(2000 * MS);
    assert!(world.store.statistics().compactions > 10);
    assert!(figures.share(8, 50), "{figures:?}");
}
