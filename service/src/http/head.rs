//! Request heads: syntax, then everything that decides where the message ends.
//!
//! `httparse` reads the lines; what it tolerates is refused here, since two
//! readers that disagree about a message's end are how requests are smuggled
//! (RFC 9112 section 11.2). The caller has already seen that every line ends
//! with CRLF.

use crate::channel::Channel;
use crate::http::field::{Field, Fields};
use crate::http::method::Method;
use crate::http::target::{self, Target, TargetError};
use core::mem::MaybeUninit;

/// Longest request line, its CRLF included.
pub(crate) const LINE_BYTES_MAX: usize = 10_240;
/// Longest head, its empty line included.
pub(crate) const HEAD_BYTES_MAX: usize = 16_384;
/// Most header lines.
pub(crate) const FIELDS_MAX: usize = 96;

/// Room for the header lines of one head.
pub(crate) type Lines<'h> = [MaybeUninit<httparse::Header<'h>>; FIELDS_MAX];

/// A request, borrowed from its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'h> {
    pub(crate) method: Method,
    pub(crate) target: Target<'h>,
    /// Host and port: of an absolute-form target, else of `Host`; may be empty.
    pub(crate) authority: &'h str,
    pub(crate) fields: Fields<'h>,
    /// How it came.
    pub(crate) channel: Channel,
    pub(crate) framing: Framing,
    pub(crate) persistence: Persistence,
    /// The peer speaks HTTP/1.1, so an answer may come in chunks.
    pub(crate) knows_chunks: bool,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// Where a request's body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// Whether the connection goes on after the answer (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It ends.
    Close,
    /// It goes on, as is usual in HTTP/1.1.
    Keep,
    /// It goes on because an HTTP/1.0 peer asked, which wants to be told so.
    KeepAlive,
}

/// Why a head was refused; none of these leaves the connection usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not the syntax of RFC 9112; the sentence says where.
    Syntax(&'static str),
    /// It cannot be known where the message ends; the sentence says why.
    Framing(&'static str),
    /// `Host` is missing, doubled or malformed.
    Host,
    /// The target has none of the forms served.
    Target,
    /// The target is to be asked for over the other channel (RFC 9110 section 7.4).
    Misdirected,
    /// The request line is too long.
    LineTooLong,
    /// The head is too long, or has too many lines.
    TooLarge,
    /// A method nobody here implements.
    Method,
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// A transfer coding other than chunked.
    Coding,
    /// An expectation other than `100-continue`.
    Expectation,
}

/// Parses one complete head, its empty line included, that came over `channel`.
pub(crate) fn parse<'h>(
    head: &'h [u8],
    lines: &'h mut Lines<'h>,
    channel: Channel,
) -> Result<Request<'h>, HeadError> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, lines) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => {
            return Err(HeadError::Syntax(
                "the head does not end where its empty line is",
            ));
        }
        Err(error) => return Err(syntax(error, head)),
    }
    let httparse::Request {
        method: Some(method),
        path: Some(path),
        version: Some(minor),
        headers,
    } = parsed
    else {
        return Err(HeadError::Syntax("the request line is incomplete"));
    };
    let fields = Fields::new(headers).map_err(doubled)?;
    // Before all that is 501: no request without a good Host is anything but 400 (RFC 9112
    // section 3.2).
    let host = host(&fields, minor)?;
    let framing = framing(&fields, minor)?;
    let method = Method::from_name(method).ok_or(HeadError::Method)?;
    let target = Target::parse(path).map_err(|error| match error {
        TargetError::Form => HeadError::Target,
    })?;
    if target.channel.is_some_and(|asked| asked != channel) {
        return Err(HeadError::Misdirected);
    }
    if (target.path == "*") != (method == Method::Options) && target.path == "*" {
        return Err(HeadError::Target);
    }
    Ok(Request {
        method,
        target,
        authority: target.authority.unwrap_or(host),
        channel,
        framing,
        persistence: persistence(&fields, minor),
        knows_chunks: minor > 0,
        expects_continue: expects_continue(&fields, minor)? && framing != Framing::None,
        fields,
    })
}

/// Makes a head of HTTP/1.2 to HTTP/1.9 one of the highest version that is known here (RFC 9110
/// section 6.2).
pub(crate) fn lower_version(head: &mut [u8]) {
    let end = memchr::memchr(b'\r', head).unwrap_or(0);
    if let [
        ..,
        b' ',
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'1',
        b'.',
        minor @ b'2'..=b'9',
    ] = &mut head[..end]
    {
        *minor = b'1';
    }
}

/// Whether this is `METHOD TARGET HTTP/…`, so that it is worth to wait for the rest of the head.
pub(crate) fn is_request_line(line: &[u8]) -> bool {
    let [before @ .., b' ', b'H', b'T', b'T', b'P', b'/', _, _, _] = line else {
        return false;
    };
    let spaces = before.iter().filter(|&&byte| byte == b' ').count();
    spaces == 1 && !before.starts_with(b" ") && !before.ends_with(b" ")
}

/// Why a head whose first line is none cannot be read.
pub(crate) const NO_REQUEST_LINE: HeadError = HeadError::Syntax(
    "the request line is not `METHOD TARGET HTTP/1.1` with single spaces and percent-encoded \
     characters",
);

/// What httparse found wrong.
fn syntax(error: httparse::Error, head: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version if names_version(head) => HeadError::Version,
        httparse::Error::HeaderName => HeadError::Syntax(
            "a header name has a character that is not allowed, or the line is folded",
        ),
        httparse::Error::HeaderValue => {
            HeadError::Syntax("a header value has a control character in it")
        }
        httparse::Error::NewLine => HeadError::Syntax("a CR is not followed by LF"),
        httparse::Error::Token | httparse::Error::Status | httparse::Error::Version => {
            NO_REQUEST_LINE
        }
    }
}

/// Whether the request line is well-formed but for the number of its version.
fn names_version(head: &[u8]) -> bool {
    let line = head.split(|&b| b == b'\r').next().unwrap_or(head);
    let mut words = line.split(|&b| b == b' ').skip(2);
    let version = words.next().and_then(|word| word.strip_prefix(b"HTTP/"));
    matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'9'])) && words.next().is_none()
}

/// A field that may come once came twice.
fn doubled(field: Field) -> HeadError {
    match field {
        Field::Host => HeadError::Host,
        Field::ContentLength => HeadError::Framing("Content-Length is given more than once"),
        Field::TransferEncoding => HeadError::Framing("Transfer-Encoding is given more than once"),
        _ => HeadError::Syntax("a field that may be given once is given twice"),
    }
}

/// RFC 9112 section 6.3, with every choice left to the server made the strict way.
fn framing(fields: &Fields<'_>, minor: u8) -> Result<Framing, HeadError> {
    let length = fields.get(Field::ContentLength);
    let Some(coding) = fields.get(Field::TransferEncoding) else {
        return length.map_or(Ok(Framing::None), content_length);
    };
    if length.is_some() {
        return Err(HeadError::Framing(
            "Content-Length and Transfer-Encoding are both given",
        ));
    }
    if minor == 0 {
        return Err(HeadError::Framing("HTTP/1.0 has no Transfer-Encoding"));
    }
    let mut codings = coding.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if !codings.next_back().is_some_and(is_chunked) {
        return Err(HeadError::Framing(
            "the last transfer coding is not `chunked`",
        ));
    }
    let mut others = 0;
    for coding in codings {
        // An empty element could be ignored (RFC 9110 section 5.6.1.2); others may read it in
        // another way, and where a message ends is not for guessing.
        if coding.is_empty() || is_chunked(coding) {
            return Err(HeadError::Framing(
                "Transfer-Encoding is not a list of codings ended by one `chunked`",
            ));
        }
        others += 1;
    }
    if others > 0 {
        Err(HeadError::Coding)
    } else {
        Ok(Framing::Chunked)
    }
}

/// Digits, and nothing but digits.
fn content_length(text: &[u8]) -> Result<Framing, HeadError> {
    const WRONG: HeadError = HeadError::Framing("Content-Length is not a decimal number");
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    let mut length = 0_u64;
    for digit in text {
        let tens = length.checked_mul(10).ok_or(WRONG)?;
        length = tens.checked_add(u64::from(digit - b'0')).ok_or(WRONG)?;
    }
    Ok(if length == 0 {
        Framing::None
    } else {
        Framing::Length(length)
    })
}

/// RFC 9112 section 3.2: exactly one valid `Host` in HTTP/1.1.
fn host<'h>(fields: &Fields<'h>, minor: u8) -> Result<&'h str, HeadError> {
    let Some(host) = fields.get(Field::Host) else {
        return if minor == 0 {
            Ok("")
        } else {
            Err(HeadError::Host)
        };
    };
    if !target::is_authority(host) {
        return Err(HeadError::Host);
    }
    core::str::from_utf8(host).map_err(|_| HeadError::Host)
}

/// RFC 9112 section 9.3.
fn persistence(fields: &Fields<'_>, minor: u8) -> Persistence {
    let has = |option: &[u8]| {
        fields
            .elements(Field::Connection)
            .any(|element| element.eq_ignore_ascii_case(option))
    };
    if has(b"close") {
        Persistence::Close
    } else if minor == 1 {
        Persistence::Keep
    } else if has(b"keep-alive") {
        Persistence::KeepAlive
    } else {
        Persistence::Close
    }
}

/// RFC 9110 section 10.1.1; an expectation of an HTTP/1.0 peer is ignored.
fn expects_continue(fields: &Fields<'_>, minor: u8) -> Result<bool, HeadError> {
    let mut expects = false;
    for element in fields.elements(Field::Expect) {
        if !element.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        expects = minor == 1;
    }
    Ok(expects)
}
