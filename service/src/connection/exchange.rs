//! One request and its answer, as far as they concern the connection.

use crate::http::body::Body;
use crate::http::head::{Persistence, Request};
use crate::http::method::Method;

/// Longest rest of a body that is read and dropped to keep a connection.
pub(crate) const DROPPED_BYTES_MAX: u64 = 65_536;

/// What has to be known of a request to end its answer rightly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The answer has no content, whatever its fields say.
    head_only: HeadOnly,
    pub(crate) persistence: Persistence,
    /// The answer may come in chunks.
    pub(crate) knows_chunks: bool,
    /// What has not been read of the request's body.
    pub(crate) unread: Body,
    /// The peer waits for `100 Continue`.
    pub(crate) continue_owed: bool,
}

/// Whether the request was HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadOnly {
    Yes,
    No,
}

impl HeadOnly {
    /// Of a head that could not be read, or only in part.
    pub(crate) fn of(head: &[u8]) -> HeadOnly {
        match head.starts_with(b"HEAD ") {
            true => HeadOnly::Yes,
            false => HeadOnly::No,
        }
    }
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request.
    Next,
    /// The rest of this request's body, then the next request.
    Drop(Body),
    /// Nothing: the connection ends.
    Finish,
    /// The end, once the peer had time to read the answer: a reset on account
    /// of unread input could destroy it (RFC 9112 section 9.6).
    Linger,
}

impl Exchange {
    /// Of a request that could be read.
    pub(crate) fn new(request: &Request<'_>) -> Self {
        Exchange {
            head_only: if request.method == Method::Head {
                HeadOnly::Yes
            } else {
                HeadOnly::No
            },
            persistence: request.persistence,
            knows_chunks: request.knows_chunks,
            unread: Body::new(request.framing),
            continue_owed: request.expects_continue,
        }
    }

    /// Of one that could not: nobody knows where it ends.
    pub(crate) fn broken(head_only: HeadOnly) -> Self {
        Exchange {
            head_only,
            persistence: Persistence::Close,
            knows_chunks: false,
            unread: Body::Length(u64::MAX),
            continue_owed: false,
        }
    }

    /// This one, given up in the middle: nobody knows where it ends.
    pub(crate) fn given_up(&self) -> Self {
        Exchange::broken(self.head_only)
    }

    /// Whether content follows the head of the answer.
    pub(crate) fn wants_content(&self) -> bool {
        self.head_only == HeadOnly::No
    }

    /// Ends the connection after the answer.
    pub(crate) fn close(&mut self) {
        self.persistence = Persistence::Close;
    }

    /// What follows the answer, decided when its head is written.
    pub(crate) fn after(&self) -> After {
        // A peer that was not told to continue may or may not send the body
        // (RFC 9110 section 10.1.1).
        let droppable = match self.unread {
            Body::Complete => true,
            Body::Length(left) => left <= DROPPED_BYTES_MAX && !self.continue_owed,
            Body::Chunked(_) => false,
        };
        match (self.persistence, self.unread) {
            (Persistence::Close, Body::Complete) => After::Finish,
            (Persistence::Close, _) => After::Linger,
            (_, Body::Complete) => After::Next,
            (_, unread) if droppable => After::Drop(unread),
            _ => After::Linger,
        }
    }
}
