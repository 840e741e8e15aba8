//! Networks that lie on their rings.
//!
//! The lies are in `tests/hostile/backend/network_lies.c`. Nobody can talk to the guest but by
//! its console and its toolstack.

use crate::attached::Attached;
use std::thread;
use std::time::Duration;
use tests::bed::Bed;

/// Asks for the guest's address over the hostile network, and waits for its answer.
fn ask(network: &Attached, answers: usize) {
    let answer = network.tell("ask");
    assert!(answer.contains("done: asked"), "{answer}");
    network.wait_until_said("seen: an ARP reply", answers);
}

fn check(lie: &str, words: &str) {
    println!("a network's lie: {lie}");
    let bed = Bed::from_environment();
    let mut network = Attached::network(&bed, lie);
    ask(&network, 0);
    network.lie(lie);
    network.guest.wait_for_console("is not to be believed");
    network.wait_until_said("seen: the frontend went", 0);
    // A lie that takes a while writes into the ring as long.
    network.wait_until_said("lied: ", 0);
    network.stamp();
    network.guest.type_line("status");
    network.guest.wait_for_console("status: store ready");
    network.assert_told_once(words);
    network.assert_pages_are_left_alone();
    network.assert_ends(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_network_that_lies_on_its_rings_is_broken_and_the_guest_goes_on() {
    for (lie, words) in [
        ("over-the-page", "it put 1500 bytes at offset 4000"),
        ("id-out-of-range", "which is not in flight"),
        ("more-data", "it used flags 0x4, which were not negotiated"),
        ("rx-more-than-a-ring", "its ring claims 257 responses"),
        ("tx-backwards", "its ring claims -1 responses"),
    ] {
        check(lie, words);
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_frame_that_changes_while_it_is_looked_at_breaks_the_network_alone() {
    check("flip", "is not to be believed");
}

/// The pool has no pages to spare: with the old ones held there is no new connection.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn pages_that_an_old_network_holds_are_not_used_for_the_new_one() {
    let bed = Bed::from_environment();
    let mut network = Attached::network(&bed, "hold");
    ask(&network, 0);
    network.mark();
    network.tell("node state 5");
    network.wait_until_said("seen: the frontend went", 0);
    network.stamp();
    network
        .guest
        .wait_for_console("no pages or grant entries left");
    // Two more tries.
    thread::sleep(Duration::from_secs(11));
    network.assert_pages_are_left_alone();
    let complaints = network.complaints();
    assert_eq!(complaints.len(), 2, "{complaints:#?}");

    network.tell("release");
    network.wait_until_said("seen: connected", 1);
    ask(&network, 1);
    network.assert_pages_are_left_alone();
    network.assert_ends(60);
}
