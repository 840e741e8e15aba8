//! Backends that lie in xenstore: numbers that cannot be, states that come and go.

use crate::attached::Attached;
use tests::bed::Bed;

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn absurd_sizes_are_refused_until_the_disk_tells_true_ones() {
    let bed = Bed::from_environment();
    let mut disk = Attached::disk(&bed, "sizes", "sectors=0");
    disk.guest.wait_for("/healthz", 200);
    for (tries, (next, words)) in [
        ("sectors abc", "sectors makes no sense"),
        ("sectors 9223372036854775808", "sectors makes no sense"),
        ("sectors -1", "sectors makes no sense"),
        ("sector-size 3", "sectors makes no sense"),
        ("sectors 65536", "sector-size makes no sense"),
        ("sector-size 512", "sector-size makes no sense"),
    ]
    .into_iter()
    .enumerate()
    {
        disk.wait_until_said("seen: connected", tries);
        // For the next try: the guest has read the numbers of this one, and waits for 5 s. What
        // is held then is not there for it.
        disk.tell(&format!("node {next}"));
        disk.tell("release");
        disk.guest.wait_for_console(words);
        assert_eq!(disk.guest.request("GET", "/readyz", b"").status, 503);
    }
    disk.guest.wait_for("/readyz?for=write", 200);
    assert_eq!(disk.guest.request("PUT", "/kv/a/b", b"1").status, 201);
    let complaints = disk.complaints();
    let of_disk = |line: &&String| line.contains("device/vbd/51712");
    assert_eq!(
        complaints.iter().filter(of_disk).count(),
        2,
        "{complaints:#?}"
    );
    disk.mark();
    disk.assert_ends(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn what_a_disk_says_after_it_is_connected_changes_nothing_until_it_vanishes() {
    let bed = Bed::from_environment();
    let mut disk = Attached::disk(&bed, "features", "");
    disk.guest.wait_for("/readyz?for=write", 200);
    disk.mark();
    for (number, node) in [
        "sectors 0",
        "sectors 1",
        "sectors 18446744073709551615",
        "sector-size 4096",
        "sector-size abc",
        "feature-flush-cache 0",
        "feature-flush-cache -",
        "mode r",
        "state 4",
    ]
    .into_iter()
    .enumerate()
    {
        disk.tell(&format!("node {node}"));
        let key = format!("/kv/a/{number}");
        assert_eq!(disk.guest.request("PUT", &key, b"1").status, 201, "{node}");
        assert_eq!(disk.guest.request("GET", &key, b"").body, b"1", "{node}");
    }
    // Its size alone may change while it is connected, and is read when its state is written.
    let unread = "its size cannot be read again, and stays what it was";
    disk.assert_told_once(unread);
    disk.tell("node state 4");
    assert_eq!(disk.guest.request("PUT", "/kv/a/8", b"1").status, 204);
    disk.assert_told_once(unread);
    disk.mark();

    disk.tell("vanish");
    disk.guest.wait_for_console("the backend went away");
    disk.wait_until_said("seen: the frontend went", 0);
    disk.stamp();
    disk.guest.wait_for("/readyz?for=write", 503);
    assert_eq!(disk.guest.request("GET", "/kv/a/8", b"").body, b"1");
    refuses_in_time(&disk);
    disk.assert_told_first("the backend went away");
    disk.assert_pages_are_left_alone();
    disk.assert_ends(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_whose_state_comes_and_goes_is_not_waited_for() {
    let bed = Bed::from_environment();
    let mut disk = Attached::disk(&bed, "states", "");
    disk.guest.wait_for("/readyz?for=write", 200);
    assert_eq!(disk.guest.request("PUT", "/kv/a/b", b"1").status, 201);
    disk.mark();
    disk.tell("node state 5");
    disk.guest.wait_for_console("the backend went away");
    disk.wait_until_said("seen: the frontend went", 0);
    disk.stamp();
    for state in [
        "4", "1", "2", "6", "4", "3", "7", "99", "-4", "abc", "4", "5", "4",
    ] {
        disk.tell(&format!("node state {state}"));
        assert_eq!(disk.guest.request("GET", "/healthz", b"").status, 200);
        assert_eq!(disk.guest.request("GET", "/kv/a/b", b"").body, b"1");
    }
    refuses_in_time(&disk);
    disk.assert_told_first("the backend went away");
    disk.assert_pages_are_left_alone();
    disk.assert_ends(60);
}

/// Nobody waits for a disk that has been away for some time.
fn refuses_in_time(disk: &Attached) {
    disk.guest
        .wait_for_console("the disk has been away for 10 s");
    let refused = disk.guest.request("PUT", "/kv/a/b", b"2");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("disk-away"), "{}", refused.text());
}
