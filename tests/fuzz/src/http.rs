//! What a peer sends on one connection, whole and in any pieces.
//!
//! The first byte says whether tokens are asked for, by which door, and how the rest is cut.
//! Whole or in pieces, with much room for answers or little: the answers are
//! the same, each is one, and the connection ends.

use crate::disk;
use crate::harness::{self, Bench, Client};
use crate::replies::{self, Content, Reply};
use service::{Input, Plane, Progress};

/// Steps in which everything that is due has been done.
const STEPS_MAX: u32 = 20_000;

/// Sends `bytes` twice, to two services that are the same.
pub(crate) fn run(bytes: &[u8]) {
    let Some((cut, input)) = bytes.split_first() else {
        return;
    };
    let whole = talk(*cut, input, usize::MAX, usize::MAX);
    let piece = 1 + usize::from(cut >> 1) % 61;
    let parted = talk(*cut, input, piece, piece);
    // What follows a head cannot be told from content when the method may be HEAD.
    if input.windows(4).any(|four| four == b"HEAD") {
        assert_eq!(
            whole.is_empty(),
            parted.is_empty(),
            "pieces make a difference"
        );
        return;
    }
    assert_eq!(judged(&whole), judged(&parted), "pieces make a difference");
}

/// The answers of one conversation, without the interim ones: a body that is there already
/// needs no invitation.
fn judged(output: &[u8]) -> Vec<Reply> {
    let mut replies = replies::parse(output, Content::Usual);
    replies.retain(|reply| reply.status >= 200);
    replies
}

fn talk(mode: u8, input: &[u8], slice_max: usize, room: usize) -> Vec<u8> {
    let config = if mode & 1 == 0 {
        harness::open()
    } else {
        harness::with_tokens()
    };
    let mut bench = Bench::on(config, disk::in_order());
    if mode & 0x80 != 0 {
        bench.plane = Plane::Admin;
    }
    let mut client = bench.client();
    client.wire.slice_max = slice_max;
    let mut rest = input;
    let mut moved = 0;
    for _ in 0..STEPS_MAX {
        let (piece, later) = rest.split_at(rest.len().min(slice_max));
        client.say(piece);
        rest = later;
        client.wire.room = room;
        bench.service.step_store(bench.now);
        client.step(&mut bench);
        match client.progress {
            Progress::Finish | Progress::Abort => return client.wire.output,
            Progress::Peer { deadline_ns } if rest.is_empty() => {
                let before = std::mem::replace(&mut moved, motion(&client));
                if moved == before {
                    wait(&mut client, &mut bench, deadline_ns);
                }
            }
            Progress::Peer { .. }
            | Progress::Store { .. }
            | Progress::Change { .. }
            | Progress::Session { .. }
            | Progress::Again => {}
        }
    }
    panic!("no end: {:?}", client.progress);
}

/// What the connection has taken and given.
fn motion(client: &Client) -> usize {
    client.wire.taken + client.wire.output.len()
}

/// All is said: the peer ends its side, and then waits as long as it takes.
fn wait(client: &mut Client, bench: &mut Bench, deadline_ns: u64) {
    if client.unread_bytes() == 0 && client.wire.end.is_none() {
        client.wire.end = Some(Input::Finished);
    } else {
        let ahead_ns = deadline_ns.saturating_sub(bench.now.monotonic_ns);
        bench.pass(ahead_ns.max(1));
    }
}
