//! The short way of plain GETs gives the answers of the long one.
//!
//! A head that comes in pieces always goes the long way.

use crate::harness::{Bench, READ_TOKEN, SECOND_NS, TOKEN, open, with_tokens};
use service::{Config, Progress};
use std::collections::BTreeMap;

/// The answer to a head that comes in pieces of so many bytes, and by how much each counter grew.
fn answer(bench: &mut Bench, head: &str, slice_max: usize) -> (String, Progress, Vec<u64>) {
    let before = counters(bench);
    let mut client = bench.client();
    client.wire.slice_max = slice_max;
    client.say(head);
    bench.run(&mut client);
    let output = std::mem::take(&mut client.wire.output);
    let text = String::from_utf8_lossy(&output).into_owned();
    let after = counters(bench);
    let grown = after.iter().filter_map(|(name, count)| {
        let before = before.get(name).unwrap_or(&0);
        // What the looks at the counters themselves add is the same each time.
        (count - before > 0).then_some(count - before)
    });
    (text, client.progress, grown.collect())
}

/// All counters of the service but the one of bytes sent, which this itself makes uneven.
fn counters(bench: &mut Bench) -> BTreeMap<String, u64> {
    let line = format!("Authorization: Bearer {TOKEN}\r\n");
    let text = bench.with("GET", "/metrics", &line).text().to_owned();
    let counters = text
        .lines()
        .filter(|line| line.starts_with("lampion_http_"));
    let counters = counters.filter(|line| line.contains("_total") && !line.contains("sent"));
    let pairs = counters.map(|line| line.rsplit_once(' ').expect("a name and a number"));
    pairs
        .map(|(name, count)| (name.to_owned(), count.parse().expect("a number")))
        .collect()
}

fn filled(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for (target, lines) in [
        ("/kv/b/plain", ""),
        ("/kv/b/a/b/c", "Content-Type: text/html\r\n"),
        (
            "/kv/b/all",
            "Content-Type: a/b\r\nContent-Encoding: gzip\r\nCache-Control: no-cache\r\n\
             Content-Disposition: attachment\r\n",
        ),
        ("/kv/b/soon?ttl=60", ""),
        ("/kv/b/gone?ttl=1", ""),
        ("/kv/www/page.html", ""),
        ("/kv/www/run.rhai", ""),
        // Keys that look like something else where they stand as they are.
        ("/kv/b/pl%2561in", ""),
        ("/kv/b/plain%3Fat=x", ""),
        ("/kv/b/plain%3F", ""),
        ("/kv/b/plain%23", ""),
        ("/kv/b/two%0D%0AX:", ""),
        ("/kv/b/two%0Alines", ""),
        ("/kv/b/a%20b", ""),
        ("/kv/b/%C3%A9", ""),
        ("/kv/b/it%27s", ""),
        ("/kv/b/%7E,;=+!()@:..", ""),
    ] {
        let lines = format!("{token}{lines}");
        let value = format!("the value of {target}");
        assert_eq!(bench.put(target, &lines, value).status, 201);
    }
    bench.put("/kv/b/empty", &token, "");
    bench.put("/kv/b/large", &token, vec![b'x'; 100_000]);
    bench.pass(2 * SECOND_NS);
    bench
}

/// One look at the bytes is enough; the long way takes a second one.
#[test]
fn what_is_plain_and_in_memory_goes_the_short_way() {
    let mut bench = filled(with_tokens());
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for (key, lines, offers) in [
        ("b/plain", bearer.as_str(), 1),
        ("b/all", &bearer, 1),
        ("b/soon", &bearer, 1),
        ("www/page.html", "", 1),
        (
            "www/page.html",
            "User-Agent: curl/8.5.0\r\nAccept: */*\r\n",
            1,
        ),
        ("b/~,;=+!()@:..", &bearer, 1),
        ("b/it's", &bearer, 2),
        ("b/plain?", &bearer, 2),
        ("www/run.rhai", &bearer, 2),
        ("b/plain", "", 2),
        ("b/none", &bearer, 2),
        ("b/large", &bearer, 2),
        ("b/pl%61in", &bearer, 2),
        ("www/page.html", "Range: bytes=0-0\r\n", 2),
    ] {
        let mut client = bench.client();
        client.say(format!("GET /kv/{key} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        bench.run(&mut client);
        assert_eq!(client.wire.offers, offers, "{key} {lines}");
    }
}

/// Blank lines before a request are forgiven, some each time.
#[test]
fn blank_lines_between_requests_add_up_to_nothing() {
    let mut bench = filled(open());
    let mut client = bench.client();
    for _ in 0..20 {
        client.say("GET /kv/b/plain HTTP/1.1\r\nHost: h\r\n\r\n");
        bench.run(&mut client);
        assert_eq!(
            client.replies().first().map(|reply| reply.status),
            Some(200)
        );
        client.say("\r\n");
        bench.run(&mut client);
    }
}

/// Request lines of other methods and versions, and hosts, are answered as they are in pieces.
#[test]
fn both_ways_read_lines_and_hosts_alike() {
    let mut bench = filled(open());
    let mut served = 0;
    for line in [
        "GET /kv/b/plain HTTP/1.1",
        "HEAD /kv/b/plain HTTP/1.1",
        "GET /kv/b/plain HTTP/1.0",
        "GET /kv/b/plain HTTP/1.2",
        "GET /kv/b/plain HTTP/2.0",
        "GET /kv/b/plain http/1.1",
        "GET  /kv/b/plain HTTP/1.1",
        "GET /kv/b/plain  HTTP/1.1",
        "GET /kv/b/plain",
        "get /kv/b/plain HTTP/1.1",
        "GET http://h/kv/b/plain HTTP/1.1",
    ] {
        for host in [
            "Host: h",
            "hOsT: h.example:8080",
            "HOST:  [::1]:80 ",
            "Host: ",
            "Host: h:123456",
            "Host: h i",
            "Host:h",
            "Host : h",
            "Ghost: h",
            "X: y",
        ] {
            let head = format!("{line}\r\n{host}\r\n\r\n");
            answer(&mut bench, &head, 1);
            let whole = answer(&mut bench, &head, usize::MAX);
            assert_eq!(whole, answer(&mut bench, &head, 1), "{head}");
            served += usize::from(whole.0.starts_with("HTTP/1.1 200"));
        }
    }
    assert!(served >= 15, "{served}");
}

/// What was made of a value is not told of the next one.
#[test]
fn a_value_that_changes_is_answered_as_it_is_now() {
    let mut bench = filled(open());
    let head = "GET /kv/b/plain HTTP/1.1\r\nHost: h\r\n\r\n";
    for number in 0..20 {
        let value = "x".repeat(number + 1);
        let media = format!("Content-Type: x/{number}\r\n");
        assert_eq!(bench.put("/kv/b/plain", &media, value.clone()).status, 204);
        for _ in 0..2 {
            let whole = answer(&mut bench, head, usize::MAX);
            assert_eq!(whole, answer(&mut bench, head, 1));
            assert!(whole.0.contains(&format!("Content-Type: x/{number}\r\n")));
            assert!(whole.0.ends_with(&format!("\r\n\r\n{value}")));
        }
        bench.pass(SECOND_NS);
    }
    assert_eq!(bench.with("DELETE", "/kv/b/plain", "").status, 204);
    let whole = answer(&mut bench, head, usize::MAX);
    assert!(whole.0.starts_with("HTTP/1.1 404"), "{}", whole.0);
}

#[test]
fn both_ways_give_the_same_answers() {
    let mut shared = with_tokens();
    shared.set("cors", "*").expect("an origin");
    for config in [open(), with_tokens(), shared] {
        let mut bench = filled(config);
        let wrong = "Authorization: Bearer 00000000\r\n".to_owned();
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let basic = "Authorization: Basic bGFtcGlvbjowMTIzNDU2Nzg5YWJjZGVm\r\n".to_owned();
        let mut served = 0;
        for key in [
            "b/plain",
            "b/a/b/c",
            "b/all",
            "b/soon",
            "b/gone",
            "b/empty",
            "b/large",
            "b/none",
            "none/k",
            "b/",
            "b",
            "",
            "www/page.html",
            "www/run.rhai",
            "!system/token",
            "b/pl%61in",
            "b/plain?at=x",
            "b/plain?",
            "b/plain#",
            "b/two\r\nX:",
            "b/two\nlines",
            "b/a b",
            "b/a%20b",
            "b/\u{e9}",
            "b/it's",
            "b/~,;=+!()@:..",
            "B/plain",
        ] {
            for lines in [
                String::new(),
                bearer(TOKEN),
                bearer(READ_TOKEN),
                basic.clone(),
                wrong.clone(),
                "User-Agent: curl/8.5.0\r\nAccept: */*\r\n".to_owned() + &bearer(TOKEN),
                "Range: bytes=1-2\r\n".to_owned() + &bearer(TOKEN),
                "If-None-Match: *\r\n".to_owned() + &bearer(TOKEN),
                "Connection: close\r\n".to_owned() + &bearer(TOKEN),
                "Accept-Language: \u{e9}\r\n".to_owned() + &bearer(TOKEN),
                "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n".to_owned() + &bearer(TOKEN),
                "Content-Length: 0\r\n".to_owned() + &bearer(TOKEN),
                "Host: h\r\n".to_owned() + &bearer(TOKEN),
                "X:y\r\n".to_owned() + &bearer(TOKEN),
            ] {
                let head = format!("GET /kv/{key} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
                // The first one removes what is over, and reads what is not in memory.
                let first = answer(&mut bench, &head, 1);
                let whole = answer(&mut bench, &head, usize::MAX);
                let parted = answer(&mut bench, &head, 1);
                assert_eq!((&first.0, first.1), (&parted.0, parted.1), "{head}");
                assert_eq!(whole, parted, "{head}");
                served += usize::from(whole.0.starts_with("HTTP/1.1 200"));
            }
        }
        assert!(served > 40, "{served}");
    }
}

/// Answers that the peer has little room for, and requests one behind the other.
#[test]
fn pipelined_requests_are_answered_in_order_whatever_the_room() {
    let mut bench = filled(open());
    let head = |key: &str| format!("GET /kv/b/{key} HTTP/1.1\r\nHost: h\r\n\r\n");
    let heads = [
        head("plain"),
        head("large"),
        head("none"),
        head("all"),
        head("plain"),
    ]
    .concat();
    let (expected, _) = bench.raw(heads.as_bytes());
    for room in [1, 100, 9_000, 50_000, 120_000] {
        let mut client = bench.client();
        client.wire.room = room;
        client.say(&heads);
        for _ in 0..1_000_000 {
            bench.run(&mut client);
            if client.wire.output.len() >= expected.len() {
                break;
            }
            client.wire.room = room;
        }
        assert!(client.wire.output == expected, "{room}");
    }
}
