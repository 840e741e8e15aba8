//! Peers that are slow, or stop.

use crate::harness::{self, Bench, SECOND_NS, noise};
use service::{Plane, Progress};

#[test]
fn an_idle_connection_ends_after_75_seconds() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    bench.run(&mut client);
    assert!(client.connection.is_idle());
    assert_eq!(
        client.deadline_ns(),
        bench.now.monotonic_ns + 75 * SECOND_NS
    );
    bench.pass(60 * SECOND_NS);
    client.say("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    assert_eq!(client.replies().len(), 1);
    assert_eq!(
        client.deadline_ns(),
        bench.now.monotonic_ns + 75 * SECOND_NS
    );
    bench.pass(75 * SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.progress, Progress::Finish);
    assert!(
        client.wire.output.is_empty(),
        "nothing was asked, nothing is said"
    );
}

#[test]
fn a_head_has_ten_seconds_from_its_first_byte() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    for byte in "GET /heal".chars() {
        client.say(byte.to_string());
        bench.run(&mut client);
        bench.pass(SECOND_NS);
    }
    bench.pass(SECOND_NS);
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        (replies[0].status, replies[0].the("Connection")),
        (408, "close")
    );
    bench.pass(SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.progress, Progress::Finish);
}

#[test]
fn a_body_has_thirty_seconds_between_its_pieces() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say("PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n");
    for _ in 0..4 {
        client.say([b'x'; 15_000]);
        bench.run(&mut client);
        bench.pass(29 * SECOND_NS);
    }
    bench.run(&mut client);
    assert!(client.wire.output.is_empty());
    bench.pass(SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].problem(), "request-timeout");
    assert_eq!(bench.get("/kv/b/k").status, 404);
}

#[test]
fn an_answer_nobody_takes_is_broken_off_after_a_minute() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(200_000));
    let mut client = bench.client();
    client.wire.room = 1000;
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    bench.pass(59 * SECOND_NS);
    client.wire.room = 30_000;
    bench.run(&mut client);
    assert!(matches!(client.progress, Progress::Peer { .. }));
    bench.pass(59 * SECOND_NS);
    bench.run(&mut client);
    assert!(matches!(client.progress, Progress::Peer { .. }));
    bench.pass(SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.progress, Progress::Abort);
    assert_eq!(client.wire.output.len(), 31_000);
}

/// A byte now and then is not enough: neither of an answer, nor of a body that goes into the store
/// or is collected.
#[test]
fn who_trickles_has_no_longer_than_who_stands_still() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(200_000));
    let mut client = bench.client();
    client.wire.room = 1000;
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    let began_ns = bench.now.monotonic_ns;
    while client.progress != Progress::Abort {
        assert!(bench.now.monotonic_ns - began_ns < 63 * SECOND_NS);
        bench.run(&mut client);
        bench.pass(SECOND_NS);
        client.wire.room = 1;
    }
    for (plane, target) in [
        (Plane::Data, "/kv/b/other"),
        (Plane::Admin, "/-/admin/buckets/b"),
    ] {
        bench.plane = plane;
        let mut client = bench.client();
        let head = format!("PUT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
        client.say(head);
        let began_ns = bench.now.monotonic_ns;
        while client.wire.output.is_empty() {
            assert!(bench.now.monotonic_ns - began_ns < 33 * SECOND_NS);
            client.say(" ");
            bench.run(&mut client);
            bench.pass(SECOND_NS);
        }
        assert_eq!(client.replies()[0].problem(), "request-timeout");
    }
}

/// Slow, but not too slow.
#[test]
fn who_is_slow_is_served() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(200_000));
    let mut client = bench.client();
    client.wire.room = 0;
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    while client.wire.output.len() < 200_000 {
        client.wire.room = 12_000;
        bench.run(&mut client);
        assert_ne!(client.progress, Progress::Abort);
        bench.pass(20 * SECOND_NS);
    }
    let mut client = bench.client();
    client.say("PUT /kv/b/slow HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    for _ in 0..20 {
        client.say(noise(5_000));
        bench.run(&mut client);
        bench.pass(9 * SECOND_NS);
    }
    assert_eq!(client.replies()[0].status, 201);
}

#[test]
fn what_follows_a_refusal_is_dropped_for_half_a_second() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say("nonsense\r\n\r\n");
    client.say(noise(1000));
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 400);
    assert_eq!(client.unread_bytes(), 0);
    assert!(matches!(client.progress, Progress::Peer { .. }));
    bench.pass(SECOND_NS / 2);
    bench.run(&mut client);
    assert_eq!(client.progress, Progress::Finish);
    let mut client = bench.client();
    client.say("nonsense\r\n\r\n");
    client.say(noise(1 << 20));
    bench.run(&mut client);
    assert_eq!(client.progress, Progress::Finish);
    assert!(
        client.wire.taken < 300_000,
        "and only so much of it: {}",
        client.wire.taken
    );
}

#[test]
fn a_peer_that_is_gone_leaves_nothing() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(200_000));
    let token = harness::put("/kv/b/new", "", &noise(100_000));
    for input in [
        &b""[..],
        b"GET /kv",
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n",
        &token[..50_000],
        &token,
    ] {
        let mut client = bench.client();
        client.wire.room = 100;
        client.say(input);
        client.step(&mut bench);
        client.wire.end = Some(service::Input::Gone);
        bench.run(&mut client);
        assert_eq!(client.progress, Progress::Abort, "{}", input.len());
    }
    for _ in 0..1000 {
        bench.service.step_store(bench.now);
    }
    bench.service.begin_shutdown();
    assert!(bench.service.is_drained());
    assert_eq!(bench.service.connection_count(), 0);
}
