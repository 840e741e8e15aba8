//! Transactions: who sees what, and who conflicts with whom.

use super::super::wire::XS_MKDIR;
use super::*;

#[test]
fn writes_are_seen_inside_at_once_and_outside_at_the_end() {
    let mut bed = Bed::new();
    let id = bed.begin();
    bed.ask_in(id, XS_WRITE, b"a\0new");
    assert_eq!(bed.ask_in(id, XS_READ, b"a\0"), "new");
    assert_eq!(bed.ask_in(id, XS_DIRECTORY, b"/local/domain/7\0"), "a|");
    assert_eq!(bed.ask(XS_READ, b"a\0"), "!ENOENT");
    assert_eq!(bed.daemon.transaction_count(bed.guest), 1);
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "OK|");
    assert_eq!(bed.ask(XS_READ, b"a\0"), "new");
    assert_eq!(bed.daemon.node_count(7), 2);
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "!ENOENT");
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut bed = Bed::new();
    let version = bed.daemon.version();
    let id = bed.begin();
    bed.ask_in(id, XS_WRITE, b"a/b\0new");
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_START, b"\0"), "!EBUSY");
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"F\0"), "OK|");
    assert_eq!(bed.daemon.version(), version);
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
}

#[test]
fn a_touched_node_that_another_changed_conflicts() {
    type Step = (u32, &'static [u8]);
    let check = |inside: Step, outside: fn(&mut Xenstored), expected: &str| {
        let mut bed = Bed::new();
        bed.daemon.write("/local/domain/7/a", b"a");
        bed.daemon.write("/local/domain/7/b", b"b");
        let id = bed.begin();
        bed.ask_in(id, inside.0, inside.1);
        outside(&mut bed.daemon);
        let reply = bed.ask_in(id, XS_TRANSACTION_END, b"T\0");
        assert_eq!(reply, expected, "{inside:?}");
        assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
    };
    let write_a: fn(&mut Xenstored) = |daemon| daemon.write("/local/domain/7/a", b"!");
    let make_c: fn(&mut Xenstored) = |daemon| daemon.write("/local/domain/7/c", b"!");
    let remove_a: fn(&mut Xenstored) = |daemon| daemon.remove("/local/domain/7/a");
    let allow_a: fn(&mut Xenstored) = |daemon| daemon.allow("/local/domain/7/a", 3, Access::Read);
    check((XS_READ, b"a\0"), write_a, "!EAGAIN");
    check((XS_READ, b"a\0"), remove_a, "!EAGAIN");
    check((XS_READ, b"a\0"), allow_a, "!EAGAIN");
    check((XS_READ, b"b\0"), write_a, "OK|");
    check((XS_WRITE, b"a\0x"), write_a, "!EAGAIN");
    check((XS_WRITE, b"b\0x"), write_a, "OK|");
    check((XS_WRITE, b"b\0x"), make_c, "OK|");
    check((XS_READ, b"c\0"), make_c, "!EAGAIN");
    // A new child changes its parent.
    check((XS_WRITE, b"d\0x"), make_c, "!EAGAIN");
    check((XS_WRITE, b"d\0x"), write_a, "OK|");
    check((XS_RM, b"b\0"), make_c, "!EAGAIN");
    check((XS_DIRECTORY, b"/local/domain/7\0"), make_c, "!EAGAIN");
    check((XS_DIRECTORY, b"/local/domain/7\0"), write_a, "OK|");
}

#[test]
fn of_two_transactions_the_first_to_end_wins() {
    let mut bed = Bed::new();
    bed.ask(XS_WRITE, b"a\x000");
    let (first, second) = (bed.begin(), bed.begin());
    bed.ask_in(first, XS_WRITE, b"a\x001");
    bed.ask_in(second, XS_WRITE, b"a\x002");
    assert_eq!(bed.ask_in(second, XS_TRANSACTION_END, b"T\0"), "OK|");
    assert_eq!(bed.ask_in(first, XS_TRANSACTION_END, b"T\0"), "!EAGAIN");
    assert_eq!(bed.ask(XS_READ, b"a\0"), "2");
}

#[test]
fn what_was_made_and_removed_inside_is_not_there() {
    let mut bed = Bed::new();
    bed.ask(XS_WRITE, b"a/b\0");
    let id = bed.begin();
    bed.ask_in(id, XS_RM, b"a\0");
    bed.ask_in(id, XS_MKDIR, b"c\0");
    bed.ask_in(id, XS_RM, b"c\0");
    bed.ask_in(id, XS_WRITE, b"a\0new");
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "OK|");
    assert_eq!(bed.daemon.list("/local/domain/7"), ["a"]);
    assert_eq!(bed.daemon.list("/local/domain/7/a"), [""; 0]);
    assert_eq!(bed.daemon.node_count(7), 2);
}

#[test]
fn watches_fire_at_the_commit_once_for_each_node() {
    let mut bed = Bed::new();
    bed.ask(XS_WRITE, b"z\0");
    bed.ask(XS_WATCH, b"/local/domain/7\0t\0");
    let id = bed.begin();
    for payload in [b"z\x001", b"a\x002", b"z\x003"] {
        bed.ask_in(id, XS_WRITE, payload);
    }
    bed.say(XS_TRANSACTION_END, id, b"T\0");
    let expected = [
        (XS_WATCH_EVENT, "/local/domain/7/z|t|"),
        (XS_WATCH_EVENT, "/local/domain/7/a|t|"),
        (XS_TRANSACTION_END, "OK|"),
    ];
    assert_eq!(bed.hear(), expected.map(|(kind, text)| (kind, text.into())));
}
