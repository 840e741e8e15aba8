//! The short way of what is asked most: a value that is in memory, to a peer that has room for it.
//!
//! Nothing is waited for, and nothing allocated but, the first time, the fields that the store
//! keeps with the value. Whatever is not as usual (another method, a condition, a range, an
//! escape, a value to be read from the disk, no room) is left alone here and goes the long way,
//! which gives the same answers.

use super::exchange::After;
use super::{Connection, Context, Fresh, Phase, Turn};
use crate::auth;
use crate::channel::Channel;
use crate::http::response::HeadWriter;
use crate::http::{media, plain};
use crate::kv;
use crate::plane::Plane;
use crate::segment::{Input, Segment};
use crate::service::Service;
use crate::value::{Content, Door, Part, Representation, Shape};
use alloc::rc::Rc;
use store::{InMemory, KeptHeaders, Metadata};

/// Room for a head with the longest headers that are kept with a value.
const HEAD_BYTES_MAX: usize = 8 * 1024;

impl Connection {
    /// Answers the next request if all of it and all of its answer are here.
    pub(super) fn answer_at_once(&mut self, cx: &mut Context<'_>) -> Option<Turn> {
        // A line of the access log takes more than the answer.
        let takes_time = cx.service.is_draining() | cx.service.logs_access();
        let is_plain = self.channel == Channel::Plain;
        if self.plane != Plane::Data || !is_plain || !self.head.is_empty() || takes_time {
            return None;
        }
        let mut look = Look {
            room: cx.transport.send_room(),
            service: &mut *cx.service,
            looked: Looked::Never,
            answer: None,
        };
        let input = cx.transport.receive(&mut |bytes| look.take(bytes));
        match (look.answer, input) {
            (Some(answer), Input::Bytes(count)) => {
                cx.moved_bytes += count;
                cx.service.counters.received_bytes += count as u64;
                Some(self.send_at_once(cx, &answer))
            }
            (_, Input::Nothing) => Some(self.wait_for_head(cx)),
            _ => None,
        }
    }

    fn send_at_once(&mut self, cx: &mut Context<'_>, answer: &InMemory) -> Turn {
        let (value, derived) = (answer.value(), answer.derived());
        let service = &mut *cx.service;
        service.counters.answered(200);
        let cors = service.config.cors.as_deref();
        let beginning = service.beginning.of_ok(&mut service.date, cx.now, cors);
        let len = beginning.len() + derived.len() + value.len();
        let sent = cx.transport.send(&[beginning, derived, value]);
        cx.moved_bytes += sent;
        service.counters.sent_bytes += sent as u64;
        self.head.forget_blank_lines();
        if sent == len {
            self.fresh = Fresh::No;
            return self.next_request(cx);
        }
        // It took less than it has room for: the rest goes the long way.
        self.output.push(Segment::Inline(beginning.to_vec()));
        self.output.push(Segment::Inline(derived.to_vec()));
        self.output.push(Segment::Blob(value.clone()));
        self.output.drop_sent(sent);
        self.busy = Some(service.busy.enter());
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
        self.become_phase(Phase::Flush(After::Next))
    }
}

/// Whether the transport has shown its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    Never,
    Once,
}

/// A look at the next request.
struct Look<'s> {
    service: &'s mut Service,
    /// For an answer.
    room: usize,
    looked: Looked,
    answer: Option<InMemory>,
}

impl Look<'_> {
    /// Takes the request at the beginning of `bytes` if this is its answer; its length.
    fn take(&mut self, bytes: &[u8]) -> usize {
        if self.looked == Looked::Once {
            return 0;
        }
        self.looked = Looked::Once;
        let Some((len, answer)) = judge(self.service, bytes, self.room) else {
            return 0;
        };
        self.answer = Some(answer);
        len
    }
}

/// The length of the request at the beginning of `bytes`, and its answer.
fn judge(service: &mut Service, bytes: &[u8], room: usize) -> Option<(usize, InMemory)> {
    let plain = plain::get(bytes, b"/kv/")?;
    let slash = plain.path.iter().position(|byte| *byte == b'/')?;
    let (bucket, key) = (&plain.path[..slash], &plain.path[slash + 1..]);
    let (config, intent) = (&service.config, service.visibility.read_intent(bucket));
    let caller = auth::judge_reader(config, Channel::Plain, plain.authorization, intent).ok()?;
    let answer = service.store.value_in_memory(bucket, key, fields)?;
    if answer.value().len() + HEAD_BYTES_MAX > room {
        return None;
    }
    service.counters.admitted(caller);
    Some((plain.len, answer))
}

/// The fields that are about a value, and the end of the head; of a value whose key can be in a
/// plain path, and who may read it is told by its bucket alone.
///
/// What a bucket is called can be in a path.
fn fields(key: &[u8], version: &Metadata, kept: &KeptHeaders<'_>) -> Option<Rc<[u8]>> {
    if !plain::is_path(key) || kv::is_private(key) {
        return None;
    }
    let representation = Representation {
        version: version.clone(),
        part: Part::Whole,
        shape: Shape::only(Door::Kv, media::UNKNOWN),
    };
    let mut head = HeadWriter::middle();
    // The store gives out none that was written later than now.
    let content = Content::Bytes(version.len_bytes);
    representation.fields(kept, &content, u64::MAX, &mut head);
    Some(Rc::from(head.finish()))
}
