//! `/-/keys` and `/-/buckets`.

use crate::harness::{self, Bench, TOKEN};

fn bench() -> Bench {
    let mut bench = Bench::open();
    for key in ["a", "a/1", "a/2", "b", "c%22%0a", "%ff", "z"] {
        assert_eq!(bench.put(&format!("/kv/b/{key}"), "", "x").status, 201);
    }
    bench
}

/// The keys of a page, and its next target.
fn keys(text: &str) -> (Vec<String>, Option<String>) {
    let mut found = Vec::new();
    for part in text.split("{\"").skip(2) {
        let (kind, rest) = part.split_once("\":\"").expect("a key");
        assert!(matches!(kind, "key" | "key64"), "{part}");
        let (value, _) = rest.split_once("\",\"size\":").expect("a size");
        found.push(if kind == "key" {
            value.into()
        } else {
            format!("64:{value}")
        });
    }
    let (_, next) = text.rsplit_once("\"next\":").expect("next");
    let next = next
        .strip_prefix('"')
        .map(|rest| rest.split('"').next().expect("text").into());
    (found, next)
}

#[test]
fn pages() {
    let mut bench = bench();
    for (query, expect) in [
        ("", &["a", "a/1", "a/2", "b", "c\\\"\\n", "z", "64:_w"][..]),
        ("?prefix=a/", &["a/1", "a/2"]),
        ("?prefix=a%2F&reverse=1", &["a/2", "a/1"]),
        ("?start=a/2&end=z", &["a/2", "b", "c\\\"\\n"]),
        ("?end=b", &["a", "a/1", "a/2"]),
        ("?start=c", &["c\\\"\\n", "z", "64:_w"]),
        ("?limit=2", &["a", "a/1"]),
        ("?limit=2&reverse=true", &["64:_w", "z"]),
        ("?prefix=%ff", &["64:_w"]),
        ("?prefix=nothing", &[]),
        (
            "?reverse=0&limit=1000",
            &["a", "a/1", "a/2", "b", "c\\\"\\n", "z", "64:_w"],
        ),
    ] {
        let reply = bench.get(&format!("/-/keys/b{query}"));
        assert_eq!(
            (reply.status, reply.the("Content-Type")),
            (200, "application/json")
        );
        assert_eq!(keys(reply.text()).0, expect, "{query}");
        assert!(reply.text().contains("\"seq\":"));
    }
    assert_eq!(
        keys(bench.get("/-/keys/nothing").text()),
        (Vec::new(), None)
    );
}

#[test]
fn following_next_gives_every_key_once() {
    let mut bench = bench();
    for order in ["", "&reverse=1"] {
        let mut target = Some(format!("/-/keys/b?limit=2{order}"));
        let mut all = Vec::new();
        while let Some(page) = target {
            let (found, next) = keys(bench.get(&page).text());
            assert!(!found.is_empty() && found.len() <= 2, "{page}");
            all.extend(found);
            target = next;
        }
        if !order.is_empty() {
            all.reverse();
        }
        assert_eq!(all, ["a", "a/1", "a/2", "b", "c\\\"\\n", "z", "64:_w"]);
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let mut bench = bench();
    for (query, status, problem) in [
        ("?values=1", 501, "not-yet"),
        ("?at=5", 410, "snapshot-gone"),
        ("?limit=0", 400, "bad-parameter"),
        ("?limit=1001", 400, "bad-parameter"),
        ("?limit=x", 400, "bad-parameter"),
        ("?reverse=yes", 400, "bad-parameter"),
        ("?page=2", 400, "bad-parameter"),
        ("?prefix=%f", 400, "bad-parameter"),
    ] {
        let reply = bench.get(&format!("/-/keys/b{query}"));
        assert_eq!(
            (reply.status, reply.problem()),
            (status, problem),
            "{query}"
        );
    }
    assert_eq!(bench.get("/-/keys/UPPER").problem(), "bad-bucket");
    assert_eq!(bench.get("/-/keys/").problem(), "bad-bucket");
    assert_eq!(bench.get("/-/keys").problem(), "no-such-path");
}

/// The object of a bucket without a quota.
fn bucket(name: &str, keys: u64, bytes: u64) -> String {
    format!(
        "{{\"name\":\"{name}\",\"keys\":{keys},\"bytes\":{bytes},\
         \"quota_bytes\":null,\"quota_keys\":null}}"
    )
}

#[test]
fn everybody_sees_what_everybody_may_read() {
    let mut bench = Bench::new(harness::with_tokens());
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for key in [
        "www/a",
        "www/b.rhai",
        "www/c.rhai",
        "www/d",
        "www/e.rhai",
        "private/k",
    ] {
        assert_eq!(bench.put(&format!("/kv/{key}"), &token, "x").status, 201);
    }
    assert_eq!(
        bench.get("/-/buckets").text(),
        format!("{{\"buckets\":[{}]}}\n", bucket("www", 5, 25))
    );
    assert_eq!(
        bench.with("GET", "/-/buckets", &token).text(),
        format!(
            "{{\"buckets\":[{},{}]}}\n",
            bucket("private", 1, 2),
            bucket("www", 5, 25)
        )
    );
    assert_eq!(keys(bench.get("/-/keys/www").text()).0, ["a", "d"]);
    let (first, next) = keys(bench.get("/-/keys/www?limit=1").text());
    assert_eq!(first, ["a"]);
    let (second, _) = keys(bench.get(&next.expect("more")).text());
    assert_eq!(second, ["d"]);
    let all = bench.with("GET", "/-/keys/www", &token);
    assert_eq!(keys(all.text()).0, ["a", "b.rhai", "c.rhai", "d", "e.rhai"]);
}
