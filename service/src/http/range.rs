//! Byte ranges (RFC 9110 section 14).

use crate::http::etag;
use crate::http::field::{Field, Fields};
use crate::http::multipart::PART_BYTES;
use alloc::vec::Vec;
use core::ops::Range;
use store::Metadata;

/// More ranges in one request are not understood (RFC 9110 section 14.2: many small ones are a
/// broken client's, or an attack).
const RANGES_MAX: usize = 16;

/// What part of a value is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it: no range, or one that is not understood.
    Whole,
    /// These, none of them empty.
    Parts(Vec<Range<u64>>),
    /// Ranges no byte of the value lies in.
    Unsatisfiable,
}

/// What one range is of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spec {
    Part(Range<u64>),
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
    let Some((unit, set)) = split_once(range, b'=') else {
        return Extent::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Extent::Whole;
    }
    let mut parts = Vec::new();
    // Empty elements of a list are none (RFC 9110 section 5.6.1.2).
    let specs = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let specs = specs.filter(|spec| !spec.is_empty());
    let mut count = 0;
    for spec in specs {
        count += 1;
        match resolve_one(spec, len_bytes) {
            Some(_) if count > RANGES_MAX => return Extent::Whole,
            Some(Spec::Part(part)) => join(&mut parts, part),
            Some(Spec::Unsatisfiable) => {}
            None => return Extent::Whole,
        }
    }
    match count {
        0 => Extent::Whole,
        _ if parts.is_empty() => Extent::Unsatisfiable,
        _ => Extent::Parts(parts),
    }
}

/// What one range means; `None` if it is none.
fn resolve_one(spec: &[u8], len_bytes: u64) -> Option<Spec> {
    let (first, last) = split_once(spec, b'-')?;
    let part = match (position(first)?, position(last)?) {
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), last) => {
            let end = last.map_or(len_bytes, |last| last.saturating_add(1).min(len_bytes));
            first..end
        }
        // A suffix of nothing is nothing, and 206 has no way to say so.
        (None, Some(1..)) if len_bytes == 0 => return None,
        (None, Some(suffix)) => len_bytes.saturating_sub(suffix)..len_bytes,
        (None, None) => return None,
    };
    Some(if part.is_empty() {
        Spec::Unsatisfiable
    } else {
        Spec::Part(part)
    })
}

/// Adds a range to others in the order they were asked in; with those that it touches, or nearly
/// does, it becomes one (RFC 9110 section 15.3.7.2).
fn join(parts: &mut Vec<Range<u64>>, mut part: Range<u64>) {
    let mut place = parts.len();
    while let Some(at) = parts.iter().position(|other| is_near(other, &part)) {
        let other = parts.remove(at);
        part = part.start.min(other.start)..part.end.max(other.end);
        place = place.min(at);
    }
    parts.insert(place.min(parts.len()), part);
}

fn is_near(one: &Range<u64>, other: &Range<u64>) -> bool {
    let near = |end: u64, start: u64| start <= end.saturating_add(PART_BYTES);
    near(one.end, other.start) && near(other.end, one.start)
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
    use alloc::format;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |start, end| Extent::Parts(Vec::from([Range { start, end }]));
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
            ("bytes=10-, -0", Extent::Unsatisfiable),
            ("bytes=0-1,99-", part(0, 2)),
            ("bytes=,0-1,", part(0, 2)),
            ("bytes=0-1,3-4", part(0, 5)),
            ("bytes=5-3", Extent::Whole),
            ("bytes=0-1,5-3", Extent::Whole),
            ("bytes=-", Extent::Whole),
            ("bytes=", Extent::Whole),
            ("bytes=,", Extent::Whole),
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

    #[test]
    fn several_ranges_come_in_their_order_and_near_ones_together() {
        let asked = |ranges: &str| match resolve(ranges.as_bytes(), 10_000) {
            Extent::Parts(parts) => parts,
            other => panic!("{ranges}: {other:?}"),
        };
        assert_eq!(
            asked("bytes=5000-5009,0-9,-5"),
            [5000..5010, 0..10, 9995..10_000]
        );
        assert_eq!(asked("bytes=0-9,5000-5009,5-14"), [0..15, 5000..5010]);
        assert_eq!(asked("bytes=5000-,0-9,4000-4999"), [4000..10_000, 0..10]);
        assert_eq!(
            asked("bytes=0-9,400-409,5-405"),
            [Range { start: 0, end: 410 }]
        );
        assert_eq!(
            asked("bytes=0-9,169-170,0-0"),
            [Range { start: 0, end: 171 }]
        );
        assert_eq!(asked("bytes=0-9,171-171"), [0..10, 171..172]);
        let many = |count: u64| {
            (0..count)
                .map(|n| format!("{}-{}", n * 500, n * 500))
                .collect::<Vec<_>>()
        };
        let header = |count| format!("bytes={}", many(count).join(","));
        assert_eq!(asked(&header(16)).len(), 16);
        assert_eq!(resolve(header(17).as_bytes(), 10_000), Extent::Whole);
    }
}
