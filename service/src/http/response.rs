//! Response heads (RFC 9112 section 4).

use super::date::Date;
use super::words;
use crate::cors;
use alloc::vec::Vec;
use store::Now;

/// The interim answer that asks for the body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Room for most heads.
const HEAD_BYTES: usize = 512;

/// A response head being written: each line but the first begins with the end of the one before.
#[derive(Debug)]
pub(crate) struct HeadWriter(Vec<u8>);

/// How the line of a field begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line(&'static [u8]);

/// The line of a field by its name, which is known when this is compiled.
macro_rules! line {
    ($name:literal) => {
        $crate::http::response::Line::new(concat!("\r\n", $name, ": "))
    };
}
pub(crate) use line;

impl Line {
    pub(crate) const fn new(beginning: &'static str) -> Self {
        Line(beginning.as_bytes())
    }
}

impl HeadWriter {
    /// Begins with the status line, and the fields that every answer has.
    pub(crate) fn new(status: u16, date: Option<&[u8]>) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(b"HTTP/1.1 ");
        push_number(&mut bytes, u64::from(status));
        bytes.push(b' ');
        bytes.extend_from_slice(reason(status).as_bytes());
        let mut head = HeadWriter(bytes);
        if let Some(date) = date {
            head.field(line!("Date"), date);
        }
        head.field(line!("Server"), b"lampion");
        head
    }

    /// Begins a part of a multipart (RFC 2046 section 5.1.1) with the middle of a head.
    pub(crate) fn part(boundary: &str, middle: &[u8]) -> Self {
        HeadWriter([b"\r\n--", boundary.as_bytes(), middle].concat())
    }

    /// Begins in the middle of a head.
    pub(crate) fn middle() -> Self {
        HeadWriter(Vec::new())
    }

    /// What was written, as the middle of a head.
    pub(crate) fn into_middle(self) -> Vec<u8> {
        self.0
    }

    /// One field; `value` has no control characters in it (its maker checked).
    #[inline]
    pub(crate) fn field(&mut self, line: Line, value: &[u8]) {
        debug_assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0));
        self.0.extend_from_slice(line.0);
        self.0.extend_from_slice(value);
    }

    /// One field whose value was kept on the disk; what could end it early becomes a space.
    pub(crate) fn kept(&mut self, line: Line, value: &str) {
        if words::may_have_control(value.as_bytes())
            && value.bytes().any(|b| b.is_ascii_control() && b != b'\t')
        {
            let harmless = value.replace(|c: char| c.is_ascii_control(), " ");
            return self.field(line, harmless.as_bytes());
        }
        self.field(line, value.as_bytes());
    }

    /// One field that is a number.
    #[inline]
    pub(crate) fn number(&mut self, line: Line, value: u64) {
        self.0.extend_from_slice(line.0);
        push_number(&mut self.0, value);
    }

    /// Fields already written, each with its end.
    pub(crate) fn lines(&mut self, lines: &[u8]) {
        if let Some(lines) = lines.strip_suffix(b"\r\n") {
            self.0.extend_from_slice(b"\r\n");
            self.0.extend_from_slice(lines);
        }
    }

    /// The empty line, and all that was written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n\r\n");
        self.0
    }
}

/// How every 200 begins, written once a second.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    seconds: u64,
    text: Vec<u8>,
}

impl Beginning {
    /// Of an answer given now.
    pub(crate) fn of_ok(&mut self, date: &mut Date, now: Now, cors: Option<&str>) -> &[u8] {
        let seconds = now.wall_ns / 1_000_000_000;
        if self.text.is_empty() || seconds != self.seconds {
            self.seconds = seconds;
            let mut head = HeadWriter::new(200, date.of(now));
            cors::allow(cors, &mut head);
            self.text = head.into_middle();
        }
        &self.text
    }
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// The statuses this server answers with, and the phrases usual with them (RFC 9110 section 15).
pub(crate) const STATUSES: [(u16, &str); 32] = [
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"),
    (507, "Insufficient Storage"),
];

/// The phrase usual with a status; nobody has to read it.
fn reason(status: u16) -> &'static str {
    let known = STATUSES.iter().find(|(known, _)| *known == status);
    known.map_or("", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_kept_field_becomes_a_space() {
        let mut head = HeadWriter::new(404, Some(b"never"));
        head.kept(line!("A"), "b\r\nC: d\t\u{e9}");
        head.number(line!("E"), 10);
        head.lines(b"F: g\r\n");
        let usual = "HTTP/1.1 404 Not Found\r\nDate: never\r\nServer: lampion";
        let text = "\r\nA: b  C: d \u{e9}\r\nE: 10\r\nF: g\r\n\r\n";
        assert_eq!(head.finish(), [usual, text].concat().as_bytes());
    }
}
