//! A disk that is stuck, or fails.

use crate::harness::{self, Bench, Mood, SECOND_NS, noise};

#[test]
fn a_write_the_disk_does_not_confirm_is_of_unknown_outcome() {
    let mut bench = Bench::open();
    bench.be(Mood::Stuck);
    let mut client = bench.client();
    client.say(harness::put("/kv/b/k", "", b"hello"));
    bench.run(&mut client);
    assert!(client.wire.output.is_empty());
    bench.pass(60 * SECOND_NS);
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        (replies[0].status, replies[0].problem()),
        (500, "write-outcome-unknown")
    );
    assert_eq!(
        bench.get("/kv/b/k").status,
        404,
        "what is not durable is not shown"
    );
    bench.be(Mood::Good);
    for _ in 0..1000 {
        bench.service.step_store(bench.now);
    }
    assert_eq!(bench.get("/kv/b/k").text(), "hello");
}

#[test]
fn a_failed_write_ends_writing_but_not_reading() {
    let mut bench = Bench::open();
    bench.put("/kv/b/old", "", "old");
    bench.be(Mood::WritesFail);
    let failed = bench.put("/kv/b/k", "", "new");
    assert_eq!(
        (failed.status, failed.problem()),
        (500, "write-outcome-unknown")
    );
    bench.be(Mood::Good);
    let refused = bench.put("/kv/b/k", "", "new");
    assert_eq!(
        (refused.status, refused.problem()),
        (503, "store-read-only")
    );
    assert_eq!(
        bench.with("DELETE", "/kv/b/old", "").problem(),
        "store-read-only"
    );
    assert_eq!(bench.get("/kv/b/old").text(), "old");
    let ready = bench.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready
            .text()
            .starts_with("ready: yes\nreads: yes\nwrites: no\nwhy: ")
    );
    assert_eq!(bench.get("/readyz?for=write").status, 503);
}

#[test]
fn a_body_the_store_does_not_take_waits_in_the_transport() {
    let mut bench = Bench::open();
    let value = noise(8 << 20);
    bench.be(Mood::Stuck);
    let mut client = bench.client();
    client.say(harness::put("/kv/b/k", "", &value));
    bench.run(&mut client);
    assert!(
        client.unread_bytes() > 1 << 20,
        "{} left",
        client.unread_bytes()
    );
    let taken = client.wire.taken;
    bench.pass(59 * SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.wire.taken, taken);
    bench.be(Mood::Good);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 201);
    assert!(bench.get("/kv/b/k").body == value);
}

#[test]
fn a_body_the_store_never_takes_is_refused_after_a_minute() {
    let mut bench = Bench::open();
    bench.be(Mood::Stuck);
    let mut client = bench.client();
    client.say(harness::put("/kv/b/k", "", &noise(8 << 20)));
    bench.run(&mut client);
    bench.pass(60 * SECOND_NS);
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        (replies[0].status, replies[0].problem()),
        (503, "store-slow")
    );
    assert_eq!(replies[0].the("Connection"), "close");
}

#[test]
fn what_was_acknowledged_is_there_after_a_cut_of_power() {
    let mut bench = Bench::open();
    let large = noise(300_000);
    let kept = "Content-Type: text/x\r\n";
    let small_tag = bench
        .put("/kv/b/small", kept, "small")
        .the("ETag")
        .to_owned();
    let large_tag = bench
        .put("/kv/b/large", kept, &large)
        .the("ETag")
        .to_owned();
    let mut again = bench.restarted();
    let small = again.get("/kv/b/small");
    assert_eq!(
        (small.text(), small.the("ETag")),
        ("small", small_tag.as_str())
    );
    let found = again.get("/kv/b/large");
    assert!(found.body == large);
    assert_eq!(
        (found.the("ETag"), found.the("Content-Type")),
        (large_tag.as_str(), "text/x")
    );
}

#[test]
fn a_value_the_disk_cannot_read_is_an_error_and_no_more() {
    let mut bench = Bench::open();
    bench.put("/kv/b/large", "", noise(300_000));
    bench.put("/kv/b/small", "", "small");
    let mut again = bench.restarted();
    again.be(Mood::ReadsFail);
    for key in ["large", "small"] {
        let reply = again.get(&format!("/kv/b/{key}"));
        assert_eq!(
            (reply.status, reply.problem()),
            (500, "read-failed"),
            "{key}"
        );
        assert!(reply.text().contains("\"offset_bytes\":"));
    }
    again.be(Mood::Good);
    assert_eq!(again.get("/kv/b/small").text(), "small");
}

#[test]
fn wrong_bytes_are_never_sent() {
    let mut bench = Bench::sized(harness::open(), 16 << 20);
    let value = noise(300_000);
    bench.put("/kv/b/large", "", &value);
    bench.put("/kv/b/small", "", "a value nobody else has");
    let mut again = bench.restarted();
    assert!(again.damage(b"a value nobody else has", 16 << 20) > 0);
    let reply = again.get("/kv/b/small");
    assert_eq!((reply.status, reply.problem()), (500, "value-corrupt"));
    assert!(again.damage(&value[200_000..200_016], 16 << 20) > 0);
    let (output, progress) = again.raw(b"GET /kv/b/large HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        progress,
        service::Progress::Abort,
        "it is broken off, not ended"
    );
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let body = &output[end..];
    assert!(body.len() < 200_001 && *body == value[..body.len()]);
    let metrics = again.get("/metrics");
    assert!(metrics.text().contains("lampion_http_broken_off_total 1\n"));
}

#[test]
fn a_body_that_grows_too_long_is_refused_on_the_way() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say("PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = noise(1 << 20);
    for _ in 0..70 {
        client.say(format!("{:x}\r\n", piece.len()));
        client.say(&piece);
        client.say("\r\n");
    }
    bench.run(&mut client);
    let replies = client.replies();
    assert!(
        matches!(replies[0].problem(), "value-too-large" | "no-space-disk"),
        "{replies:?}"
    );
    assert_eq!(replies[0].the("Connection"), "close");
    assert_eq!(client.progress, service::Progress::Finish);
    assert_eq!(bench.get("/kv/b/k").status, 404);
    assert_eq!(bench.put("/kv/b/k", "", "x").status, 201);
}
