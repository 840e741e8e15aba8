//! Response heads (RFC 9112 section 4).

use alloc::vec::Vec;

/// The interim answer that asks for the body.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A response head being written.
#[derive(Debug)]
pub(crate) struct HeadWriter(Vec<u8>);

impl HeadWriter {
    /// Begins with the status line.
    pub(crate) fn new(status: u16) -> Self {
        let mut bytes = Vec::with_capacity(384);
        bytes.extend_from_slice(b"HTTP/1.1 ");
        push_number(&mut bytes, u64::from(status));
        bytes.push(b' ');
        bytes.extend_from_slice(reason(status).as_bytes());
        bytes.extend_from_slice(b"\r\n");
        HeadWriter(bytes)
    }

    /// One field; `value` has no control characters in it (its maker checked).
    pub(crate) fn field(&mut self, name: &str, value: &[u8]) {
        debug_assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0));
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }

    /// One field whose value was kept on the disk; what could end it early becomes a space.
    pub(crate) fn kept(&mut self, name: &str, value: &str) {
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            let harmless = value.replace(|c: char| c.is_ascii_control(), " ");
            return self.field(name, harmless.as_bytes());
        }
        self.field(name, value.as_bytes());
    }

    /// One field that is a number.
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        push_number(&mut self.0, value);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Fields already written as lines.
    pub(crate) fn lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    /// The empty line, and all that was written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
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
pub(crate) const STATUSES: [(u16, &str); 27] = [
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (204, "No Content"),
    (206, "Partial Content"),
    (304, "Not Modified"),
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
