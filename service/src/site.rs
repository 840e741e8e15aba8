//! Every path that is not reserved: a page of the site.
//!
//! A path is decoded once; what a file system or a proxy could read as another
//! path (`.`, `..`, `//`, NUL, backslash) is refused rather than resolved.

use crate::answer::Answer;
use crate::http::head::Request;
use crate::http::{media, target};
use crate::kv::{self, Place};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Action};
use crate::service::Service;
use crate::value::{self, Door};
use crate::welcome;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use store::{At, BucketName, Key, Now};

const INDEX: &[u8] = b"index.html";
const MISSING: &[u8] = b"404.html";

/// GET or HEAD of a page; its query is its own business.
pub(crate) fn page(
    service: &mut Service,
    request: &Request<'_>,
    now: Now,
) -> Result<Action, Problem> {
    let path = decoded(request.target.path)?;
    let bucket = service.config.sites.bucket(request.authority).clone();
    let mut name = path.clone();
    if name.is_empty() || name.ends_with(b"/") {
        name.extend_from_slice(INDEX);
    }
    if let Some(place) = place(&bucket, &name)
        && !kv::is_script(&name)
    {
        let found = value::begin(
            service,
            request,
            (&place, At::NOW),
            Door::Site,
            media::by_ending(&name),
            now,
        )?;
        if let Some(action) = found {
            return Ok(action);
        }
    }
    if path.is_empty() {
        let welcome = welcome::page(service, request.authority);
        return route::untagged(request, welcome, now).map(Action::Answer);
    }
    if !path.ends_with(b"/") && is_directory(service, &bucket, &path)? {
        return Ok(Action::Answer(to_directory(request)));
    }
    missing(service, request, &bucket, now)
}

/// The path without its first slash, decoded and found harmless.
fn decoded(raw: &str) -> Result<Vec<u8>, Problem> {
    let bad = |why: &str| Err(Problem::new(Kind::BadPath, format!("The path {why}.")));
    let Ok(path) = target::decode(&raw[1..]) else {
        return bad("has a % that is not followed by two hexadecimal digits");
    };
    if path.iter().any(|&b| b == 0 || b == b'\\') {
        return bad("has a NUL or a backslash in it");
    }
    let segments = path.split(|&b| b == b'/').count();
    for (index, segment) in path.split(|&b| b == b'/').enumerate() {
        match segment {
            b"." | b".." => return bad("has a segment `.` or `..`"),
            b"" if index + 1 < segments => return bad("has two slashes in a row"),
            _ => {}
        }
    }
    // `/%6bv/x` is not another way to write `/kv/x`, nor a page.
    let reserved = |prefix: &[u8]| path.starts_with(prefix);
    let names = [&b"kv"[..], b"-", b"healthz", b"readyz", b"metrics"];
    if reserved(b"kv/") || reserved(b"-/") || names.contains(&&*path) {
        return bad("is reserved, and not written as it should be");
    }
    Ok(path)
}

/// The place of a page, if its name can be a key.
fn place(bucket: &BucketName, name: &[u8]) -> Option<Place> {
    Some(Place {
        bucket: bucket.clone(),
        key: Key::new(name).ok()?,
    })
}

/// Whether there is a page for `path/`.
fn is_directory(service: &mut Service, bucket: &BucketName, path: &[u8]) -> Result<bool, Problem> {
    let name = [path, b"/", INDEX].concat();
    let Some(place) = place(bucket, &name) else {
        return Ok(false);
    };
    let found = service
        .store
        .lookup(At::NOW, &place.bucket, &place.key)
        .map_err(refusal::unavailable)?;
    Ok(found.is_some())
}

/// 308 to the same path with a slash. The path has one slash first, so it stays on this host.
fn to_directory(request: &Request<'_>) -> Answer {
    let mut location = String::new();
    target::escape(request.target.path, &mut location);
    location.push('/');
    if let Some(query) = request.target.query {
        location.push('?');
        target::escape(query, &mut location);
    }
    let mut answer = Answer::empty(308);
    answer.line("Location", &location);
    // There may be a page of this name tomorrow.
    answer.line("Cache-Control", "no-cache");
    answer
}

/// The site's own page for what is not there, or ours.
fn missing(
    service: &mut Service,
    request: &Request<'_>,
    bucket: &BucketName,
    now: Now,
) -> Result<Action, Problem> {
    if let Some(place) = place(bucket, MISSING) {
        let media = media::by_ending(MISSING);
        if let Some(action) = value::begin(
            service,
            request,
            (&place, At::NOW),
            Door::SiteMissing,
            media,
            now,
        )? {
            return Ok(action);
        }
    }
    let detail = format!("The bucket `{}` has no page of this name.", bucket.as_str());
    Err(Problem::new(Kind::NoSuchPath, detail))
}
