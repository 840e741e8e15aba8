//! Buckets on the admin plane: what they use, their quotas, and how they are emptied.

use crate::harness::{Bench, Mood, SECOND_NS};
use service::{Plane, Progress};

/// The object of a bucket.
fn object(name: &str, keys: u64, bytes: u64, quotas: [&str; 2]) -> String {
    let [of_bytes, of_keys] = quotas;
    format!(
        "{{\"name\":\"{name}\",\"keys\":{keys},\"bytes\":{bytes},\
         \"quota_bytes\":{of_bytes},\"quota_keys\":{of_keys},\"public\":false}}"
    )
}

fn set(bench: &mut Bench, bucket: &str, quota: &str) -> String {
    let target = format!("/-/admin/buckets/{bucket}");
    let was_known = bench.admin("GET", &target, "", "").status == 200;
    let reply = bench.admin("PUT", &target, "", quota);
    let is_known = bench.admin("GET", &target, "", "").status == 200;
    let status = if is_known && !was_known { 201 } else { 200 };
    assert_eq!(reply.status, status, "{quota}: {reply:?}");
    reply.text().trim_end().to_owned()
}

#[test]
fn what_is_left_out_stays_and_null_or_0_takes_away() {
    let mut bench = Bench::open();
    for (quota, left) in [
        ("{}", ["null", "null"]),
        ("{\"quota_bytes\":1000}", ["1000", "null"]),
        (" {\"quota_keys\" : 7 }\n", ["1000", "7"]),
        ("{\"quota_bytes\":null}", ["null", "7"]),
        ("{\"quota_keys\":8,\"quota_bytes\":9}", ["9", "8"]),
        ("{}", ["9", "8"]),
        ("{\"quota_keys\":0}", ["9", "null"]),
        (
            "{\"quota_bytes\":18446744073709551615}",
            ["18446744073709551615", "null"],
        ),
    ] {
        assert_eq!(set(&mut bench, "b", quota), object("b", 0, 0, left));
        let get = bench.admin("GET", "/-/admin/buckets/b", "", "");
        let there = left != ["null", "null"];
        assert_eq!(get.status, if there { 200 } else { 404 }, "{quota}");
    }
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut bench = Bench::open();
    set(&mut bench, "b", "{\"quota_keys\":5}");
    let before = bench.service.store().durable_seq();
    for (bucket, quota) in [("b", "{\"quota_keys\":5}"), ("b", "{}"), ("c", "{}")] {
        set(&mut bench, bucket, quota);
    }
    assert_eq!(bench.service.store().durable_seq(), before);
}

#[test]
fn buckets_are_listed_with_use_and_quota() {
    let mut bench = Bench::open();
    let listed = |objects: &[String]| format!("{{\"buckets\":[{}]}}\n", objects.join(","));
    let all = bench.admin("GET", "/-/admin/buckets", "", "");
    assert_eq!(
        (all.status, all.the("Content-Type")),
        (200, "application/json")
    );
    assert_eq!(all.text(), listed(&[]));
    bench.put("/kv/b/key", "", "value");
    bench.put("/kv/a/k", "", "");
    set(&mut bench, "c", "{\"quota_keys\":5}");
    set(&mut bench, "b", "{\"quota_bytes\":100}");
    let (a, b) = (
        object("a", 1, 1, ["null", "null"]),
        object("b", 1, 8, ["100", "null"]),
    );
    let c = object("c", 0, 0, ["null", "5"]);
    let all = bench.admin("GET", "/-/admin/buckets", "", "");
    assert_eq!(all.text(), listed(&[a.clone(), b.clone(), c.clone()]));
    let one = bench.admin("GET", "/-/admin/buckets/b", "", "");
    assert_eq!((one.status, one.text()), (200, format!("{b}\n").as_str()));
    assert_eq!(
        bench.get("/-/buckets").text(),
        listed(&[a, b]),
        "those without a key are the owner's business"
    );
    let none = bench.admin("GET", "/-/admin/buckets/d", "", "");
    assert_eq!((none.status, none.problem()), (404, "no-such-bucket"));
}

#[test]
fn a_quota_refuses_with_the_numbers() {
    let mut bench = Bench::open();
    set(&mut bench, "b", "{\"quota_bytes\":10,\"quota_keys\":2}");
    assert_eq!(bench.put("/kv/b/k", "", "123456789").status, 201);
    let refused = bench.put("/kv/b/k", "", "1234567890");
    assert_eq!((refused.status, refused.problem()), (507, "no-space-quota"));
    assert!(refused.text().contains("\"limit_bytes\":10"));
    assert!(refused.text().contains("\"used_bytes\":10"));
    set(&mut bench, "b", "{\"quota_bytes\":0}");
    assert_eq!(bench.put("/kv/b/l", "", "1234567890").status, 201);
    let refused = bench.put("/kv/b/m", "", "");
    assert_eq!((refused.status, refused.problem()), (507, "no-space-quota"));
    assert!(refused.text().contains("\"limit_keys\":2"));
    assert!(refused.text().contains("\"used_keys\":2"));
    assert_eq!(bench.put("/kv/c/m", "", "").status, 201);
}

#[test]
fn what_is_no_quota_is_refused_where_it_stands() {
    let mut bench = Bench::open();
    for (body, says) in [
        ("", "line 1 column 0"),
        ("{", "line 1 column 1"),
        ("[]", "invalid type: sequence"),
        ("[1,2]", "line 1 column 0"),
        ("5", "invalid type"),
        ("{\"quota_bytes\":-1}", "line 1 column 17"),
        ("{\"quota_bytes\":1.5}", "floating point"),
        ("{\"quota_bytes\":\"1\"}", "string"),
        ("{\"quota_bytes\":[1]}", "sequence"),
        ("{\"quota_bytes\":18446744073709551616}", "line 1 column"),
        ("{\n\"quota_byte\":1}", "line 2 column 12"),
        ("{\"quota_keys\":1,\"quota_keys\":2}", "duplicate field"),
        ("{\"quota_keys\":1} x", "trailing"),
        ("{\"quota_keys\":1,}", "trailing comma"),
        ("quota_keys=1", "line 1 column 1"),
        ("{\"\\u0000\\\"\":1}", "unknown field"),
    ] {
        let lines = if body.is_empty() {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        let reply = bench.admin("PUT", "/-/admin/buckets/b", lines, body);
        assert_eq!((reply.status, reply.problem()), (400, "bad-json"), "{body}");
        assert!(reply.text().contains(says), "{body}: {}", reply.text());
        assert!(reply.text().contains("\"line\":"), "{body}");
    }
    for bytes in [
        &b"{\"quota_bytes\xff\":1}"[..],
        b"\xef\xbb\xbf{}",
        &[b'['; 4096][..],
    ] {
        bench.plane = Plane::Admin;
        let raw = crate::harness::put("/-/admin/buckets/b", "", bytes);
        let reply = bench.ask(raw);
        assert_eq!((reply.status, reply.problem()), (400, "bad-json"));
    }
    let none = bench.ask("GET /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(none.status, 404, "nothing was set");
}

#[test]
fn a_body_comes_in_pieces_and_has_a_limit() {
    let mut bench = Bench::open();
    bench.plane = Plane::Admin;
    let chunked =
        "PUT /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = bench.client();
    client.wire.slice_max = 1;
    client.say(format!(
        "{chunked}9\r\n{{\"quota_k\r\n7\r\neys\":3}}\r\n0\r\n\r\n"
    ));
    client.say("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    let replies = client.replies();
    assert_eq!(
        replies[0].text().trim_end(),
        object("b", 0, 0, ["null", "3"])
    );
    assert_eq!(replies[1].status, 200, "the connection goes on");

    let long = format!("{}{{}}", " ".repeat(4094));
    let fits = crate::harness::put("/-/admin/buckets/b", "", long.as_bytes());
    assert_eq!(bench.ask(fits).status, 200);
    let long = format!(" {long}");
    let known = crate::harness::put("/-/admin/buckets/b", "", long.as_bytes());
    let unknown = format!("{chunked}1001\r\n{long}\r\n0\r\n\r\n");
    for request in [known, unknown.into_bytes()] {
        let reply = bench.ask(request);
        assert_eq!((reply.status, reply.problem()), (413, "body-too-large"));
        assert!(reply.text().contains("\"limit_bytes\":4096"));
    }
    let head = "PUT /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
    let asked = bench.talk(format!("{head}Content-Length: 2\r\n\r\n{{}}").as_bytes());
    let statuses: Vec<u16> = asked.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [100, 200]);
    let asked = bench.talk(format!("{head}Content-Length: 5000\r\n\r\n").as_bytes());
    assert_eq!(asked[0].status, 413, "before it is sent");
}

#[test]
fn a_body_that_stops_is_not_waited_for() {
    let mut bench = Bench::open();
    bench.plane = Plane::Admin;
    let begun = "PUT /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n{\"qu";
    let mut client = bench.client();
    client.say(begun);
    bench.run(&mut client);
    assert!(matches!(client.progress, Progress::Peer { .. }));
    bench.pass(60 * SECOND_NS);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].problem(), "request-timeout");
    let mut client = bench.client();
    client.say(begun);
    client.wire.end = Some(service::Input::Finished);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].problem(), "incomplete-body");
    let broken =
        "PUT /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx";
    assert_eq!(bench.ask(broken).problem(), "bad-body");
}

#[test]
fn a_bucket_is_emptied() {
    let mut bench = Bench::open();
    for key in 0..20 {
        bench.put(&format!("/kv/b/{key}"), "", "x");
    }
    bench.put("/kv/c/k", "", "x");
    set(&mut bench, "b", "{\"quota_keys\":20}");
    let emptied = bench.admin("DELETE", "/-/admin/buckets/b", "", "");
    assert_eq!(emptied.status, 204);
    assert_eq!(bench.get("/kv/b/7").status, 404);
    assert_eq!(bench.get("/kv/c/k").status, 200);
    let again = bench.admin("DELETE", "/-/admin/buckets/b", "", "");
    assert_eq!((again.status, again.problem()), (404, "no-such-bucket"));
    let quota = bench.admin("GET", "/-/admin/buckets/b", "", "");
    assert_eq!(
        quota.text().trim_end(),
        object("b", 0, 0, ["null", "20"]),
        "its quota stays"
    );
    let mut bench = bench.restarted();
    assert_eq!(bench.get("/kv/b/7").status, 404);
    assert_eq!(bench.get("/kv/c/k").status, 200);
}

#[test]
fn answers_wait_for_the_disk() {
    for (method, target, body, status) in [
        ("PUT", "/-/admin/buckets/b", "{\"quota_keys\":9}", 200),
        ("DELETE", "/-/admin/buckets/b", "", 204),
        ("PUT", "/-/admin/snapshots/t", "", 201),
        ("DELETE", "/-/admin/snapshots/s", "", 204),
        ("POST", "/-/admin/snapshots/s/rollback", "", 200),
    ] {
        for mood in [Mood::Stuck, Mood::WritesFail] {
            let mut bench = Bench::open();
            bench.put("/kv/b/k", "", "x");
            bench.admin("PUT", "/-/admin/snapshots/s", "", "");
            bench.plane = Plane::Admin;
            let mut client = bench.client();
            bench.be(mood);
            let length = body.len();
            client.say(format!(
                "{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            bench.run(&mut client);
            if mood == Mood::WritesFail {
                let reply = client.replies().remove(0);
                assert_eq!(
                    reply.problem(),
                    "write-outcome-unknown",
                    "{method} {target}"
                );
                continue;
            }
            assert!(client.wire.output.is_empty(), "{method} {target}");
            bench.be(Mood::Good);
            bench.run(&mut client);
            assert_eq!(client.replies()[0].status, status, "{method} {target}");
        }
    }
}

#[test]
fn settings_of_one_quota_at_once_do_not_undo_each_other() {
    let mut bench = Bench::open();
    bench.plane = Plane::Admin;
    bench.be(Mood::Stuck);
    let mut clients: Vec<_> = ["{\"quota_bytes\":5}", "{\"quota_keys\":6}"]
        .into_iter()
        .map(|body| {
            let mut client = bench.client();
            client.say(crate::harness::put(
                "/-/admin/buckets/b",
                "",
                body.as_bytes(),
            ));
            bench.run(&mut client);
            client
        })
        .collect();
    bench.be(Mood::Good);
    for client in &mut clients {
        bench.run(client);
    }
    let text = bench.ask("GET /-/admin/buckets/b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(text.text().trim_end(), object("b", 0, 0, ["5", "6"]));
}
