//! Plain GETs, read in one pass: what is asked most, with nothing about it that changes the answer.
//!
//! # Invariants
//!
//! - What is taken for plain here, and whose path [`is_path`], [`head::parse`](super::head::parse)
//!   reads in the same way, as a GET of HTTP/1.1 without content that keeps its connection. What is
//!   not says nothing: the request may be broken or only unusual.

use super::field::Field;
use super::head::{FIELDS_MAX, HEAD_BYTES_MAX, LINE_BYTES_MAX};
use super::{target, words};

/// A plain GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlainGet<'h> {
    /// What is between the spaces, without what it was said to begin with: of a plain GET only if
    /// it [`is_path`], which is left to the caller, who may know.
    pub(crate) path: &'h [u8],
    /// `Authorization`, if there is one.
    pub(crate) authorization: Option<&'h [u8]>,
    /// Of the whole head, its empty line included.
    pub(crate) len: usize,
}

/// What ends the line of a request that is plain.
const VERSION: &[u8] = b" HTTP/1.1\r\n";

/// In a path as it is: no escape, no query.
const PATH: u8 = 1;
/// In a field's name (RFC 9110 section 5.6.2).
const TOKEN: u8 = 2;
/// In a plain host without a port.
const HOST: u8 = 4;
/// Most digits of a port.
const PORT_DIGITS_MAX: usize = 5;

/// What each byte may be in.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7F {
        let one = byte as u8;
        let name = one.is_ascii_alphanumeric();
        if name || matches!(one, b'-' | b'.' | b'_' | b'~') {
            classes[byte] |= PATH | TOKEN;
        }
        if name || matches!(one, b'-' | b'.') {
            classes[byte] |= HOST;
        }
        if matches!(
            one,
            b'/' | b':' | b'@' | b',' | b';' | b'=' | b'+' | b'!' | b'(' | b')'
        ) {
            classes[byte] |= PATH;
        }
        byte += 1;
    }
    classes
}

/// How many bytes at the beginning are in a class.
fn run(bytes: &[u8], class: u8) -> usize {
    let is_in = |byte: &u8| CLASSES[usize::from(*byte)] & class != 0;
    let len = bytes.iter().position(|byte| !is_in(byte));
    len.unwrap_or(bytes.len())
}

/// Whether these bytes are in a path as they are: no escape, no query.
pub(crate) fn is_path(bytes: &[u8]) -> bool {
    run(bytes, PATH) == bytes.len()
}

/// What a field is to a plain GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Authorization,
    /// Nobody here reads it.
    Unread,
    /// It may change the answer.
    Other,
}

fn kind(name: &[u8]) -> Kind {
    match Field::named(name) {
        Some(Field::Host) => Kind::Host,
        Some(Field::Authorization) => Kind::Authorization,
        Some(_) => Kind::Other,
        None => Kind::Unread,
    }
}

/// A field at the beginning of some lines: name and value, and the lines behind it.
fn field(lines: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = lines.split_at(run(lines, TOKEN));
    let rest = rest.strip_prefix(b": ")?;
    let (value, rest) = rest.split_at_checked(words::text_len(rest))?;
    let behind = rest.strip_prefix(b"\r\n")?;
    (!name.is_empty()).then_some((name, value.trim_ascii(), behind))
}

/// The lines behind the first of some, if that is a host's as most write it.
fn behind_usual_host(lines: &[u8]) -> Option<&[u8]> {
    let (name, rest) = lines.split_first_chunk::<4>()?;
    // Four letters, and nothing else becomes one by this bit.
    let lower = u32::from_le_bytes(*name) | 0x2020_2020;
    if lower != u32::from_le_bytes(*b"host") {
        return None;
    }
    let host = rest.strip_prefix(b": ")?;
    let mut rest = &host[run(host, HOST)..];
    if let Some(port) = rest.strip_prefix(b":") {
        let digits = port.iter().take_while(|byte| byte.is_ascii_digit());
        rest = &port[digits.take(PORT_DIGITS_MAX).count()..];
    }
    rest.strip_prefix(b"\r\n")
}

/// Reads the head at the beginning of `bytes`, if it is a plain GET of `prefix` and what follows.
pub(crate) fn get<'h>(bytes: &'h [u8], prefix: &[u8]) -> Option<PlainGet<'h>> {
    let target = bytes.strip_prefix(b"GET ")?.strip_prefix(prefix)?;
    let (path, rest) = target.split_at_checked(words::find(target, b' '))?;
    let mut lines = rest.strip_prefix(VERSION)?;
    if bytes.len() - lines.len() > LINE_BYTES_MAX {
        return None;
    }
    let (mut has_host, mut authorization) = (false, None);
    for _ in 0..FIELDS_MAX + 1 {
        if let Some(behind) = lines.strip_prefix(b"\r\n") {
            let len = bytes.len() - behind.len();
            return (has_host && len <= HEAD_BYTES_MAX).then_some(PlainGet {
                path,
                authorization,
                len,
            });
        }
        if !has_host && let Some(behind) = behind_usual_host(lines) {
            (has_host, lines) = (true, behind);
            continue;
        }
        let (name, value, behind) = field(lines)?;
        match kind(name) {
            Kind::Host if !has_host && target::is_authority(value) => has_host = true,
            Kind::Authorization if authorization.is_none() => authorization = Some(value),
            Kind::Unread => {}
            Kind::Host | Kind::Authorization | Kind::Other => return None,
        }
        lines = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::http::head::{self, Framing, Persistence};
    use crate::http::method::Method;
    use alloc::format;
    use alloc::vec::Vec;
    use core::mem::MaybeUninit;

    /// Whether a head is plain; if so, it is what the other reader makes of it.
    fn is_plain(head: &[u8]) -> bool {
        let plain = get(head, b"/kv/").filter(|plain| is_path(plain.path));
        let Some(plain) = plain else {
            return false;
        };
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let request =
            head::parse(&head[..plain.len], &mut lines, Channel::Plain).expect("it is well-formed");
        assert_eq!(request.method, Method::Get);
        assert_eq!(
            request.target.path.as_bytes(),
            [b"/kv/", plain.path].concat()
        );
        assert_eq!(request.target.query, None);
        assert_eq!(
            request.fields.get(Field::Authorization),
            plain.authorization
        );
        assert_eq!(request.framing, Framing::None);
        assert_eq!(request.persistence, Persistence::Keep);
        assert!(!request.expects_continue);
        true
    }

    #[test]
    fn the_plain_is_taken_and_the_rest_left() {
        let with = |line: &str, fields: &str| format!("{line}\r\nHost: h\r\n{fields}\r\n");
        let usual = "GET /kv/b/k HTTP/1.1";
        for (line, fields) in [
            (usual, ""),
            ("GET /kv/a_b-c/d.e/~f@g HTTP/1.1", ""),
            (usual, "User-Agent: curl/8.0\r\nAccept: */*\r\n"),
            (usual, "authorization:  Bearer x \r\n"),
            (usual, "X: \r\n"),
        ] {
            assert!(is_plain(with(line, fields).as_bytes()), "{line} {fields}");
        }
        for (line, fields) in [
            ("HEAD /kv/b/k HTTP/1.1", ""),
            ("GET /kv/b/k HTTP/1.0", ""),
            ("GET /kv/b/k  HTTP/1.1", ""),
            ("GET /kv/b/%6b HTTP/1.1", ""),
            ("GET /kv/b/k?at=1 HTTP/1.1", ""),
            ("GET /k/b HTTP/1.1", ""),
            (usual, "Host: h\r\n"),
            (usual, "Range: bytes=0-0\r\n"),
            (usual, "If-None-Match: *\r\n"),
            (usual, "Content-Length: 1\r\n"),
            (usual, "Transfer-Encoding: chunked\r\n"),
            (usual, "Connection: close\r\n"),
            (usual, "Expect: 100-continue\r\n"),
            (
                usual,
                "Authorization: Bearer x\r\nAuthorization: Bearer y\r\n",
            ),
            (usual, "X: a\r\n b\r\n"),
            (usual, "X : a\r\n"),
            (usual, ": a\r\n"),
            (usual, "X: a\n"),
            (usual, "X: a\x01\r\n"),
            (usual, "X: a\r\r\n"),
        ] {
            assert!(!is_plain(with(line, fields).as_bytes()), "{line} {fields}");
        }
        assert!(!is_plain(b"GET /kv/b/k HTTP/1.1\r\n\r\n"));
        assert!(!is_plain(b"GET /kv/b/k HTTP/1.1\r\nHost: a b\r\n\r\n"));
        let whole = with(usual, "X: y\r\n");
        for end in 0..whole.len() {
            assert!(!is_plain(&whole.as_bytes()[..end]), "only {end} bytes");
        }
        let pipelined = with(usual, "") + "GET";
        assert!(is_plain(pipelined.as_bytes()));
    }

    #[test]
    fn hosts_are_read_as_they_are_written() {
        for (line, plain) in [
            ("Host: h", true),
            ("hOST: h-1.example", true),
            ("Host: h:80", true),
            ("Host: h:65535", true),
            ("Host: h:", true),
            ("Host: ", true),
            ("Host: :1", true),
            ("Host:  h ", true),
            ("Host: [::1]:80", true),
            ("Host: a_b", true),
            ("Host:h", false),
            ("Hos: h", false),
            ("Host : h", false),
            ("Host; h", false),
            ("Host: h\r", false),
            ("Host: h:123456", false),
            ("Host: h:8a", false),
            ("Host: h:80:80", false),
            ("Host: h i", false),
            ("Host: h,i", false),
            ("(ost: h", false),
        ] {
            for (before, behind) in [("", ""), ("A: b\r\n", ""), ("", "A: b\r\n")] {
                let head = format!("GET /kv/b/k HTTP/1.1\r\n{before}{line}\r\n{behind}\r\n");
                assert_eq!(is_plain(head.as_bytes()), plain, "{head}");
                let twice = format!("GET /kv/b/k HTTP/1.1\r\n{line}\r\nHost: h\r\n\r\n");
                assert!(!is_plain(twice.as_bytes()) || !plain, "{twice}");
            }
        }
    }

    /// At every place every byte: none makes a plain head of what the other reader refuses.
    #[test]
    fn no_byte_makes_the_two_readers_differ() {
        let head = b"GET /kv/b/k HTTP/1.1\r\nHost: h:80\r\nX-Y: z\r\nAuthorization: a b\r\n\r\n";
        let mut plain = 0;
        for at in 0..head.len() {
            for byte in 0..=255 {
                let mut changed = Vec::from(head);
                changed[at] = byte;
                plain += usize::from(is_plain(&changed));
                changed.insert(at, head[at]);
                plain += usize::from(is_plain(&changed));
            }
        }
        assert!(plain > 2_000, "{plain}");
    }

    #[test]
    fn the_limits_are_the_same() {
        let fields = |count: usize| "a: b\r\n".repeat(count);
        for count in [FIELDS_MAX - 1, FIELDS_MAX] {
            let head = format!("GET /kv/b/k HTTP/1.1\r\nHost: h\r\n{}\r\n", fields(count));
            assert_eq!(is_plain(head.as_bytes()), count < FIELDS_MAX);
        }
        let line = |len: usize| {
            let key = "k".repeat(len - "GET /kv/b/ HTTP/1.1\r\n".len());
            format!("GET /kv/b/{key} HTTP/1.1\r\nHost: h\r\n\r\n")
        };
        assert!(is_plain(line(LINE_BYTES_MAX).as_bytes()));
        assert!(!is_plain(line(LINE_BYTES_MAX + 1).as_bytes()));
        let text = |len: usize| {
            let before = "GET /kv/b/k HTTP/1.1\r\nHost: h\r\nX: ";
            let text = "x".repeat(len - before.len() - 4);
            format!("{before}{text}\r\n\r\n")
        };
        assert!(is_plain(text(HEAD_BYTES_MAX).as_bytes()));
        assert!(!is_plain(text(HEAD_BYTES_MAX + 1).as_bytes()));
    }
}
