//! An answer that is complete before its first byte is sent.

use crate::allowance::Held;
use crate::segment::Segment;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// Status, fields and content; what every answer has is added when it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Fields beyond Date, Connection, Content-Length and Content-Type, as lines.
    pub(crate) lines: Vec<u8>,
    /// `Content-Type`, if there is content.
    pub(crate) media: Option<&'static str>,
    /// The content, in pieces.
    pub(crate) content: Vec<Segment>,
    /// What of the memory for bodies is taken until it is sent.
    pub(crate) held: Option<Rc<Held>>,
}

impl Answer {
    /// No content: 201, 204, 308.
    pub(crate) fn empty(status: u16) -> Self {
        Answer {
            status,
            lines: Vec::new(),
            media: None,
            content: Vec::new(),
            held: None,
        }
    }

    /// Text made for this answer, not to be kept by any cache.
    pub(crate) fn text(status: u16, media: &'static str, text: String) -> Self {
        let content = Vec::from([Segment::Inline(text.into_bytes())]);
        Answer::segments(status, media, content)
    }

    /// Content in pieces, not to be kept by any cache.
    pub(crate) fn segments(status: u16, media: &'static str, content: Vec<Segment>) -> Self {
        let mut answer = Answer {
            status,
            lines: Vec::new(),
            media: Some(media),
            content,
            held: None,
        };
        answer.line("Cache-Control", "no-store");
        answer.line("X-Content-Type-Options", "nosniff");
        answer
    }

    /// Adds a field; `value` has no control characters.
    pub(crate) fn line(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains(['\r', '\n', '\0']));
        for part in [name, ": ", value, "\r\n"] {
            self.lines.extend_from_slice(part.as_bytes());
        }
    }

    /// Length of the content.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.content
            .iter()
            .map(|segment| segment.bytes().len() as u64)
            .sum()
    }
}
