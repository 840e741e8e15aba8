//! Each request, its reply and its errors.

use super::super::wire::*;
use super::*;

/// What the tables are about: three siblings of different rights, and a foreign directory.
fn furnished() -> Bed {
    let mut bed = Bed::new();
    let daemon = &mut bed.daemon;
    daemon.write("/local/domain/7/name", b"guest");
    daemon.write("/backend/open", b"yes");
    daemon.write("/backend/open/below", b"no");
    daemon.allow("/backend/open", 7, Access::Read);
    daemon.write("/backend/shared", b"");
    daemon.allow("/backend/shared", 7, Access::Both);
    daemon.write("/backend/mailbox", b"");
    daemon.allow("/backend/mailbox", 7, Access::Write);
    bed
}

fn check(kind: u32, payload: &[u8], expected: &str) {
    let reply = furnished().ask(kind, payload);
    let text = String::from_utf8_lossy(payload);
    assert_eq!(reply, expected, "request {kind} {text:?}");
}

#[test]
fn requests_on_nodes_are_answered_as_the_daemon_does() {
    check(XS_READ, b"name\0", "guest");
    check(XS_READ, b"/local/domain/7/name\0", "guest");
    check(XS_READ, b"/backend/open\0", "yes");
    check(XS_READ, b"none\0", "!ENOENT");
    check(XS_READ, b"none/below\0", "!ENOENT");
    check(XS_READ, b"/backend/open/below\0", "!EACCES");
    check(XS_READ, b"/backend/open/none\0", "!ENOENT");
    check(XS_READ, b"/backend/none\0", "!EACCES");
    check(XS_READ, b"/backend/mailbox\0", "!EACCES");
    for bad in [
        &b"name"[..],
        b"",
        b"\0",
        b"a\0b\0",
        b"a b\0",
        b"a/\0",
        b"\xff\0",
        b"@a\0",
    ] {
        check(XS_READ, bad, "!EINVAL");
    }
    check(XS_DIRECTORY, b"/local/domain/7\0", "name|");
    check(XS_DIRECTORY, b"name\0", "");
    check(XS_DIRECTORY, b"/backend\0", "!EACCES");
    check(XS_DIRECTORY_PART, b"/backend/open\0", "!EINVAL");
    check(XS_WRITE, b"name\0other", "OK|");
    check(XS_WRITE, b"new/deep\0", "OK|");
    check(XS_WRITE, b"name", "!EINVAL");
    check(XS_WRITE, b"/backend/open\0x", "!EACCES");
    check(XS_WRITE, b"/backend/shared\0x", "OK|");
    check(XS_WRITE, b"/backend/mailbox/new\0x", "OK|");
    check(XS_WRITE, b"/new\0x", "!EACCES");
    check(XS_MKDIR, b"name\0", "OK|");
    check(XS_MKDIR, b"new\0", "OK|");
    check(XS_MKDIR, b"/new\0", "!EACCES");
    check(XS_RM, b"name\0", "OK|");
    check(XS_RM, b"none\0", "OK|");
    check(XS_RM, b"none/below\0", "!ENOENT");
    check(XS_RM, b"/backend/open\0", "!EACCES");
    check(XS_RM, b"/\0", "!EACCES");
    check(XS_GET_PERMS, b"name\0", "n7|");
    check(XS_GET_PERMS, b"/backend/open\0", "n0|r7|");
    check(XS_SET_PERMS, b"name\0n7\0r3\0", "OK|");
    check(XS_SET_PERMS, b"name\0n7\0x3\0", "!EINVAL");
    check(XS_SET_PERMS, b"name\0", "!EINVAL");
    check(XS_SET_PERMS, b"name\0n8\0", "!EPERM");
    check(XS_SET_PERMS, b"/backend/shared\0n7\0", "!EACCES");
}

#[test]
fn other_requests_are_answered_as_the_daemon_does() {
    check(XS_GET_DOMAIN_PATH, b"07\0", "/local/domain/7|");
    check(XS_GET_DOMAIN_PATH, b"7", "!EINVAL");
    check(XS_WATCH, b"name\0token\0", "OK|");
    check(XS_WATCH, b"none/at/all\0token\0", "OK|");
    check(XS_WATCH, b"@releaseDomain\0token\0", "OK|");
    check(XS_WATCH, b"name\0", "!EINVAL");
    check(XS_WATCH, b"name\0token\0more\0", "!EINVAL");
    check(XS_WATCH, b"na me\0token\0", "!EINVAL");
    check(XS_UNWATCH, b"name\0token\0", "!ENOENT");
    check(XS_UNWATCH, b"name\0", "!EINVAL");
    check(XS_RESET_WATCHES, b"\0", "OK|");
    check(XS_TRANSACTION_END, b"T\0", "!ENOENT");
    check(XS_TRANSACTION_END, b"X\0", "!EINVAL");
    for privileged in [0, 8, 9, 17, 18, 19] {
        check(privileged, b"7\0", "!EACCES");
    }
    for unknown in [XS_WATCH_EVENT, XS_ERROR, 20, 23, u32::MAX] {
        check(unknown, b"\0", "!ENOSYS");
    }
}

#[test]
fn an_unknown_transaction_is_refused_except_by_watches() {
    for (kind, payload, expected) in [
        (XS_READ, &b"name\0"[..], "!ENOENT"),
        (XS_TRANSACTION_START, b"\0", "!ENOENT"),
        (XS_WATCH, b"name\0token\0", "OK|"),
    ] {
        assert_eq!(furnished().ask_in(9, kind, payload), expected);
    }
}

#[test]
fn domain_0_may_everything_and_knows_who_is_connected() {
    let mut bed = furnished();
    bed.guest = bed.daemon.connect(0);
    assert_eq!(bed.ask(XS_READ, b"/backend/mailbox\0"), "");
    assert_eq!(bed.ask(XS_SET_PERMS, b"/backend/open\0b7\0"), "OK|");
    assert_eq!(bed.daemon.node_count(7), 3);
    assert_eq!(bed.ask(XS_IS_DOMAIN_INTRODUCED, b"7\0"), "T|");
    assert_eq!(bed.ask(XS_IS_DOMAIN_INTRODUCED, b"8\0"), "F|");
    assert_eq!(bed.ask(XS_INTRODUCE, b"8\0"), "!ENOSYS");
    assert_eq!(bed.ask(XS_RM, b"/\0"), "!EINVAL");
}

#[test]
fn a_write_makes_parents_that_the_writer_owns() {
    let mut bed = furnished();
    bed.ask(XS_WRITE, b"/backend/shared/a/b\0a\0b");
    assert_eq!(bed.daemon.read("/backend/shared/a/b"), Some(&b"a\0b"[..]));
    assert_eq!(bed.daemon.read("/backend/shared/a"), Some(&b""[..]));
    assert_eq!(bed.ask(XS_GET_PERMS, b"/backend/shared/a\0"), "n7|b7|");
    assert_eq!(bed.daemon.list("/backend/shared"), ["a"]);
    // Its directory, the name in it, and the two new ones.
    assert_eq!(bed.daemon.node_count(7), 4);
    let version = bed.daemon.version();
    bed.ask(XS_RM, b"/backend/shared/a\0");
    assert!(bed.daemon.version() > version);
    assert_eq!(bed.daemon.list("/backend/shared"), [""; 0]);
    assert_eq!(bed.daemon.read("/backend/shared/a/b"), None);
    assert_eq!(bed.daemon.node_count(7), 2);
}

#[test]
fn a_deep_tree_goes_without_recursion() {
    let mut bed = Bed::new();
    let path = format!("x{}", "/x".repeat(900));
    assert_eq!(bed.ask(XS_MKDIR, format!("{path}\0").as_bytes()), "OK|");
    assert_eq!(bed.daemon.node_count(7), 902);
    assert_eq!(bed.ask(XS_RM, b"x\0"), "OK|");
    assert_eq!(bed.daemon.node_count(7), 1);
}

#[test]
fn a_long_directory_comes_in_parts() {
    let mut bed = Bed::new();
    let names: Vec<String> = (0..900).map(|number| format!("node-{number}")).collect();
    for name in &names {
        bed.daemon.write(&format!("/local/domain/7/{name}"), b"");
    }
    assert_eq!(bed.ask(XS_DIRECTORY, b"/local/domain/7\0"), "!E2BIG");
    let (mut list, mut generations) = (String::new(), Vec::new());
    loop {
        let payload = format!("/local/domain/7\0{}\0", list.len());
        let reply = bed.ask(XS_DIRECTORY_PART, payload.as_bytes());
        let (generation, part) = reply.split_once('|').expect("a generation comes first");
        generations.push(generation.to_owned());
        match part.strip_suffix("||") {
            Some(last) => break list += last,
            None => list += part,
        }
    }
    assert_eq!(list.split('|').collect::<Vec<_>>(), names);
    assert!(generations.len() > 1);
    generations.dedup();
    assert_eq!(generations.len(), 1);
}

#[test]
fn bytes_may_come_and_go_one_by_one() {
    let mut bed = furnished();
    let mut bytes = request(XS_READ, 0, b"name\0");
    bytes.extend(request(XS_WATCH, 0, b"name\0t\0"));
    for byte in bytes {
        bed.daemon.receive(bed.guest, &[byte]);
    }
    let mut received = Vec::new();
    while bed.daemon.has_output(bed.guest) {
        let byte = bed.daemon.send(bed.guest, 1);
        assert_eq!(byte.len(), 1);
        received.extend(byte);
    }
    let expected = [
        (XS_READ, "guest"),
        (XS_WATCH, "OK|"),
        (XS_WATCH_EVENT, "name|t|"),
    ];
    assert_eq!(
        messages(&received),
        expected.map(|(kind, text)| (kind, text.into()))
    );
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let mut bed = furnished();
    bed.ask(XS_WATCH, b"name\0t\0");
    bed.say(XS_WRITE, 0, &[b"long\0", &[b'x'; 4091][..]].concat());
    assert!(!bed.daemon.is_dead(bed.guest));
    let header = XsdSockmsg {
        kind: XS_READ,
        len: 4097,
        ..XsdSockmsg::default()
    };
    bed.daemon.receive(bed.guest, &header.to_bytes());
    assert!(bed.daemon.is_dead(bed.guest));
    bed.say(XS_READ, 0, b"name\0");
    bed.daemon.write("/local/domain/7/name", b"other");
    assert!(!bed.daemon.has_output(bed.guest));
    assert!(!bed.daemon.accepts_input(bed.guest));
    assert_eq!(bed.daemon.watch_count(bed.guest), 0);
}
