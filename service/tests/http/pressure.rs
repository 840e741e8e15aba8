//! Backpressure: nothing is taken that cannot be used, nothing is lost.

use crate::harness::{self, Bench, noise};
use crate::replies::{self, Content};
use service::Progress;

#[test]
fn a_reader_with_room_for_one_byte_at_a_time_gets_everything() {
    let mut bench = Bench::open();
    let value = noise(150_000);
    bench.put("/kv/b/k", "", &value);
    let mut client = bench.client();
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    client.wire.room = 0;
    bench.run(&mut client);
    assert!(
        client.unread_bytes() > 0,
        "the second request waits in the transport"
    );
    let mut steps = 0;
    while client.wire.output.len() < 150_000 || client.unread_bytes() > 0 || steps < 151_000 {
        client.wire.room = 1;
        bench.run(&mut client);
        assert_eq!(client.wire.room, 0, "room is used");
        steps += 1;
        if client.wire.output.ends_with(b"ok\n") {
            break;
        }
    }
    let replies = replies::parse(&client.wire.output, Content::Usual);
    assert!(replies[0].body == value);
    assert_eq!(replies[1].text(), "ok\n");
}

#[test]
fn a_mebibyte_up_and_down_in_pieces_of_every_kind() {
    let value = noise(1 << 20);
    for (slice_max, room) in [
        (usize::MAX, usize::MAX),
        (1460, 2920),
        (100_000, 65_536),
        (7, 4096),
    ] {
        let mut bench = Bench::open();
        let mut client = bench.client();
        client.wire.slice_max = slice_max;
        client.say(harness::put("/kv/b/k", "", &value));
        bench.run(&mut client);
        assert_eq!(client.replies()[0].status, 201);
        client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
        while client.wire.output.len() < value.len() || !client.connection.is_idle() {
            client.wire.room = room;
            bench.run(&mut client);
            assert!(matches!(client.progress, Progress::Peer { .. }));
        }
        assert!(client.replies()[0].body == value, "{slice_max} {room}");
    }
}

#[test]
fn a_mebibyte_in_chunks() {
    let value = noise(1 << 20);
    let mut input =
        b"PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut random = harness::Random(9);
    let mut rest = &value[..];
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(rest.len().min(1 + random.below(10_000)));
        input.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        input.extend(chunk);
        input.extend(b"\r\n");
        rest = tail;
    }
    input.extend(b"0\r\n\r\n");
    let mut bench = Bench::open();
    let mut client = bench.client();
    client.wire.slice_max = 1460;
    client.say(&input);
    bench.run(&mut client);
    assert_eq!(client.replies()[0].status, 201);
    assert!(bench.get("/kv/b/k").body == value);
}

#[test]
fn one_step_moves_a_bounded_amount() {
    let mut bench = Bench::open();
    let value = noise(4 << 20);
    let mut client = bench.client();
    client.say(harness::put("/kv/b/k", "", &value));
    let mut taken = 0;
    loop {
        bench.service.step_store(bench.now);
        client.step(&mut bench);
        let moved = client.wire.taken - taken;
        assert!(moved < 512 * 1024, "{moved} bytes in one step");
        taken = client.wire.taken;
        if matches!(client.progress, Progress::Peer { .. }) && !client.wire.output.is_empty() {
            break;
        }
    }
    assert_eq!(client.replies()[0].status, 201);
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut sent = 0;
    while sent < value.len() {
        bench.service.step_store(bench.now);
        client.step(&mut bench);
        assert!(client.wire.output.len() - sent < 512 * 1024);
        sent = client.wire.output.len();
    }
}

#[test]
fn a_long_pipeline_is_taken_request_by_request() {
    let mut bench = Bench::open();
    bench.put("/kv/b/k", "", noise(10_000));
    let mut client = bench.client();
    client.say("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000));
    client.wire.room = 30_000;
    bench.run(&mut client);
    assert!(client.wire.taken < 500, "{} bytes taken", client.wire.taken);
    client.wire.room = usize::MAX;
    bench.run(&mut client);
    assert_eq!(client.replies().len(), 1000);
}

#[test]
fn a_header_line_without_end_is_refused_early() {
    let mut bench = Bench::open();
    for start in ["", "GET / HTTP/1.1\r\nHost: h\r\nX: "] {
        let mut client = bench.client();
        client.say(start);
        client.say("a".repeat(10 << 20));
        bench.run(&mut client);
        let replies = client.replies();
        assert_eq!(replies.len(), 1);
        assert!(matches!(replies[0].status, 414 | 431));
        assert_eq!(client.progress, Progress::Finish);
        assert!(client.wire.taken < 300_000, "{}", client.wire.taken);
    }
}
