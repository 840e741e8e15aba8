//! Collects one request head, and not a byte more than that.
//!
//! # Invariants
//!
//! - At most [`HEAD_BYTES_MAX`] bytes are held.
//! - Every line taken ends with CRLF: a bare LF is refused here, before any
//!   parser could read it as a line's end.

use crate::http::head::{self, HEAD_BYTES_MAX, HeadError, LINE_BYTES_MAX};
use alloc::vec::Vec;

/// Most empty lines skipped before a request line (RFC 9112 section 2.2).
const BLANK_LINES_MAX: u8 = 4;

/// The bytes of one head so far.
#[derive(Debug, Default)]
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    /// Bytes of the line being received.
    line_bytes: u16,
    blank_lines: u8,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collected {
    /// The beginning of a head, or nothing.
    Partial,
    /// A head with its empty line.
    Complete,
    /// Nothing that could become a head.
    Broken(HeadError),
}

impl HeadBuffer {
    /// Whether no byte of a request has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what belongs to this head; how much that was.
    pub(crate) fn take(&mut self, input: &[u8]) -> (usize, Collected) {
        let mut used = 0;
        let mut kept_from = 0;
        let mut collected = Collected::Partial;
        while collected == Collected::Partial && used < input.len() {
            let rest = &input[used..];
            let first_line = self.bytes.len() + (used - kept_from) == usize::from(self.line_bytes);
            let line_room = if first_line {
                LINE_BYTES_MAX
            } else {
                HEAD_BYTES_MAX
            };
            let room = HEAD_BYTES_MAX - self.bytes.len() - (used - kept_from);
            let window = &rest[..rest
                .len()
                .min(room)
                .min(line_room - usize::from(self.line_bytes))];
            match memchr::memchr(b'\n', window) {
                Some(at) => {
                    let before = if at > 0 {
                        Some(window[at - 1])
                    } else {
                        self.last(input, used)
                    };
                    let line_bytes = usize::from(self.line_bytes) + at + 1;
                    used += at + 1;
                    self.line_bytes = 0;
                    if before != Some(b'\r') {
                        collected = Collected::Broken(HeadError::Syntax(
                            "a line ends with LF alone instead of CRLF",
                        ));
                    } else if line_bytes == 2 && !first_line {
                        collected = Collected::Complete;
                    } else if line_bytes == 2 {
                        self.bytes.clear();
                        kept_from = used;
                        collected = self.skipped_blank();
                    } else if first_line && !self.is_request_line(&input[kept_from..used]) {
                        collected = Collected::Broken(head::NO_REQUEST_LINE);
                    }
                }
                None => {
                    used += window.len();
                    self.line_bytes += window.len() as u16;
                    if window.len() < rest.len() {
                        let error = if first_line {
                            HeadError::LineTooLong
                        } else {
                            HeadError::TooLarge
                        };
                        collected = Collected::Broken(error);
                    }
                }
            }
        }
        self.bytes.extend_from_slice(&input[kept_from..used]);
        (used, collected)
    }

    /// The byte before `input[used]`.
    fn last(&self, input: &[u8], used: usize) -> Option<u8> {
        if used > 0 {
            input.get(used - 1).copied()
        } else {
            self.bytes.last().copied()
        }
    }

    /// Whether what is kept, and `rest` behind it, are a request line with its end.
    fn is_request_line(&self, rest: &[u8]) -> bool {
        let end = rest.len().saturating_sub(2);
        match self.bytes.is_empty() {
            true => head::is_request_line(&rest[..end]),
            false => {
                let mut line = [&self.bytes, rest].concat();
                line.truncate(line.len() - 2);
                head::is_request_line(&line)
            }
        }
    }

    fn skipped_blank(&mut self) -> Collected {
        self.blank_lines += 1;
        if self.blank_lines > BLANK_LINES_MAX {
            Collected::Broken(HeadError::Syntax("empty lines instead of a request line"))
        } else {
            Collected::Partial
        }
    }

    /// Forgets what was before a head that is taken elsewhere: blank lines.
    pub(crate) fn forget_blank_lines(&mut self) {
        if self.blank_lines > 0 {
            self.finish();
        }
    }

    /// The complete head; the buffer is empty after it.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        core::mem::take(self).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn check(input: &[u8], expect: Collected, left: usize, head: &str) {
        for split in 0..=input.len().min(100) {
            let mut buffer = HeadBuffer::default();
            let (mut used, mut collected) = buffer.take(&input[..split]);
            if collected == Collected::Partial {
                assert_eq!(used, split);
                let (more, then) = buffer.take(&input[split..]);
                (used, collected) = (used + more, then);
            }
            assert_eq!(
                collected,
                expect,
                "{:?} at {split}",
                String::from_utf8_lossy(input)
            );
            assert!(buffer.bytes.len() <= HEAD_BYTES_MAX);
            if collected == Collected::Complete {
                assert_eq!(input.len() - used, left);
                assert_eq!(buffer.finish(), head.as_bytes());
                assert!(buffer.is_empty());
            }
        }
    }

    #[test]
    fn heads_end_at_their_empty_line() {
        check(
            b"G / HTTP/1.1\r\n\r\nmore",
            Collected::Complete,
            4,
            "G / HTTP/1.1\r\n\r\n",
        );
        check(
            b"\r\n\r\nG / HTTP/1.1\r\nA: b\r\n\r\n",
            Collected::Complete,
            0,
            "G / HTTP/1.1\r\nA: b\r\n\r\n",
        );
        check(b"G / HTTP/1.1\r\nA: b\r\n", Collected::Partial, 0, "");
        check(b"", Collected::Partial, 0, "");
    }

    #[test]
    fn bare_line_feeds_and_floods_are_refused() {
        let bare = HeadError::Syntax("a line ends with LF alone instead of CRLF");
        for input in [
            "GET\n\n",
            "\n",
            "G / HTTP/1.1\r\nA: b\n\r\n",
            "G / HTTP/1.1\r\n\n",
            "\r\n\nGET",
        ] {
            check(input.as_bytes(), Collected::Broken(bare), 0, "");
        }
        let blank = HeadError::Syntax("empty lines instead of a request line");
        check(&b"\r\n".repeat(5), Collected::Broken(blank), 0, "");
        check(
            &b"a".repeat(10_000_000),
            Collected::Broken(HeadError::LineTooLong),
            0,
            "",
        );
        let fields = format!("G / HTTP/1.1\r\n{}", "a: b\r\n".repeat(9000));
        check(
            fields.as_bytes(),
            Collected::Broken(HeadError::TooLarge),
            0,
            "",
        );
        let field = format!("G / HTTP/1.1\r\na: {}", "b".repeat(100_000));
        check(
            field.as_bytes(),
            Collected::Broken(HeadError::TooLarge),
            0,
            "",
        );
    }

    #[test]
    fn what_is_no_request_line_is_refused_before_the_rest_has_come() {
        for line in [
            "GET",
            "GET /",
            " / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET / a HTTP/1.1",
            "G / x",
        ] {
            let line = format!("{line}\r\n");
            check(
                line.as_bytes(),
                Collected::Broken(head::NO_REQUEST_LINE),
                0,
                "",
            );
        }
    }

    #[test]
    fn the_longest_request_line_fits() {
        let target = "a".repeat(LINE_BYTES_MAX - 13);
        let line = format!("G {target} HTTP/1.1\r\n\r\n");
        let mut buffer = HeadBuffer::default();
        assert_eq!(
            buffer.take(line.as_bytes()),
            (line.len(), Collected::Complete)
        );
        let line = format!("a{line}");
        let mut buffer = HeadBuffer::default();
        assert_eq!(
            buffer.take(line.as_bytes()).1,
            Collected::Broken(HeadError::LineTooLong)
        );
    }
}
