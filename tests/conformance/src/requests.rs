//! Which of the requests that are sent is a HEAD: the answers to those have no content.

use crate::answers::find;

/// Whether each request in `bytes` is a HEAD, as far as one can be told from the next.
pub(crate) fn heads(bytes: &[u8]) -> Vec<bool> {
    let mut heads = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        heads.push(rest.starts_with(b"HEAD "));
        match len(rest) {
            Some(len) if len <= rest.len() => rest = &rest[len..],
            _ => break,
        }
    }
    heads
}

/// The length of the request at the beginning, if that can be told.
fn len(bytes: &[u8]) -> Option<usize> {
    let head_len = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_len]).to_ascii_lowercase();
    let value = |name: &str| {
        let line = head.split("\r\n").find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    if value("transfer-encoding:").is_some() {
        return Some(head_len + find(&bytes[head_len..], b"0\r\n\r\n")? + 5);
    }
    match value("content-length:") {
        Some(length) => head_len.checked_add(length.parse().ok()?),
        None => Some(head_len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let bytes = b"\r\nHEAD / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nHEAD \
            GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHEAD / HTTP";
        assert_eq!(heads(bytes), [true, false, false, true]);
        assert_eq!(heads(b""), [] as [bool; 0]);
    }
}
