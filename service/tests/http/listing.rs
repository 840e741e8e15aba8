//! `/-/keys` and `/-/buckets`.

use crate::harness::{self, Bench, TOKEN};
use crate::replies::Reply;

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
        ("?values=2", 400, "bad-parameter"),
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

/// The object of a bucket without a quota, as visible as usual.
fn bucket(name: &str, keys: u64, bytes: u64) -> String {
    let public = name == "www";
    format!(
        "{{\"name\":\"{name}\",\"keys\":{keys},\"bytes\":{bytes},\
         \"quota_bytes\":null,\"quota_keys\":null,\"public\":{public}}}"
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

/// The target of the page behind this one.
fn next(page: &Reply) -> Option<String> {
    let (_, next) = page.text().rsplit_once("\"next\":").expect("next");
    let next = next.strip_prefix('"')?;
    next.split('"').next().map(str::to_owned)
}

/// What is told of each value on a page, in order.
fn values(text: &str) -> Vec<String> {
    let parts = text.split("\"modified_ms\":").skip(1);
    let told = parts.map(|part| {
        let (object, _) = part.split_once('}').expect("an object");
        let (_, value) = object.split_once(",\"value").expect("a value");
        value.to_owned()
    });
    told.collect()
}

#[test]
fn values_come_along() {
    let mut bench = Bench::open();
    bench.put("/kv/b/1", "", "a \"b\"\n");
    bench.put("/kv/b/2", "", [0, 255]);
    bench.put("/kv/b/3", "", "");
    bench.put("/kv/b/4", "", "\u{1b}[1m");
    bench.put("/kv/b/5", "", vec![b'x'; 65_537]);
    bench.put("/kv/b/6?ttl=60", "", "soon");
    let expect = [
        "\":\"a \\\"b\\\"\\n\"",
        "64\":\"AP8\"",
        "\":\"\"",
        "64\":\"G1sxbQ\"",
        "\":null",
        "\":\"soon\"",
    ];
    for mut bench in [bench.restarted(), bench] {
        let reply = bench.get("/-/keys/b?values=1");
        assert_eq!(values(reply.text()), expect, "{}", reply.text());
        assert!(reply.text().contains("\"next\":null,\"seq\":"));
        assert_eq!(
            reply.text().replace('"', "").matches("size:65537").count(),
            1
        );
        let some = bench.get("/-/keys/b?values=1&limit=2&reverse=1");
        assert_eq!(values(some.text()), [expect[5], expect[4]]);
        let (_, next) = keys(&some.text().replace(",\"value", "\",\"size\":,\"x"));
        assert!(next.is_some_and(|next| next.ends_with("&reverse=1&values=1")));
        let none = bench.get("/-/keys/b?values=0");
        assert!(!none.text().contains("value"));
        bench.pass(61 * harness::SECOND_NS);
        let later = bench.get("/-/keys/b?values=1");
        assert_eq!(values(later.text()), expect[..5]);
    }
}

#[test]
fn a_page_of_values_is_cut_where_it_grows_too_long_and_goes_on_there() {
    let mut bench = Bench::open();
    for n in 0..20 {
        bench.put(&format!("/kv/b/{n:02}"), "", vec![b'"'; 30_000]);
    }
    let mut bench = bench.restarted();
    let (mut target, mut found, mut pages) = ("/-/keys/b?values=1".to_owned(), 0, 0);
    loop {
        let reply = bench.get(&target);
        assert_eq!(reply.status, 200);
        assert!(reply.body.len() < 300_000, "{}", reply.body.len());
        found += values(reply.text()).len();
        pages += 1;
        match next(&reply) {
            Some(next) => target = next,
            None => break,
        }
    }
    assert_eq!((found, pages), (20, 10));
}

#[test]
fn pages_of_values_share_some_memory() {
    let mut config = harness::open();
    config.limits.bodies_bytes = 100_000;
    let mut bench = Bench::new(config);
    bench.put("/kv/b/1", "", vec![b'x'; 20_000]);
    bench.put("/kv/b/2", "", vec![b'x'; 20_000]);
    assert_eq!(bench.get("/-/keys/b?values=1&limit=1").status, 200);
    // Those that nobody reads take their parts of it.
    let mut clients: Vec<_> = (0..2).map(|_| bench.client()).collect();
    for client in &mut clients {
        client.wire.room = 0;
        client.say("GET /-/keys/b?values=1&limit=1 HTTP/1.1\r\nHost: h\r\n\r\n");
        bench.settle(client);
    }
    let reply = bench.get("/-/keys/b?values=1&limit=1");
    assert_eq!((reply.status, reply.problem()), (503, "no-memory"));
    for client in &mut clients {
        client.wire.room = usize::MAX;
        bench.run(client);
        assert_eq!(client.replies()[0].status, 200);
    }
    assert_eq!(bench.get("/-/keys/b?values=1&limit=1").status, 200);
    let metrics = bench.get("/metrics");
    assert!(metrics.text().contains("\nlampion_http_bodies_bytes 0\n"));
}

#[test]
fn a_value_that_cannot_be_read_is_told_beside_the_others() {
    let mut bench = Bench::open();
    bench.put("/kv/b/1", "", "good value");
    bench.put("/kv/b/2", "", "the damaged one");
    bench.put("/kv/b/3", "", "another good one");
    let mut bench = bench.restarted();
    assert_eq!(bench.damage(b"the damaged one", 64 << 20), 1);
    let reply = bench.get("/-/keys/b?values=1");
    let told = [
        "\":\"good value\"",
        "\":null,\"problem\":\"value-corrupt\"",
        "\":\"another good one\"",
    ];
    assert_eq!(values(reply.text()), told, "{}", reply.text());
}

#[test]
fn a_list_goes_on_behind_the_longest_key_and_ends_where_keys_are_long() {
    let mut bench = Bench::open();
    let long = |n: u8| format!("{}{}", char::from(b'a' + n), "%01".repeat(1_023));
    for n in 0..26 {
        assert_eq!(bench.put(&format!("/kv/b/{}", long(n)), "", "").status, 201);
    }
    for query in ["limit=1", "limit=1&reverse=1", "limit=1000", "values=1"] {
        let (mut target, mut found) = (format!("/-/keys/b?{query}"), 0);
        loop {
            let reply = bench.get(&target);
            assert_eq!(reply.status, 200, "{target}");
            assert!(reply.body.len() < 256 * 1024, "{}", reply.body.len());
            found += reply.text().matches("\"size\":").count();
            match next(&reply) {
                Some(next) => target = next,
                None => break,
            }
        }
        assert_eq!(found, 26, "{query}");
    }
    for query in ["start", "prefix", "end"] {
        let reply = bench.get(&format!("/-/keys/b?{query}={}", "a".repeat(1_026)));
        assert_eq!(reply.problem(), "bad-parameter", "{query}");
    }
}
