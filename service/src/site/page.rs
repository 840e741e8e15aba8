//! Every path that is not reserved: a page of the site.
//!
//! A path is decoded once; what a file system or a proxy could read as another
//! path (`.`, `..`, `//`, NUL, backslash) is refused rather than resolved.

use super::generation::Generation;
use super::rules::{HEADERS, REDIRECTS, Redirect};
use crate::answer::Answer;
use crate::http::head::Request;
use crate::http::{coding, media, target};
use crate::kv::{self, Place};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Action};
use crate::service::Service;
use crate::value::{self, Door, Shape, Variant};
use crate::welcome;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use store::{At, BucketName, Key, Now};

const INDEX: &[u8] = b"index.html";
const MISSING: &[u8] = b"404.html";
/// Content codings a pushed page may stand in beside itself, and how the names of such end; what
/// is smaller as a rule comes first.
const CODINGS: [(&str, &[u8]); 3] = [("br", b".br"), ("zstd", b".zst"), ("gzip", b".gz")];

/// Where the pages of a host are.
struct Pages {
    bucket: BucketName,
    /// Of this push; else the keys of the bucket are the names of the pages.
    generation: Option<Generation>,
}

/// GET or HEAD of a page; its query is its own business.
pub(crate) fn page(
    service: &mut Service,
    request: &Request<'_>,
    now: Now,
) -> Result<Action, Problem> {
    let path = decoded(request.target.path)?;
    let bucket = service.config.sites.bucket(request.authority).clone();
    let generation = service.shown(&bucket)?;
    let pages = Pages { bucket, generation };
    if let Some(action) = pages.find(service, request, &path, now)? {
        return Ok(action);
    }
    if path.is_empty() && generation.is_none() {
        let welcome = welcome::page(service, request);
        return route::untagged(request, welcome, now).map(Action::Answer);
    }
    if !path.ends_with(b"/") && pages.has(service, &[&path, &b"/"[..], INDEX].concat())? {
        return Ok(Action::Answer(to_directory(request)));
    }
    if generation.is_some() {
        let Some(redirects) = service.redirects(&pages.bucket)? else {
            return Ok(Action::Later);
        };
        match redirects.of(&[b"/", &path[..]].concat()) {
            Some(Redirect::To(status, location)) => {
                return Ok(Action::Answer(redirect(request, status, &location)));
            }
            Some(Redirect::Shown(path)) => {
                let shown = decoded(&path)?;
                if let Some(action) = pages.find(service, request, &shown, now)? {
                    return Ok(action);
                }
            }
            None => {}
        }
    }
    pages.missing(service, request, now)
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

impl Pages {
    /// The place of a page, if its name can be one.
    fn place(&self, name: &[u8]) -> Option<Place> {
        let key = match self.generation {
            Some(_) if name == HEADERS || name == REDIRECTS => None,
            Some(generation) => generation.key(name),
            None => Key::new(name).ok().filter(|_| !kv::is_private(name)),
        };
        Some(Place {
            bucket: self.bucket.clone(),
            key: key.filter(|_| !kv::is_script(name))?,
        })
    }

    /// Whether there is a page of this name.
    fn has(&self, service: &mut Service, name: &[u8]) -> Result<bool, Problem> {
        let Some(Place { bucket, key }) = self.place(name) else {
            return Ok(false);
        };
        let found = service.store.lookup(At::NOW, &bucket, &key);
        Ok(found.map_err(refusal::unavailable)?.is_some())
    }

    /// The page at a path, or that of its directory.
    fn find(
        &self,
        service: &mut Service,
        request: &Request<'_>,
        path: &[u8],
        now: Now,
    ) -> Result<Option<Action>, Problem> {
        let mut name = path.to_vec();
        if name.is_empty() || name.ends_with(b"/") {
            name.extend_from_slice(INDEX);
        }
        let Some(plain) = self.place(&name) else {
            return Ok(None);
        };
        let (place, variant) = match self.generation {
            Some(_) if self.has(service, &name)? => {
                self.preferred(service, request, &name, plain)?
            }
            Some(_) => return Ok(None),
            None => (plain, Variant::Only),
        };
        let shape = Shape {
            door: Door::Site,
            media: media::by_ending(&name),
            variant,
        };
        value::begin(service, request, (&place, At::NOW), shape, now)
    }

    /// The page in the coding that the peer wants most of those it was pushed in.
    fn preferred(
        &self,
        service: &mut Service,
        request: &Request<'_>,
        name: &[u8],
        plain: Place,
    ) -> Result<(Place, Variant), Problem> {
        let mut offered = Vec::new();
        for (coding, ending) in CODINGS {
            if self.has(service, &[name, ending].concat())? {
                offered.push(coding);
            }
        }
        if offered.is_empty() {
            return Ok((plain, Variant::Only));
        }
        let wanted = coding::preferred(&request.fields, &offered);
        let coded = CODINGS.iter().find(|(coding, _)| Some(*coding) == wanted);
        let coded = coded.and_then(|(coding, ending)| {
            let place = self.place(&[name, ending].concat())?;
            Some((place, Variant::Coded(coding)))
        });
        Ok(coded.unwrap_or((plain, Variant::Plain)))
    }

    /// The site's own page for what is not there, or ours.
    fn missing(
        &self,
        service: &mut Service,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Action, Problem> {
        if let Some(place) = self.place(MISSING) {
            let shape = Shape::only(Door::SiteMissing, media::by_ending(MISSING));
            let found = value::begin(service, request, (&place, At::NOW), shape, now)?;
            if let Some(action) = found {
                return Ok(action);
            }
        }
        let bucket = self.bucket.as_str();
        let detail = match self.generation {
            Some(Generation(push)) => {
                format!("Push {push} of the site in `{bucket}` has no page of this name.")
            }
            None => format!("The bucket `{bucket}` has no page of this name."),
        };
        Err(Problem::new(Kind::NoSuchPath, detail))
    }
}

/// 308 to the same path with a slash. The path has one slash first, so it stays on this host.
fn to_directory(request: &Request<'_>) -> Answer {
    redirect(request, 308, &format!("{}/", request.target.path))
}

/// What was asked for is found there; the query goes along where there is none.
fn redirect(request: &Request<'_>, status: u16, target: &str) -> Answer {
    let mut location = String::new();
    target::escape(target, &mut location);
    if let Some(query) = request.target.query
        && !target.contains(['?', '#'])
    {
        location.push('?');
        target::escape(query, &mut location);
    }
    let mut answer = Answer::empty(status);
    answer.line("Location", &location);
    // There may be a page of this name tomorrow.
    answer.line("Cache-Control", "no-cache");
    answer
}
