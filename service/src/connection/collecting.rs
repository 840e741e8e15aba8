//! A short body that is looked at as a whole.

use super::{Connection, Context, Phase, Turn};
use crate::admin::{self, BODY_BYTES_MAX};
use crate::http::body::Body;
use crate::problem::Problem;
use crate::segment::Input;
use alloc::boxed::Box;
use alloc::vec::Vec;
use store::BucketName;

/// What has come of the body that says what a bucket is to be.
pub(super) struct Collecting {
    bucket: BucketName,
    body: Body,
    content: Vec<u8>,
}

impl Collecting {
    /// Before the first byte.
    pub(super) fn new(bucket: BucketName, body: Body) -> Self {
        Collecting {
            bucket,
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
        let Collecting { body, content, .. } = &mut *collecting;
        let mut error = None;
        let mut input = Input::Nothing;
        if *body != Body::Complete {
            // One byte more than fits shows that it does not.
            let mut keep = |bytes: &[u8]| {
                let count = bytes.len().min(BODY_BYTES_MAX + 1 - content.len());
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
        if collecting.content.len() > BODY_BYTES_MAX {
            return self.refuse(cx, Problem::body_too_large(BODY_BYTES_MAX as u64));
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
            bucket, content, ..
        } = collecting;
        match admin::set_bucket(cx.service, bucket, &content) {
            Ok(action) => self.act(cx, action),
            Err(problem) => self.refuse(cx, problem),
        }
    }
}
