//! The cases of RFC 9110, 9111 and 9112, at every split of their bytes.

use crate::harness::{Bench, Client};
use conformance::{Case, Door};
use service::{Input, Plane, Progress};

/// Longer ones are split at some places only.
const SPLIT_EVERYWHERE_BYTES: usize = 600;
/// At how many.
const SPLITS_OF_LONG: usize = 40;

fn plane(door: Door) -> Plane {
    match door {
        Door::Users => Plane::Data,
        Door::Admin => Plane::Admin,
    }
}

/// A store in which there is what a case needs.
fn prepared(case: &Case) -> Bench {
    let mut bench = Bench::sized(crate::harness::open(), 16 << 20);
    for (door, request) in &case.given {
        bench.plane = plane(*door);
        let reply = bench.ask(request);
        assert!((200..300).contains(&reply.status), "{}: {reply:?}", case.id);
    }
    bench.plane = plane(case.door);
    bench
}

/// Whether a store is after a case what it was before.
fn only_reads(case: &Case) -> bool {
    let contains = |word: &[u8]| case.sent.windows(word.len()).any(|part| part == word);
    ![&b"PUT"[..], b"POST", b"DELETE"].into_iter().any(contains)
}

/// Sends the parts one after the other; what came back, and whether it was ended.
fn answered(case: &Case, bench: &mut Bench, parts: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut client = bench.client();
    for part in parts {
        client.say(part);
        bench.settle(&mut client);
    }
    if case.finishes {
        client.wire.end = Some(Input::Finished);
        bench.settle(&mut client);
    }
    linger(bench, &mut client);
    let ended = matches!(client.progress, Progress::Finish | Progress::Abort);
    (std::mem::take(&mut client.wire.output), ended)
}

/// Lets the time pass that a server waits for who may still read.
fn linger(bench: &mut Bench, client: &mut Client) {
    let is_over = |client: &Client| matches!(client.progress, Progress::Finish | Progress::Abort);
    if !is_over(client) {
        bench.pass(600_000_000);
        bench.settle(client);
    }
}

#[test]
fn all_cases_hold_at_every_split() {
    let mut wrong = Vec::new();
    for case in conformance::cases() {
        let sent = &case.sent;
        let step = match sent.len() > SPLIT_EVERYWHERE_BYTES {
            true => sent.len() / SPLITS_OF_LONG,
            false => 1,
        };
        let single: Vec<&[u8]> = sent.chunks(step).collect();
        let splits = (0..sent.len()).step_by(step).skip(1);
        let halves = splits.map(|at| vec![&sent[..at], &sent[at..]]);
        let ways = [vec![&sent[..]], single].into_iter().chain(halves);
        let mut bench = prepared(&case);
        for (nth, parts) in ways.enumerate() {
            if nth > 0 && !only_reads(&case) {
                bench = prepared(&case);
            }
            let (output, ended) = answered(&case, &mut bench, &parts);
            if let Err(why) = conformance::judge(&case, &output, ended) {
                let (id, sentence) = (&case.id, &case.sentence);
                let split = parts[0].len();
                wrong.push(format!("{id}: {sentence}\n    at {split}: {why}"));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
