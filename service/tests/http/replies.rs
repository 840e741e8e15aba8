//! Reads answers back, written independently of the code that writes them.

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Whether content follows an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Usual,
    /// The request was HEAD.
    Never,
}

impl Reply {
    /// The value of a field that comes at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut same = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let found = same.next().map(|(_, value)| value.as_str());
        assert!(same.next().is_none(), "{name} comes once");
        found
    }

    /// The value of a field that must be there.
    pub(crate) fn the(&self, name: &str) -> &str {
        self.field(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The name of the problem it tells of.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(
            self.the("Content-Type"),
            "application/problem+json",
            "{self:?}"
        );
        let text = self.text();
        let (_, rest) = text.split_once("\"type\":\"/-/problems/").expect("a type");
        rest.split('"').next().expect("a name")
    }
}

/// All answers in `bytes`; panics if they are not complete and well-formed.
pub(crate) fn parse(bytes: &[u8], content: Content) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (reply, used) = parse_one(rest, content);
        replies.push(reply);
        rest = &rest[used..];
    }
    replies
}

/// A body in chunks (RFC 9112 section 7.1), and how many bytes that was.
fn chunks(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n");
        let line = &bytes[at..at + line.expect("a chunk's size")];
        let size = std::str::from_utf8(line).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        at += line.len() + 2;
        body.extend_from_slice(&bytes[at..at + size]);
        at += size;
        assert_eq!(&bytes[at..at + 2], b"\r\n");
        at += 2;
        if size == 0 {
            return (body, at);
        }
    }
}

fn parse_one(bytes: &[u8], content: Content) -> (Reply, usize) {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a complete head");
    let head = std::str::from_utf8(&bytes[..end]).expect("heads are ASCII or UTF-8");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().expect("a status line");
    let rest = status_line.strip_prefix("HTTP/1.1 ").expect("HTTP/1.1");
    let (status, reason) = rest.split_at(3);
    assert!(reason.len() > 1 && reason.starts_with(' '), "{status_line}");
    let status = status.parse().expect("a status");
    let fields: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            assert!(
                !name.is_empty() && !value.chars().any(char::is_control),
                "{line}"
            );
            (name.into(), value.into())
        })
        .collect();
    let mut reply = Reply {
        status,
        fields,
        body: Vec::new(),
    };
    let used = end + 4;
    if status < 200 {
        assert!(reply.fields.is_empty());
        return (reply, used);
    }
    let length: Option<usize> = reply
        .field("Content-Length")
        .map(|text| text.parse().expect("a length"));
    if matches!(status, 204 | 304) {
        assert_eq!(length, None, "{reply:?}");
        return (reply, used);
    }
    if content == Content::Never {
        return (reply, used);
    }
    if reply.field("Transfer-Encoding") == Some("chunked") {
        assert_eq!(length, None, "one of both: RFC 9112 section 6.2");
        let (body, len) = chunks(&bytes[used..]);
        reply.body = body;
        return (reply, used + len);
    }
    let length = length.expect("every answer says its length");
    assert!(
        bytes.len() >= used + length,
        "the body is complete: {reply:?}"
    );
    reply.body = bytes[used..used + length].to_vec();
    (reply, used + length)
}
