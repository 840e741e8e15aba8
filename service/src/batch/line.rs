//! One line of a batch: `{"op":…,"bucket":…,"key":…,"value":…,"ttl":…,"if":…}`.

use crate::http::etag::{self, EntityTag};
use crate::http::field::Field;
use crate::kv;
use crate::problem::{Kind, Problem};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use store::{BATCH_VALUE_BYTES_MAX, BucketName, Change, Headers, Key, Metadata, Now};

/// Most tags of one condition.
const TAGS_MAX: usize = 64;

/// A change, and what has to hold for it.
pub(super) struct Item {
    /// The line it stands in, counted from 1.
    pub(super) nth: u64,
    pub(super) bucket: BucketName,
    pub(super) key: Key,
    pub(super) wanted: Wanted,
    pub(super) change: Change,
}

/// What has to hold of a key.
pub(super) enum Wanted {
    Nothing,
    Exists,
    Absent,
    OneOf(Vec<Tag>),
}

/// An entity tag, quotes included.
pub(super) struct Tag(Box<str>);

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    op: Op,
    bucket: String,
    key: Option<String>,
    key64: Option<String>,
    value: Option<String>,
    value64: Option<String>,
    content_type: Option<String>,
    ttl: Option<u64>,
    #[serde(rename = "if")]
    condition: Option<If>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Put,
    Delete,
    Check,
}

/// What stands behind `if`.
enum If {
    One(String),
    Any(Vec<String>),
}

/// Takes a string, or a short list of them, and keeps nothing else meanwhile.
struct Conditions;

impl<'d> Visitor<'d> for Conditions {
    type Value = If;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string, or a list of at most {TAGS_MAX} strings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<If, E> {
        Ok(If::One(text.into()))
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut list: A) -> Result<If, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            if texts.len() == TAGS_MAX {
                return Err(A::Error::invalid_length(TAGS_MAX + 1, &self));
            }
            texts.push(text);
        }
        Ok(If::Any(texts))
    }
}

impl<'d> Deserialize<'d> for If {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<If, D::Error> {
        deserializer.deserialize_any(Conditions)
    }
}

impl Item {
    /// How many tags its condition has.
    pub(super) fn tag_count(&self) -> u64 {
        match &self.wanted {
            Wanted::OneOf(tags) => tags.len() as u64,
            Wanted::Nothing | Wanted::Exists | Wanted::Absent => 0,
        }
    }
}

impl Tag {
    /// Whether it is the tag of this version.
    pub(super) fn names(&self, version: &Metadata) -> bool {
        let mut text = self.0.as_bytes();
        matches!(etag::next(&mut text), Ok(Some(tag)) if tag.names(version))
    }
}

/// Reads one line.
///
/// # Errors
/// What it is not, in a sentence.
pub(super) fn parse(text: &[u8], now: Now) -> Result<Item, Problem> {
    // What is derived would take a list, too.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad("it is no JSON object."));
    }
    let mut line: Line = serde_json::from_slice(text).map_err(|error| {
        let detail = format!("{error}.");
        bad(&detail).number("column", error.column() as u64)
    })?;
    let bucket = kv::bucket_of(line.bucket.as_bytes())?;
    let key = match bytes_of("key", line.key.take(), line.key64.take())? {
        Some(bytes) => kv::key(bytes)?,
        None => return Err(bad("neither `key` nor `key64` is given.")),
    };
    let wanted = wanted(line.condition.as_ref())?;
    let change = change(line, now)?;
    Ok(Item {
        nth: 0,
        bucket,
        key,
        wanted,
        change,
    })
}

fn change(line: Line, now: Now) -> Result<Change, Problem> {
    let value = bytes_of("value", line.value, line.value64)?;
    if line.op != Op::Put {
        if value.is_some() || line.ttl.is_some() || line.content_type.is_some() {
            let detail = "`value`, `value64`, `ttl` and `content_type` go with `\"op\":\"put\"`.";
            return Err(bad(detail));
        }
        return Ok(match line.op {
            Op::Check => Change::Check,
            Op::Put | Op::Delete => Change::Delete,
        });
    }
    let value = value.ok_or_else(|| bad("neither `value` nor `value64` is given."))?;
    if value.len() > BATCH_VALUE_BYTES_MAX {
        let detail = format!(
            "a value in a batch is at most {BATCH_VALUE_BYTES_MAX} bytes; PUT a longer one to \
             /kv/BUCKET/KEY."
        );
        let limit_bytes = BATCH_VALUE_BYTES_MAX as u64;
        return Err(Problem::new(Kind::ValueTooLarge, detail).number("limit_bytes", limit_bytes));
    }
    let content_type = line.content_type;
    if content_type
        .as_ref()
        .is_some_and(|text| !kv::is_keepable(Field::ContentType, text))
    {
        return Err(bad(
            "`content_type` is not TYPE/SUBTYPE with parameters, or too long.",
        ));
    }
    let expires_wall_ms = line
        .ttl
        .map(|ttl_s| kv::end_after(ttl_s, now))
        .transpose()?;
    Ok(Change::Put {
        value,
        headers: Headers {
            content_type: content_type.map(String::into_boxed_str),
            expires_wall_ms,
            ..Headers::default()
        },
    })
}

fn wanted(condition: Option<&If>) -> Result<Wanted, Problem> {
    let tags = match condition {
        None => return Ok(Wanted::Nothing),
        Some(If::One(text)) if text == "exists" => return Ok(Wanted::Exists),
        Some(If::One(text)) if text == "absent" => return Ok(Wanted::Absent),
        Some(If::One(text)) => core::slice::from_ref(text),
        Some(If::Any(texts)) => texts,
    };
    let tags: Option<Vec<Tag>> = tags.iter().map(|text| tag(text)).collect();
    tags.map(Wanted::OneOf).ok_or_else(|| {
        bad(
            "`if` is \"exists\", \"absent\", an ETag with its quotes (\"\\\"…\\\"\"), or a list \
             of ETags.",
        )
    })
}

/// One strong tag, and nothing else.
fn tag(text: &str) -> Option<Tag> {
    let mut rest = text.as_bytes();
    let strong = |tag: EntityTag<'_>| !tag.weak;
    let is_one = etag::next(&mut rest).ok()?.is_some_and(strong) && rest.is_empty();
    is_one.then(|| Tag(text.into()))
}

/// The bytes that are given as text, or as base64url.
fn bytes_of(
    name: &str,
    text: Option<String>,
    text64: Option<String>,
) -> Result<Option<Vec<u8>>, Problem> {
    match (text, text64) {
        (Some(_), Some(_)) => Err(bad(&format!("`{name}` and `{name}64` are both given."))),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, None) => Ok(None),
        (None, Some(text)) => Base64UrlUnpadded::decode_vec(text.trim_end_matches('='))
            .map(Some)
            .map_err(|_| {
                bad(&format!(
                    "`{name}64` is not base64url (RFC 4648 section 5)."
                ))
            }),
    }
}

fn bad(why: &str) -> Problem {
    Problem::new(Kind::BadJson, why)
}
