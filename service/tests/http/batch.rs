//! `POST /-/batch`: all of it or nothing, and what each line came to.

use crate::harness::{Bench, Mood, READ_TOKEN, SECOND_NS, TOKEN, open, with_tokens};
use crate::replies::Reply;

fn request(lines: &str) -> String {
    let length = lines.len();
    format!("POST /-/batch HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{lines}")
}

fn batch(bench: &mut Bench, lines: &str) -> Reply {
    bench.ask(request(lines))
}

/// The statuses of the lines.
fn statuses(reply: &Reply) -> Vec<u16> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let parts = reply.text().split("\"status\":").skip(1);
    parts
        .map(|part| part[..3].parse().expect("a status"))
        .collect()
}

#[test]
fn lines_are_done_together_and_each_is_told() {
    let mut bench = Bench::open();
    bench.put("/kv/b/old", "", "1");
    let lines = r#"{"op":"put","bucket":"b","key":"a/b ü","value":"v\n1"}
{"op":"put","bucket":"c","key64":"AP8","value64":"AAH_","content_type":"x/y","ttl":60}

{"op":"delete","bucket":"b","key":"old"}
{"op":"delete","bucket":"b","key":"never"}
  {"op":"check","bucket":"b","key":"never","if":"absent"}  
{"op":"check","bucket":"b","key":"a/b ü"}"#;
    let reply = batch(&mut bench, lines);
    assert_eq!(reply.the("Content-Type"), "application/json");
    assert_eq!(statuses(&reply), [201, 201, 204, 404, 404, 200]);
    let get = bench.get("/kv/b/a/b%20%C3%BC");
    assert_eq!(get.text(), "v\n1");
    let tag = get.the("ETag").replace('"', "\\\"");
    assert_eq!(reply.text().matches(&tag).count(), 2, "{}", reply.text());
    let get = bench.get("/kv/c/%00%ff");
    assert_eq!(
        (&*get.body, get.the("Content-Type")),
        (&[0u8, 1, 255][..], "x/y")
    );
    assert_eq!(bench.get("/kv/b/old").status, 404);
    bench.pass(61 * SECOND_NS);
    assert_eq!(bench.get("/kv/c/%00%ff").status, 404);
}

#[test]
fn one_condition_that_fails_leaves_all_as_it_was() {
    let mut bench = Bench::open();
    let tag = bench
        .put("/kv/b/k", "", "1")
        .the("ETag")
        .replace('"', "\\\"");
    let with = |condition: &str| {
        format!(
            "{{\"op\":\"put\",\"bucket\":\"b\",\"key\":\"new\",\"value\":\"x\"}}\n\
             {{\"op\":\"put\",\"bucket\":\"b\",\"key\":\"k\",\"value\":\"2\",\"if\":{condition}}}\n"
        )
    };
    let other = "\"\\\"1-00000000\\\"\"";
    for condition in ["\"absent\"", other, "[]", &format!("[{other},{other}]")] {
        let reply = batch(&mut bench, &with(condition));
        assert_eq!(
            (reply.status, reply.problem()),
            (412, "condition-failed"),
            "{condition}"
        );
        assert!(reply.text().contains("\"line\":2"), "{}", reply.text());
        assert_eq!(bench.get("/kv/b/new").status, 404);
        assert_eq!(bench.get("/kv/b/k").text(), "1");
    }
    let holds = with(&format!("[{other},\"{tag}\"]"));
    assert_eq!(statuses(&batch(&mut bench, &holds)), [201, 204]);
    let again = batch(&mut bench, &holds);
    assert_eq!(again.status, 412, "the tag is an old one now");
    assert_eq!(
        statuses(&batch(&mut bench, &with("\"exists\""))),
        [204, 204]
    );
}

#[test]
fn the_same_key_twice_is_judged_in_order() {
    let mut bench = Bench::open();
    let lines = r#"{"op":"put","bucket":"b","key":"k","value":"1","if":"absent"}
{"op":"put","bucket":"b","key":"k","value":"2","if":"exists"}
{"op":"delete","bucket":"b","key":"k"}
{"op":"put","bucket":"b","key":"k","value":"3","if":"absent"}"#;
    assert_eq!(statuses(&batch(&mut bench, lines)), [201, 204, 204, 201]);
    assert_eq!(bench.get("/kv/b/k").text(), "3");
}

#[test]
fn what_deletes_nothing_is_no_error_and_neither_is_nothing() {
    let mut bench = Bench::open();
    let line = r#"{"op":"delete","bucket":"b","key":"k"}"#;
    assert_eq!(
        statuses(&batch(&mut bench, &format!("{line}\n{line}\n"))),
        [404, 404]
    );
    assert_eq!(batch(&mut bench, "\n\r\n \n").text(), "{\"results\":[]}\n");
    assert_eq!(
        bench.with("POST", "/-/batch", "").text(),
        "{\"results\":[]}\n"
    );
}

/// Lines that are refused, the problem, and what the sentence says.
const BAD_LINES: &[(&str, &str, &str)] = &[
    ("x", "bad-json", "no JSON object"),
    ("[\"put\",\"b\",\"k\"]", "bad-json", "no JSON object"),
    ("{\"op\":\"put\"", "bad-json", "EOF"),
    (
        r#"{"op":"move","bucket":"b","key":"k"}"#,
        "bad-json",
        "unknown variant",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","x":1}"#,
        "bad-json",
        "unknown field",
    ),
    (
        r#"{"op":"put","op":"put","bucket":"b","key":"k","value":"1"}"#,
        "bad-json",
        "duplicate",
    ),
    (
        r#"{"op":"put","bucket":"b","value":"1"}"#,
        "bad-json",
        "`key`",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","key64":"aw","value":"1"}"#,
        "bad-json",
        "both",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k"}"#,
        "bad-json",
        "`value`",
    ),
    (
        r#"{"op":"put","bucket":"b","key64":"+","value":"1"}"#,
        "bad-json",
        "base64url",
    ),
    (
        r#"{"op":"put","bucket":"B","key":"k","value":"1"}"#,
        "bad-bucket",
        "a-z",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"","value":"1"}"#,
        "bad-key",
        "1024",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","ttl":0}"#,
        "bad-parameter",
        "ttl",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","ttl":-1}"#,
        "bad-json",
        "invalid",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","if":"x"}"#,
        "bad-json",
        "ETag",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","if":"W/\"1-00000000\""}"#,
        "bad-json",
        "ETag",
    ),
    (
        r#"{"op":"put","bucket":"b","key":"k","value":"1","content_type":"a\r\nb: c"}"#,
        "bad-json",
        "content_type",
    ),
    (
        r#"{"op":"delete","bucket":"b","key":"k","value":"1"}"#,
        "bad-json",
        "put",
    ),
    ("\u{0}", "bad-json", "no JSON object"),
];

#[test]
fn lines_that_are_none_say_which_and_why() {
    let mut bench = Bench::open();
    let good = r#"{"op":"put","bucket":"b","key":"k","value":"1"}"#;
    for (line, name, why) in BAD_LINES {
        let reply = batch(&mut bench, &format!("{good}\n\n{line}\n{good}\n"));
        assert_eq!((reply.status, reply.problem()), (400, *name), "{line}");
        let text = reply.text();
        assert!(
            text.contains("\"line\":3") && text.contains(why),
            "{line}: {text}"
        );
        assert_eq!(bench.get("/kv/b/k").status, 404, "{line}");
    }
}

#[test]
fn limits_are_said_with_their_numbers() {
    let mut config = open();
    config.limits.bodies_bytes = 16 << 20;
    let mut bench = Bench::new(config);
    let put = |key: &str, len: usize| {
        let value = "x".repeat(len);
        format!("{{\"op\":\"put\",\"bucket\":\"b\",\"key\":\"{key}\",\"value\":\"{value}\"}}\n")
    };
    assert_eq!(statuses(&batch(&mut bench, &put("k", 65_536))), [201]);
    let reply = batch(&mut bench, &put("k", 65_537));
    assert_eq!((reply.status, reply.problem()), (413, "value-too-large"));
    assert!(reply.text().contains("\"limit_bytes\":65536"));
    let many: String = (0..17).map(|n| put(&format!("k{n}"), 65_000)).collect();
    let ahead = bench.ask(request(&many));
    assert_eq!((ahead.status, ahead.problem()), (413, "body-too-large"));
    let chunked = format!(
        "POST /-/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{many}\r\n0\r\n\r\n",
        many.len()
    );
    assert_eq!(bench.ask(chunked).problem(), "body-too-large");
    let line = "{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\"}\n";
    assert_eq!(batch(&mut bench, &line.repeat(4_096)).status, 200);
    let reply = batch(&mut bench, &line.repeat(4_097));
    assert_eq!((reply.status, reply.problem()), (413, "body-too-large"));
    assert!(reply.text().contains("\"limit\":4096"));
}

#[test]
fn batches_together_take_so_much_memory_and_no_more() {
    let mut config = open();
    config.limits.bodies_bytes = 160_000;
    let mut bench = Bench::new(config);
    let begun = "POST /-/batch HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n";
    let mut clients: Vec<_> = (0..5).map(|_| bench.client()).collect();
    for client in &mut clients {
        client.say([begun, &" ".repeat(39_999)].concat());
        bench.run(client);
    }
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_bodies_bytes 159996\n")
    );
    let refused = clients[4].replies().remove(0);
    assert_eq!((refused.status, refused.problem()), (503, "no-memory"));
    clients.truncate(1);
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_bodies_bytes 39999\n")
    );
    clients[0].say(" ");
    bench.run(&mut clients[0]);
    assert_eq!(clients[0].replies()[0].status, 200);
    assert!(
        bench
            .get("/metrics")
            .text()
            .contains("\nlampion_http_bodies_bytes 0\n")
    );
}

#[test]
fn a_condition_is_a_few_tags_and_nothing_else() {
    let mut bench = Bench::open();
    let with =
        |list: &str| format!("{{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\",\"if\":{list}}}");
    let tags = |count: usize| format!("[{}]", vec!["\"\\\"1-00000000\\\"\""; count].join(","));
    assert_eq!(batch(&mut bench, &with(&tags(64))).status, 412);
    for list in [&tags(65), "[0]", "7", "{}", "[[\"a\"]]"] {
        let reply = batch(&mut bench, &with(list));
        assert_eq!((reply.status, reply.problem()), (400, "bad-json"), "{list}");
    }
}

#[test]
fn conditions_are_judged_in_the_order_of_their_lines() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", "1");
    let check = |condition: &str| {
        format!("{{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\",\"if\":{condition}}}\n")
    };
    let (absent, stale) = (check("\"absent\""), check("\"\\\"1-00000000\\\"\""));
    let (there, line) = (check("\"exists\""), "\"line\":2");
    for lines in [[&there, &absent, &stale], [&there, &stale, &absent]] {
        let reply = batch(&mut bench, &lines.map(String::as_str).concat());
        assert!(
            reply.status == 412 && reply.text().contains(line),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn what_a_refused_batch_would_have_put_is_not_told() {
    let mut bench = Bench::open();
    let put = "{\"op\":\"put\",\"bucket\":\"b\",\"key\":\"k\",\"value\":\"1\"}\n";
    for condition in ["\"absent\"", "\"\\\"1-00000000\\\"\""] {
        let check =
            format!("{{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\",\"if\":{condition}}}\n");
        let reply = batch(&mut bench, &[put, &check].concat());
        assert_eq!(
            (reply.status, reply.field("ETag")),
            (412, None),
            "{reply:?}"
        );
    }
}

/// What a batch saw to be over may be told once that is durable.
#[test]
fn a_batch_that_saw_a_value_end_waits_for_its_tombstone() {
    let mut bench = Bench::open();
    let tag = bench
        .put("/kv/b/k?ttl=1", "", "1")
        .the("ETag")
        .replace('"', "\\\"");
    bench.pass(2 * SECOND_NS);
    bench.be(Mood::Stuck);
    let line = format!("{{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\",\"if\":\"{tag}\"}}");
    let mut client = bench.client();
    client.say(request(&line));
    bench.settle(&mut client);
    assert_eq!(client.replies(), [], "the tombstone is not durable");
    bench.be(Mood::Good);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 412);
}

#[test]
fn results_take_their_memory_until_they_are_read() {
    let mut bench = Bench::open();
    let line = "{\"op\":\"check\",\"bucket\":\"b\",\"key\":\"k\"}\n";
    let mut client = bench.client();
    client.wire.room = 0;
    client.say(request(&line.repeat(100)));
    bench.settle(&mut client);
    let taken = |bench: &mut Bench| {
        let metrics = bench.get("/metrics");
        let (_, rest) = metrics
            .text()
            .split_once("\nlampion_http_bodies_bytes ")
            .expect("it");
        rest.split('\n')
            .next()
            .expect("a line")
            .parse::<u64>()
            .expect("a number")
    };
    assert!(taken(&mut bench) >= 100 * 1_024);
    client.wire.room = usize::MAX;
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 200);
    assert_eq!(taken(&mut bench), 0);
}

#[test]
fn it_takes_the_token_before_the_body() {
    let mut bench = Bench::new(with_tokens());
    let with = |token: &str| {
        format!(
            "POST /-/batch HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )
    };
    assert_eq!(bench.ask(with(READ_TOKEN)).problem(), "read-token-only");
    let replies = bench.talk(format!("{} ", with(TOKEN)).as_bytes());
    assert_eq!((replies[0].status, replies[1].status), (100, 200));
}

#[test]
fn a_disk_that_fails_leaves_the_outcome_unknown() {
    let mut bench = Bench::open();
    bench.be(Mood::WritesFail);
    let line = r#"{"op":"put","bucket":"b","key":"k","value":"1"}"#;
    let reply = batch(&mut bench, line);
    assert_eq!(
        (reply.status, reply.problem()),
        (500, "write-outcome-unknown")
    );
}

#[test]
fn what_cannot_be_written_is_said_before_the_body_comes() {
    let mut bench = Bench::open();
    bench.be(Mood::WritesFail);
    assert_eq!(bench.put("/kv/b/k", "", "x").status, 500);
    bench.be(Mood::Good);
    let head = "POST /-/batch HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
                Content-Length: 1\r\n\r\n";
    assert_eq!(bench.ask(head).problem(), "store-read-only");
}
