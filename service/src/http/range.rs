//! Byte ranges (RFC 9110 section 14): one range per request, else the whole.

use crate::http::etag;
use crate::http::field::{Field, Fields};
use store::Metadata;

/// What part of a value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it: no range, one that is not understood, or several.
    Whole,
    /// From the first byte up to, not including, the second; never empty.
    Part {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// A range no byte of the value lies in.
    Unsatisfiable,
}

/// What `Range` and `If-Range` ask of this version.
///
/// A date in `If-Range` never matches: a date is a strong validator only for
/// who knows that there were no two changes within that second (RFC 9110
/// section 8.8.2.2), and nobody here does. The answer is then the whole value.
pub(crate) fn asked(fields: &Fields<'_>, version: &Metadata) -> Extent {
    let Some(range) = fields.get(Field::Range) else {
        return Extent::Whole;
    };
    if fields.lines(Field::IfRange).count() > 1 {
        return Extent::Whole;
    }
    if let Some(mut validator) = fields.get(Field::IfRange) {
        match etag::next(&mut validator) {
            Ok(Some(tag)) if !tag.weak && tag.names(version) && validator.is_empty() => {}
            _ => return Extent::Whole,
        }
    }
    resolve(range, version.len_bytes)
}

/// What a `Range` value means for `len_bytes`.
fn resolve(range: &[u8], len_bytes: u64) -> Extent {
    let Some((unit, spec)) = split_once(range, b'=') else {
        return Extent::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes") || spec.contains(&b',') {
        return Extent::Whole;
    }
    let Some((first, last)) = split_once(spec.trim_ascii(), b'-') else {
        return Extent::Whole;
    };
    match (position(first), position(last)) {
        (Some(Some(first)), Some(last)) => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                return Extent::Whole;
            }
            if first >= len_bytes {
                return Extent::Unsatisfiable;
            }
            Extent::Part {
                start: first,
                end: last.saturating_add(1).min(len_bytes),
            }
        }
        (Some(None), Some(Some(0))) => Extent::Unsatisfiable,
        // A suffix of nothing is nothing, and 206 has no way to say so.
        (Some(None), Some(Some(_))) if len_bytes == 0 => Extent::Whole,
        (Some(None), Some(Some(suffix))) => Extent::Part {
            start: len_bytes.saturating_sub(suffix),
            end: len_bytes,
        },
        _ => Extent::Whole,
    }
}

/// `Some(None)` for nothing, a number (at most `u64::MAX`), or `None` for what is neither.
fn position(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let mut value = 0_u64;
    for &digit in text {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'));
    }
    Some(Some(value))
}

/// Both sides of the first `separator`.
fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |start, end| Extent::Part { start, end };
        for (range, expect) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=0-", part(0, 10)),
            ("Bytes=9-99", part(9, 10)),
            ("bytes=3-5", part(3, 6)),
            ("bytes= 3-5 ", part(3, 6)),
            ("bytes=-1", part(9, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=1-99999999999999999999999", part(1, 10)),
            ("bytes=10-", Extent::Unsatisfiable),
            ("bytes=99999999999999999999999-", Extent::Unsatisfiable),
            ("bytes=-0", Extent::Unsatisfiable),
            ("bytes=5-3", Extent::Whole),
            ("bytes=0-1,3-4", Extent::Whole),
            ("bytes=-", Extent::Whole),
            ("bytes=", Extent::Whole),
            ("bytes", Extent::Whole),
            ("bytes=a-b", Extent::Whole),
            ("bytes=0 - 1", Extent::Whole),
            ("bytes=+1-2", Extent::Whole),
            ("lines=0-1", Extent::Whole),
        ] {
            assert_eq!(resolve(range.as_bytes(), 10), expect, "{range}");
        }
        assert_eq!(resolve(b"bytes=-5", 0), Extent::Whole);
        assert_eq!(resolve(b"bytes=0-", 0), Extent::Unsatisfiable);
    }
}
