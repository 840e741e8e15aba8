//! `?ttl=`: values whose time comes to an end.

use crate::harness::{self, Bench, Mood, SECOND_NS};

#[test]
fn a_value_is_over_after_its_seconds() {
    let mut bench = Bench::open();
    assert_eq!(bench.put("/kv/b/k?ttl=60", "", "soon").status, 201);
    assert_eq!(bench.put("/kv/b/other", "", "for ever").status, 201);
    let get = bench.get("/kv/b/k");
    assert_eq!((get.status, get.text()), (200, "soon"));
    assert_eq!(get.the("Expires"), "Thu, 19 Nov 2026 02:14:20 GMT");
    assert_eq!(bench.get("/kv/b/other").field("Expires"), None);
    let page = bench.get("/-/keys/b");
    assert!(
        page.text().contains("\"key\":\"k\"")
            && page.text().contains(",\"expires_ms\":1795054460000}"),
        "{page:?}"
    );
    assert_eq!(page.text().matches("expires_ms").count(), 1);
    bench.pass(61 * SECOND_NS);
    assert_eq!(bench.get("/kv/b/k").problem(), "no-such-key");
    assert_eq!(bench.with("DELETE", "/kv/b/k", "").status, 404);
    assert!(!bench.get("/-/keys/b").text().contains("\"k\""));
    assert_eq!(bench.get("/kv/b/other").text(), "for ever");
    assert_eq!(
        bench.put("/kv/b/k", "If-None-Match: *\r\n", "new").status,
        201
    );
}

#[test]
fn putting_it_again_without_a_time_keeps_it() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k?ttl=1", "", "soon");
    assert_eq!(bench.put("/kv/b/k", "", "for ever").status, 204);
    bench.pass(10 * SECOND_NS);
    assert_eq!(bench.get("/kv/b/k").text(), "for ever");
}

#[test]
fn times_that_are_none() {
    let mut bench = Bench::open();
    for ttl in [
        "0",
        "-1",
        "",
        "x",
        "1.5",
        "3153600001",
        "99999999999999999999",
    ] {
        let reply = bench.put(&format!("/kv/b/k?ttl={ttl}"), "", "x");
        assert_eq!(
            (reply.status, reply.problem()),
            (400, "bad-parameter"),
            "{ttl}"
        );
        assert!(reply.text().contains("3153600000"), "{reply:?}");
    }
    assert_eq!(bench.put("/kv/b/k?ttl=3153600000", "", "x").status, 201);
    assert_eq!(bench.get("/kv/b/k").text(), "x");
}

#[test]
fn an_answer_that_saw_the_end_waits_until_it_is_durable() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k?ttl=60", "", "soon");
    bench.be(Mood::Stuck);
    bench.pass(61 * SECOND_NS);
    let requests = [
        "GET /kv/b/k HTTP/1.1\r\nHost: l\r\n\r\n",
        "HEAD /kv/b/k HTTP/1.1\r\nHost: l\r\n\r\n",
        "GET /-/keys/b HTTP/1.1\r\nHost: l\r\n\r\n",
        "DELETE /kv/b/k HTTP/1.1\r\nHost: l\r\nIf-Match: *\r\n\r\n",
    ];
    let mut clients: Vec<harness::Client> = Vec::new();
    for request in requests {
        let mut client = bench.client();
        client.say(request);
        bench.run(&mut client);
        assert!(client.wire.output.is_empty(), "{request}");
        clients.push(client);
    }
    assert_eq!(bench.get("/healthz").status, 200);
    bench.be(Mood::Good);
    for _ in 0..1000 {
        bench.service.step_store(bench.now);
    }
    for (client, status) in clients.iter_mut().zip([404, 404, 200, 404]) {
        bench.run(client);
        let heads = String::from_utf8_lossy(&client.wire.output).into_owned();
        assert!(heads.starts_with(&format!("HTTP/1.1 {status} ")), "{heads}");
    }
}

#[test]
fn an_end_that_never_becomes_durable_is_told_in_bounded_time() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k?ttl=60", "", "soon");
    bench.be(Mood::Stuck);
    bench.pass(61 * SECOND_NS);
    let mut client = bench.client();
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: l\r\n\r\n");
    bench.run(&mut client);
    bench.pass(60 * SECOND_NS);
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        (replies[0].status, replies[0].problem()),
        (503, "store-busy")
    );
}
