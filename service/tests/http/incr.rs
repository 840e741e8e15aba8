//! `POST /-/incr/`: integers that many add to at once, and values that are none.

use crate::harness::{Bench, READ_TOKEN, SECOND_NS, TOKEN, with_tokens};
use crate::replies::Reply;

fn add(bench: &mut Bench, target: &str) -> Reply {
    bench.with("POST", &format!("/-/incr/{target}"), "")
}

#[test]
fn an_integer_grows_and_what_is_not_there_counts_as_0() {
    let mut bench = Bench::open();
    for (by, expect) in [
        ("", "1"),
        ("?by=41", "42"),
        ("?by=-43", "-1"),
        ("?by=0", "-1"),
    ] {
        let reply = add(&mut bench, &format!("b/n{by}"));
        assert_eq!((reply.status, reply.text()), (200, &*format!("{expect}\n")));
        assert_eq!(reply.the("Cache-Control"), "no-store");
        let get = bench.get("/kv/b/n");
        assert_eq!(get.text(), expect);
        assert_eq!(get.the("ETag"), reply.the("ETag"));
        assert_eq!(get.the("Content-Type"), "text/plain; charset=utf-8");
    }
}

#[test]
fn what_is_kept_with_a_value_stays() {
    let mut bench = Bench::open();
    bench.put("/kv/b/n?ttl=60", "Content-Type: x/y\r\n", "6");
    assert_eq!(add(&mut bench, "b/n").text(), "7\n");
    let get = bench.get("/kv/b/n");
    assert_eq!((get.text(), get.the("Content-Type")), ("7", "x/y"));
    assert_eq!(get.the("Expires"), "Thu, 19 Nov 2026 02:14:20 GMT");
    bench.pass(61 * SECOND_NS);
    assert_eq!(add(&mut bench, "b/n").text(), "1\n", "its time is over");
}

#[test]
fn many_who_add_at_once_get_a_number_each() {
    let mut bench = Bench::open();
    let mut clients: Vec<_> = (0..64).map(|_| bench.client()).collect();
    for client in &mut clients {
        client.say("POST /-/incr/b/n HTTP/1.1\r\nHost: h\r\n\r\n");
        client.step(&mut bench);
    }
    let mut got = Vec::new();
    for client in &mut clients {
        bench.run(client);
        let reply = client.replies().remove(0);
        got.push(reply.text().trim_end().parse::<u32>().expect("a number"));
    }
    assert_eq!(got, (1..=64).collect::<Vec<_>>());
    assert_eq!(bench.get("/kv/b/n").text(), "64");
}

#[test]
fn a_value_that_is_not_in_memory_is_read() {
    let mut bench = Bench::open();
    bench.put("/kv/b/n", "Content-Type: x/y\r\n", "41");
    bench.put("/kv/b/long", "", vec![b'1'; 200_000]);
    let mut bench = bench.restarted();
    assert_eq!(add(&mut bench, "b/n").text(), "42\n");
    assert_eq!(bench.get("/kv/b/n").the("Content-Type"), "x/y");
    let before = bench.read_bytes.get();
    assert_eq!(add(&mut bench, "b/long").problem(), "not-an-integer");
    assert_eq!(bench.read_bytes.get(), before, "its length says enough");
}

#[test]
fn what_is_no_integer_or_grows_out_of_64_bits_is_refused() {
    let mut bench = Bench::open();
    for value in [
        "",
        " 1",
        "1\n",
        "01",
        "+1",
        "1.0",
        "9223372036854775808",
        "x",
    ] {
        bench.put("/kv/b/n", "", value);
        let reply = add(&mut bench, "b/n");
        assert_eq!(
            (reply.status, reply.problem()),
            (409, "not-an-integer"),
            "{value:?}"
        );
        assert_eq!(bench.get("/kv/b/n").text(), value);
    }
    for (value, by) in [("9223372036854775807", "1"), ("-9223372036854775808", "-1")] {
        bench.put("/kv/b/n", "", value);
        let reply = add(&mut bench, &format!("b/n?by={by}"));
        assert_eq!((reply.status, reply.problem()), (409, "overflow"));
        assert_eq!(bench.get("/kv/b/n").text(), value);
    }
    for by in ["", "x", "1.5", "+1", "9223372036854775808", "01"] {
        let reply = add(&mut bench, &format!("b/n?by={by}"));
        assert_eq!(
            (reply.status, reply.problem()),
            (400, "bad-parameter"),
            "{by:?}"
        );
    }
    let body = "POST /-/incr/b/n HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n5";
    assert_eq!(bench.ask(body).problem(), "unexpected-body");
    assert_eq!(bench.get("/-/incr/b/n").the("Allow"), "POST, OPTIONS");
    assert_eq!(add(&mut bench, "B/n").problem(), "bad-bucket");
    assert_eq!(add(&mut bench, "b").problem(), "bad-key");
}

#[test]
fn conditions_are_those_of_the_value() {
    let mut bench = Bench::open();
    let post = |bench: &mut Bench, lines: &str| bench.with("POST", "/-/incr/b/n", lines);
    assert_eq!(post(&mut bench, "If-Match: *\r\n").status, 412);
    let first = post(&mut bench, "If-None-Match: *\r\n");
    assert_eq!(first.status, 200);
    assert_eq!(post(&mut bench, "If-None-Match: *\r\n").status, 412);
    let tag = format!("If-Match: {}\r\n", first.the("ETag"));
    assert_eq!(post(&mut bench, &tag).text(), "2\n");
    assert_eq!(post(&mut bench, &tag).status, 412);
    bench.put("/kv/b/n", "", "x");
    assert_eq!(
        bench.with("POST", "/-/incr/b/n", "If-Match: *\r\n").status,
        409
    );
}

#[test]
fn it_takes_the_token() {
    let mut bench = Bench::new(with_tokens());
    assert_eq!(add(&mut bench, "www/n").problem(), "token-missing");
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let reply = bench.with("POST", "/-/incr/www/n", &with(READ_TOKEN));
    assert_eq!(reply.problem(), "read-token-only");
    assert_eq!(
        bench.with("POST", "/-/incr/www/n", &with(TOKEN)).text(),
        "1\n"
    );
}
