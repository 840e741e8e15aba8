//! A short body that is looked at as a whole.

use super::{Connection, Context, Phase, Turn};
use crate::admin::Subject;
use crate::http::body::Body;
use crate::problem::Problem;
use crate::segment::Input;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What has come of the body.
pub(super) struct Collecting {
    subject: Subject,
    body: Body,
    content: Vec<u8>,
}

impl Collecting {
    /// Before the first byte.
    pub(super) fn new(subject: Subject, body: Body) -> Self {
        Collecting {
            subject,
            body,
            content: Vec::new(),
        }
    }
}

impl Connection {
    /// Keeps what has come; with the whole body the request goes on.
    pub(super) fn turn_collect(
        &mut self,
        cx: &mut Context<'_>,
        mut collecting: Box<Collecting>,
    ) -> Turn {
        let bytes_max = collecting.subject.bytes_max();
        let Collecting { body, content, .. } = &mut *collecting;
        let mut error = None;
        let mut input = Input::Nothing;
        if *body != Body::Complete {
            // One byte more than fits shows that it does not.
            let mut keep = |bytes: &[u8]| {
                let count = bytes.len().min(bytes_max + 1 - content.len());
                content.extend_from_slice(&bytes[..count]);
                count
            };
            input = cx.receive(&mut |bytes| {
                body.read(bytes, &mut keep).unwrap_or_else(|found| {
                    error = Some(found);
                    0
                })
            });
        }
        self.exchange.unread = *body;
        if input == Input::Gone {
            return self.become_phase(Phase::Aborted);
        }
        if let Some(error) = error {
            return self.refuse_body(cx, error);
        }
        if collecting.content.len() > bytes_max {
            return self.refuse(cx, Problem::body_too_large(bytes_max as u64));
        }
        if collecting.body == Body::Complete {
            return self.collected(cx, *collecting);
        }
        match input {
            Input::Finished => self.refuse_incomplete(cx),
            Input::Bytes(count) if count > 0 => {
                self.peer_sent(cx, count);
                self.become_phase(Phase::Collect(collecting))
            }
            _ if cx.is_past(self.deadline_ns) => self.refuse_late(cx),
            _ => {
                self.phase = Phase::Collect(collecting);
                Turn::Peer
            }
        }
    }

    fn collected(&mut self, cx: &mut Context<'_>, collecting: Collecting) -> Turn {
        let Collecting {
            subject, content, ..
        } = collecting;
        match subject.set(cx.service, &content) {
            Ok(action) => self.act(cx, action),
            Err(problem) => self.refuse(cx, problem),
        }
    }
}
