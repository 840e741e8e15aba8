//! Answers as they come back, read strictly: RFC 9112 sections 4 to 7.

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
    /// Its content, decoded.
    pub body: Vec<u8>,
}

impl Answer {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter();
        let named = named.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that comes once.
    pub fn field(&self, name: &str) -> Option<&str> {
        match self.values(name)[..] {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// The first answer in `bytes`, and how long it is; `None` if it is not all there.
///
/// `has_content` is whether it is to anything but a HEAD; `ended`, whether no more comes.
///
/// # Errors
/// It is no answer.
pub fn read(
    bytes: &[u8],
    has_content: bool,
    ended: bool,
) -> Result<Option<(Answer, usize)>, String> {
    let Some(head_len) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let mut answer = head(&bytes[..head_len - 4])?;
    let rest = &bytes[head_len..];
    let body = match (&answer, has_content) {
        (Answer { status, .. }, _) if *status < 200 || matches!(status, 204 | 304) => {
            // RFC 9112 section 6.1 and RFC 9110 section 8.6.
            let framing = [
                answer.values("Transfer-Encoding"),
                match answer.status {
                    304 => Vec::new(),
                    _ => answer.values("Content-Length"),
                },
            ];
            match framing.concat().is_empty() {
                true => Some((Vec::new(), 0)),
                false => return Err(format!("{} with a length", answer.status)),
            }
        }
        (_, false) => Some((Vec::new(), 0)),
        (answer, true) => content(answer, rest, ended)?,
    };
    Ok(body.map(|(body, len)| {
        answer.body = body;
        (answer, head_len + len)
    }))
}

fn head(head: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(head).map_err(|error| error.to_string())?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| {
        let (status, reason) = rest.split_at_checked(3)?;
        reason.starts_with(' ').then_some(status)?.parse().ok()
    });
    let status = status.ok_or_else(|| format!("`{line}` is no status line"))?;
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_text = |character: char| !character.is_control() || character == '\t';
        if name.is_empty() || !name.bytes().all(is_token) || !value.chars().all(is_text) {
            return Err(format!("`{line}` is no field"));
        }
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Answer {
        status,
        fields,
        body: Vec::new(),
    })
}

/// The content at the beginning of `rest`, and how many bytes that is.
fn content(answer: &Answer, rest: &[u8], ended: bool) -> Result<Option<(Vec<u8>, usize)>, String> {
    let lengths = answer.values("Content-Length");
    match (&answer.values("Transfer-Encoding")[..], &lengths[..]) {
        (["chunked"], []) => chunks(rest),
        ([], [length]) => {
            let len = number(length, 10).ok_or_else(|| format!("a length of `{length}`"))?;
            Ok((rest.len() >= len).then(|| (rest[..len].to_vec(), len)))
        }
        ([], []) => Ok(ended.then(|| (rest.to_vec(), rest.len()))),
        (codings, lengths) => Err(format!("codings {codings:?} and lengths {lengths:?}")),
    }
}

fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(len) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&bytes[at..at + len]).into_owned();
        let size = number(&line, 16).ok_or_else(|| format!("a chunk of `{line}`"))?;
        at += len + 2;
        if bytes.len() < at + size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&bytes[at..at + size]);
        at += size + 2;
        if bytes[at - 2..at] != *b"\r\n" {
            return Err("a chunk without its end".into());
        }
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// Digits, and nothing but digits.
fn number(text: &str, radix: u32) -> Option<usize> {
    let is_number = text.chars().all(|c| c.is_digit(radix));
    usize::from_str_radix(text, radix)
        .ok()
        .filter(|_| is_number)
}

pub(crate) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|part| part == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        for (bytes, has_content, ended, expect) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP",
                true,
                false,
                Some(("ok", 40)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
                true,
                true,
                None,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                false,
                false,
                Some(("", 38)),
            ),
            ("HTTP/1.1 204 \r\n\r\n", true, false, Some(("", 17))),
            ("HTTP/1.1 200 OK\r\n\r\nall", true, false, None),
            ("HTTP/1.1 200 OK\r\n\r\nall", true, true, Some(("all", 22))),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                true,
                false,
                Some(("ok", 59)),
            ),
        ] {
            let found = read(bytes.as_bytes(), has_content, ended).expect("an answer");
            let found = found.map(|(answer, len)| (String::from_utf8(answer.body).unwrap(), len));
            let expect = expect.map(|(body, len)| (body.to_owned(), len));
            assert_eq!(found, expect, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for bytes in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ] {
            read(bytes.as_bytes(), true, true).expect_err(bytes);
        }
    }
}
