//! What a test can order: conflicts, errors, lies and floods.

use super::*;

#[test]
fn ordered_conflicts_are_worked_off() {
    let mut bed = Bed::new();
    bed.daemon.conflict_next(2);
    for (verdict, expected) in [
        (b"T\0", "!EAGAIN"),
        (b"F\0", "OK|"),
        (b"T\0", "!EAGAIN"),
        (b"T\0", "OK|"),
    ] {
        let id = bed.begin();
        assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, verdict), expected);
    }
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
}

#[test]
fn an_ordered_error_is_for_the_next_request_of_its_type() {
    let mut bed = Bed::new();
    bed.daemon.fail_next(bed.guest, XS_WRITE, "EIO");
    bed.daemon.fail_next(bed.guest, XS_TRANSACTION_END, "EIO");
    assert_eq!(bed.ask(XS_READ, b"a\0"), "!ENOENT");
    assert_eq!(bed.ask(XS_WRITE, b"a\0x"), "!EIO");
    assert_eq!(bed.daemon.read("/local/domain/7/a"), None);
    assert_eq!(bed.ask(XS_WRITE, b"a\0x"), "OK|");
    let id = bed.begin();
    assert_eq!(bed.ask_in(id, XS_TRANSACTION_END, b"T\0"), "!EIO");
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
}

#[test]
fn a_lie_is_told_once() {
    let honest = (XS_READ, 42, 3, &b"yes"[..]);
    let check = |lie: ReplyLie, expected: (u32, u32, u32, &[u8])| {
        let mut bed = Bed::new();
        bed.daemon.write("/local/domain/7/a", b"yes");
        bed.daemon.corrupt_next_reply(bed.guest, lie);
        for (kind, id, len, payload) in [expected, honest] {
            bed.say(XS_READ, 0, b"a\0");
            let bytes = bed.daemon.send(bed.guest, usize::MAX);
            let (header, rest) = bytes.split_first_chunk().expect("a header is whole");
            let header = XsdSockmsg::from_bytes(*header);
            assert_eq!(
                (header.kind, header.req_id, header.len),
                (kind, id, len),
                "{lie:?}"
            );
            assert_eq!(rest, payload, "{lie:?}");
        }
    };
    check(ReplyLie::WrongRequestId, (XS_READ, 0x8000_002a, 3, b"yes"));
    check(ReplyLie::WrongType, (XS_WRITE, 42, 3, b"yes"));
    check(ReplyLie::TooLong, (XS_READ, 42, 4097, b"yes"));
    check(ReplyLie::Truncated, (XS_ERROR, 42, 6, b"ENOENT"));
    check(ReplyLie::UnknownType, (0x7fff, 42, 3, b"yes"));
    check(ReplyLie::ShortLength, (XS_READ, 42, 2, b"yes"));
}

#[test]
fn a_flood_is_not_merged() {
    let mut bed = Bed::new();
    bed.daemon.flood_watch(bed.guest, 3);
    assert!(!bed.daemon.has_output(bed.guest));
    bed.ask(XS_WATCH, b"a\0t\0");
    bed.daemon.flood_watch(bed.guest, 3);
    assert_eq!(bed.hear(), vec![(XS_WATCH_EVENT, "a|t|".into()); 3]);
}

#[test]
fn who_is_gone_is_dead_and_harmless() {
    let mut bed = Bed::new();
    bed.ask(XS_WATCH, b"a\0t\0");
    bed.begin();
    bed.daemon.disconnect(bed.guest);
    assert!(bed.daemon.is_dead(bed.guest));
    bed.say(XS_READ, 0, b"a\0");
    bed.daemon.corrupt_next_reply(bed.guest, ReplyLie::TooLong);
    assert!(!bed.daemon.has_output(bed.guest));
    assert_eq!(bed.daemon.watch_count(bed.guest), 0);
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
    assert_eq!(bed.daemon.node_count(7), 1);
}
