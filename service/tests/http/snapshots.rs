//! Snapshots: taken, read through `at`, rolled back to, undone and forgotten.

use crate::harness::{self, Bench, SECOND_NS, TOKEN, WALL_NS};
use crate::replies::Reply;

fn take(bench: &mut Bench, name: &str) -> Reply {
    let taken = bench.admin("PUT", &format!("/-/admin/snapshots/{name}"), "", "");
    assert_eq!(taken.status, 201, "{taken:?}");
    taken
}

fn roll_back(bench: &mut Bench, name: &str, query: &str) -> String {
    roll_back_without(bench, name, query, 0)
}

/// The same, where the time of some keys is over.
fn roll_back_without(bench: &mut Bench, name: &str, query: &str, expired: u64) -> String {
    let target = format!("/-/admin/snapshots/{name}/rollback{query}");
    let reply = bench.admin("POST", &target, "", "");
    assert_eq!(reply.status, 200, "{reply:?}");
    let (_, rest) = reply.text().split_once("\"undo\":\"").expect("a name");
    let undo = rest.split('"').next().expect("a name").to_owned();
    assert_eq!(
        reply.text(),
        format!("{{\"snapshot\":\"{name}\",\"undo\":\"{undo}\",\"expired_keys\":{expired}}}\n")
    );
    undo
}

/// The sequence in a snapshot's object.
fn seq(text: &str) -> u64 {
    let (_, rest) = text.split_once("\"seq\":").expect("a sequence");
    rest.split(',').next().expect("digits").parse().expect("it")
}

#[test]
fn a_snapshot_is_taken_listed_and_forgotten() {
    let mut bench = Bench::open();
    bench.put("/kv/b/key", "", "value");
    let none = bench.admin("GET", "/-/admin/snapshots", "", "");
    assert_eq!((none.status, none.text()), (200, "{\"snapshots\":[]}\n"));
    let taken = take(&mut bench, "monday");
    let seq = seq(taken.text());
    let taken_ms = WALL_NS / 1_000_000;
    let object = |held: &str| {
        format!(
            "{{\"name\":\"monday\",\"seq\":{seq},\"taken_ms\":{taken_ms},\"keys\":1,\
             \"bytes\":8,\"held_bytes\":{held}}}"
        )
    };
    let (being_counted, nothing) = (object("null"), object("0"));
    let texts = [being_counted, nothing].map(|object| format!("{object}\n"));
    assert!(texts.contains(&taken.text().to_owned()), "{taken:?}");
    assert_eq!(taken.the("Content-Type"), "application/json");
    bench.service.step_store(bench.now);
    bench.put("/kv/b/key", "", "another value");
    let object = object("8");
    let metrics = bench.get("/metrics");
    assert!(metrics.text().contains("\nlampion_store_held_bytes 8\n"));
    let one = bench.admin("GET", "/-/admin/snapshots/monday", "", "");
    assert_eq!(one.text(), format!("{object}\n"));
    let all = bench.admin("GET", "/-/admin/snapshots", "", "");
    assert_eq!(all.text(), format!("{{\"snapshots\":[{object}]}}\n"));
    let again = bench.admin("PUT", "/-/admin/snapshots/monday", "", "");
    assert_eq!((again.status, again.problem()), (409, "snapshot-exists"));
    let gone = bench.admin("DELETE", "/-/admin/snapshots/monday", "", "");
    assert_eq!(gone.status, 204);
    for (method, target) in [
        ("GET", "/-/admin/snapshots/monday"),
        ("DELETE", "/-/admin/snapshots/monday"),
        ("POST", "/-/admin/snapshots/monday/rollback"),
    ] {
        let reply = bench.admin(method, target, "", "");
        assert_eq!((reply.status, reply.problem()), (404, "no-such-snapshot"));
    }
}

#[test]
fn they_take_no_body() {
    let mut bench = Bench::open();
    for (method, target) in [
        ("PUT", "/-/admin/snapshots/s"),
        ("POST", "/-/admin/snapshots/s/rollback"),
    ] {
        let reply = bench.admin(method, target, "", "{}");
        assert_eq!((reply.status, reply.problem()), (400, "unexpected-body"));
    }
    let list = bench.admin("GET", "/-/admin/snapshots", "", "");
    assert_eq!(list.text(), "{\"snapshots\":[]}\n");
}

#[test]
fn values_are_read_as_they_were() {
    let mut bench = Bench::open();
    let put = bench.put("/kv/b/k", "Content-Type: text/x-poem\r\n", "roses");
    let etag = put.the("ETag").to_owned();
    let seq = seq(take(&mut bench, "s").text());
    bench.put("/kv/b/k", "", "violets");
    bench.put("/kv/b/new", "", "x");
    for at in ["s".to_owned(), seq.to_string()] {
        for target in [format!("/kv/b/k?at={at}"), format!("/-/key64/b/aw?at={at}")] {
            let then = bench.get(&target);
            assert_eq!((then.status, then.text()), (200, "roses"), "{target}");
            assert_eq!(then.the("ETag"), etag);
            assert_eq!(then.the("Content-Type"), "text/x-poem");
            assert_eq!(bench.with("HEAD", &target, "").fields, then.fields);
            let fresh = format!("If-None-Match: {etag}\r\n");
            assert_eq!(bench.with("GET", &target, &fresh).status, 304);
            let other = "If-Match: \"other\"\r\n";
            assert_eq!(bench.with("GET", &target, other).status, 412);
            let part = bench.with("GET", &target, "Range: bytes=1-2\r\n");
            assert_eq!((part.status, part.text()), (206, "os"));
        }
        let unborn = bench.get(&format!("/kv/b/new?at={at}"));
        assert_eq!((unborn.status, unborn.problem()), (404, "no-such-key"));
    }
    assert_eq!(bench.get("/kv/b/k").text(), "violets");
    bench.with("DELETE", "/kv/b/k", "");
    assert_eq!(bench.get("/kv/b/k?at=s").text(), "roses");
}

#[test]
fn what_is_no_snapshot() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "x");
    let seq = seq(take(&mut bench, "s").text());
    for at in [
        "none",
        "0",
        &(seq + 1).to_string(),
        "99999999999999999999999",
    ] {
        let value = bench.get(&format!("/kv/b/k?at={at}"));
        assert_eq!((value.status, value.problem()), (404, "no-such-snapshot"));
        let page = bench.get(&format!("/-/keys/b?at={at}"));
        assert_eq!((page.status, page.problem()), (410, "snapshot-gone"));
    }
    for at in ["", "S", "a%2Fb", "%00", "-%2B1"] {
        for target in [format!("/kv/b/k?at={at}"), format!("/-/keys/b?at={at}")] {
            let reply = bench.get(&target);
            assert_eq!(
                (reply.status, reply.problem()),
                (400, "bad-parameter"),
                "{target}"
            );
        }
    }
}

#[test]
fn a_name_of_digits_is_a_name_first() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "old");
    let seq = seq(take(&mut bench, "old").text());
    bench.put("/kv/b/k", "", "new");
    assert_eq!(bench.get(&format!("/kv/b/k?at={seq}")).text(), "old");
    take(&mut bench, &seq.to_string());
    assert_eq!(bench.get(&format!("/kv/b/k?at={seq}")).text(), "new");
}

#[test]
fn pages_of_keys_stay_in_their_snapshot() {
    let mut bench = Bench::open();
    for key in 0..5 {
        bench.put(&format!("/kv/b/{key}"), "", "x");
    }
    let seq = seq(take(&mut bench, "s").text());
    for key in 0..9 {
        bench.put(&format!("/kv/b/{key}"), "", "changed");
    }
    bench.with("DELETE", "/kv/b/2", "");
    let mut target = "/-/keys/b?limit=2&at=s".to_owned();
    let mut found = String::new();
    let mut pages = 0;
    loop {
        let page = bench.get(&target);
        assert_eq!(page.status, 200, "{target}");
        assert!(page.text().ends_with(&format!(",\"seq\":{seq}}}\n")));
        found.push_str(page.text());
        pages += 1;
        let (_, next) = page.text().split_once("\"next\":").expect("next");
        let Some(next) = next.strip_prefix('"') else {
            break;
        };
        target = next.split('"').next().expect("a target").to_owned();
        assert!(target.contains("at=s"), "{target}");
    }
    assert_eq!(pages, 3);
    for key in 0..9 {
        let key_there = found.contains(&format!("\"key\":\"{key}\",\"size\":1,"));
        assert_eq!(key_there, key < 5, "{key} in {found}");
    }
    bench.admin("DELETE", "/-/admin/snapshots/s", "", "");
    assert_eq!(bench.get(&target).problem(), "snapshot-gone");
}

#[test]
fn scripts_are_hidden_in_the_past_too() {
    let mut bench = Bench::new(harness::with_tokens());
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for key in ["www/a", "www/b.rhai", "b/k"] {
        bench.put(&format!("/kv/{key}"), &token, "x");
    }
    assert_eq!(
        bench
            .admin("PUT", "/-/admin/snapshots/s", &token, "")
            .status,
        201
    );
    assert_eq!(bench.get("/kv/www/a?at=s").status, 200);
    for target in ["/kv/www/b.rhai?at=s", "/kv/b/k?at=s", "/-/keys/b?at=s"] {
        assert_eq!(bench.get(target).status, 401, "{target}");
        assert_eq!(bench.with("GET", target, &token).status, 200, "{target}");
    }
    assert_eq!(
        bench.get("/kv/b/k?at=none").status,
        401,
        "who may not read learns no names"
    );
    let page = bench.get("/-/keys/www?at=s");
    assert!(page.status == 200 && !page.text().contains("rhai"));
}

#[test]
fn a_rollback_can_be_undone() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "then");
    bench.put("/kv/c/k", "", "then");
    take(&mut bench, "s");
    bench.put("/kv/b/k", "", "now");
    bench.put("/kv/b/l", "", "now");
    bench.put("/kv/c/k", "", "now");
    let of_b = roll_back(&mut bench, "s", "?bucket=b");
    let shown = |bench: &mut Bench| {
        ["b/k", "b/l", "c/k"].map(|key| {
            let reply = bench.get(&format!("/kv/{key}"));
            (reply.status == 200).then(|| reply.text().to_owned())
        })
    };
    let (then, now) = (Some("then".to_owned()), Some("now".to_owned()));
    assert_eq!(shown(&mut bench), [then.clone(), None, now.clone()]);
    let undo = roll_back(&mut bench, "s", "");
    assert_eq!(shown(&mut bench), [then.clone(), None, then.clone()]);
    roll_back(&mut bench, &undo, "");
    assert_eq!(shown(&mut bench), [then, None, now.clone()]);
    roll_back(&mut bench, &of_b, "?bucket=b");
    assert_eq!(shown(&mut bench), [now.clone(), now.clone(), now]);
    let mut again = bench.restarted();
    assert_eq!(again.get("/kv/b/l").text(), "now");
    assert_eq!(again.get("/kv/b/k?at=s").text(), "then");
}

#[test]
fn the_list_has_an_end() {
    let mut bench = Bench::open();
    let mut taken = 0;
    let refused = loop {
        let target = format!("/-/admin/snapshots/{taken:064}");
        let reply = bench.admin("PUT", &target, "", "");
        if reply.status != 201 {
            break reply;
        }
        taken += 1;
        assert!(taken < 5_000, "it never ends");
    };
    assert_eq!(
        (refused.status, refused.problem()),
        (507, "too-many-snapshots")
    );
    assert!(refused.text().contains(&format!("\"count\":{taken}")));
    let list = bench.admin("GET", "/-/admin/snapshots", "", "");
    assert_eq!(list.text().matches("\"name\":").count(), taken);
}

#[test]
fn a_snapshot_keeps_what_was_not_over_when_it_was_taken() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k?ttl=60", "", "brief");
    take(&mut bench, "during");
    bench.pass(61 * SECOND_NS);
    take(&mut bench, "after");
    assert_eq!(bench.get("/kv/b/k").problem(), "no-such-key");
    assert_eq!(bench.get("/kv/b/k?at=during").text(), "brief");
    assert_eq!(bench.get("/kv/b/k?at=after").problem(), "no-such-key");
    let list = bench.admin("GET", "/-/admin/snapshots", "", "");
    let keys: Vec<&str> = list.text().split("\"keys\":").skip(1).collect();
    assert!(keys[0].starts_with('1') && keys[1].starts_with('0'));
    roll_back_without(&mut bench, "during", "?bucket=b", 1);
    assert_eq!(bench.get("/kv/b/k").problem(), "no-such-key");
    roll_back_without(&mut bench, "after", "", 0);
}
