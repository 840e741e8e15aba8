//! A stored value as an answer: which part of it, and under which fields.

use crate::http::date;
use crate::http::etag;
use crate::http::field::Field;
use crate::http::head::Request;
use crate::http::method::Method;
use crate::http::precondition::Verdict;
use crate::http::range::{self, Extent};
use crate::http::response::HeadWriter;
use crate::kv::{self, Place};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use alloc::boxed::Box;
use alloc::format;
use store::{At, Headers, Metadata, Now, Reader};

/// What curl says of a body when nobody told it what it is.
const CURL_DEFAULT_TYPE: &str = "application/x-www-form-urlencoded";

/// Through which door a value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// As data: never run or interpreted by a browser.
    Kv,
    /// As a page of the site.
    Site,
    /// As the site's page for what is not there.
    SiteMissing,
}

/// What is sent of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From one byte up to another.
    Range { start: u64, end: u64 },
    /// The peer has it.
    NotModified,
}

/// A value about to be read; its headers come first.
pub(crate) struct Fetch {
    /// Where the store is with it.
    pub(crate) reader: Reader,
    version: Metadata,
    part: Part,
    door: Door,
    media: &'static str,
}

/// Begins to read a value in some state; `None` if there is none.
///
/// # Errors
/// A precondition or range that does not hold, or a store that cannot be read.
pub(crate) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    (place, at): (&Place, At),
    door: Door,
    media: &'static str,
    now: Now,
) -> Result<Option<Action>, Problem> {
    let opened = service.store.open_value(at, &place.bucket, &place.key);
    let Some((version, reader)) = opened.map_err(refusal::unavailable)? else {
        return Ok(None);
    };
    let part = if door == Door::SiteMissing {
        Part::Whole
    } else {
        part(request, &version, now)?
    };
    let reader = match part {
        Part::Range { start, end } => reader.narrow(start..end),
        Part::Whole | Part::NotModified => reader,
    };
    Ok(Some(Action::Fetch(Box::new(Fetch {
        reader,
        version,
        part,
        door,
        media,
    }))))
}

/// What the preconditions and then the range leave (RFC 9110 section 13.2.2).
fn part(request: &Request<'_>, version: &Metadata, now: Now) -> Result<Part, Problem> {
    match kv::preconditions(request, now)?.read(version) {
        Verdict::Failed => return Err(kv::condition_failed(Some(version))),
        Verdict::NotModified => return Ok(Part::NotModified),
        Verdict::Proceed => {}
    }
    if request.method != Method::Get || request.fields.get(Field::Range).is_none() {
        return Ok(Part::Whole);
    }
    match range::asked(&request.fields, version) {
        Extent::Whole => Ok(Part::Whole),
        Extent::Part { start, end } => Ok(Part::Range { start, end }),
        Extent::Unsatisfiable => {
            let len_bytes = version.len_bytes;
            let detail = format!("The value is {len_bytes} bytes long.");
            Err(Problem::new(Kind::RangeNotSatisfiable, detail)
                .number("len_bytes", len_bytes)
                .line("Content-Range", &format!("bytes */{len_bytes}")))
        }
    }
}

impl Fetch {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match (self.door, self.part) {
            (Door::SiteMissing, _) => 404,
            (_, Part::Whole) => 200,
            (_, Part::Range { .. }) => 206,
            (_, Part::NotModified) => 304,
        }
    }

    /// How many bytes are sent.
    pub(crate) fn len_bytes(&self) -> u64 {
        match self.part {
            Part::Whole => self.version.len_bytes,
            Part::Range { start, end } => end - start,
            Part::NotModified => 0,
        }
    }

    /// Writes the fields that are about this value.
    pub(crate) fn fields(&self, kept: &Headers, head: &mut HeadWriter) {
        let modified_s = self.version.modified_wall_ns / 1_000_000_000;
        head.field("ETag", etag::write(&self.version).as_bytes());
        head.field("Last-Modified", &date::format(modified_s));
        if let Some(expires_ms) = self.version.expires_wall_ms {
            // RFC 9111 section 5.3: a cache must not keep it longer than we do.
            head.field("Expires", &date::format(expires_ms / 1_000));
        }
        if let Some(control) = &kept.cache_control {
            head.kept("Cache-Control", control);
        }
        if self.part == Part::NotModified {
            return;
        }
        head.number("Content-Length", self.len_bytes());
        head.kept("Content-Type", self.content_type(kept));
        if let Some(coding) = &kept.content_encoding {
            head.kept("Content-Encoding", coding);
        }
        if let Some(disposition) = &kept.content_disposition {
            head.kept("Content-Disposition", disposition);
        }
        if self.door != Door::SiteMissing {
            head.field("Accept-Ranges", b"bytes");
        }
        if let Part::Range { start, end } = self.part {
            let range = format!("bytes {start}-{}/{}", end - 1, self.version.len_bytes);
            head.field("Content-Range", range.as_bytes());
        }
        head.field("X-Content-Type-Options", b"nosniff");
        if self.door == Door::Kv {
            head.field("Content-Security-Policy", b"sandbox");
        }
    }

    /// The stored type; the site does without it where only curl's default was stored.
    fn content_type<'k>(&self, kept: &'k Headers) -> &'k str {
        match kept.content_type.as_deref() {
            Some(CURL_DEFAULT_TYPE) if self.door != Door::Kv => self.media,
            Some(stored) => stored,
            None => self.media,
        }
    }
}
