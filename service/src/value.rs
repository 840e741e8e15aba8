//! A stored value as an answer: which part of it, and under which fields.

use crate::http::date;
use crate::http::etag;
use crate::http::field::Field;
use crate::http::head::Request;
use crate::http::method::Method;
use crate::http::multipart::{self, Multipart};
use crate::http::precondition::Verdict;
use crate::http::range::{self, Extent};
use crate::http::response::{HeadWriter, line};
use crate::kv::{self, Place};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;
use store::{At, KeptHeaders, Metadata, Now, Reader};

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

/// Whether there is the same in several content codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// There is this one only.
    Only,
    /// There are others, and this one is not coded.
    Plain,
    /// It is coded so.
    Coded(&'static str),
}

/// As what a value is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) door: Door,
    /// Its type, where none was stored.
    pub(crate) media: &'static str,
    pub(crate) variant: Variant,
}

impl Shape {
    /// Of what there is once.
    pub(crate) fn only(door: Door, media: &'static str) -> Shape {
        Shape {
            door,
            media,
            variant: Variant::Only,
        }
    }
}

/// What is sent of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// From one byte up to another.
    Range(Range<u64>),
    /// More than one of those.
    Ranges(Vec<Range<u64>>),
    /// The peer has it.
    NotModified,
}

/// What is sent for a value, but for its bytes (RFC 9110 section 3.2).
pub(crate) struct Representation {
    pub(crate) version: Metadata,
    pub(crate) part: Part,
    pub(crate) shape: Shape,
}

/// The content of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// So many bytes of the value.
    Bytes(u64),
    /// Several ranges of it.
    Parts(Multipart),
}

impl Content {
    /// Its length.
    pub(crate) fn len_bytes(&self) -> u64 {
        match self {
            Content::Bytes(len_bytes) => *len_bytes,
            Content::Parts(parts) => parts.len_bytes(),
        }
    }
}

/// A value about to be read; its headers come first.
pub(crate) struct Fetch {
    /// Where the store is with it.
    pub(crate) reader: Reader,
    pub(crate) representation: Representation,
}

/// Begins to read a value in some state; `None` if there is none.
///
/// # Errors
/// A precondition or range that does not hold, or a store that cannot be read.
pub(crate) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    (place, at): (&Place, At),
    shape: Shape,
    now: Now,
) -> Result<Option<Action>, Problem> {
    let opened = service.store.open_value(at, &place.bucket, &place.key);
    let Some((version, reader)) = opened.map_err(refusal::unavailable)? else {
        return Ok(None);
    };
    let part = if shape.door == Door::SiteMissing {
        Part::Whole
    } else {
        part(request, &version, now)?
    };
    let reader = match &part {
        Part::Range(bytes) => reader.narrow(bytes.clone()),
        Part::Ranges(_) => reader.narrow(0..0),
        Part::Whole | Part::NotModified => reader,
    };
    let representation = Representation {
        version,
        part,
        shape,
    };
    Ok(Some(Action::Fetch(Box::new(Fetch {
        reader,
        representation,
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
        Extent::Parts(mut parts) if parts.len() == 1 => Ok(Part::Range(parts.remove(0))),
        Extent::Parts(parts) => Ok(Part::Ranges(parts)),
        Extent::Unsatisfiable => {
            let len_bytes = version.len_bytes;
            let detail = format!("The value is {len_bytes} bytes long.");
            Err(Problem::new(Kind::RangeNotSatisfiable, detail)
                .number("len_bytes", len_bytes)
                .line("Content-Range", &format!("bytes */{len_bytes}")))
        }
    }
}

impl Representation {
    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match (self.shape.door, &self.part) {
            (Door::SiteMissing, _) => 404,
            (_, Part::Whole) => 200,
            (_, Part::Range(_) | Part::Ranges(_)) => 206,
            (_, Part::NotModified) => 304,
        }
    }

    /// What is sent of it.
    pub(crate) fn content(&self, kept: &KeptHeaders<'_>, now: Now) -> Content {
        match &self.part {
            Part::Whole => Content::Bytes(self.version.len_bytes),
            Part::Range(bytes) => Content::Bytes(bytes.end - bytes.start),
            Part::Ranges(ranges) => {
                let mut fields = HeadWriter::middle();
                self.write_coding(kept, &mut fields);
                Content::Parts(Multipart::new(ranges.clone(), &self.version, now, fields))
            }
            Part::NotModified => Content::Bytes(0),
        }
    }

    /// Writes the fields that are about this value, by the second of the answer's `Date`.
    pub(crate) fn fields(
        &self,
        kept: &KeptHeaders<'_>,
        content: &Content,
        now_s: u64,
        head: &mut HeadWriter,
    ) {
        let modified_s = self.version.modified_wall_ns / 1_000_000_000;
        head.field(line!("ETag"), &etag::of(&self.version));
        // RFC 9110 section 8.8.2.1: never later than Date, and none that no clock has told.
        if modified_s >= date::CLOCK_SET_S {
            let is_clock_set = now_s >= date::CLOCK_SET_S;
            let modified_s = if is_clock_set {
                modified_s.min(now_s)
            } else {
                modified_s
            };
            head.field(line!("Last-Modified"), &date::format(modified_s));
        }
        if let Some(expires_ms) = self.version.expires_wall_ms {
            // RFC 9111 section 5.3: a cache must not keep it longer than we do.
            head.field(line!("Expires"), &date::format(expires_ms / 1_000));
        }
        match kept.cache_control {
            // There may be a page of this name tomorrow.
            Some(control) if self.shape.door != Door::SiteMissing => {
                head.kept(line!("Cache-Control"), control);
            }
            // Else a cache guesses from its age how long to show it (RFC 9111 section 4.2.2).
            _ => head.field(line!("Cache-Control"), b"no-cache"),
        }
        if self.shape.variant != Variant::Only {
            head.field(line!("Vary"), b"Accept-Encoding");
        }
        if self.part == Part::NotModified {
            return;
        }
        head.number(line!("Content-Length"), content.len_bytes());
        match content {
            Content::Bytes(_) => self.write_coding(kept, head),
            Content::Parts(parts) => head.field(line!("Content-Type"), parts.media().as_bytes()),
        }
        if let Some(disposition) = kept.content_disposition {
            head.kept(line!("Content-Disposition"), disposition);
        }
        if self.shape.door != Door::SiteMissing {
            head.field(line!("Accept-Ranges"), b"bytes");
        }
        if let Part::Range(bytes) = &self.part {
            let range = multipart::content_range(bytes, self.version.len_bytes);
            head.field(line!("Content-Range"), range.as_bytes());
        }
        head.field(line!("X-Content-Type-Options"), b"nosniff");
        if self.shape.door == Door::Kv {
            head.field(line!("Content-Security-Policy"), b"sandbox");
        }
    }

    /// What the bytes of the value are: of several ranges each has it, and not the answer.
    fn write_coding(&self, kept: &KeptHeaders<'_>, head: &mut HeadWriter) {
        match self.stored_type(kept) {
            Some(stored) => head.kept(line!("Content-Type"), stored),
            None => head.field(line!("Content-Type"), self.shape.media.as_bytes()),
        }
        match (self.shape.variant, kept.content_encoding) {
            (Variant::Coded(coding), _) => {
                head.field(line!("Content-Encoding"), coding.as_bytes());
            }
            (_, Some(coding)) => head.kept(line!("Content-Encoding"), coding),
            (_, None) => {}
        }
    }

    /// The stored type; the site does without it where only curl's default was stored.
    fn stored_type<'k>(&self, kept: &KeptHeaders<'k>) -> Option<&'k str> {
        let is_data = self.shape.door == Door::Kv;
        let is_chosen = |stored: &&str| is_data || *stored != CURL_DEFAULT_TYPE;
        kept.content_type.filter(is_chosen)
    }
}
