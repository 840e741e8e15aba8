//! Several ranges in one answer (RFC 9110 section 14.6).

use crate::http::response::{HeadWriter, line};
use alloc::format;
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::ops::Range;
use store::{Metadata, Now};

/// What goes with each part, about: to send a smaller gap costs less than to leave it out.
pub(crate) const PART_BYTES: u64 = 160;

/// The parts of one `multipart/byteranges` that are still to be sent.
#[derive(Debug)]
pub(crate) struct Multipart {
    boundary: String,
    /// Fields that are in each part.
    fields: Vec<u8>,
    /// Of the whole value.
    len_bytes: u64,
    parts: vec::IntoIter<Range<u64>>,
    has_ended: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These bytes, then so much of the value.
    Part(Vec<u8>, Range<u64>),
    /// These bytes, and no more.
    End(Vec<u8>),
}

impl Multipart {
    /// These ranges of this version of the value, with `fields` in each part.
    ///
    /// The boundary names the nanosecond of this answer, which is later than what is in the value:
    /// who wrote the value can but guess it.
    pub(crate) fn new(
        ranges: Vec<Range<u64>>,
        version: &Metadata,
        now: Now,
        fields: HeadWriter,
    ) -> Self {
        Multipart {
            boundary: format!("lampion-{:016x}{:016x}", version.seq.0, now.wall_ns),
            fields: fields.into_middle(),
            len_bytes: version.len_bytes,
            parts: ranges.into_iter(),
            has_ended: false,
        }
    }

    /// The answer's own `Content-Type`.
    pub(crate) fn media(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The length of all that is still to be sent.
    pub(crate) fn len_bytes(&self) -> u64 {
        let parts = self.parts.as_slice().iter();
        let part = |bytes: &Range<u64>| self.head(bytes).len() as u64 + (bytes.end - bytes.start);
        parts.map(part).sum::<u64>() + self.end().len() as u64
    }

    fn head(&self, bytes: &Range<u64>) -> Vec<u8> {
        let mut head = HeadWriter::part(&self.boundary, &self.fields);
        let range = content_range(bytes, self.len_bytes);
        head.field(line!("Content-Range"), range.as_bytes());
        head.finish()
    }

    fn end(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }
}

impl Iterator for Multipart {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        match self.parts.next() {
            Some(bytes) => Some(Next::Part(self.head(&bytes), bytes)),
            None if self.has_ended => None,
            None => {
                self.has_ended = true;
                Some(Next::End(self.end()))
            }
        }
    }
}

/// A `Content-Range` (RFC 9110 section 14.4).
pub(crate) fn content_range(bytes: &Range<u64>, len_bytes: u64) -> String {
    format!("bytes {}-{}/{len_bytes}", bytes.start, bytes.end - 1)
}
