//! Watches: what fires them, what they are told, and in which order.

use super::super::wire::XS_RESET_WATCHES;
use super::*;

/// The events of a change that domain 0 makes, after the registrations were read.
fn events(watches: &[&[u8]], change: fn(&mut Xenstored)) -> Vec<String> {
    let mut bed = Bed::new();
    bed.daemon.write("/local/domain/7/a/b/c", b"");
    bed.daemon.write("/local/domain/7/a/d", b"");
    bed.daemon.write("/private/a", b"");
    for watch in watches {
        bed.ask(XS_WATCH, watch);
    }
    bed.hear();
    change(&mut bed.daemon);
    bed.hear().into_iter().map(|(_, text)| text).collect()
}

#[test]
fn changes_fire_the_watches_of_the_path_and_above() {
    let check = |watch: &[u8], change: fn(&mut Xenstored), expected: &[&str]| {
        assert_eq!(events(&[watch], change), expected);
    };
    let write: fn(&mut Xenstored) = |daemon| daemon.write("/local/domain/7/a/b", b"x");
    check(b"a/b\0t\0", write, &["a/b|t|"]);
    check(b"a\0t\0", write, &["a/b|t|"]);
    check(
        b"/local/domain/7/a\0t\0",
        write,
        &["/local/domain/7/a/b|t|"],
    );
    check(b"/\0t\0", write, &["/local/domain/7/a/b|t|"]);
    check(b"a/b/c\0t\0", write, &[]);
    check(b"a/d\0t\0", write, &[]);
    let make: fn(&mut Xenstored) = |daemon| daemon.write("/local/domain/7/new/deep", b"x");
    check(b"new\0t\0", make, &["new/deep|t|"]);
    check(b"new/deep\0t\0", make, &["new/deep|t|"]);
    let allow: fn(&mut Xenstored) = |daemon| daemon.allow("/local/domain/7/a", 3, Access::Read);
    check(b"a\0t\0", allow, &["a|t|"]);
    let absent: fn(&mut Xenstored) = |daemon| daemon.remove("/local/domain/7/none");
    check(b"none\0t\0", absent, &[]);
}

#[test]
fn a_removal_fires_below_by_the_watchs_own_path_and_the_top_last() {
    let remove: fn(&mut Xenstored) = |daemon| daemon.remove("/local/domain/7/a");
    let watches: [&[u8]; 4] = [b"a\0top\0", b"a/b\0mid\0", b"a/b/c\0low\0", b"a/d\0d\0"];
    let expected = ["a/b/c|low|", "a/b|mid|", "a/d|d|", "a|top|"];
    assert_eq!(events(&watches, remove), expected);
}

#[test]
fn who_may_not_see_does_not_hear() {
    let write: fn(&mut Xenstored) = |daemon| daemon.write("/private/a", b"x");
    assert_eq!(events(&[b"/private/a\0t\0"], write), [""; 0]);
    let reveal: fn(&mut Xenstored) = |daemon| daemon.allow("/private/a", 7, Access::Read);
    assert_eq!(events(&[b"/private\0t\0"], reveal), ["/private/a|t|"]);
    let come_and_go: fn(&mut Xenstored) = |daemon| {
        let other = daemon.connect(8);
        daemon.disconnect(other);
    };
    assert_eq!(events(&[b"@releaseDomain\0t\0"], come_and_go), [""; 0]);
}

#[test]
fn domain_0_hears_of_domains() {
    let mut bed = Bed::new();
    bed.guest = bed.daemon.connect(0);
    bed.ask(XS_WATCH, b"@introduceDomain\0i\0");
    bed.ask(XS_WATCH, b"@releaseDomain\0r\0");
    let other = bed.daemon.connect(8);
    bed.daemon.disconnect(other);
    let expected = ["@introduceDomain|i|", "@releaseDomain|r|"];
    assert_eq!(
        bed.hear(),
        expected.map(|text| (XS_WATCH_EVENT, text.into()))
    );
}

#[test]
fn a_registration_is_acknowledged_then_fires_once() {
    let mut bed = Bed::new();
    bed.say(XS_WATCH, 0, b"none\0t\0");
    let expected = [(XS_WATCH, "OK|"), (XS_WATCH_EVENT, "none|t|")];
    assert_eq!(bed.hear(), expected.map(|(kind, text)| (kind, text.into())));
    assert_eq!(bed.ask(XS_WATCH, b"none\0t\0"), "!EEXIST");
    assert_eq!(bed.ask(XS_WATCH, b"/local/domain/7/none\0t\0"), "!EEXIST");
    assert_eq!(bed.ask(XS_WATCH, b"none\0other\0"), "OK|");
    assert_eq!(bed.daemon.watch_count(bed.guest), 2);
}

#[test]
fn a_writer_hears_of_its_own_write_before_the_reply() {
    let mut bed = Bed::new();
    bed.ask(XS_WATCH, b"a\0t\0");
    bed.say(XS_WRITE, 0, b"a\0x");
    let expected = [(XS_WATCH_EVENT, "a|t|"), (XS_WRITE, "OK|")];
    assert_eq!(bed.hear(), expected.map(|(kind, text)| (kind, text.into())));
}

#[test]
fn what_is_unread_is_not_told_twice() {
    let write_twice: fn(&mut Xenstored) = |daemon| {
        daemon.write("/local/domain/7/a", b"1");
        daemon.write("/local/domain/7/a/d", b"2");
        daemon.write("/local/domain/7/a", b"3");
    };
    assert_eq!(events(&[b"a\0t\0"], write_twice), ["a|t|", "a/d|t|"]);
}

#[test]
fn a_removed_watch_is_silent() {
    let mut bed = Bed::new();
    bed.ask(XS_WATCH, b"a\0one\0");
    bed.ask(XS_WATCH, b"a\0two\0");
    assert_eq!(bed.ask(XS_UNWATCH, b"/local/domain/7/a\0one\0"), "OK|");
    bed.daemon.write("/local/domain/7/a", b"");
    assert_eq!(bed.hear(), [(XS_WATCH_EVENT, "a|two|".into())]);
    bed.begin();
    bed.ask(XS_RESET_WATCHES, b"\0");
    bed.daemon.write("/local/domain/7/a", b"");
    assert_eq!(bed.hear(), []);
    assert_eq!(bed.daemon.transaction_count(bed.guest), 0);
    assert_eq!(bed.daemon.watch_count(bed.guest), 0);
}
