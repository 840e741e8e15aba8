//! `/-/admin/backup`: a whole and checked stream, or a connection that says that it is none.

use crate::harness::{self, Bench, Client, Mood, READ_TOKEN, SECOND_NS, TOKEN, noise};
use crate::replies::{self, Content};
use service::Plane;
use std::collections::BTreeMap;
use store::backup::{Decoder, Item};

const GET: &str = "GET /-/admin/backup HTTP/1.1\r\nHost: h\r\n\r\n";

/// The values of a backup; panics if it is not whole.
fn values(stream: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut decoder = Decoder::default();
    let (mut values, mut bucket, mut name) = (BTreeMap::new(), String::new(), String::new());
    let mut input = stream;
    while let (used, Some(item)) = decoder.push(input).expect("a backup") {
        input = &input[used..];
        match item {
            Item::Bucket(head) => bucket = head.name.as_str().to_owned(),
            Item::Entry(head) => {
                name = format!("{bucket}/{}", head.key.as_bytes().escape_ascii());
                values.insert(name.clone(), Vec::new());
            }
            Item::Data(bytes) => values.get_mut(&name).expect("begun").extend(bytes),
            Item::Lost(loss) => panic!("{loss:?}"),
            Item::Header(_) | Item::Complete | Item::End(_) => {}
        }
    }
    decoder.finish().expect("a whole backup");
    values
}

fn filled() -> (Bench, BTreeMap<String, Vec<u8>>) {
    let mut bench = Bench::open();
    let mut expected = BTreeMap::new();
    for (name, len) in [("b/large", 300_000), ("b/small", 10), ("c/none", 0)] {
        bench.put(&format!("/kv/{name}"), "", noise(len));
        expected.insert(name.to_owned(), noise(len));
    }
    (bench, expected)
}

/// A client that has asked on the admin port.
fn asking(bench: &mut Bench, request: &str) -> Client {
    bench.plane = Plane::Admin;
    let mut client = bench.client();
    bench.plane = Plane::Data;
    client.say(request);
    client
}

fn snapshots(bench: &mut Bench) -> String {
    let list = bench.admin("GET", "/-/admin/snapshots", "", "");
    list.text().to_owned()
}

#[test]
fn it_has_all_there_is_and_comes_in_chunks() {
    let (mut bench, expected) = filled();
    let reply = bench.admin("GET", "/-/admin/backup", "", "");
    assert_eq!(reply.status, 200);
    for (name, value) in [
        ("Content-Type", "application/octet-stream"),
        ("Transfer-Encoding", "chunked"),
        ("Cache-Control", "no-store"),
    ] {
        assert_eq!(reply.the(name), value);
    }
    assert!(values(&reply.body) == expected);
    let head = bench.admin("HEAD", "/-/admin/backup", "", "");
    assert_eq!((head.status, head.fields == reply.fields), (200, true));
    for _ in 0..10 {
        bench.service.step_store(bench.now);
    }
    assert_eq!(
        snapshots(&mut bench),
        "{\"snapshots\":[]}\n",
        "nothing is held"
    );
    assert_eq!(
        bench.get("/-/admin/backup").status,
        404,
        "not on the users' port"
    );
}

#[test]
fn a_peer_of_http_1_0_gets_it_up_to_the_end_of_the_connection() {
    let (mut bench, expected) = filled();
    let request = "GET /-/admin/backup HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut client = asking(&mut bench, request);
    bench.run(&mut client);
    assert_eq!(client.progress, service::Progress::Finish);
    let end = client
        .wire
        .output
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    let (head, stream) = client.wire.output.split_at(end.expect("a head") + 4);
    let head = String::from_utf8_lossy(head);
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert!(!head.contains("Transfer-Encoding"), "{head}");
    assert!(values(stream) == expected);
}

#[test]
fn others_write_meanwhile_and_a_snapshot_can_be_backed_up() {
    let (mut bench, expected) = filled();
    bench.admin("PUT", "/-/admin/snapshots/monday", "", "");
    for target in ["/-/admin/backup?snapshot=monday", "/-/admin/backup"] {
        let mut client = asking(&mut bench, &GET.replace("/-/admin/backup", target));
        client.wire.room = 0;
        let mut round = 0;
        while client.progress != service::Progress::Finish
            && !client.wire.output.ends_with(b"\r\n0\r\n\r\n")
        {
            client.wire.room = 20_000;
            bench.run(&mut client);
            round += 1;
            if target.ends_with("monday") {
                bench.put("/kv/b/large", "", noise(1_000 + round));
            }
            assert!(round < 1_000, "it never ends");
        }
        let reply = replies::parse(&client.wire.output, Content::Usual).remove(0);
        let shown = values(&reply.body);
        match target.ends_with("monday") {
            true => assert!(shown == expected && round > 10, "bit by bit: {round}"),
            false => assert!(shown["b/large"].len() < 3_000 && shown.len() == 3),
        }
    }
}

#[test]
fn who_may_have_it_and_what_is_none() {
    let mut bench = Bench::new(harness::with_tokens());
    for (token, target, status) in [
        (None, "", 401),
        (Some(READ_TOKEN), "", 403),
        (Some(TOKEN), "?snapshot=none", 404),
        (Some(TOKEN), "?snapshot=", 400),
        (Some(TOKEN), "?x=1", 400),
        (Some(TOKEN), "", 200),
    ] {
        let line = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let target = format!("/-/admin/backup{target}");
        let reply = bench.admin("GET", &target, &line.unwrap_or_default(), "");
        assert_eq!(reply.status, status, "{target} {reply:?}");
    }
}

#[test]
fn a_peer_that_takes_nothing_holds_nothing_for_long() {
    let (mut bench, _) = filled();
    let mut client = asking(&mut bench, GET);
    client.wire.room = 1_000;
    bench.run(&mut client);
    assert!(snapshots(&mut bench).contains("!backup-"), "it is seen");
    bench.pass(61 * SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.progress, service::Progress::Abort);
    drop(client);
    for _ in 0..10 {
        bench.service.step_store(bench.now);
    }
    assert_eq!(snapshots(&mut bench), "{\"snapshots\":[]}\n");
}

#[test]
fn a_disk_that_is_stuck_is_said_in_bounded_time() {
    let (mut bench, _) = filled();
    bench.be(Mood::Stuck);
    let mut client = asking(&mut bench, GET);
    bench.run(&mut client);
    assert!(client.wire.output.is_empty());
    bench.pass(61 * SECOND_NS);
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        (replies[0].status, replies[0].problem()),
        (503, "store-slow")
    );
}
