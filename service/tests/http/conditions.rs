//! Conditional requests through the store.

use crate::harness::Bench;

const AT: &str = "Thu, 19 Nov 2026 02:13:20 GMT";
const BEFORE: &str = "Thu, 19 Nov 2026 02:13:19 GMT";

/// A bench with `/kv/b/k`, and its ETag.
fn bench() -> (Bench, String) {
    let mut bench = Bench::open();
    let etag = bench
        .put("/kv/b/k", "Cache-Control: max-age=1\r\n", "value")
        .the("ETag")
        .to_owned();
    (bench, etag)
}

#[test]
fn reads() {
    let (mut bench, tag) = bench();
    for (lines, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: W/{tag}, \"x\""), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"x\"".into(), 200),
        (format!("If-Modified-Since: {AT}"), 304),
        (format!("If-Modified-Since: {BEFORE}"), 200),
        ("If-Modified-Since: yesterday".into(), 200),
        (format!("If-Match: {tag}"), 200),
        ("If-Match: *".into(), 200),
        ("If-Match: \"x\"".into(), 412),
        (format!("If-Unmodified-Since: {BEFORE}"), 412),
        (format!("If-Unmodified-Since: {AT}"), 200),
        ("If-Match: x".into(), 400),
        (
            format!("If-Modified-Since: {AT}\r\nIf-None-Match: \"x\""),
            200,
        ),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {tag}"), 412),
        (
            format!("If-Match: {tag}\r\nIf-Unmodified-Since: {BEFORE}"),
            200,
        ),
        (format!("If-None-Match: {tag}\r\nRange: bytes=0-0"), 304),
        ("If-Match: \"x\"\r\nRange: bytes=0-0".into(), 412),
        (format!("If-Match: {tag}\r\nRange: bytes=0-0"), 206),
        (format!("If-Match: {tag}\r\nRange: bytes=9-"), 416),
    ] {
        for method in ["GET", "HEAD"] {
            let status = if method == "HEAD" && matches!(status, 206 | 416) {
                200
            } else {
                status
            };
            let reply = bench.with(method, "/kv/b/k", &format!("{lines}\r\n"));
            assert_eq!(reply.status, status, "{method} {lines}");
            if status == 304 {
                assert_eq!(reply.the("ETag"), tag);
                assert_eq!(reply.the("Cache-Control"), "max-age=1");
                assert_eq!(reply.the("Last-Modified"), AT);
                assert_eq!(reply.field("Content-Type"), None);
            }
        }
        // Nothing is there: the conditions do not count (RFC 9110 section 13.2.1).
        let none = bench.with("GET", "/kv/b/none", &format!("{lines}\r\n"));
        assert_eq!(none.status, 404);
    }
}

#[test]
fn writes() {
    let fresh = [
        ("/kv/b/new", "If-None-Match: *", 201),
        ("/kv/b/new", "If-Match: *", 412),
        ("/kv/b/new", "If-Match: \"x\"", 412),
        ("/kv/b/new", "If-None-Match: \"x\"", 201),
        ("/kv/b/k", "If-None-Match: *", 412),
        ("/kv/b/k", "If-None-Match: \"x\"", 204),
        ("/kv/b/k", "If-Match: *", 204),
        ("/kv/b/k", "If-Match: \"x\"", 412),
        ("/kv/b/k", "If-Match: TAG", 204),
        ("/kv/b/k", "If-Match: \"x\", TAG", 204),
        ("/kv/b/k", "If-Match: W/TAG", 412),
        ("/kv/b/k", "If-None-Match: TAG", 412),
        ("/kv/b/k", "If-None-Match: W/TAG", 412),
        (
            "/kv/b/k",
            "If-Unmodified-Since: Thu, 19 Nov 2026 02:13:20 GMT",
            204,
        ),
        (
            "/kv/b/k",
            "If-Unmodified-Since: Thu, 19 Nov 2026 02:13:19 GMT",
            412,
        ),
        (
            "/kv/b/new",
            "If-Unmodified-Since: Thu, 19 Nov 2026 02:13:19 GMT",
            201,
        ),
        (
            "/kv/b/k",
            "If-Modified-Since: Thu, 19 Nov 2026 02:13:20 GMT",
            204,
        ),
        ("/kv/b/k", "If-Match: TAG\r\nIf-None-Match: \"x\"", 204),
        ("/kv/b/k", "If-Match: TAG\r\nIf-None-Match: *", 412),
        ("/kv/b/k", "If-Match: x", 400),
        ("/kv/b/k", "If-None-Match: \"a\" \"b\"", 400),
    ];
    for (target, lines, status) in fresh {
        let (mut bench, tag) = bench();
        let lines = format!("{}\r\n", lines.replace("TAG", &tag));
        let reply = bench.put(target, &lines, "changed");
        assert_eq!(reply.status, status, "{target} {lines}");
        if status == 412 && target == "/kv/b/k" {
            assert_eq!(reply.the("ETag"), tag);
        }
        let changed = bench.get(target).body == b"changed";
        assert_eq!(changed, status < 300, "{target} {lines}");
    }
}

#[test]
fn deletes() {
    for (target, lines, status) in [
        ("/kv/b/k", "If-Match: TAG", 204),
        ("/kv/b/k", "If-Match: *", 204),
        ("/kv/b/k", "If-Match: \"x\"", 412),
        ("/kv/b/k", "If-None-Match: *", 412),
        ("/kv/b/none", "If-Match: *", 404),
        ("/kv/b/none", "If-Match: \"x\"", 404),
    ] {
        let (mut bench, tag) = bench();
        let reply = bench.with(
            "DELETE",
            target,
            &format!("{}\r\n", lines.replace("TAG", &tag)),
        );
        assert_eq!(reply.status, status, "{target} {lines}");
        assert_eq!(
            bench.get("/kv/b/k").status,
            if status == 204 { 404 } else { 200 }
        );
    }
}

#[test]
fn compare_and_swap_has_one_winner() {
    let (mut bench, tag) = bench();
    let mut clients: Vec<_> = (0..8)
        .map(|number| {
            let mut client = bench.client();
            let line = format!("If-Match: {tag}\r\n");
            client.say(crate::harness::put("/kv/b/k", &line, &[b'0' + number]));
            client
        })
        .collect();
    // All hand in their changes before the store takes a step.
    for client in &mut clients {
        client.step(&mut bench);
    }
    let mut statuses = Vec::new();
    for client in &mut clients {
        bench.run(client);
        statuses.push(client.replies()[0].status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 412, 412, 412, 412, 412, 412, 412]);
}
