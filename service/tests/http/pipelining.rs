//! Several requests on their way at once.

use crate::harness::Bench;
use crate::replies::{self, Content};

#[test]
fn ten_requests_at_once_are_answered_in_order() {
    let mut bench = Bench::open();
    for key in 0..10 {
        assert_eq!(
            bench
                .put(&format!("/kv/b/{key}"), "", format!("value {key}"))
                .status,
            201
        );
    }
    let all: String = (0..10)
        .map(|key| format!("GET /kv/b/{key} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .collect();
    let (whole, _) = bench.raw(all.as_bytes());
    let replies = replies::parse(&whole, Content::Usual);
    let bodies: Vec<&str> = replies.iter().map(replies::Reply::text).collect();
    let expect: Vec<String> = (0..10).map(|key| format!("value {key}")).collect();
    assert_eq!(bodies, expect);
    for split in 0..all.len() {
        let mut client = bench.client();
        client.say(&all[..split]);
        bench.run(&mut client);
        client.say(&all[split..]);
        bench.run(&mut client);
        assert!(client.wire.output == whole, "split at {split}");
    }
}

#[test]
fn writes_and_reads_in_one_pipeline_see_each_other() {
    let body = b"one\n\n";
    let input = [
        crate::harness::put("/kv/b/k", "", body),
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        crate::harness::put("/kv/b/k", "", b"two"),
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"DELETE /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
    ]
    .concat();
    let mut bench = Bench::open();
    // Wherever the pieces end in which it is offered: heads end with a piece, too.
    for slice_max in 1..=input.len() {
        let mut client = bench.client();
        client.wire.slice_max = slice_max;
        client.say(&input);
        bench.run(&mut client);
        let replies = client.replies();
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(
            statuses,
            [201, 200, 204, 200, 204, 404],
            "pieces of {slice_max}"
        );
        assert_eq!((replies[1].text(), replies[3].text()), ("one\n\n", "two"));
        assert_eq!(replies[2].the("ETag"), replies[3].the("ETag"));
    }
}
