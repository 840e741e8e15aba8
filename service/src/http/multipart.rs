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
    parts: vec::IntoIter<Part>,
    end: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Part {
    head: Vec<u8>,
    bytes: Range<u64>,
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
    /// These ranges of this version of the value, whose content has this type.
    ///
    /// The boundary names the nanosecond of this answer, which is later than what is in the value:
    /// who wrote the value can but guess it.
    pub(crate) fn new(
        ranges: &[Range<u64>],
        version: &Metadata,
        now: Now,
        write_type: impl Fn(&mut HeadWriter),
    ) -> Self {
        let boundary = format!("lampion-{:016x}{:016x}", version.seq.0, now.wall_ns);
        let part = |bytes: &Range<u64>| {
            let mut head = HeadWriter::part(&boundary);
            write_type(&mut head);
            head.field(
                line!("Content-Range"),
                content_range(bytes, version).as_bytes(),
            );
            Part {
                head: head.finish(),
                bytes: bytes.clone(),
            }
        };
        let parts = ranges.iter().map(part).collect::<Vec<_>>();
        Multipart {
            end: Some(format!("\r\n--{boundary}--\r\n").into_bytes()),
            parts: parts.into_iter(),
            boundary,
        }
    }

    /// The answer's own `Content-Type`.
    pub(crate) fn media(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The length of all that is still to be sent.
    pub(crate) fn len_bytes(&self) -> u64 {
        let parts = self.parts.as_slice().iter();
        let parts: u64 = parts
            .map(|part| part.head.len() as u64 + (part.bytes.end - part.bytes.start))
            .sum();
        parts + self.end.as_ref().map_or(0, Vec::len) as u64
    }
}

impl Iterator for Multipart {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        match self.parts.next() {
            Some(Part { head, bytes }) => Some(Next::Part(head, bytes)),
            None => self.end.take().map(Next::End),
        }
    }
}

/// A `Content-Range` (RFC 9110 section 14.4).
pub(crate) fn content_range(bytes: &Range<u64>, version: &Metadata) -> String {
    format!(
        "bytes {}-{}/{}",
        bytes.start,
        bytes.end - 1,
        version.len_bytes
    )
}
