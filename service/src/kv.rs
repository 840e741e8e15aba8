//! `/kv/BUCKET/KEY` and `/-/key64/BUCKET/BASE64URL`: one value.

use crate::answer::Answer;
use crate::at;
use crate::auth::Intent;
use crate::connection::Sink;
use crate::http::etag;
use crate::http::field::{Field, Fields};
use crate::http::grammar;
use crate::http::head::{Framing, Request};
use crate::http::media;
use crate::http::method::Method;
use crate::http::precondition::{BadPrecondition, Failed, Preconditions};
use crate::http::target;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Accepted, Action};
use crate::service::Service;
use crate::site::generation;
use crate::value::{self, Door, Shape};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt::Write;
use store::{
    At, Batch, BucketName, Change, Committed, Condition, Headers, Key, Metadata, Now, Refusal,
};

/// Ending of keys nobody reads without the token, in any bucket.
const SCRIPT_ENDING: &[u8] = b".rhai";
/// Longest representation header kept with a value; four of them fit the store's 4 KiB.
const HEADER_BYTES_MAX: usize = 1_000;

/// Longest time a value may be given: a hundred years.
const TTL_S_MAX: u64 = 3_153_600_000;

/// A key in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: BucketName,
    pub(crate) key: Key,
}

/// Which change a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A PUT, and what names it afterwards, if a path can.
    Put(Box<str>),
    /// A DELETE.
    Deleted,
    /// The integer that it became.
    Incremented(i64),
}

/// `BUCKET/KEY`, the key being all the rest.
pub(crate) fn place(rest: &str) -> Result<Place, Problem> {
    let (name, raw) = rest
        .split_once('/')
        .ok_or_else(|| bad_key("no key is given"))?;
    let bucket = bucket(name)?;
    let bytes = target::decode(raw)
        .map_err(|_| bad_key("a % is not followed by two hexadecimal digits"))?;
    Ok(Place {
        bucket,
        key: key(bytes)?,
    })
}

/// `BUCKET/BASE64URL`, padding optional.
pub(crate) fn place64(rest: &str) -> Result<Place, Problem> {
    let (name, text) = rest
        .split_once('/')
        .ok_or_else(|| bad_key("no key is given"))?;
    let bucket = bucket(name)?;
    let bytes = Base64UrlUnpadded::decode_vec(text.trim_end_matches('='))
        .map_err(|_| bad_key("the key is not base64url (RFC 4648 section 5)"))?;
    Ok(Place {
        bucket,
        key: key(bytes)?,
    })
}

/// A bucket's name, percent-decoded.
pub(crate) fn bucket(raw: &str) -> Result<BucketName, Problem> {
    match raw.contains('%') {
        true => bucket_of(&target::decode(raw).unwrap_or_default()),
        false => bucket_of(raw.as_bytes()),
    }
}

/// A bucket's name.
pub(crate) fn bucket_of(name: &[u8]) -> Result<BucketName, Problem> {
    let name = core::str::from_utf8(name).unwrap_or_default();
    BucketName::new(name).map_err(|error| Problem::new(Kind::BadBucket, format!("{error}.")))
}

pub(crate) fn key(bytes: Vec<u8>) -> Result<Key, Problem> {
    let len = bytes.len();
    Key::of(bytes).map_err(|error| bad_key(&format!("{error}, and this one is {len}")))
}

fn bad_key(why: &str) -> Problem {
    Problem::new(Kind::BadKey, format!("The path is /kv/BUCKET/KEY: {why}."))
}

/// Whether a key holds a page's script: what is sent is never the script itself.
pub(crate) fn is_script(key: &[u8]) -> bool {
    key.ends_with(SCRIPT_ENDING)
}

/// Whether a key is not read without the token, in any bucket: a script, or what was pushed as a
/// site, which is read as such.
pub(crate) fn is_private(key: &[u8]) -> bool {
    is_script(key) || generation::is_of_push(key)
}

/// GET, HEAD, PUT or DELETE of one value.
pub(crate) fn value(
    service: &mut Service,
    request: &Request<'_>,
    place: Place,
    now: Now,
) -> Result<Action, Problem> {
    match request.method {
        Method::Put => put(service, request, place, now),
        Method::Delete => delete(service, request, place, now),
        _ => get(service, request, &place, now),
    }
}

fn get(
    service: &mut Service,
    request: &Request<'_>,
    place: &Place,
    now: Now,
) -> Result<Action, Problem> {
    let [at] = parameters(request, ["at"])?;
    let intent = if is_private(place.key.as_bytes()) {
        Intent::ReadPrivate
    } else {
        let bucket = place.bucket.as_str().as_bytes();
        service.visibility.read_intent(bucket)
    };
    crate::listing::refuse_while_unknown(service, request)?;
    route::admit(service, request, intent)?;
    let at = at::asked(service, at.as_deref())?
        .ok_or_else(|| refusal::problem(Refusal::NoSuchSnapshot))?;
    let shape = Shape::only(Door::Kv, media::UNKNOWN);
    match value::begin(service, request, (place, at), shape, now)? {
        Some(action) => Ok(action),
        None => Err(Problem::new(
            Kind::NoSuchKey,
            "Nothing is stored under this key.",
        )),
    }
}

fn put(
    service: &mut Service,
    request: &Request<'_>,
    place: Place,
    now: Now,
) -> Result<Action, Problem> {
    let [ttl] = parameters(request, ["ttl"])?;
    route::admit(service, request, Intent::Write)?;
    refuse_part(request)?;
    let mut headers = kept_headers(&request.fields)?;
    headers.expires_wall_ms = ttl.map(|ttl| end_of(&ttl, now)).transpose()?;
    let (condition, failed) = match condition(service, request, &place, now) {
        // What is refused without its conditions is refused for that (RFC 9110 section 13.2.1).
        Err(problem) if problem.kind == Kind::ConditionFailed => (Condition::None, Some(problem)),
        other => (other?, None),
    };
    let len_bytes = match request.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    let upload = service
        .store
        .begin_upload(place.bucket, place.key, condition, headers, len_bytes)
        .map_err(refusal::problem)?;
    match failed {
        Some(problem) => Err(problem),
        None => Ok(Action::Receive(Sink::Value(
            upload,
            location(request.target.path),
        ))),
    }
}

/// Refuses a part of what is to be put (RFC 9110 section 14.5).
///
/// # Errors
/// [`Kind::PartialPut`].
pub(crate) fn refuse_part(request: &Request<'_>) -> Result<(), Problem> {
    if request.fields.get(Field::ContentRange).is_none() {
        return Ok(());
    }
    let detail = "Send all of it, without Content-Range.";
    Err(Problem::new(Kind::PartialPut, detail))
}

fn delete(
    service: &mut Service,
    request: &Request<'_>,
    place: Place,
    now: Now,
) -> Result<Action, Problem> {
    route::no_parameters(request.target.query)?;
    route::admit(service, request, Intent::Write)?;
    let condition = match condition(service, request, &place, now) {
        // Without its conditions the answer would be 404, so they do not count
        // (RFC 9110 section 13.2.1).
        Err(problem) if problem.kind == Kind::ConditionFailed => {
            refusal::refuse_unwritable(&mut service.store)?;
            let current = service.store.lookup(At::NOW, &place.bucket, &place.key);
            return Err(if matches!(current, Ok(None)) {
                nothing_to_delete()
            } else {
                problem
            });
        }
        other => other?,
    };
    let changes = Vec::from([(place.bucket, place.key, condition, Change::Delete)]);
    let ticket = service
        .store
        .submit(Batch { changes })
        .map_err(delete_refused)?;
    let accepted = Accepted::Value(Written::Deleted);
    Ok(Action::Commit(service.pending(ticket), accepted))
}

/// The path of a PUT as a client can follow it (RFC 3986); empty if it would go elsewhere.
fn location(path: &str) -> Box<str> {
    let mut previous = 0;
    let is_plain = path.bytes().all(|byte| {
        let may_be_dots = core::mem::replace(&mut previous, byte) == b'/' && b".%".contains(&byte);
        !may_be_dots && !is_odd(byte)
    });
    if is_plain {
        return path.into();
    }
    let plain = |segment: &str| segment.to_ascii_lowercase().replace("%2e", ".");
    let is_dots = |segment: &str| matches!(plain(segment).as_str(), "." | "..");
    if path.split('/').any(is_dots) {
        return Box::default();
    }
    let mut out = String::new();
    for character in path.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_odd(byte) => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(character),
        }
    }
    out.into_boxed_str()
}

/// What the request's parser bears in a path and a URI does not.
fn is_odd(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
    )
}

/// What `Location` and `ETag` take beside the path, at most.
const FIELDS_BYTES: usize = 64;

/// The answer to a change that has ended.
pub(crate) fn written(
    written: Written,
    outcome: Result<Committed, Refusal>,
) -> Result<Answer, Problem> {
    match written {
        Written::Deleted => outcome.map(|_| Answer::empty(204)).map_err(delete_refused),
        Written::Put(path) => {
            let (version, existed) = first(outcome)?;
            let mut answer = Answer::empty(if existed { 204 } else { 201 });
            // One allocation for both fields.
            answer.lines.reserve(FIELDS_BYTES + path.len());
            if !existed && !path.is_empty() {
                answer.line("Location", &path);
            }
            Ok(with_tag(answer, version))
        }
        Written::Incremented(sum) => {
            let (version, _) = first(outcome)?;
            let text = format!("{sum}\n");
            let answer = Answer::text(200, "text/plain; charset=utf-8", text);
            Ok(with_tag(answer, version))
        }
    }
}

/// What the one change of a batch came to.
fn first(outcome: Result<Committed, Refusal>) -> Result<(Option<Metadata>, bool), Problem> {
    let committed = outcome.map_err(refusal::problem)?;
    let first = committed.results.into_iter().next();
    Ok(first.unwrap_or((None, false)))
}

fn with_tag(mut answer: Answer, version: Option<Metadata>) -> Answer {
    if let Some(version) = version {
        answer.line("ETag", &etag::write(&version));
    }
    answer
}

fn delete_refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::Condition { current: None, .. } => nothing_to_delete(),
        other => refusal::problem(other),
    }
}

fn nothing_to_delete() -> Problem {
    Problem::new(
        Kind::NoSuchKey,
        "Nothing is stored under this key; nothing was written.",
    )
}

/// The condition of a write.
pub(crate) fn condition(
    service: &mut Service,
    request: &Request<'_>,
    place: &Place,
    now: Now,
) -> Result<Condition, Problem> {
    let conditions = preconditions(request, now)?;
    if conditions == Preconditions::default() {
        return Ok(Condition::None);
    }
    let current = service
        .store
        .lookup(At::NOW, &place.bucket, &place.key)
        .map_err(refusal::unavailable)?;
    conditions
        .write(current.as_ref())
        .map_err(|Failed| condition_failed(current.as_ref()))
}

/// The preconditions of any request for a value.
pub(crate) fn preconditions<'h>(
    request: &Request<'h>,
    now: Now,
) -> Result<Preconditions<'h>, Problem> {
    let parsed = Preconditions::parse(&request.fields, now.wall_ns / 1_000_000_000);
    parsed.map_err(|BadPrecondition(name)| {
        let detail = format!("{name} is `*` or a list of quoted tags, as in ETag: \"...\".");
        Problem::new(Kind::BadCondition, detail)
    })
}

/// 412, saying what is there.
pub(crate) fn condition_failed(current: Option<&Metadata>) -> Problem {
    let detail = match current {
        Some(current) => format!("The value now has the ETag {}.", etag::write(current)),
        None => "There is no value now.".into(),
    };
    let problem = Problem::new(Kind::ConditionFailed, detail);
    match current {
        Some(current) => problem.line("ETag", &etag::write(current)),
        None => problem,
    }
}

/// 412, of what has no tag.
pub(crate) fn untagged_failed() -> Problem {
    let detail = "What this is about has no ETag, so none that is sent can match; nothing was \
                  changed.";
    Problem::new(Kind::ConditionFailed, detail)
}

/// The representation headers of a PUT.
fn kept_headers(fields: &Fields<'_>) -> Result<Headers, Problem> {
    Ok(Headers {
        content_type: kept(fields, Field::ContentType)?,
        content_encoding: kept(fields, Field::ContentEncoding)?
            .as_deref()
            .and_then(without_identity),
        cache_control: kept(fields, Field::CacheControl)?,
        content_disposition: kept(fields, Field::ContentDisposition)?,
        expires_wall_ms: None,
    })
}

/// When a value is over that is put now, in milliseconds since 1970.
fn end_of(ttl: &[u8], now: Now) -> Result<u64, Problem> {
    let seconds = core::str::from_utf8(ttl).ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    end_after(seconds.unwrap_or(0), now)
}

/// The same, after so many seconds.
pub(crate) fn end_after(ttl_s: u64, now: Now) -> Result<u64, Problem> {
    if !(1..=TTL_S_MAX).contains(&ttl_s) {
        let detail = format!("`ttl` is a number of seconds from 1 to {TTL_S_MAX}.");
        return Err(Problem::new(Kind::BadParameter, detail));
    }
    Ok(now.wall_ns / 1_000_000 + ttl_s * 1_000)
}

/// Whether a representation header that came by another way than HTTP can be kept.
pub(crate) fn is_keepable(field: Field, value: &str) -> bool {
    value.len() <= HEADER_BYTES_MAX && is_valid(field, value)
}

/// One header to be kept, its lines joined (RFC 9110 section 5.3).
fn kept(fields: &Fields<'_>, field: Field) -> Result<Option<Box<str>>, Problem> {
    let mut joined = String::new();
    let given = fields.lines(field).filter(|line| !line.is_empty());
    for line in given {
        let line = core::str::from_utf8(line).ok();
        let line = line.filter(|line| joined.len() + line.len() + 2 <= HEADER_BYTES_MAX);
        let line = line.ok_or_else(|| {
            let detail = format!("{field:?} is at most {HEADER_BYTES_MAX} bytes of UTF-8.");
            Problem::new(Kind::BadHeader, detail)
        })?;
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(line);
    }
    if !joined.is_empty() && !is_valid(field, &joined) {
        let detail = format!("{field:?} is not what RFC 9110 and RFC 9111 have under this name.");
        return Err(Problem::new(Kind::BadHeader, detail));
    }
    Ok((!joined.is_empty()).then(|| joined.into_boxed_str()))
}

/// The codings of a value but for one that is none (RFC 9110 section 8.4).
fn without_identity(codings: &str) -> Option<Box<str>> {
    let codings = codings.split(',').map(str::trim);
    let real = codings.filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    let real = real.collect::<Vec<_>>().join(", ");
    (!real.is_empty()).then(|| real.into_boxed_str())
}

/// Whether a value of this field is in its grammar, so that it can be given out again.
fn is_valid(field: Field, value: &str) -> bool {
    match field {
        Field::ContentType => grammar::is_media_type(value),
        Field::ContentDisposition => grammar::is_disposition(value),
        Field::ContentEncoding => grammar::is_token_list(value),
        Field::CacheControl => grammar::is_directive_list(value),
        _ => true,
    }
}

/// The values of exactly these parameters.
pub(crate) fn parameters<const N: usize>(
    request: &Request<'_>,
    names: [&str; N],
) -> Result<[Option<Vec<u8>>; N], Problem> {
    target::parameters(request.target.query, names).map_err(route::bad_query)
}

#[cfg(test)]
mod tests {
    use super::location;

    #[test]
    fn a_created_key_is_named_as_a_client_can_follow_it() {
        for (path, expected) in [
            ("/kv/b/a%20b/c.d", "/kv/b/a%20b/c.d"),
            ("/kv/b/...", "/kv/b/..."),
            ("/kv/b/{a}|\"", "/kv/b/%7Ba%7D%7C%22"),
            ("/kv/b/../x", ""),
            ("/kv/b/.%2E", ""),
            ("/kv/b/.", ""),
        ] {
            assert_eq!(&*location(path), expected, "{path}");
        }
    }
}
