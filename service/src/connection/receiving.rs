//! A body on its way into the store.

use super::sink::Sink;
use super::{Commit, Connection, Context, Phase, Turn};
use crate::admin;
use crate::batch;
use crate::http::body::{Body, BodyError};
use crate::jobs::Running;
use crate::kv;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Accepted;
use crate::segment::Input;
use alloc::boxed::Box;
use core::task::Poll;
use store::Upload;

/// Most bytes looked at in one turn.
const TURN_BYTES_MAX: usize = 64 * 1024;

/// Where a body goes, and how far it has been read.
pub(super) struct Receiving {
    sink: Sink,
    body: Body,
    /// It is in the list of what takes long.
    job: Option<Running>,
    taken_bytes: u64,
    all_bytes: u64,
    waiting_for: WaitingFor,
}

/// Who has to move before the body goes on: they have different deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitingFor {
    Peer,
    Store,
}

/// What became of the bytes offered.
#[derive(Default)]
struct Outcome {
    refusal: Option<Problem>,
    error: Option<BodyError>,
    store_full: Option<()>,
}

impl Receiving {
    /// Before the first byte.
    pub(super) fn new(sink: Sink, body: Body, job: Option<Running>) -> Self {
        let all_bytes = match body {
            Body::Length(len_bytes) => len_bytes,
            Body::Complete | Body::Chunked(_) => 0,
        };
        Receiving {
            sink,
            body,
            job,
            taken_bytes: 0,
            all_bytes,
            waiting_for: WaitingFor::Peer,
        }
    }
}

impl Connection {
    /// Moves what has come into the store.
    pub(super) fn turn_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut receiving: Box<Receiving>,
    ) -> Turn {
        if receiving.body == Body::Complete {
            return self.end_body(cx, *receiving);
        }
        let mut outcome = Outcome::default();
        let input = take(cx, &mut receiving, &mut outcome);
        self.exchange.unread = receiving.body;
        if input == Input::Gone {
            return self.become_phase(Phase::Aborted);
        }
        if let Some(problem) = outcome.refusal {
            self.exchange.close();
            return self.refuse(cx, problem);
        }
        if let Some(error) = outcome.error {
            return self.refuse_body(cx, error);
        }
        if receiving.body == Body::Complete {
            // What the end takes has its own time.
            receiving.waiting_for = WaitingFor::Peer;
            return self.end_body(cx, *receiving);
        }
        match input {
            Input::Finished => self.refuse_incomplete(cx),
            Input::Bytes(count) if count > 0 && outcome.store_full.is_none() => {
                receiving.waiting_for = WaitingFor::Peer;
                self.peer_sent(cx, count);
                self.become_phase(Phase::Receive(receiving))
            }
            _ => {
                let waiting_for = if outcome.store_full.is_some() {
                    WaitingFor::Store
                } else {
                    WaitingFor::Peer
                };
                let moved = matches!(input, Input::Bytes(count) if count > 0);
                self.wait_for_more(cx, receiving, waiting_for, moved.then_some(()))
            }
        }
    }

    /// A body goes on, and its peer has earned some time.
    pub(super) fn peer_sent(&mut self, cx: &Context<'_>, bytes: usize) {
        let patience_ns = cx.service.config.limits.body_timeout_ns;
        let now_ns = cx.now.monotonic_ns;
        self.deadline_ns = self.pace.moved(bytes, now_ns, patience_ns);
    }

    /// Waits for the peer or the store, each with its deadline.
    fn wait_for_more(
        &mut self,
        cx: &mut Context<'_>,
        mut receiving: Box<Receiving>,
        waiting_for: WaitingFor,
        moved: Option<()>,
    ) -> Turn {
        let limits = cx.service.config.limits;
        if moved.is_some() || receiving.waiting_for != waiting_for {
            receiving.waiting_for = waiting_for;
            // What the store takes is none of the peer's time.
            self.pace.end();
            self.deadline_ns = cx.after(match waiting_for {
                WaitingFor::Peer => limits.body_timeout_ns,
                WaitingFor::Store => limits.answer_timeout_ns,
            });
        }
        if !cx.is_past(self.deadline_ns) {
            self.phase = Phase::Receive(receiving);
            return match waiting_for {
                WaitingFor::Peer => Turn::Peer,
                WaitingFor::Store => Turn::Store,
            };
        }
        match waiting_for {
            WaitingFor::Peer => self.refuse_late(cx),
            WaitingFor::Store => {
                self.exchange.close();
                let problem = receiving.sink.late();
                if problem.kind == Kind::WriteOutcomeUnknown {
                    receiving.job.into_iter().for_each(Running::unknown);
                }
                self.refuse(cx, problem)
            }
        }
    }

    /// The body is complete: so is what it went into.
    fn end_body(&mut self, cx: &mut Context<'_>, receiving: Receiving) -> Turn {
        self.exchange.unread = Body::Complete;
        let Receiving { mut sink, job, .. } = receiving;
        let service = &mut *cx.service;
        let ended = match sink {
            Sink::Value(upload, path) => return self.commit(cx, upload, path),
            Sink::Batch(collected) => {
                let result = batch::submit(service, *collected);
                return self.go_on_observed(cx, result);
            }
            Sink::Backup(ref mut restore) => match service.store.end_restore(restore) {
                Poll::Pending => None,
                Poll::Ready(Ok(restored)) => {
                    service.sweep_all_sites();
                    Some(Ok(admin::restored(&restored)))
                }
                Poll::Ready(Err(error)) => Some(Err(admin::restore_refused(error))),
            },
            Sink::Site(ref mut push) => match push.end(service) {
                Poll::Pending => None,
                Poll::Ready(Ok(pushed)) => Some(Ok(admin::pushed(&pushed))),
                Poll::Ready(Err(problem)) => Some(Err(problem)),
            },
        };
        match ended {
            None => {
                let receiving = Receiving {
                    sink,
                    job,
                    ..receiving
                };
                self.wait_for_more(cx, Box::new(receiving), WaitingFor::Store, None)
            }
            Some(Ok(answer)) => {
                job.into_iter().for_each(Running::done);
                self.answer(cx, answer)
            }
            Some(Err(problem)) => self.refuse(cx, problem),
        }
    }

    /// Hands the change in.
    fn commit(&mut self, cx: &mut Context<'_>, upload: Upload, path: Box<str>) -> Turn {
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
        match cx.service.store.commit_upload(upload) {
            Ok(ticket) => {
                let commit = Commit {
                    pending: cx.service.pending(ticket),
                    accepted: Accepted::Value(kv::Written::Put(path)),
                };
                self.become_phase(Phase::Commit(Box::new(commit)))
            }
            Err(refusal) => self.refuse(cx, refusal::problem(refusal)),
        }
    }

    pub(super) fn refuse_body(&mut self, cx: &mut Context<'_>, error: BodyError) -> Turn {
        self.exchange.close();
        let detail = match error {
            BodyError::Chunk => "The body is not `SIZE CRLF DATA CRLF` ended by a chunk of size 0.",
            BodyError::ExtensionsTooLong => "The chunk extensions are too long.",
            BodyError::TrailersTooLong => "The trailers are too long.",
        };
        self.refuse(cx, Problem::new(Kind::BadBody, detail))
    }

    pub(super) fn refuse_incomplete(&mut self, cx: &mut Context<'_>) -> Turn {
        self.exchange.close();
        let detail =
            "The peer ended the connection before the body was complete; nothing was written.";
        self.refuse(cx, Problem::new(Kind::IncompleteBody, detail))
    }
}

/// Offers what has come to the store.
fn take(cx: &mut Context<'_>, receiving: &mut Receiving, outcome: &mut Outcome) -> Input {
    let Receiving { sink, body, .. } = receiving;
    let store = &mut cx.service.store;
    let mut put = |content: &[u8]| match sink.take(store, content) {
        Ok(taken) => {
            if taken < content.len() {
                outcome.store_full = Some(());
            }
            taken
        }
        Err(problem) => {
            outcome.refusal = Some(problem);
            0
        }
    };
    let error = &mut outcome.error;
    let input = cx.transport.receive(&mut |bytes| match body
        .read(&bytes[..bytes.len().min(TURN_BYTES_MAX)], &mut put)
    {
        Ok(used) => used,
        Err(found) => {
            *error = Some(found);
            0
        }
    });
    if let Input::Bytes(count) = input {
        receiving.taken_bytes += count as u64;
        if let Some(job) = &receiving.job {
            job.note(receiving.taken_bytes, receiving.all_bytes);
        }
        cx.moved_bytes += count;
        cx.service.counters.received_bytes += count as u64;
    }
    input
}
