//! `GET /-/watch/`: changes as they become durable, in order, and where to go on from.

use crate::harness::{Bench, Client, READ_TOKEN, SECOND_NS, TOKEN, with_tokens};
use crate::replies::Reply;
use service::Progress;
use store::Seq;

fn watch(bench: &mut Bench, target: &str, lines: &str) -> Client {
    let mut client = bench.client();
    client.say(format!(
        "GET /-/watch/{target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"
    ));
    bench.settle(&mut client);
    client
}

fn refused(bench: &mut Bench, target: &str, lines: &str) -> Reply {
    bench.with("GET", &format!("/-/watch/{target}"), lines)
}

/// What was told since the last call: head and chunk framing taken off.
fn told(client: &mut Client) -> String {
    let output = std::mem::take(&mut client.wire.output);
    let text = String::from_utf8(output).expect("UTF-8");
    let body = match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1") => {
            assert!(
                head.contains("\r\nContent-Type: text/event-stream\r\n"),
                "{head}"
            );
            assert!(head.contains("\r\nCache-Control: no-store\r\n"), "{head}");
            body
        }
        _ => &text,
    };
    let mut events = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        events.push_str(&after[..size]);
        rest = after[size..]
            .strip_prefix("\r\n")
            .expect("the end of a chunk");
    }
    assert_eq!(rest, "");
    events
}

fn seq(bench: &Bench) -> u64 {
    bench.service.store().durable_seq().0
}

/// The sequences of the changes after one.
fn seqs(bench: &Bench, after: u64) -> Vec<u64> {
    let events = bench.service.store().changes_after(Seq(after));
    events.expect("known").map(|event| event.seq.0).collect()
}

#[test]
fn changes_come_as_they_happen_in_order() {
    let mut bench = Bench::open();
    bench.put("/kv/b/before", "", "1");
    let mut client = watch(&mut bench, "b", "");
    let begin = seq(&bench);
    assert_eq!(told(&mut client), format!("retry: 2000\nid: {begin}\n\n"));
    bench.put("/kv/b/a%0Ab", "", "123");
    bench.put("/kv/c/elsewhere", "", "123");
    bench.put("/kv/b/%ff", "", "");
    bench.with("DELETE", "/kv/b/before", "");
    bench.settle(&mut client);
    let [first, _, second, third] = seqs(&bench, begin)[..] else {
        panic!("four changes");
    };
    assert_eq!(
        told(&mut client),
        format!(
            "data: {{\"seq\":{first},\"op\":\"put\",\"key\":\"a\\nb\",\"size\":3}}\nid: {first}\n\n\
             data: {{\"seq\":{second},\"op\":\"put\",\"key64\":\"_w\",\"size\":0}}\nid: {second}\n\n\
             data: {{\"seq\":{third},\"op\":\"delete\",\"key\":\"before\"}}\nid: {third}\n\n"
        )
    );
}

#[test]
fn a_batch_has_its_id_with_the_last_event_that_is_told_of_it() {
    let mut bench = Bench::open();
    let mut client = watch(&mut bench, "b?prefix=k", "");
    told(&mut client);
    let begin = seq(&bench);
    let line = |bucket: &str, key: &str| {
        format!("{{\"op\":\"put\",\"bucket\":\"{bucket}\",\"key\":\"{key}\",\"value\":\"\"}}\n")
    };
    let lines = [
        line("b", "k1"),
        line("c", "k"),
        line("b", "k2"),
        line("b", "x"),
        line("c", "y"),
    ]
    .concat();
    let length = lines.len();
    let batch =
        format!("POST /-/batch HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{lines}");
    assert_eq!(bench.ask(batch).status, 200);
    bench.settle(&mut client);
    let [one, _, two, _, end] = seqs(&bench, begin)[..] else {
        panic!("five changes");
    };
    assert_eq!(
        told(&mut client),
        format!(
            "data: {{\"seq\":{one},\"op\":\"put\",\"key\":\"k1\",\"size\":0}}\n\n\
             data: {{\"seq\":{two},\"op\":\"put\",\"key\":\"k2\",\"size\":0}}\nid: {end}\n\n"
        )
    );
}

#[test]
fn who_was_away_goes_on_where_it_was() {
    let mut bench = Bench::open();
    bench.put("/kv/b/1", "", "");
    let one = seq(&bench);
    bench.put("/kv/b/2", "", "");
    bench.put("/kv/b/3", "", "");
    let mut client = watch(&mut bench, &format!("b?since={one}"), "");
    let all = told(&mut client);
    assert_eq!(all.matches("data: ").count(), 2, "{all}");
    let two = seqs(&bench, one)[0];
    let last = format!("Last-Event-ID: {two}\r\n");
    let mut client = watch(&mut bench, &format!("b?since={one}"), &last);
    let rest = told(&mut client);
    assert_eq!(
        rest.matches("data: ").count(),
        1,
        "the field beats the parameter: {rest}"
    );
    assert!(rest.contains("\"key\":\"3\""), "{rest}");
    for (since, status, name) in [
        ("x", 400, "bad-parameter"),
        ("", 400, "bad-parameter"),
        ("999999999999", 410, "changes-gone"),
    ] {
        let reply = refused(&mut bench, &format!("b?since={since}"), "");
        assert_eq!((reply.status, reply.problem()), (status, name), "{since}");
    }
}

#[test]
fn what_was_before_this_boot_is_gone_and_the_floor_is_said() {
    let mut bench = Bench::open();
    bench.put("/kv/b/1", "", "");
    let mut bench = bench.restarted();
    let floor = bench.service.store().changes_floor().0;
    let reply = refused(&mut bench, "b?since=0", "");
    assert_eq!((reply.status, reply.problem()), (410, "changes-gone"));
    assert!(
        reply.text().contains(&format!("\"floor\":{floor}")),
        "{}",
        reply.text()
    );
    let list = bench.get("/-/keys/b");
    let (_, since) = list.text().rsplit_once("\"seq\":").expect("a sequence");
    let target = format!("b?since={}", since.trim_end_matches(['}', '\n']));
    let mut client = watch(&mut bench, &target, "");
    assert!(told(&mut client).starts_with("retry: "));
}

#[test]
fn a_rollback_resets() {
    let mut bench = Bench::open();
    bench.put("/kv/b/1", "", "");
    assert_eq!(
        bench.admin("PUT", "/-/admin/snapshots/s", "", "").status,
        201
    );
    let mut client = watch(&mut bench, "b", "");
    let mut other = watch(&mut bench, "c", "");
    told(&mut client);
    told(&mut other);
    bench.admin("POST", "/-/admin/snapshots/s/rollback?bucket=b", "", "");
    bench.settle(&mut client);
    bench.settle(&mut other);
    let at = seq(&bench);
    assert_eq!(
        told(&mut client),
        format!("event: reset\ndata: {{\"seq\":{at}}}\nid: {at}\n\n")
    );
    assert_eq!(told(&mut other), "");
    bench.admin("POST", "/-/admin/snapshots/s/rollback", "", "");
    bench.settle(&mut other);
    assert!(told(&mut other).starts_with("event: reset\n"));
}

#[test]
fn silence_is_broken_every_15_s_with_where_to_go_on() {
    let mut bench = Bench::open();
    let mut client = watch(&mut bench, "b", "");
    told(&mut client);
    bench.put("/kv/c/elsewhere", "", "");
    bench.settle(&mut client);
    assert_eq!(told(&mut client), "");
    let begun_ns = bench.now.monotonic_ns;
    let due_ns = client.deadline_ns();
    assert!(due_ns > begun_ns && due_ns <= begun_ns + 15 * SECOND_NS);
    bench.pass(due_ns - begun_ns);
    bench.settle(&mut client);
    let at = seq(&bench);
    assert_eq!(told(&mut client), format!(": nothing new\nid: {at}\n\n"));
    for _ in 0..100 {
        bench.pass(15 * SECOND_NS);
        bench.settle(&mut client);
        assert!(
            told(&mut client).starts_with(": nothing new\n"),
            "it is never over"
        );
    }
}

#[test]
fn who_reads_too_slowly_is_told_so_and_holds_nothing_meanwhile() {
    let mut bench = Bench::open();
    let mut client = watch(&mut bench, "b", "");
    told(&mut client);
    client.wire.room = 0;
    let long = "k".repeat(1_000);
    let begin = seq(&bench);
    while bench.service.store().changes_floor().0 <= begin + 10 {
        bench.put(&format!("/kv/b/{long}"), "", "");
        bench.service.step_store(bench.now);
        client.step(&mut bench);
    }
    client.wire.room = usize::MAX;
    bench.settle(&mut client);
    let output = String::from_utf8(std::mem::take(&mut client.wire.output)).expect("UTF-8");
    assert!(
        output.contains("event: overflow\ndata: {\"floor\":"),
        "{}",
        output.len()
    );
    assert!(
        output.len() < 8_192 && output.ends_with("\r\n0\r\n\r\n"),
        "{}",
        output.len()
    );
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_watch_overflows_total 1\n")
    );
    client.say("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.run(&mut client);
    assert_eq!(
        client.replies()[0].status,
        200,
        "the connection is good for more"
    );
}

#[test]
fn who_takes_nothing_at_all_is_let_go() {
    let mut bench = Bench::open();
    let mut client = watch(&mut bench, "b", "");
    client.wire.room = 0;
    bench.put("/kv/b/k", "", "");
    bench.settle(&mut client);
    for _ in 0..8 {
        bench.pass(15 * SECOND_NS);
        bench.settle(&mut client);
    }
    assert_eq!(client.progress, Progress::Abort);
}

#[test]
fn so_many_watch_and_no_more_and_a_shutdown_ends_them() {
    let mut bench = Bench::open();
    let mut clients: Vec<_> = (0..128).map(|_| watch(&mut bench, "b", "")).collect();
    let reply = refused(&mut bench, "b", "");
    assert_eq!((reply.status, reply.problem()), (503, "too-many-watchers"));
    clients.truncate(127);
    clients.push(watch(&mut bench, "b", ""));
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_watchers 128\n")
    );
    bench.service.begin_shutdown();
    for client in &mut clients {
        bench.settle(client);
        assert_eq!(client.progress, Progress::Finish);
        assert!(client.wire.output.ends_with(b"0\r\n\r\n"));
    }
    assert!(bench.service.is_drained());
}

#[test]
fn http_1_0_and_head() {
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.say("GET /-/watch/b HTTP/1.0\r\n\r\n");
    bench.settle(&mut client);
    let text = String::from_utf8(std::mem::take(&mut client.wire.output)).expect("UTF-8");
    assert!(
        !text.contains("Transfer-Encoding") && text.contains("Connection: close"),
        "{text}"
    );
    assert!(text.contains("\r\n\r\nretry: 2000\nid: "), "{text}");
    let head = bench.with("HEAD", "/-/watch/b", "");
    assert_eq!(
        (head.status, head.the("Content-Type")),
        (200, "text/event-stream")
    );
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_watchers 1\n")
    );
}

#[test]
fn who_may_read_may_watch_and_scripts_are_not_for_all() {
    let mut bench = Bench::new(with_tokens());
    assert_eq!(refused(&mut bench, "b", "").problem(), "token-missing");
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut reader = watch(&mut bench, "b", &with(READ_TOKEN));
    assert!(told(&mut reader).starts_with("retry: "));
    let (mut all, mut owner) = (
        watch(&mut bench, "www", ""),
        watch(&mut bench, "www", &with(READ_TOKEN)),
    );
    told(&mut all);
    told(&mut owner);
    for key in ["page.html", "secret.rhai"] {
        bench.put(&format!("/kv/www/{key}"), &with(TOKEN), "x");
    }
    bench.settle(&mut all);
    bench.settle(&mut owner);
    let seen = told(&mut all);
    assert!(
        seen.contains("page.html") && !seen.contains("secret"),
        "{seen}"
    );
    assert!(told(&mut owner).contains("secret.rhai"));
}

#[test]
fn strangers_take_half_of_the_places_at_most() {
    let mut config = with_tokens();
    config.limits.watchers = 4;
    let mut bench = Bench::new(config);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut strangers: Vec<_> = (0..2).map(|_| watch(&mut bench, "www", "")).collect();
    let reply = refused(&mut bench, "www", "");
    assert_eq!((reply.status, reply.problem()), (503, "too-many-watchers"));
    let owners: Vec<_> = (0..2).map(|_| watch(&mut bench, "www", &bearer)).collect();
    assert_eq!(refused(&mut bench, "www", &bearer).status, 503);
    drop(owners);
    strangers.pop();
    let mut another = watch(&mut bench, "www", "");
    assert!(told(&mut another).starts_with("retry: "));
}
