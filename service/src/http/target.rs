//! Request targets: their forms, percent decoding and query parameters.
//!
//! A path is decoded exactly once and never normalised: `//` and `..` are the
//! caller's to judge. RFC 9112 section 3.2, RFC 3986 section 2.1.

use crate::channel::Channel;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// A request target, taken apart but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'h> {
    /// `*`, or what begins with `/`.
    pub(crate) path: &'h str,
    /// After the first `?`.
    pub(crate) query: Option<&'h str>,
    /// Of an absolute-form target: host and port.
    pub(crate) authority: Option<&'h str>,
    /// Of an absolute-form target: how it is to be asked for.
    pub(crate) channel: Option<Channel>,
}

/// A `%` that is not followed by two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// Why a target is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetError {
    /// It has none of the forms served here.
    Form,
}

/// Why a query was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryError<'h> {
    /// A parameter this resource does not have.
    Unknown(&'h str),
    /// A parameter given twice.
    Repeated(&'h str),
    /// A bad escape in this parameter.
    Escape(&'h str),
}

impl<'h> Target<'h> {
    /// Takes a target apart.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) fn parse(raw: &'h str) -> Result<Self, TargetError> {
        if raw == "*" {
            return Ok(Target {
                path: raw,
                query: None,
                authority: None,
                channel: None,
            });
        }
        if !raw.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(TargetError::Form);
        }
        if raw.starts_with('/') {
            let (path, query) = split_query(raw);
            return Ok(Target {
                path,
                query,
                authority: None,
                channel: None,
            });
        }
        let (scheme, rest) = raw.split_once("://").ok_or(TargetError::Form)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // RFC 9110 section 4.2.1: a host there has to be.
        let has_host = !authority.is_empty() && !authority.starts_with(':');
        if !has_host || !is_authority(authority.as_bytes()) {
            return Err(TargetError::Form);
        }
        let channel = if scheme.eq_ignore_ascii_case("https") {
            Channel::Secure
        } else if scheme.eq_ignore_ascii_case("http") {
            Channel::Plain
        } else {
            return Err(TargetError::Form);
        };
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Target {
            path,
            query,
            authority: Some(authority),
            channel: Some(channel),
        })
    }
}

/// Path, and what follows the first `?`.
fn split_query(raw: &str) -> (&str, Option<&str>) {
    match raw.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (raw, None),
    }
}

/// Whether these bytes are `uri-host [":" port]` (RFC 3986 section 3.2.2), or nothing.
///
/// A comma is in that grammar but not accepted: two joined Host lines look like this.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let (host, port) = match bytes {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&b| b == b']') else {
                return false;
            };
            let literal = core::str::from_utf8(&rest[..end]).ok();
            if literal.is_none_or(|text| text.parse::<Ipv6Addr>().is_err()) {
                return false;
            }
            match &rest[end + 1..] {
                [] => return true,
                [b':', port @ ..] => (&b"v6"[..], port),
                _ => return false,
            }
        }
        _ => match bytes.iter().position(|&b| b == b':') {
            Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
            None => (bytes, &b""[..]),
        },
    };
    is_reg_name(host) && is_port(port)
}

/// Names, escapes among them, but for a comma.
fn is_reg_name(mut host: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(b);
    loop {
        host = match host {
            [] => return true,
            [b'%', high, low, rest @ ..] if hex_digit(*high).and(hex_digit(*low)).is_ok() => rest,
            [first, rest @ ..] if allowed(first) => rest,
            _ => return false,
        }
    }
}

/// Digits, of a number of at most five.
fn is_port(port: &[u8]) -> bool {
    let zeros = port.iter().take_while(|&&b| b == b'0').count();
    port.len() - zeros <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// The bytes a percent-encoded text stands for.
pub(crate) fn decode(raw: &str) -> Result<Vec<u8>, BadEscape> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(BadEscape);
        };
        let (high, low) = (hex_digit(*high)?, hex_digit(*low)?);
        bytes.push(high << 4 | low);
        rest = tail;
    }
    Ok(bytes)
}

/// As [`decode`], and `+` is a space, as forms and `URLSearchParams` write it.
pub(crate) fn decode_form(raw: &str) -> Result<Vec<u8>, BadEscape> {
    if !raw.contains('+') {
        return decode(raw);
    }
    decode(&raw.replace('+', "%20"))
}

/// The value of one hexadecimal digit.
fn hex_digit(digit: u8) -> Result<u8, BadEscape> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadEscape),
    }
}

/// Appends `bytes` so that [`decode`] gives them back, for links.
pub(crate) fn encode(bytes: &[u8], out: &mut alloc::string::String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Appends a target as it came, with escapes for what no URI may hold (RFC 3986 section 2).
pub(crate) fn escape(raw: &str, out: &mut alloc::string::String) {
    for byte in raw.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => encode(&[byte], out),
            usual => out.push(char::from(usual)),
        }
    }
}

/// The values of exactly the parameters `names`, in their order.
///
/// # Errors
/// Anything else in the query is an error, so that a typing mistake is not a different request.
pub(crate) fn parameters<'h, const N: usize>(
    query: Option<&'h str>,
    names: [&str; N],
) -> Result<[Option<Vec<u8>>; N], QueryError<'h>> {
    let mut values = [const { None }; N];
    for pair in query
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or(QueryError::Unknown(name))?;
        let value = decode_form(value).map_err(|_| QueryError::Escape(name))?;
        if values[place].replace(value).is_some() {
            return Err(QueryError::Repeated(name));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn targets_have_three_forms() {
        let target = |path, query, authority| {
            Ok(Target {
                path,
                query,
                authority,
                channel: authority.map(|_| Channel::Plain),
            })
        };
        let secure = Target {
            path: "/x",
            query: Some("y"),
            authority: Some("h:80"),
            channel: Some(Channel::Secure),
        };
        for (raw, expect) in [
            ("/", target("/", None, None)),
            ("/a//b/../c", target("/a//b/../c", None, None)),
            ("/a?b=c?d", target("/a", Some("b=c?d"), None)),
            ("*", target("*", None, None)),
            ("http://h", target("/", None, Some("h"))),
            ("HTTP://h:80/x?y", target("/x", Some("y"), Some("h:80"))),
            ("HTTPS://h:80/x?y", Ok(secure)),
            ("http://h?y", target("/", Some("y"), Some("h"))),
            ("http://[::1]:8080/", target("/", None, Some("[::1]:8080"))),
            ("http:///x", Err(TargetError::Form)),
            ("http://:80/x", Err(TargetError::Form)),
            ("http://u@h/", Err(TargetError::Form)),
            ("ftp://h/", Err(TargetError::Form)),
            ("h:80", Err(TargetError::Form)),
            ("a", Err(TargetError::Form)),
            ("", Err(TargetError::Form)),
            ("/a#b", Err(TargetError::Form)),
            ("/\u{e9}", Err(TargetError::Form)),
        ] {
            assert_eq!(Target::parse(raw), expect, "{raw}");
        }
    }

    #[test]
    fn authorities() {
        for good in [
            "", "h", "h:", "h:80", "h:000080", "10.0.0.2", "a_b.c-d", "a%41", "[::1]", "[::1]:80",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a,b", "a@b", "a/b", "h:80x", "h:123456", "[::1", "[]", "[::1]80", "\u{e9}",
            "a%zz", "a%4", "[zz]", "[:::]", "[1.2]",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn decoding_is_exact_and_once() {
        for (raw, expect) in [
            ("", Ok(&b""[..])),
            ("a/b", Ok(b"a/b")),
            ("%2e%2E", Ok(b"..")),
            ("%2500", Ok(b"%00")),
            ("%00%ff", Ok(b"\x00\xff")),
            ("+", Ok(b"+")),
            ("%", Err(BadEscape)),
            ("%4", Err(BadEscape)),
            ("%4g", Err(BadEscape)),
            ("%+4", Err(BadEscape)),
        ] {
            assert_eq!(
                decode(raw).as_deref(),
                expect.as_ref().map(|b| &**b),
                "{raw}"
            );
        }
    }

    #[test]
    fn encoding_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode(&all, &mut text);
        assert_eq!(decode_form(&text), Ok(all));
    }

    #[test]
    fn parameters_are_the_known_ones_once() {
        let parse = |query| parameters::<2>(Some(query), ["a", "b"]);
        assert_eq!(
            parse("b=1&a=+%2B"),
            Ok([Some(b" +".to_vec()), Some(b"1".to_vec())])
        );
        assert_eq!(parse("a"), Ok([Some(Vec::new()), None]));
        assert_eq!(parse("&"), Ok([None, None]));
        assert_eq!(parse("c=1"), Err(QueryError::Unknown("c")));
        assert_eq!(parse("a=1&a=1"), Err(QueryError::Repeated("a")));
        assert_eq!(parse("a=%"), Err(QueryError::Escape("a")));
    }
}
