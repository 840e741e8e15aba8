//! Which buckets everybody may read: what the owner says holds at once and after a restart.

use crate::harness::{Bench, Mood, READ_TOKEN, TOKEN, put, with_tokens};
use crate::replies::Reply;
use service::Plane;

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A bench with a value and a script in two buckets.
fn bench() -> Bench {
    let mut bench = Bench::new(with_tokens());
    for target in ["/kv/b/k", "/kv/b/s.rhai", "/kv/www/k", "/kv/www/s.rhai"] {
        assert_eq!(bench.put(target, &bearer(TOKEN), "value").status, 201);
    }
    bench
}

fn set(bench: &mut Bench, bucket: &str, body: &str) -> Reply {
    let target = format!("/-/admin/buckets/{bucket}");
    let reply = bench.admin("PUT", &target, &bearer(TOKEN), body);
    bench.plane = Plane::Data;
    reply
}

/// What a stranger gets at each door of a bucket.
fn doors(bench: &mut Bench, bucket: &str) -> [u16; 6] {
    let lists = format!("\"name\":\"{bucket}\"");
    let listed = bench.get("/-/buckets").text().contains(&lists);
    [
        bench.get(&format!("/kv/{bucket}/k")).status,
        bench.with("HEAD", &format!("/kv/{bucket}/k"), "").status,
        bench.get(&format!("/-/keys/{bucket}?values=1")).status,
        bench.get(&format!("/kv/{bucket}/none")).status,
        bench.get(&format!("/kv/{bucket}/s.rhai")).status,
        u16::from(listed),
    ]
}

const OPEN: [u16; 6] = [200, 200, 200, 404, 401, 1];
const SHUT: [u16; 6] = [401, 401, 401, 401, 401, 0];

#[test]
fn what_the_owner_says_holds_at_every_door_and_after_a_restart() {
    let mut bench = bench();
    assert_eq!(
        (doors(&mut bench, "b"), doors(&mut bench, "www")),
        (SHUT, OPEN)
    );
    assert!(
        set(&mut bench, "b", "{\"public\":true}")
            .text()
            .contains("\"public\":true")
    );
    assert!(
        set(&mut bench, "www", "{\"public\":false}")
            .text()
            .contains("\"public\":false")
    );
    assert_eq!(
        (doors(&mut bench, "b"), doors(&mut bench, "www")),
        (OPEN, SHUT)
    );
    let keys = bench.get("/-/keys/b");
    assert!(!keys.text().contains("rhai"), "{}", keys.text());
    assert_eq!(
        bench.put("/kv/b/k", "", "other").status,
        401,
        "to read is not to write"
    );
    assert_eq!(
        bench.get("/k").status,
        200,
        "a site's pages are for everybody"
    );

    let mut bench = bench.restarted();
    assert_eq!(
        (doors(&mut bench, "b"), doors(&mut bench, "www")),
        (OPEN, SHUT)
    );
    // As they were: nothing is left of it.
    set(&mut bench, "b", "{\"public\":false}");
    set(&mut bench, "www", "{\"public\":true}");
    assert_eq!(
        (doors(&mut bench, "b"), doors(&mut bench, "www")),
        (SHUT, OPEN)
    );
    let before = bench.service.store().durable_seq();
    set(&mut bench, "b", "{\"public\":false}");
    set(&mut bench, "www", "{\"public\":true}");
    assert_eq!(
        bench.service.store().durable_seq(),
        before,
        "nothing changes"
    );
    let mut bench = bench.restarted();
    assert_eq!(
        (doors(&mut bench, "b"), doors(&mut bench, "www")),
        (SHUT, OPEN)
    );
}

#[test]
fn it_is_said_with_a_quota_and_without_and_of_what_is_not_there() {
    let mut bench = bench();
    let reply = set(&mut bench, "b", "{\"quota_keys\":9,\"public\":true}");
    let text = "\"quota_bytes\":null,\"quota_keys\":9,\"public\":true}";
    assert!(
        reply.status == 200 && reply.text().contains(text),
        "{reply:?}"
    );
    let reply = set(&mut bench, "b", "{\"quota_bytes\":8000}");
    let text = "\"quota_bytes\":8000,\"quota_keys\":9,\"public\":true}";
    assert!(
        reply.text().contains(text),
        "what is left out stays: {reply:?}"
    );
    // A bucket without a key is there by that alone.
    assert_eq!(set(&mut bench, "later", "{\"public\":true}").status, 201);
    let show = |bench: &mut Bench| bench.admin("GET", "/-/admin/buckets/later", &bearer(TOKEN), "");
    assert_eq!(show(&mut bench).status, 200);
    bench.plane = Plane::Data;
    assert_eq!(bench.put("/kv/later/k", &bearer(TOKEN), "x").status, 201);
    assert_eq!(bench.get("/kv/later/k").status, 200);
    for (body, words) in [
        ("{\"public\":null}", "bool"),
        ("{\"public\":1}", "bool"),
        (
            "{\"public\":true,\"public\":true}",
            "duplicate field `public`",
        ),
        ("{\"publik\":true}", "unknown field"),
    ] {
        let reply = set(&mut bench, "b", body);
        assert_eq!((reply.status, reply.problem()), (400, "bad-json"), "{body}");
        assert!(reply.text().contains(words), "{body}: {}", reply.text());
    }
    let target = "/-/admin/buckets/b";
    let refused = bench.admin("PUT", target, &bearer(READ_TOKEN), "{\"public\":false}");
    assert_eq!(refused.problem(), "read-token-only");
}

#[test]
fn neither_rollback_nor_emptying_nor_restore_changes_who_may_read() {
    let mut bench = bench();
    let admin = |bench: &mut Bench, method: &str, target: &str| {
        let reply = bench.admin(method, target, &bearer(TOKEN), "");
        assert!(reply.status < 300, "{target}: {reply:?}");
        bench.plane = Plane::Data;
    };
    admin(&mut bench, "PUT", "/-/admin/snapshots/before");
    set(&mut bench, "b", "{\"public\":true}");
    admin(&mut bench, "POST", "/-/admin/snapshots/before/rollback");
    assert_eq!(doors(&mut bench, "b"), OPEN);
    assert_eq!(bench.get("/kv/b/k?at=before").status, 200);
    admin(&mut bench, "DELETE", "/-/admin/buckets/b");
    assert_eq!(bench.get("/kv/b/k").status, 404);
    assert_eq!(bench.put("/kv/b/k", &bearer(TOKEN), "x").status, 201);
    assert_eq!(bench.get("/kv/b/k").status, 200);
    // One of a state in which others could be read.
    let backup = bench
        .admin("GET", "/-/admin/backup", &bearer(TOKEN), "")
        .body;
    bench.plane = Plane::Data;
    set(&mut bench, "b", "{\"public\":false}");
    bench.plane = Plane::Admin;
    let restored = bench.ask(put("/-/admin/restore", &bearer(TOKEN), &backup));
    assert_eq!(restored.status, 202, "{restored:?}");
    bench.plane = Plane::Data;
    assert_eq!(bench.get("/kv/b/k").status, 401);
}

/// Who has asked is gone before it is durable.
#[test]
fn it_holds_once_it_is_durable_whoever_waits() {
    for body in ["{\"public\":true}", "{\"public\":true,\"quota_keys\":5}"] {
        let mut bench = bench();
        bench.be(Mood::Stuck);
        bench.plane = Plane::Admin;
        let mut client = bench.client();
        client.say(put("/-/admin/buckets/b", &bearer(TOKEN), body.as_bytes()));
        bench.run(&mut client);
        bench.plane = Plane::Data;
        assert_eq!(bench.get("/kv/b/k").status, 401, "not yet");
        drop(client);
        bench.be(Mood::Good);
        let mut other = bench.client();
        bench.settle(&mut other);
        bench.settle(&mut other);
        assert_eq!(doors(&mut bench, "b"), OPEN, "{body}");
    }
}

/// Whoever watches by a token that is replaced may be the one it was replaced for.
#[test]
fn who_watches_by_a_token_that_was_is_told_that_it_is_over() {
    let mut config = service::Config::default();
    config.set("auth.read-token", READ_TOKEN).expect("a token");
    let mut bench = Bench::new(config);
    bench.service.put_in_force(TOKEN.parse().expect("a token"));
    assert_eq!(bench.service.login_count(), 0);
    let mut client = bench.client();
    let lines = bearer(READ_TOKEN);
    client.say(format!("GET /-/watch/b HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    bench.settle(&mut client);
    assert!(client.wire.output.starts_with(b"HTTP/1.1 200"));
    assert_eq!(bench.service.login_count(), 0, "that was not the token");
    assert_eq!(bench.put("/kv/b/k", &bearer(TOKEN), "news").status, 201);
    assert_eq!(bench.service.login_count(), 1);
    let other = "another-token-of-32-characters--";
    bench.service.put_in_force(other.parse().expect("a token"));
    assert_eq!(bench.put("/kv/b/k", &bearer(other), "later").status, 204);
    bench.settle(&mut client);
    assert!(client.wire.output.ends_with(b"0\r\n\r\n"), "it has ended");
    assert!(!String::from_utf8_lossy(&client.wire.output).contains("\"size\":5"));
}

/// A bucket whose quota is refused is not opened to everybody.
#[test]
fn what_is_refused_is_refused_whole() {
    let mut bench = Bench::new(with_tokens());
    for nth in 0..1_024 {
        let target = format!("/kv/bucket{nth}/k");
        assert_eq!(bench.put(&target, &bearer(TOKEN), "x").status, 201);
    }
    let reply = set(&mut bench, "new", "{\"public\":true,\"quota_keys\":5}");
    assert_eq!((reply.status, reply.problem()), (507, "too-many-buckets"));
    let mut other = bench.client();
    bench.settle(&mut other);
    let get = bench.admin("GET", "/-/admin/buckets/new", &bearer(TOKEN), "");
    assert_eq!(get.status, 404);
    bench.plane = Plane::Data;
    assert_eq!(doors(&mut bench, "new"), SHUT);
    assert_eq!(set(&mut bench, "bucket7", "{\"public\":true}").status, 200);
    assert_eq!(bench.get("/kv/bucket7/k").status, 200);
}

/// The last one that was handed in holds, whatever the order in which they are answered.
#[test]
fn two_at_once_end_as_the_later_one_says() {
    for (first, second, end) in [
        ("true", "false", SHUT),
        ("false", "true", OPEN),
        ("true", "true", OPEN),
    ] {
        let mut bench = bench();
        bench.be(Mood::Stuck);
        bench.plane = Plane::Admin;
        let mut clients = [first, second].map(|public| {
            let mut client = bench.client();
            let body = format!("{{\"public\":{public}}}");
            client.say(put("/-/admin/buckets/b", &bearer(TOKEN), body.as_bytes()));
            bench.run(&mut client);
            client
        });
        bench.be(Mood::Good);
        for client in clients.iter_mut().rev() {
            bench.run(client);
            assert_eq!(client.replies()[0].status, 200, "{first} {second}");
        }
        bench.plane = Plane::Data;
        assert_eq!(doors(&mut bench, "b"), end, "{first} {second}");
        assert_eq!(doors(&mut bench.restarted(), "b"), end, "{first} {second}");
    }
}

/// Before it is known who may read, nobody is asked for a token.
#[test]
fn a_store_that_opens_says_so_to_strangers() {
    let mut bench = Bench::opening(with_tokens(), 64 << 20);
    for target in ["/kv/b/k", "/kv/www/k", "/-/keys/b", "/-/watch/b"] {
        let reply = bench.get(target);
        assert_eq!(
            (reply.status, reply.problem()),
            (503, "store-opening"),
            "{target}"
        );
    }
}

#[test]
fn strangers_who_watch_are_told_that_it_is_over() {
    let mut bench = bench();
    set(&mut bench, "b", "{\"public\":true}");
    let watch = |bench: &mut Bench, lines: &str| {
        let mut client = bench.client();
        client.say(format!("GET /-/watch/b HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        bench.settle(&mut client);
        client
    };
    let (mut stranger, mut owner) = (watch(&mut bench, ""), watch(&mut bench, &bearer(TOKEN)));
    for client in [&stranger, &owner] {
        assert!(client.wire.output.starts_with(b"HTTP/1.1 200"));
    }
    // Whoever has asked for it is not looked at before them.
    bench.plane = Plane::Admin;
    let mut asker = bench.client();
    asker.say(put(
        "/-/admin/buckets/b",
        &bearer(TOKEN),
        b"{\"public\":false}",
    ));
    asker.step(&mut bench);
    bench.plane = Plane::Data;
    for client in [&mut stranger, &mut owner] {
        bench.settle(client);
    }
    assert!(stranger.wire.output.ends_with(b"0\r\n\r\n"), "it has ended");
    assert_eq!(bench.put("/kv/b/k", &bearer(TOKEN), "news").status, 204);
    for client in [&mut stranger, &mut owner] {
        bench.settle(client);
    }
    let has_news = |client: &crate::harness::Client| {
        let text = String::from_utf8_lossy(&client.wire.output);
        text.contains("\"key\":\"k\"")
    };
    assert!(has_news(&owner) && !has_news(&stranger));
}
