//! A line of the access log: the combined format, as nginx and Apache write it.

use crate::http::date;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;
use core::net::IpAddr;

/// Most bytes of a request line, and of a field, that are told.
const REQUEST_BYTES_MAX: usize = 2_048;
const FIELD_BYTES_MAX: usize = 512;

/// A request, and what has become of it so far.
#[derive(Debug)]
pub(crate) struct Line {
    peer: IpAddr,
    wall_s: u64,
    /// Escaped, as they are told.
    request: Box<str>,
    referer: Box<str>,
    agent: Box<str>,
    /// 0 as long as nothing was answered.
    status: u16,
    /// Bytes that go before the content of the answer and are still to be sent.
    head_bytes: u64,
    content_bytes: u64,
}

impl Line {
    /// Of a request with this head, or with as much of one as has come.
    ///
    /// Nothing of it is told but its first line and two fields: a token is in another one.
    pub(crate) fn of(peer: IpAddr, wall_ns: u64, head: &[u8]) -> Line {
        let mut lines = head.split(|byte| *byte == b'\n');
        let request = lines.next().unwrap_or_default();
        let (mut referer, mut agent) = (&b""[..], &b""[..]);
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let place = match &line[..colon] {
                name if name.eq_ignore_ascii_case(b"referer") => &mut referer,
                name if name.eq_ignore_ascii_case(b"user-agent") => &mut agent,
                _ => continue,
            };
            *place = &line[colon + 1..];
        }
        Line {
            peer,
            wall_s: wall_ns / 1_000_000_000,
            request: escaped(request, REQUEST_BYTES_MAX),
            referer: escaped(referer, FIELD_BYTES_MAX),
            agent: escaped(agent, FIELD_BYTES_MAX),
            status: 0,
            head_bytes: 0,
            content_bytes: 0,
        }
    }

    /// The answer has this status.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// So many bytes are sent before its content.
    pub(crate) fn begins_behind(&mut self, bytes: usize) {
        self.head_bytes = bytes as u64;
        self.content_bytes = 0;
    }

    /// So many bytes were sent; those before an answer are none of it.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if self.status == 0 {
            return;
        }
        let bytes = bytes as u64;
        let of_head = bytes.min(self.head_bytes);
        self.head_bytes -= of_head;
        self.content_bytes += bytes - of_head;
    }

    /// Appends it, with its end.
    pub(crate) fn write(&self, out: &mut String) {
        let date = date::format(self.wall_s);
        let part = |range| core::str::from_utf8(&date[range]).unwrap_or_default();
        let (day, month, year, time) = (part(5..7), part(8..11), part(12..16), part(17..25));
        let Line {
            peer,
            request,
            referer,
            agent,
            status,
            content_bytes,
            ..
        } = self;
        let _ = write!(
            out,
            "{peer} - - [{day}/{month}/{year}:{time} +0000] \"{request}\" "
        );
        let _ = match status {
            0 => write!(out, "- "),
            status => write!(out, "{status} "),
        };
        let _ = match content_bytes {
            0 => write!(out, "-"),
            bytes => write!(out, "{bytes}"),
        };
        let _ = writeln!(out, " \"{referer}\" \"{agent}\"");
    }
}

/// What came from a peer, so that it stays within its quotes and its line; `-` for nothing.
fn escaped(bytes: &[u8], bytes_max: usize) -> Box<str> {
    let bytes = bytes.trim_ascii();
    let mut out = String::new();
    for byte in bytes {
        if out.len() >= bytes_max {
            out.push_str("...");
            break;
        }
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => {
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
    if out.is_empty() {
        out.push('-');
    }
    out.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn line(head: &[u8]) -> Line {
        let peer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
        Line::of(peer, 1_795_054_400_000_000_000, head)
    }

    fn text(line: &Line) -> String {
        let mut out = String::new();
        line.write(&mut out);
        out
    }

    #[test]
    fn it_is_the_combined_format_and_the_head_is_not_counted() {
        let mut line = line(
            b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nREFERER: http://h/\r\nUser-Agent: curl/8\r\n\
              Authorization: Bearer secret-secret-secret\r\n\r\n",
        );
        line.begins_behind(100);
        line.answered(200);
        line.sent(60);
        line.sent(50);
        line.sent(2_316);
        assert_eq!(
            text(&line),
            "203.0.113.7 - - [19/Nov/2026:02:13:20 +0000] \"GET /a?b=c HTTP/1.1\" 200 2326 \
             \"http://h/\" \"curl/8\"\n"
        );
    }

    #[test]
    fn what_a_peer_sends_stays_in_its_place() {
        let nothing = text(&line(b""));
        assert!(nothing.ends_with("\"-\" - - \"-\" \"-\"\n"), "{nothing}");
        let odd = line(b"GET /\"\\\x1b[2J\xff HTTP/1.1\r\nUser-Agent: a\rb\x00\"\r\n\r\n");
        let odd = text(&odd);
        let expected = "\"GET /\\\"\\\\\\x1b[2J\\xff HTTP/1.1\" - - \"-\" \"a\\x0db\\x00\\\"\"\n";
        assert!(odd.ends_with(expected), "{odd}");
        let long = text(&line(&[b'a'; 5_000]));
        assert!(long.contains("aaa...\" -") && long.len() < 2_200, "{long}");
    }
}
