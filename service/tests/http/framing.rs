//! Where requests end: smuggling, chunks, unwanted bodies, `100 Continue`.

use crate::harness::{self, Bench};
use crate::syntax::{Then, check};

/// What a smuggler would like to see answered.
const SECOND: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn ambiguous_requests_are_refused_and_closed() {
    let lines = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 0",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5a",
        "Content-Length: \"5\"",
        "Content-Length: 5.0",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Content-Length: 5\r\n Transfer-Encoding: chunked",
        "X: y\r\n\tContent-Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding\x0b: chunked",
        " Transfer-Encoding: chunked",
        "\tTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\r\n\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: Content-Length",
    ];
    for line in lines {
        for method in ["PUT /kv/b/k", "GET /healthz", "DELETE /kv/b/k"] {
            let input = format!("{method} HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n0\r\n\r\n{SECOND}");
            check(input.as_bytes(), &[400], Then::Closed);
        }
    }
}

#[test]
fn unknown_codings_are_not_implemented() {
    for line in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: a, b ,\tChunked",
    ] {
        let input = format!("PUT /kv/b/k HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n0\r\n\r\n{SECOND}");
        check(input.as_bytes(), &[501], Then::Closed);
    }
}

#[test]
fn the_old_version_has_no_codings() {
    let input =
        format!("PUT /kv/b/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}");
    check(input.as_bytes(), &[400], Then::Closed);
}

#[test]
fn broken_chunks_end_the_connection() {
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(20_000));
    let trailers = format!("0\r\nX: {}\r\n\r\n", "e".repeat(5000));
    for body in [
        "5\r\nhello0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "g\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        &long,
        &trailers,
    ] {
        let input = format!(
            "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SECOND}"
        );
        check(input.as_bytes(), &[400], Then::Closed);
    }
}

#[test]
fn chunked_bodies_arrive_whole_at_every_split() {
    let body = "5\r\nhello\r\n1;ext=\"1\"\r\n \r\n05\r\nworld\r\n000\r\nX-Sum: 1\r\n\r\n";
    let input = format!(
        "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n{body}\
         GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n"
    );
    for split in 0..input.len() {
        let mut bench = Bench::open();
        let mut client = bench.client();
        client.say(&input[..split]);
        bench.run(&mut client);
        client.say(&input[split..]);
        bench.run(&mut client);
        let replies = client.replies();
        assert_eq!(replies.len(), 2, "split at {split}");
        assert_eq!((replies[0].status, replies[1].text()), (201, "hello world"));
    }
}

#[test]
fn bodies_nobody_wants_are_read_and_dropped() {
    let mut bench = Bench::new(harness::with_tokens());
    for input in [
        "GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let replies = bench.talk(format!("{input}{SECOND}").as_bytes());
        assert_eq!(replies.len(), 2, "{input}");
        assert_eq!(replies[1].text(), "ok\n");
    }
    for input in [
        "GET /healthz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhello",
    ] {
        let replies = bench.talk(format!("{input}{SECOND}").as_bytes());
        assert_eq!(replies.len(), 1, "{input}");
        assert_eq!(replies[0].the("Connection"), "close");
    }
}

#[test]
fn continue_is_said_only_to_a_body_that_is_wanted() {
    let ask = |bench: &mut Bench, target: &str, lines: &str| {
        let mut client = bench.client();
        client.say(format!(
            "PUT {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\
             Expect: 100-Continue\r\n{lines}\r\n"
        ));
        bench.run(&mut client);
        client
    };
    let mut bench = Bench::new(harness::with_tokens());
    let token = format!("Authorization: Bearer {}\r\n", harness::TOKEN);
    let mut client = ask(&mut bench, "/kv/b/k", &token);
    assert_eq!(client.wire.output, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.wire.output.clear();
    client.say("hello");
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 201);
    let none = format!("{token}If-None-Match: *\r\n");
    let range = format!("{token}Content-Range: bytes 0-4/9\r\n");
    for (target, lines, status) in [
        ("/kv/b/k", "", 401),
        ("/kv/b/k", none.as_str(), 412),
        ("/kv/b/k", range.as_str(), 400),
        ("/kv/B/k", token.as_str(), 400),
        ("/kv/b/k?ttl=0", token.as_str(), 400),
        ("/healthz", token.as_str(), 405),
    ] {
        let mut client = ask(&mut bench, target, lines);
        let replies = client.replies();
        assert_eq!(replies.len(), 1);
        assert_eq!(
            (replies[0].status, replies[0].the("Connection")),
            (status, "close"),
            "{target} {lines}"
        );
    }
}

#[test]
fn expectations() {
    let get = |line: &str| format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
    check(get("Expect: 100-continue").as_bytes(), &[200], Then::Open);
    check(get("Expect: 200-ok").as_bytes(), &[417], Then::Closed);
    check(
        get("Expect: 100-continue, x").as_bytes(),
        &[417],
        Then::Closed,
    );
    let mut bench = Bench::open();
    let old = b"PUT /kv/b/k HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi";
    let (output, _) = bench.raw(old);
    assert!(
        output.starts_with(b"HTTP/1.1 201 "),
        "HTTP/1.0 knows no interim answers"
    );
}

#[test]
fn half_requests_are_answered_or_closed() {
    let mut bench = Bench::open();
    for (input, status) in [
        ("", None),
        ("GET /heal", None),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\n", None),
        (
            "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell",
            Some(400),
        ),
        (
            "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            Some(400),
        ),
    ] {
        let mut client = bench.client();
        client.say(input);
        client.wire.end = Some(service::Input::Finished);
        bench.run(&mut client);
        assert_eq!(client.progress, service::Progress::Finish, "{input}");
        assert_eq!(
            client.replies().first().map(|reply| reply.status),
            status,
            "{input}"
        );
    }
    assert_eq!(bench.get("/kv/b/k").status, 404);
}

#[test]
fn a_peer_that_only_stops_sending_still_gets_its_answer() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "value");
    let mut client = bench.client();
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    client.wire.end = Some(service::Input::Finished);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].text(), "value");
    assert_eq!(client.progress, service::Progress::Finish);
}
