//! `/kv/` and `/-/key64/`: values come back as they were put.

use crate::harness::{Bench, SECOND_NS, noise};

#[test]
fn a_value_comes_back_with_its_headers() {
    let mut bench = Bench::open();
    let kept = "Content-Type: text/x-poem\r\nContent-Encoding: br\r\n\
                Cache-Control: max-age=5\r\nContent-Disposition: attachment; filename=\"p\"\r\n";
    let put = bench.put("/kv/b/k", kept, "roses");
    assert_eq!(put.status, 201);
    assert_eq!(put.the("Content-Length"), "0");
    let get = bench.get("/kv/b/k");
    assert_eq!((get.status, get.text()), (200, "roses"));
    for (name, value) in [
        ("Content-Type", "text/x-poem"),
        ("Content-Encoding", "br"),
        ("Cache-Control", "max-age=5"),
        ("Content-Disposition", "attachment; filename=\"p\""),
        ("Content-Length", "5"),
        ("Last-Modified", "Thu, 19 Nov 2026 02:13:20 GMT"),
        ("Accept-Ranges", "bytes"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox"),
        ("ETag", put.the("ETag")),
    ] {
        assert_eq!(get.the(name), value, "{name}");
    }
    assert!(get.the("ETag").starts_with('"') && get.the("ETag").ends_with('"'));
    let head = bench.with("HEAD", "/kv/b/k", "");
    assert_eq!(head.fields, get.fields);
    let replaced = bench.put("/kv/b/k", "", "violets");
    assert_eq!(replaced.status, 204);
    assert_ne!(replaced.the("ETag"), put.the("ETag"));
    let get = bench.get("/kv/b/k");
    assert_eq!(
        (get.text(), get.the("Content-Type")),
        ("violets", "application/octet-stream")
    );
    assert_eq!(get.field("Content-Encoding"), None, "old headers are gone");
}

#[test]
fn deleting() {
    let mut bench = Bench::open();
    assert_eq!(bench.with("DELETE", "/kv/b/k", "").problem(), "no-such-key");
    bench.put("/kv/b/k", "", "x");
    assert_eq!(bench.with("DELETE", "/kv/b/k", "").status, 204);
    assert_eq!(bench.get("/kv/b/k").problem(), "no-such-key");
    assert_eq!(bench.with("HEAD", "/kv/b/k", "").status, 404);
    assert_eq!(bench.with("DELETE", "/kv/b/k", "").status, 404);
    assert_eq!(bench.put("/kv/b/k", "", "y").status, 201);
}

#[test]
fn keys_are_any_bytes_decoded_once_and_never_normalised() {
    let mut bench = Bench::open();
    let targets = [
        "/kv/b/a//b/../c/./",
        "/kv/b//",
        "/kv/b/..",
        "/kv/b/%2e%2e",
        "/kv/b/%252e",
        "/kv/b/%00%ff%0a",
        "/kv/b/a+b%20c",
        "/kv/b/%D0%BA%D0%BB%D1%8E%D1%87",
        "/kv/b/%3F%23",
        "/kv/b/|^\"<>`{}\\",
    ];
    for (index, target) in targets.iter().enumerate() {
        let status = bench.put(target, "", index.to_string()).status;
        assert_eq!(
            status,
            if *target == "/kv/b/%2e%2e" { 204 } else { 201 },
            "{target}"
        );
    }
    assert_eq!(bench.get("/kv/b/..").text(), "3", "%2e is a dot");
    assert_eq!(bench.get("/kv/b/%25%32%65").text(), "4");
    assert_eq!(bench.get("/-/key64/b/AP8K").text(), "5");
    assert_eq!(bench.get("/-/key64/b/0LrQu9GO0Yc").text(), "7");
    assert_eq!(bench.get("/-/key64/b/Lw==").text(), "1");
    assert_eq!(bench.put("/-/key64/b/-_8", "", "64").status, 201);
    assert_eq!(bench.get("/kv/b/%fb%ff").text(), "64");
    assert_eq!(bench.with("DELETE", "/-/key64/b/-_8", "").status, 204);
}

#[test]
fn names_that_are_none() {
    let mut bench = Bench::open();
    let longest = "k".repeat(1024);
    assert_eq!(bench.put(&format!("/kv/b/{longest}"), "", "x").status, 201);
    let too_long = format!("/kv/b/{longest}k");
    let escaped = format!("/kv/b/{}", "%41".repeat(1024));
    assert_eq!(bench.put(&escaped, "", "x").status, 201);
    let bucket = format!("/kv/{}/k", "b".repeat(65));
    for (target, problem) in [
        ("/kv/b/", "bad-key"),
        ("/kv/b", "bad-key"),
        ("/kv/", "bad-key"),
        (too_long.as_str(), "bad-key"),
        ("/kv/b/%", "bad-key"),
        ("/kv/b/%zz", "bad-key"),
        ("/kv//k", "bad-bucket"),
        ("/kv/B/k", "bad-bucket"),
        ("/kv/b.c/k", "bad-bucket"),
        ("/kv/$lampion/k", "bad-bucket"),
        ("/kv/%00/k", "bad-bucket"),
        (bucket.as_str(), "bad-bucket"),
        ("/-/key64/b/", "bad-key"),
        ("/-/key64/b/a", "bad-key"),
        ("/-/key64/b/a+b/", "bad-key"),
        ("/-/key64/b", "bad-key"),
    ] {
        for method in ["GET", "DELETE"] {
            let reply = bench.with(method, target, "");
            assert_eq!(
                (reply.status, reply.problem()),
                (400, problem),
                "{method} {target}"
            );
        }
        assert_eq!(
            bench.put(target, "", "x").problem(),
            problem,
            "PUT {target}"
        );
    }
}

#[test]
fn parameters_that_are_not_known_or_not_yet() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "x");
    for (method, target, status, problem) in [
        ("GET", "/kv/b/k?x=1", 400, "bad-parameter"),
        ("GET", "/kv/b/k?ttl=1", 400, "bad-parameter"),
        ("GET", "/kv/b/k?at=1", 404, "no-such-snapshot"),
        ("GET", "/kv/b/k?at=1&at=2", 400, "bad-parameter"),
        ("GET", "/kv/b/k?at=%", 400, "bad-parameter"),
        ("PUT", "/kv/b/k?at=5", 400, "bad-parameter"),
        ("DELETE", "/kv/b/k?ttl=5", 400, "bad-parameter"),
        ("GET", "/healthz?x", 400, "bad-parameter"),
        ("GET", "/metrics?x", 400, "bad-parameter"),
        ("GET", "/-/buckets?x", 400, "bad-parameter"),
    ] {
        let reply = bench.with(method, target, "");
        assert_eq!(
            (reply.status, reply.problem()),
            (status, problem),
            "{method} {target}"
        );
    }
    assert_eq!(bench.get("/kv/b/k?").text(), "x");
}

#[test]
fn puts_that_are_refused() {
    let mut bench = Bench::open();
    let partial = bench.put("/kv/b/k", "Content-Range: bytes 0-0/5\r\n", "x");
    assert_eq!((partial.status, partial.problem()), (400, "partial-put"));
    let long = format!("Content-Type: {}\r\n", "a".repeat(1001));
    assert_eq!(bench.put("/kv/b/k", &long, "x").problem(), "bad-header");
    let huge = bench.with("PUT", "/kv/b/k", "Content-Length: 99999999999\r\n");
    assert!(matches!(huge.status, 413 | 507), "{huge:?}");
    assert!(huge.text().contains("limit_bytes"), "{huge:?}");
    assert_eq!(bench.get("/kv/b/k").status, 404);
}

#[test]
fn a_full_disk_says_so_with_numbers_and_still_deletes() {
    let mut bench = Bench::sized(crate::harness::open(), 16 << 20);
    let value = noise(200_000);
    let mut stored = 0;
    let refused = loop {
        let reply = bench.put(&format!("/kv/b/{stored}"), "", &value);
        if reply.status != 201 {
            break reply;
        }
        stored += 1;
        assert!(stored < 1000, "the disk is never full");
    };
    assert_eq!(
        (refused.status, refused.problem()),
        (507, "no-space-disk"),
        "{refused:?}"
    );
    assert!(
        refused.text().contains("\"limit_bytes\":") && refused.text().contains("\"used_bytes\":")
    );
    assert!(bench.get("/kv/b/0").body == value);
    assert_eq!(bench.with("DELETE", "/kv/b/0", "").status, 204);
}

#[test]
fn an_empty_value_is_a_value() {
    let mut bench = Bench::open();
    let bare = bench.ask("PUT /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(bare.status, 201);
    let get = bench.get("/kv/b/k");
    assert_eq!(
        (get.status, get.the("Content-Length"), get.body.len()),
        (200, "0", 0)
    );
    assert_eq!(bench.put("/kv/b/k", "", "").status, 204);
    let chunked = "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(bench.ask(chunked).status, 204);
}

#[test]
fn values_of_many_sizes_come_back() {
    let mut bench = Bench::open();
    for len in [
        1,
        511,
        512,
        4095,
        4096,
        65_535,
        65_536,
        65_537,
        131_072,
        200_001,
        1 << 20,
    ] {
        let value = noise(len);
        assert_eq!(
            bench.put(&format!("/kv/b/{len}"), "", &value).status,
            201,
            "{len}"
        );
        let reply = bench.get(&format!("/kv/b/{len}"));
        assert!(reply.body == value, "{len}");
    }
}

/// RFC 9110 section 8.8.2.1.
#[test]
fn last_modified_is_never_later_than_the_answer() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "x");
    let modified = bench.get("/kv/b/k").the("Last-Modified").to_owned();
    bench.pass(10 * SECOND_NS);
    assert_eq!(bench.get("/kv/b/k").the("Last-Modified"), modified);
    bench.now.wall_ns -= 3_600 * SECOND_NS;
    for _ in 0..2 {
        let get = bench.get("/kv/b/k");
        assert_eq!(get.the("Last-Modified"), get.the("Date"));
        assert_ne!(get.the("Date"), modified);
    }
    bench.now.wall_ns += 7_200 * SECOND_NS;
    assert_eq!(bench.get("/kv/b/k").the("Last-Modified"), modified);
    bench.now.wall_ns = 5 * SECOND_NS;
    bench.put("/kv/b/unknown", "", "x");
    bench.now.wall_ns = crate::harness::WALL_NS;
    for _ in 0..2 {
        assert_eq!(bench.get("/kv/b/unknown").field("Last-Modified"), None);
    }
}
