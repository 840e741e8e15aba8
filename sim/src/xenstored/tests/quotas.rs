//! Quotas: the last that passes and the first that does not.

use super::super::wire::XS_SET_PERMS;
use super::*;

/// How many of the numbered requests pass, and what the first refused one answers.
fn passing(bed: &mut Bed, kind: u32, payload: fn(usize) -> Vec<u8>) -> (usize, String) {
    for number in 0.. {
        let reply = bed.ask(kind, &payload(number));
        if reply.starts_with('!') {
            return (number, reply);
        }
    }
    unreachable!("no quota is endless")
}

#[test]
fn each_quota_passes_as_many_as_the_daemon() {
    let check = |kind: u32, payload: fn(usize) -> Vec<u8>, expected: (usize, &str)| {
        let mut bed = Bed::new();
        let (count, reply) = passing(&mut bed, kind, payload);
        assert_eq!((count, &*reply), expected, "request {kind}");
    };
    // The directory is the first of the 1000.
    check(
        XS_WRITE,
        |n| format!("{}/{n}\0", n % 9).into_bytes(),
        (990, "!ENOSPC"),
    );
    // 24 for the record, 8 for its permissions.
    check(
        XS_WRITE,
        |n| [b"a\0", &vec![0; n][..]].concat(),
        (2016, "!ENOSPC"),
    );
    check(
        XS_WATCH,
        |n| format!("a\0{n}\0").into_bytes(),
        (129, "!E2BIG"),
    );
    check(XS_TRANSACTION_START, |_| b"\0".into(), (11, "!ENOSPC"));
}

#[test]
fn names_of_children_count_for_their_parent() {
    let mut bed = Bed::new();
    let payload = |n: usize| format!("{n:0>99}\0").into_bytes();
    let expected = (20, "!ENOSPC".into());
    assert_eq!(passing(&mut bed, XS_WRITE, payload), expected);
    bed.daemon.write("/local/domain/7/by-domain-0", &[0; 4000]);
    assert_eq!(bed.daemon.list("/local/domain/7").len(), 21);
}

#[test]
fn permissions_of_a_node_are_five() {
    let mut bed = Bed::new();
    bed.ask(XS_WRITE, b"a\0");
    let permissions = |count: usize| [b"a\0", "n7\0".repeat(count).as_bytes()].concat();
    assert_eq!(bed.ask(XS_SET_PERMS, &permissions(5)), "OK|");
    assert_eq!(bed.ask(XS_SET_PERMS, &permissions(6)), "!ENOSPC");
}

#[test]
fn a_transaction_is_counted_at_its_end() {
    let mut bed = Bed::with(Quotas {
        nodes_per_domain: 4,
        nodes_per_transaction: 6,
        ..Quotas::default()
    });
    let id = bed.begin();
    for payload in [b"a\0", b"b\0", b"c\0"] {
        assert_eq!(bed.ask_in(id, XS_WRITE, payload), "OK|");
    }
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "!ENOSPC");
    let id = bed.begin();
    for payload in [b"a\0", b"b\0", b"c\0", b"d\0", b"e\0"] {
        assert_eq!(bed.ask_in(id, XS_READ, payload), "!ENOENT");
    }
    assert_eq!(bed.ask_in(id, XS_READ, b"f\0"), "!ENOSPC");
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "!ENOMEM");
    assert_eq!(bed.daemon.node_count(7), 1);
}

#[test]
fn unread_replies_hold_requests_back() {
    let mut bed = Bed::new();
    for number in 0..25 {
        assert_eq!(bed.daemon.accepts_input(bed.guest), number < 20);
        bed.say(XS_WRITE, 0, format!("a\0{number}").as_bytes());
    }
    assert_eq!(bed.daemon.read_text("/local/domain/7/a"), Some("19".into()));
    assert_eq!(bed.daemon.send(bed.guest, 19).len(), 19);
    assert_eq!(bed.daemon.read_text("/local/domain/7/a"), Some("20".into()));
    bed.daemon.send(bed.guest, usize::MAX);
    assert_eq!(bed.daemon.read_text("/local/domain/7/a"), Some("24".into()));
    assert!(bed.daemon.accepts_input(bed.guest));
}
