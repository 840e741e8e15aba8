//! Conditional requests, in the order of RFC 9110 section 13.2.2.
//!
//! Reads are judged here against the version found. Writes are judged by the
//! store, against everything accepted before; what is decided here is which
//! one [`Condition`] says it.

use crate::http::date;
use crate::http::etag::{self, BadTag, EntityTag};
use crate::http::field::{Field, Fields};
use alloc::vec::Vec;
use store::{Condition, Metadata};

/// The preconditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preconditions<'h> {
    if_match: Option<Tags<'h>>,
    if_none_match: Option<Tags<'h>>,
    modified_since_s: Option<u64>,
    unmodified_since_s: Option<u64>,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags<'h> {
    /// `*`
    Any,
    /// One of these.
    List(Vec<EntityTag<'h>>),
}

/// What the preconditions make of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They hold.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// The preconditions cannot hold: 412.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// Which precondition is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPrecondition(pub(crate) &'static str);

impl<'h> Preconditions<'h> {
    /// Reads the four fields; a date that is none is ignored, a list of tags that is none is not.
    pub(crate) fn parse(fields: &Fields<'h>, now_s: u64) -> Result<Self, BadPrecondition> {
        let day = |field| fields.get(field).and_then(|text| date::parse(text, now_s));
        Ok(Preconditions {
            if_match: tags(fields, Field::IfMatch).map_err(|_| BadPrecondition("If-Match"))?,
            if_none_match: tags(fields, Field::IfNoneMatch)
                .map_err(|_| BadPrecondition("If-None-Match"))?,
            modified_since_s: day(Field::IfModifiedSince),
            unmodified_since_s: day(Field::IfUnmodifiedSince),
        })
    }

    /// Judges a GET or HEAD of `version`.
    pub(crate) fn read(&self, version: &Metadata) -> Verdict {
        let modified_s = version.modified_wall_ns / 1_000_000_000;
        if let Some(tags) = &self.if_match {
            if !tags.strongly_name(version) {
                return Verdict::Failed;
            }
        } else if self
            .unmodified_since_s
            .is_some_and(|since_s| modified_s > since_s)
        {
            return Verdict::Failed;
        }
        if let Some(tags) = &self.if_none_match {
            if tags.weakly_name(version) {
                return Verdict::NotModified;
            }
        } else if self
            .modified_since_s
            .is_some_and(|since_s| modified_s <= since_s)
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Judges a request for what has neither a tag nor a date, and is there or not.
    ///
    /// [`Verdict::NotModified`] is for a GET or HEAD alone.
    pub(crate) fn untagged(&self, is_there: bool) -> Verdict {
        match &self.if_match {
            Some(Tags::Any) if is_there => {}
            Some(_) => return Verdict::Failed,
            None => {}
        }
        match &self.if_none_match {
            Some(Tags::Any) if is_there => Verdict::NotModified,
            _ => Verdict::Proceed,
        }
    }

    /// Says a PUT's or DELETE's preconditions as one condition; `current` is the durable version.
    ///
    /// A tag can only be known to a client if its version was once durable, so
    /// a tag in `If-Match` that is not the durable version's cannot hold. That
    /// also keeps tags of another store (same number, other checksum) out.
    pub(crate) fn write(&self, current: Option<&Metadata>) -> Result<Condition, Failed> {
        let first = match (&self.if_match, self.unmodified_since_s, current) {
            (Some(Tags::Any), _, _) => Condition::Exists,
            (Some(tags), _, Some(current)) if tags.strongly_name(current) => {
                Condition::AnyOf(Vec::from([current.seq]))
            }
            (Some(Tags::List(_)), _, _) => return Err(Failed),
            // Without a value there is no date, and the field is ignored (section 13.1.4).
            (None, Some(since_s), Some(_)) => Condition::UnmodifiedSince(since_s),
            (None, _, _) => Condition::None,
        };
        let Some(tags) = &self.if_none_match else {
            return Ok(first);
        };
        if current.is_some_and(|current| tags.weakly_name(current)) {
            return Err(Failed);
        }
        if first == Condition::None {
            return Ok(match tags {
                Tags::Any => Condition::Absent,
                Tags::List(list) => {
                    Condition::NoneOf(list.iter().filter_map(EntityTag::seq).collect())
                }
            });
        }
        // Two conditions at once: the second holds of the durable version; the write is tied to it.
        match (current, first) {
            (Some(current), Condition::UnmodifiedSince(since_s))
                if current.modified_wall_ns / 1_000_000_000 > since_s =>
            {
                Err(Failed)
            }
            (Some(current), _) => Ok(Condition::AnyOf(Vec::from([current.seq]))),
            (None, _) => Err(Failed),
        }
    }
}

impl Tags<'_> {
    /// By strong comparison (section 8.8.3.2).
    fn strongly_name(&self, version: &Metadata) -> bool {
        match self {
            Tags::Any => true,
            Tags::List(list) => list.iter().any(|tag| !tag.weak && tag.names(version)),
        }
    }

    /// By weak comparison.
    fn weakly_name(&self, version: &Metadata) -> bool {
        match self {
            Tags::Any => true,
            Tags::List(list) => list.iter().any(|tag| tag.names(version)),
        }
    }
}

/// `*`, or all tags of all lines.
fn tags<'h>(fields: &Fields<'h>, field: Field) -> Result<Option<Tags<'h>>, BadTag> {
    if fields.get(field).is_none() {
        return Ok(None);
    }
    if fields.get(field) == Some(b"*") && fields.lines(field).count() == 1 {
        return Ok(Some(Tags::Any));
    }
    let mut list = Vec::new();
    for mut line in fields.lines(field) {
        while let Some(tag) = etag::next(&mut line)? {
            list.push(tag);
        }
    }
    // An empty list names nothing, and is one all the same (RFC 9110 section 5.6.1.2).
    Ok(Some(Tags::List(list)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Seq;

    const VERSION: Metadata = Metadata {
        expires_wall_ms: None,
        seq: Seq(0x10),
        len_bytes: 5,
        checksum: 0xab,
        modified_wall_ns: 784_111_777_500_000_000,
    };
    const TAG: &str = "\"10-000000ab\"";
    const WEAK: &str = "W/\"10-000000ab\"";
    const OTHER: &str = "\"f-000000ab\"";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn with<R>(lines: &[(&str, &str)], check: impl FnOnce(&Preconditions<'_>) -> R) -> R {
        let headers: Vec<_> = lines
            .iter()
            .map(|&(name, value)| httparse::Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let fields = Fields::new(&headers).unwrap();
        check(&Preconditions::parse(&fields, 784_111_999).unwrap())
    }

    #[test]
    fn reads_in_order_of_precedence() {
        const PROCEED: Verdict = Verdict::Proceed;
        const NOT_MODIFIED: Verdict = Verdict::NotModified;
        const FAILED: Verdict = Verdict::Failed;
        for (lines, expect) in [
            (&[][..], PROCEED),
            (&[("If-Match", "*")], PROCEED),
            (&[("If-Match", TAG)], PROCEED),
            (&[("If-Match", WEAK)], FAILED),
            (&[("If-Match", OTHER)], FAILED),
            (&[("If-Match", OTHER), ("If-Match", TAG)], PROCEED),
            (&[("If-None-Match", "*")], NOT_MODIFIED),
            (&[("If-None-Match", TAG)], NOT_MODIFIED),
            (&[("If-None-Match", WEAK)], NOT_MODIFIED),
            (&[("If-None-Match", OTHER)], PROCEED),
            (&[("If-Modified-Since", AT)], NOT_MODIFIED),
            (&[("If-Modified-Since", BEFORE)], PROCEED),
            (&[("If-Modified-Since", "soon")], PROCEED),
            (&[("If-Unmodified-Since", AT)], PROCEED),
            (&[("If-Unmodified-Since", BEFORE)], FAILED),
            // If-Match beats If-Unmodified-Since, If-None-Match beats If-Modified-Since.
            (
                &[("If-Unmodified-Since", BEFORE), ("If-Match", TAG)],
                PROCEED,
            ),
            (&[("If-Unmodified-Since", AT), ("If-Match", OTHER)], FAILED),
            (
                &[("If-Modified-Since", AT), ("If-None-Match", OTHER)],
                PROCEED,
            ),
            (
                &[("If-Modified-Since", BEFORE), ("If-None-Match", TAG)],
                NOT_MODIFIED,
            ),
            // 412 comes before 304.
            (&[("If-None-Match", TAG), ("If-Match", OTHER)], FAILED),
            (&[("If-None-Match", TAG), ("If-Match", TAG)], NOT_MODIFIED),
            (
                &[("If-None-Match", TAG), ("If-Unmodified-Since", BEFORE)],
                FAILED,
            ),
        ] {
            assert_eq!(
                with(lines, |conditions| conditions.read(&VERSION)),
                expect,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn writes_become_one_condition() {
        let any_of = || Ok(Condition::AnyOf(Vec::from([VERSION.seq])));
        let now = Some(&VERSION);
        for (lines, current, expect) in [
            (&[][..], now, Ok(Condition::None)),
            (&[("If-Match", "*")], now, Ok(Condition::Exists)),
            (&[("If-Match", "*")], None, Ok(Condition::Exists)),
            (&[("If-Match", TAG)], now, any_of()),
            (&[("If-Match", TAG)], None, Err(Failed)),
            (&[("If-Match", WEAK)], now, Err(Failed)),
            (&[("If-Match", OTHER)], now, Err(Failed)),
            (&[("If-None-Match", "*")], None, Ok(Condition::Absent)),
            (&[("If-None-Match", "*")], now, Err(Failed)),
            (&[("If-None-Match", TAG)], now, Err(Failed)),
            (
                &[("If-None-Match", OTHER)],
                now,
                Ok(Condition::NoneOf(Vec::from([Seq(15)]))),
            ),
            (
                &[("If-None-Match", "\"x\"")],
                None,
                Ok(Condition::NoneOf(Vec::new())),
            ),
            (
                &[("If-Unmodified-Since", AT)],
                now,
                Ok(Condition::UnmodifiedSince(784_111_777)),
            ),
            (&[("If-Unmodified-Since", AT)], None, Ok(Condition::None)),
            (&[("If-Modified-Since", AT)], now, Ok(Condition::None)),
            (
                &[("If-Match", TAG), ("If-Unmodified-Since", BEFORE)],
                now,
                any_of(),
            ),
            (
                &[("If-Match", TAG), ("If-None-Match", OTHER)],
                now,
                any_of(),
            ),
            (
                &[("If-Match", TAG), ("If-None-Match", TAG)],
                now,
                Err(Failed),
            ),
            (
                &[("If-Match", "*"), ("If-None-Match", "*")],
                None,
                Err(Failed),
            ),
            (
                &[("If-None-Match", OTHER), ("If-Unmodified-Since", BEFORE)],
                now,
                Err(Failed),
            ),
            (
                &[("If-None-Match", OTHER), ("If-Unmodified-Since", AT)],
                now,
                any_of(),
            ),
        ] {
            assert_eq!(
                with(lines, |conditions| conditions.write(current)),
                expect,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn an_empty_list_names_nothing() {
        for value in ["", ",", " , ,"] {
            with(&[("If-Match", value)], |conditions| {
                assert_eq!(conditions.read(&VERSION), Verdict::Failed);
                assert_eq!(conditions.untagged(true), Verdict::Failed);
            });
            with(&[("If-None-Match", value)], |conditions| {
                assert_eq!(conditions.read(&VERSION), Verdict::Proceed);
                assert_eq!(conditions.untagged(true), Verdict::Proceed);
            });
        }
    }

    #[test]
    fn tags_without_quotes_are_refused() {
        for value in ["abc", "*, \"a\"", "\"a\" \"b\""] {
            let header = [httparse::Header {
                name: "If-Match",
                value: value.as_bytes(),
            }];
            let fields = Fields::new(&header).unwrap();
            assert_eq!(
                Preconditions::parse(&fields, 0),
                Err(BadPrecondition("If-Match")),
                "{value}"
            );
        }
    }
}
