//! An answer on its way out.

use super::exchange::After;
use super::{Connection, Context, Phase, Turn};
use crate::answer::Answer;
use crate::cors;
use crate::http::head::Persistence;
use crate::http::multipart::{Multipart, Next};
use crate::http::response::{HeadWriter, line};
use crate::plane::Plane;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::segment::Segment;
use crate::value::{Content, Fetch};
use alloc::boxed::Box;
use core::task::Poll;
use store::{ReadError, Reader};

/// A value being read as there is room for it.
pub(super) struct Sending {
    reader: Reader,
    /// Bytes of the value still to be queued, of this part of the answer.
    left_bytes: u64,
    /// The parts that are still to come.
    parts: Option<Multipart>,
    after: After,
}

impl Connection {
    /// Answers with a problem, and counts it.
    pub(super) fn refuse(&mut self, cx: &mut Context<'_>, problem: Problem) -> Turn {
        cx.service.counters.refused(problem.kind);
        self.answer(cx, problem.into_answer())
    }

    /// Queues a complete answer.
    pub(super) fn answer(&mut self, cx: &mut Context<'_>, answer: Answer) -> Turn {
        let (mut head, after) = self.begin_head(cx, answer.status);
        head.lines(&answer.lines);
        if let Some(media) = answer.media {
            head.field(line!("Content-Type"), media.as_bytes());
        }
        if !matches!(answer.status, 204 | 304) {
            head.number(line!("Content-Length"), answer.len_bytes());
        }
        self.push_head(cx, head);
        if self.exchange.wants_content() {
            for piece in answer.content {
                self.output.push(piece);
            }
            self.output.hold(answer.held);
        }
        self.become_phase(Phase::Flush(after))
    }

    /// The status line and the fields every answer has; what follows the answer.
    pub(super) fn begin_head(&mut self, cx: &mut Context<'_>, status: u16) -> (HeadWriter, After) {
        if cx.service.is_draining() {
            self.exchange.close();
        }
        let after = self.exchange.after();
        cx.service.counters.answered(status);
        if let Some(line) = &mut self.line {
            line.answered(status);
        }
        let mut head = HeadWriter::new(status, cx.service.date.of(cx.now));
        if self.plane == Plane::Data {
            cors::allow(cx.service.config.cors.as_deref(), &mut head);
        }
        match (after, self.exchange.persistence) {
            (After::Finish | After::Linger, _) => head.field(line!("Connection"), b"close"),
            (_, Persistence::KeepAlive) => head.field(line!("Connection"), b"keep-alive"),
            _ => {}
        }
        (head, after)
    }

    pub(super) fn push_head(&mut self, cx: &Context<'_>, head: HeadWriter) {
        self.output.push(Segment::Inline(head.finish()));
        if let Some(line) = &mut self.line {
            line.begins_behind(self.output.len_bytes());
        }
        self.pace.end();
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
    }

    /// Waits for the headers kept with a value, then answers.
    pub(super) fn turn_fetch(&mut self, cx: &mut Context<'_>, mut fetch: Box<Fetch>) -> Turn {
        let kept = match cx.service.store.headers(&mut fetch.reader) {
            Poll::Ready(Ok(kept)) => kept,
            Poll::Ready(Err(error)) => return self.refuse(cx, refusal::unreadable(error)),
            Poll::Pending if cx.is_past(self.deadline_ns) => {
                let detail = "The disk did not give the value in time; try again.";
                return self.refuse(cx, Problem::new(Kind::StoreSlow, detail));
            }
            Poll::Pending => {
                self.phase = Phase::Fetch(fetch);
                return Turn::Store;
            }
        };
        let representation = &fetch.representation;
        let (mut head, after) = self.begin_head(cx, representation.status());
        let kept = kept.kept();
        let content = representation.content(&kept, cx.now);
        let now_s = cx.now.wall_ns / 1_000_000_000;
        representation.fields(&kept, &content, now_s, &mut head);
        self.push_head(cx, head);
        if content.len_bytes() == 0 || !self.exchange.wants_content() {
            return self.become_phase(Phase::Flush(after));
        }
        let (left_bytes, parts) = match content {
            Content::Bytes(len_bytes) => (len_bytes, None),
            Content::Parts(parts) => (0, Some(parts)),
        };
        let sending = Sending {
            reader: fetch.reader,
            left_bytes,
            parts,
            after,
        };
        self.become_phase(Phase::Send(Box::new(sending)))
    }

    /// Queues what is between two parts of an answer, or its end.
    fn turn_parts(&mut self, mut sending: Box<Sending>) -> Turn {
        match sending.parts.as_mut().and_then(Iterator::next) {
            Some(Next::Part(head, bytes)) => {
                self.output.push(Segment::Inline(head));
                sending.left_bytes = bytes.end - bytes.start;
                sending.reader.seek(bytes);
                self.become_phase(Phase::Send(sending))
            }
            Some(Next::End(end)) => {
                self.output.push(Segment::Inline(end));
                self.become_phase(Phase::Flush(sending.after))
            }
            None => self.become_phase(Phase::Flush(sending.after)),
        }
    }

    /// Queues the next piece of a value.
    pub(super) fn turn_send(&mut self, cx: &mut Context<'_>, mut sending: Box<Sending>) -> Turn {
        if cx.transport.send_room() <= self.output.len_bytes() {
            self.phase = Phase::Send(sending);
            return self.wait_for_room(cx);
        }
        if sending.left_bytes == 0 {
            return self.turn_parts(sending);
        }
        match cx.service.store.read(&mut sending.reader) {
            Poll::Ready(Ok(Some(blob))) => {
                self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
                sending.left_bytes -= blob.len() as u64;
                self.output.push(Segment::Blob(blob));
                let after = sending.after;
                let done = sending.left_bytes == 0 && sending.parts.is_none();
                self.become_phase(if done {
                    Phase::Flush(after)
                } else {
                    Phase::Send(sending)
                })
            }
            // The length is announced: all that is left is to break off (RFC 9112 section 8).
            Poll::Ready(Ok(None)) => self.break_off(cx),
            Poll::Ready(Err(ReadError::Corrupt { .. } | ReadError::Io { .. })) => {
                self.break_off(cx)
            }
            Poll::Ready(Err(ReadError::Memory)) | Poll::Pending => {
                if cx.is_past(self.deadline_ns) {
                    return self.break_off(cx);
                }
                self.phase = Phase::Send(sending);
                Turn::Store
            }
        }
    }

    pub(super) fn wait_for_room(&mut self, cx: &mut Context<'_>) -> Turn {
        if !cx.is_past(self.deadline_ns) {
            return Turn::Peer;
        }
        cx.service.counters.timeouts += 1;
        self.abort();
        Turn::Again
    }

    pub(super) fn break_off(&mut self, cx: &mut Context<'_>) -> Turn {
        cx.service.counters.broken_off += 1;
        log::warn!("http: an answer to {} is broken off", self.peer);
        self.abort();
        Turn::Again
    }
}
