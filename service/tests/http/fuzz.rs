//! Mutated requests: no panic, no endless work, no answer that is not one.

use crate::harness::{self, Bench, Random, SECOND_NS};
use crate::replies;
use service::{Input, Progress};

const SEEDS: [&str; 14] = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /kv/b/k HTTP/1.1\r\nHost: h\r\nRange: bytes=1-3\r\nIf-Range: \"1-00000000\"\r\n\r\n",
    "HEAD /kv/b/k HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"a\", W/\"b\"\r\n\r\n",
    "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello",
    "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\
     0\r\nX: y\r\n\r\n",
    "PUT /kv/b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
    "DELETE /kv/b/k HTTP/1.1\r\nHost: h\r\nIf-Match: *\r\n\r\n",
    "GET /-/keys/b?prefix=a&limit=3&reverse=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /-/key64/b/aw== HTTP/1.1\r\nHost: h\r\n\
     Authorization: Basic dTowMTIzNDU2Nzg5YWJjZGVm\r\n\r\n",
    "GET http://h/healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\
     Authorization: Bearer 0123456789abcdef\r\n\r\n",
    "GET /a/../%2e/%00?x=%zz HTTP/1.1\r\nHost: h\r\n\
     If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
    "GET /readyz?for=write HTTP/1.1\r\nHost: [::1]:80\r\n\
     If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n\r\n",
];

const WORDS: [&str; 16] = [
    "\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "\0",
    "%",
    "chunked",
    "Content-Length: 3\r\n",
    "bytes=",
    "\"",
    "*",
    "/../",
    "0\r\n\r\n",
    "\u{ff}",
    "99999999999999999999",
];

fn mutate(random: &mut Random) -> Vec<u8> {
    let mut bytes = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
    if random.below(3) == 0 {
        bytes.extend(SEEDS[random.below(SEEDS.len())].as_bytes());
    }
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len().max(1)).min(bytes.len());
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        }
    }
    bytes
}

/// Feeds `input` in random pieces, with random room, until the connection is over.
fn play(bench: &mut Bench, random: &mut Random, input: &[u8]) -> Vec<u8> {
    let mut client = bench.client();
    let mut rest = input;
    client.wire.slice_max = 1 + random.below(200);
    for round in 0..10_000 {
        if round % 4 == 0 && !rest.is_empty() {
            let (piece, tail) = rest.split_at(random.below(rest.len()) + 1);
            client.say(piece);
            rest = tail;
        }
        if rest.is_empty() && round > 20 {
            client.wire.end = Some(Input::Finished);
        }
        client.wire.room = if round > 50 {
            usize::MAX
        } else {
            random.below(400)
        };
        bench.service.step_store(bench.now);
        client.step(bench);
        match client.progress {
            Progress::Finish | Progress::Abort => return client.wire.output,
            Progress::Peer { .. }
            | Progress::Store { .. }
            | Progress::Change { .. }
            | Progress::Session { .. } => {
                bench.pass(if round > 50 { SECOND_NS } else { 100_000 });
            }
            Progress::Again => {}
        }
    }
    panic!(
        "no end of {:?}: {:?}",
        String::from_utf8_lossy(input),
        client.progress
    );
}

#[test]
fn a_hundred_thousand_mutated_requests() {
    let mut random = Random(20_261_123);
    let mut bench = Bench::new(harness::with_tokens());
    let mut answered = [0_u32; 6];
    for number in 0..100_000 {
        if number % 5_000 == 0 {
            let config = if number % 10_000 == 0 {
                harness::with_tokens()
            } else {
                harness::open()
            };
            bench = Bench::new(config);
        }
        let input = mutate(&mut random);
        let output = play(&mut bench, &mut random, &input);
        if output.is_empty() {
            answered[0] += 1;
            continue;
        }
        assert!(
            output.starts_with(b"HTTP/1.1 "),
            "{:?}",
            String::from_utf8_lossy(&input)
        );
        if !input.windows(5).any(|five| five == b"HEAD ") {
            for reply in replies::parse(&output, replies::Content::Usual) {
                answered[usize::from(reply.status / 100)] += 1;
            }
        }
    }
    assert!(answered[2] > 10_000 && answered[4] > 10_000, "{answered:?}");
}
