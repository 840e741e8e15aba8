//! Disks that lie on their ring.
//!
//! The lies are in `tests/hostile/backend/disk_lies.c`; each is told at a request of a PUT.

use crate::attached::Attached;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::data::Random;

/// A value of several requests, so that more than one is under way.
const LARGE_BYTES: usize = 300_000;
/// Fewer events than this are no storm. An interpreted machine makes some thousands, fewer when
/// it is shared; each is a call into the hypervisor and an interruption of the guest.
const STORM_PER_SECOND: u64 = 300;
/// How often the guest is asked while pages are watched.
const ROUNDS: usize = 20;

/// A guest that serves a key from a disk that has been honest so far.
fn serving(bed: &Bed, name: &str) -> Attached {
    let disk = Attached::disk(bed, name, "");
    disk.guest.wait_for("/readyz?for=write", 200);
    assert_eq!(disk.guest.request("PUT", "/kv/a/kept", b"kept").status, 201);
    disk
}

/// Reads go on from what is in memory; writes are refused.
fn assert_serves_reads(disk: &Attached) {
    let guest = &disk.guest;
    assert_eq!(guest.request("GET", "/healthz", b"").status, 200);
    assert_eq!(guest.request("GET", "/kv/a/kept", b"").body, b"kept");
    assert_eq!(guest.request("GET", "/readyz?for=write", b"").status, 503);
    assert_eq!(guest.request("PUT", "/kv/a/new", b"1").status, 503);
}

/// The pages that the backend holds are in quarantine while the guest works, and come back when
/// it lets go of them.
fn assert_pages_are_quarantined(disk: &Attached) {
    let guest = &disk.guest;
    disk.stamp();
    for _ in 0..ROUNDS {
        assert_eq!(guest.request("GET", "/kv/a/kept", b"").status, 200);
    }
    let held = disk.assert_pages_are_left_alone();
    assert_eq!(guest.metric("lampion_grants_quarantined"), held);
    disk.tell("release");
    let begin = Instant::now();
    while guest.metric("lampion_grants_quarantined") > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "it never ends");
    }
    assert_eq!(guest.metric("lampion_shared_pages_lost"), 0);
}

fn check(lie: &str, words: &str) {
    println!("a disk's lie: {lie}");
    let bed = Bed::from_environment();
    let mut disk = serving(&bed, lie);
    disk.lie(lie);
    let value = Random::new(1).bytes(LARGE_BYTES);
    let put = disk.guest.request("PUT", "/kv/a/lost", &value);
    assert!(put.status >= 500, "{lie}: {} {}", put.status, put.text());
    disk.guest.wait_for_console(words);
    // A lie that takes a while writes into the ring as long.
    disk.wait_until_said("lied: ", 0);
    disk.assert_told_once(words);
    assert_serves_reads(&disk);
    assert_pages_are_quarantined(&disk);
    disk.assert_ends(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_that_miscounts_its_answers_is_broken_and_the_guest_serves_on() {
    for (lie, words) in [
        ("more-than-a-ring", "its ring claims 33 responses"),
        ("backwards", "its ring claims -1 responses"),
        ("scribble", "is not to be believed"),
    ] {
        check(lie, words);
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_that_answers_what_was_not_asked_is_broken_and_the_guest_serves_on() {
    for (lie, words) in [
        ("id-out-of-range", "which is not in flight"),
        ("stale-id", "which is not in flight"),
        ("twice", "which is not in flight"),
        ("wrong-operation", "it answered operation 0"),
    ] {
        check(lie, words);
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn an_answer_that_changes_while_it_is_looked_at_breaks_the_disk_alone() {
    check("flip", "is not to be believed");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_storm_of_events_of_the_disk_does_not_stop_the_network() {
    let bed = Bed::from_environment();
    let mut disk = serving(&bed, "storm");
    disk.lie("storm");
    let begin = Instant::now();
    let mut answered = 0_u32;
    while !disk.said().contains("lied: storm=") {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never ends");
        let asked = Instant::now();
        let put = disk.guest.request("PUT", "/kv/a/storm", b"through it");
        assert_eq!(put.status / 100, 2, "{}", put.text());
        let get = disk.guest.request("GET", "/kv/a/kept", b"");
        assert_eq!(get.text(), "kept", "{}", get.status);
        let took = asked.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "a write and a read: {took:?}"
        );
        answered += 1;
    }
    let said = disk.said();
    let of = |key: &str| -> u64 {
        let words = said.split_whitespace();
        let value = words.rev().find_map(|word| word.strip_prefix(key));
        value
            .and_then(|value| value.parse().ok())
            .expect("a number")
    };
    let per_second = of("storm=") * 1000 / of("ms=");
    println!("{per_second} events a second; {answered} writes and reads meanwhile");
    assert!(per_second >= STORM_PER_SECOND, "no storm: {said}");
    assert!(answered >= 3, "{answered} writes and reads in the storm");
    assert_eq!(disk.complaints(), [""; 0]);
    disk.assert_pages_are_left_alone();
    disk.assert_ends(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_write_whose_flush_is_never_answered_is_never_acknowledged() {
    let bed = Bed::from_environment();
    let mut disk = serving(&bed, "no-flush");
    disk.lie("no-flush");
    let mut client = disk.guest.client();
    client
        .set_timeout(Duration::from_secs(8))
        .expect("a time-out");
    let put = client.request("PUT", "/kv/a/lost", b"1");
    disk.wait_until_said("lied: a flush is not answered", 0);
    assert!(
        put.as_ref().map_or(true, |answer| answer.status >= 500),
        "{put:?}"
    );
    let guest = &disk.guest;
    assert_eq!(guest.request("GET", "/healthz", b"").status, 200);
    assert_eq!(guest.request("GET", "/kv/a/lost", b"").status, 404);
    assert_eq!(guest.request("GET", "/kv/a/kept", b"").body, b"kept");
    // 10 s for requests, 30 s for the disk, and what xl takes.
    disk.assert_ends(60);
    let console = guest.console();
    assert!(
        console.contains("the disk did not answer in time"),
        "{console}"
    );
}
