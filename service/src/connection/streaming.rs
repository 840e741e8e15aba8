//! Answers whose length nobody knows ahead.
//!
//! They come in chunks (RFC 9112 section 7.1), or end with their connection where the peer speaks
//! HTTP/1.0.

use super::exchange::After;
use super::{Connection, Context};
use crate::http::response::{Line, line};
use crate::segment::Segment;
use alloc::format;
use alloc::vec::Vec;

/// The last chunk.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Connection {
    /// Queues the head of an answer of a type, that no cache is to keep; what follows the answer.
    pub(super) fn begin_stream(
        &mut self,
        cx: &mut Context<'_>,
        media: &[u8],
        fields: &[(Line, &[u8])],
    ) -> After {
        if !self.exchange.knows_chunks {
            self.exchange.close();
        }
        let (mut head, after) = self.begin_head(cx, 200);
        head.field(line!("Content-Type"), media);
        for (line, value) in fields {
            head.field(*line, value);
        }
        head.field(line!("Cache-Control"), b"no-store");
        head.field(line!("X-Content-Type-Options"), b"nosniff");
        if self.exchange.knows_chunks {
            head.field(line!("Transfer-Encoding"), b"chunked");
        }
        self.push_head(cx, head);
        after
    }

    /// Queues a part of it.
    pub(super) fn push_chunk(&mut self, cx: &Context<'_>, part: Vec<u8>) {
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
        if part.is_empty() || !self.exchange.knows_chunks {
            self.output.push(Segment::Inline(part));
            return;
        }
        let head = format!("{:x}\r\n", part.len()).into_bytes();
        self.output.push(Segment::Inline(head));
        self.output.push(Segment::Inline(part));
        self.output.push(Segment::Static(b"\r\n"));
    }

    /// Queues its end: one without is broken off, and its reader knows.
    pub(super) fn end_stream(&mut self) {
        if self.exchange.knows_chunks {
            self.output.push(Segment::Static(LAST_CHUNK));
        }
    }
}
