//! `/-/admin/restore`: all of a backup or nothing, said with what and why.

use crate::harness::{self, Bench, Client, Mood, READ_TOKEN, TOKEN, noise, put};
use crate::replies::Reply;
use service::Plane;

/// A backup of three values, one of them large.
fn backup() -> Vec<u8> {
    let mut bench = Bench::open();
    for (name, len) in [("b/large", 300_000), ("b/small", 10), ("c/none", 0)] {
        bench.put(&format!("/kv/{name}"), "", noise(len));
    }
    bench.admin("PUT", "/-/admin/buckets/c", "", "{\"quota_keys\":5}");
    bench.admin("GET", "/-/admin/backup", "", "").body
}

fn target() -> Bench {
    let mut bench = Bench::open();
    bench.put("/kv/b/small", "", "other");
    bench.put("/kv/d/only", "", "here");
    bench
}

/// A client on the admin port that has said this.
fn saying(bench: &mut Bench, bytes: &[u8]) -> Client {
    bench.plane = Plane::Admin;
    let mut client = bench.client();
    bench.plane = Plane::Data;
    client.say(bytes);
    client
}

fn restore(bench: &mut Bench, query: &str, stream: &[u8]) -> Reply {
    let request = put(&format!("/-/admin/restore{query}"), "", stream);
    let mut client = saying(bench, &request);
    bench.run(&mut client);
    client.replies().remove(0)
}

fn rest(bench: &mut Bench) {
    (0..10).for_each(|_| {
        bench.service.step_store(bench.now);
    });
}

fn assert_untouched(bench: &mut Bench) {
    rest(bench);
    assert_eq!(bench.get("/kv/b/small").text(), "other");
    assert_eq!(bench.get("/kv/d/only").text(), "here");
    assert_eq!(bench.get("/kv/b/large").status, 404);
    assert_eq!(bench.put("/kv/e/new", "", "1").status, 201);
    let snapshots = bench.admin("GET", "/-/admin/snapshots", "", "");
    assert_eq!(snapshots.text(), "{\"snapshots\":[]}\n");
}

#[test]
fn it_brings_back_all_of_it_and_can_be_undone() {
    let stream = backup();
    let mut bench = target();
    let reply = restore(&mut bench, "", &stream);
    assert_eq!(reply.status, 202, "{reply:?}");
    let said = reply.text();
    assert!(
        said.starts_with("{\"keys\":3,\"lost\":0,\"of_seq\":"),
        "{said}"
    );
    assert!(bench.get("/kv/b/large").body == noise(300_000));
    assert!(bench.get("/kv/b/small").body == noise(10));
    assert_eq!(bench.get("/kv/c/none").status, 200);
    assert_eq!(bench.get("/kv/d/only").status, 404);
    let quota = bench.admin("GET", "/-/admin/buckets/c", "", "");
    assert!(quota.text().contains("\"quota_keys\":5"), "{quota:?}");
    let (_, undo) = said.split_once("\"undo\":\"").expect("a name");
    let undo = undo.split('"').next().expect("a name");
    let back = format!("/-/admin/snapshots/{undo}/rollback");
    assert_eq!(bench.admin("POST", &back, "", "").status, 200);
    assert_eq!(bench.get("/kv/b/small").text(), "other");
    assert_eq!(bench.get("/kv/d/only").text(), "here");
}

#[test]
fn meanwhile_others_read_what_was_there_and_are_told_why_they_cannot_write() {
    let stream = backup();
    let mut bench = target();
    let request = put("/-/admin/restore", "", &stream);
    let half = request.len() / 2;
    let mut client = saying(&mut bench, &request[..half]);
    bench.run(&mut client);
    assert_eq!(bench.get("/kv/b/small").text(), "other");
    assert_eq!(bench.get("/kv/b/large").status, 404);
    for (method, target) in [("PUT", "/kv/b/x"), ("DELETE", "/kv/b/small")] {
        let reply = bench.with(method, target, "Content-Length: 0\r\n");
        assert_eq!((reply.status, reply.problem()), (503, "store-restoring"));
        assert_eq!(reply.the("Retry-After"), "1");
    }
    let second = restore(&mut bench, "", &stream);
    assert_eq!((second.status, second.problem()), (503, "store-restoring"));
    client.say(&request[half..]);
    bench.run(&mut client);
    assert_eq!(client.replies().remove(0).status, 202);
    assert!(bench.get("/kv/b/large").body == noise(300_000));
    assert_eq!(bench.put("/kv/b/x", "", "1").status, 201);
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let stream = backup();
    let mut changed = stream.clone();
    changed[200_000] ^= 1;
    for (body, what) in [
        (&stream[..stream.len() - 1], "it ends in the middle"),
        (&changed[..], "a block is not what was written"),
        (
            b"not a backup at all, but long enough to tell",
            "this is no backup",
        ),
    ] {
        let mut bench = target();
        let reply = restore(&mut bench, "", body);
        assert_eq!((reply.status, reply.problem()), (400, "bad-backup"));
        assert!(reply.text().contains(what), "{}", reply.text());
        assert!(reply.text().contains("\"offset_bytes\":"));
        assert_untouched(&mut bench);
    }
}

#[test]
fn a_peer_that_leaves_or_falls_silent_leaves_all_as_it_was() {
    let stream = backup();
    let request = put("/-/admin/restore", "", &stream);
    for leaves in [true, false] {
        let mut bench = target();
        let mut client = saying(&mut bench, &request[..request.len() - 1]);
        bench.run(&mut client);
        if leaves {
            drop(client);
        } else {
            bench.pass(3_600 * harness::SECOND_NS);
            bench.run(&mut client);
            assert_eq!(client.replies().remove(0).status, 408);
        }
        assert_untouched(&mut bench);
    }
}

#[test]
fn a_disk_that_gives_no_answer_is_told_of_in_time() {
    let stream = backup();
    let mut bench = target();
    let request = put("/-/admin/restore", "", &stream);
    let mut client = saying(&mut bench, &request);
    bench.be(Mood::Stuck);
    bench.run(&mut client);
    bench.pass(3_600 * harness::SECOND_NS);
    bench.run(&mut client);
    let reply = client.replies().remove(0);
    assert_eq!(reply.status, 503, "{reply:?}");
    bench.be(Mood::Good);
    drop(client);
    assert_untouched(&mut bench);
}

#[test]
fn a_backup_that_lacks_a_value_is_restored_only_if_that_is_wanted() {
    let mut source = Bench::sized(harness::open(), 16 << 20);
    let value = noise(30_000);
    source.put("/kv/b/lost", "", &value);
    source.put("/kv/b/there", "", "1");
    // What was just written needs no reading.
    let mut source = source.restarted();
    assert_eq!(source.damage(&value[..64], 16 << 20), 1);
    let stream = source.admin("GET", "/-/admin/backup", "", "").body;
    let mut bench = target();
    let reply = restore(&mut bench, "", &stream);
    assert_eq!((reply.status, reply.problem()), (422, "backup-lossy"));
    assert!(reply.text().contains("b/lost"), "{}", reply.text());
    assert_untouched(&mut bench);
    let reply = restore(&mut bench, "?lossy=true", &stream);
    assert_eq!(reply.status, 202, "{reply:?}");
    assert!(reply.text().starts_with("{\"keys\":1,\"lost\":1,"));
    assert_eq!(bench.get("/kv/b/there").text(), "1");
}

#[test]
fn who_may_and_how_it_is_asked_for() {
    let stream = backup();
    let mut bench = Bench::new(harness::with_tokens());
    let length = format!("Content-Length: {}\r\n", stream.len());
    for (token, query, body, status) in [
        (None, "", true, 401),
        (Some(READ_TOKEN), "", true, 403),
        (Some(TOKEN), "?lossy=perhaps", true, 400),
        (Some(TOKEN), "?x=1", true, 400),
        (Some(TOKEN), "", false, 400),
        (Some(TOKEN), "?lossy=true", true, 202),
    ] {
        let line = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let (length, body) = match body {
            true => (length.as_str(), &stream[..]),
            false => ("", &[][..]),
        };
        let head = format!(
            "PUT /-/admin/restore{query} HTTP/1.1\r\nHost: h\r\n{length}{}\r\n",
            line.unwrap_or_default()
        );
        let mut client = saying(&mut bench, &[head.as_bytes(), body].concat());
        bench.run(&mut client);
        assert_eq!(client.replies().remove(0).status, status, "{query}");
    }
    let got = bench.admin("GET", "/-/admin/restore", "", "");
    assert_eq!((got.status, got.the("Allow")), (405, "PUT, OPTIONS"));
    let missed = bench.ask(put("/-/admin/restore", "", b"x"));
    assert_eq!(missed.status, 404, "not on the users' port");
}
