//! `/-/keys/BUCKET` and `/-/buckets`: what there is, as JSON.

use crate::answer::Answer;
use crate::at;
use crate::auth::{self, Caller, Intent};
use crate::bucket;
use crate::config::AuthMode;
use crate::http::head::Request;
use crate::http::target;
use crate::json;
use crate::kv;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{BucketName, Key, KeyQuery, Metadata};

/// Keys on a page nobody gave a length.
const LIMIT_DEFAULT: usize = 100;
/// Longest key, and longest beginning of one that is asked for: so the longest link to a next page
/// is a request line that is taken.
const KEY_BYTES_MAX: usize = 1_024;
/// Most keys on a page.
const LIMIT_MAX: usize = 1_000;
/// Most pages looked through for one of keys the caller may see.
const PAGES_MAX: usize = 8;

/// `GET /-/keys/BUCKET`.
pub(crate) fn keys(
    service: &mut Service,
    request: &Request<'_>,
    bucket: &BucketName,
) -> Result<Answer, Problem> {
    let names = ["prefix", "start", "end", "limit", "reverse", "values", "at"];
    let [prefix, start, end, limit, reverse, values, at] =
        target::parameters(request.target.query, names).map_err(route::bad_query)?;
    let sees_all = sees_scripts(service, request, bucket)?;
    if values.is_some() {
        return Err(kv::not_yet("`values`: read them one by one"));
    }
    for (name, value) in [("prefix", &prefix), ("start", &start), ("end", &end)] {
        if value
            .as_ref()
            .is_some_and(|value| value.len() > KEY_BYTES_MAX)
        {
            let detail = format!("`{name}` is at most {KEY_BYTES_MAX} bytes, as a key is.");
            return Err(Problem::new(Kind::BadParameter, detail));
        }
    }
    let view = at::asked(service, at.as_deref())?.ok_or_else(gone)?;
    let mut query = KeyQuery {
        prefix: prefix.unwrap_or_default(),
        start,
        end,
        limit: limit_of(limit.as_deref())?,
        reverse: flag("reverse", reverse.as_deref())?,
        at: view,
    };
    let wanted = query.limit;
    let mut found: Vec<(Key, Metadata)> = Vec::new();
    let mut seq = 0;
    for _ in 0..PAGES_MAX {
        query.limit = wanted - found.len();
        let page = service
            .store
            .keys(bucket, &query)
            .map_err(refusal::unavailable)?;
        let last = page.keys.last().map(|(key, _)| key.as_bytes().to_vec());
        let visible = |(key, _): &(Key, Metadata)| sees_all || !kv::is_script(key.as_bytes());
        found.extend(page.keys.into_iter().filter(visible));
        seq = page.seq.0;
        let Some(last) = last.filter(|_| page.more) else {
            return Ok(page_answer(&found, None, seq));
        };
        advance(&mut query, last);
        if found.len() >= wanted {
            break;
        }
    }
    query.limit = wanted;
    let next = link(bucket, &query, at.as_deref());
    Ok(page_answer(&found, Some(&next), seq))
}

/// `GET /-/buckets`: those the caller may read, with what they use.
pub(crate) fn buckets(service: &mut Service, request: &Request<'_>) -> Result<Answer, Problem> {
    route::no_parameters(request.target.query)?;
    let anonymous = is_anonymous(service, request);
    if !anonymous {
        route::admit(service, request, Intent::ReadPrivate)?;
    }
    refusal::refuse_unreadable(&service.store)?;
    let mut names = service.store.buckets().map_err(refusal::unavailable)?;
    names.retain(|name| {
        !anonymous || kv::read_intent(name.as_str().as_bytes()) == Intent::ReadPublic
    });
    Ok(bucket::list(&service.store, &names))
}

/// Whether the request comes without a token to a service that has one.
fn is_anonymous(service: &Service, request: &Request<'_>) -> bool {
    let sent = request.fields.get(crate::http::field::Field::Authorization);
    service.config.auth == AuthMode::Token && sent.is_none()
}

/// Whether the caller may see scripts' names; refused if not even the rest.
pub(crate) fn sees_scripts(
    service: &mut Service,
    request: &Request<'_>,
    bucket: &BucketName,
) -> Result<bool, Problem> {
    if kv::read_intent(bucket.as_str().as_bytes()) == Intent::ReadPublic
        && is_anonymous(service, request)
    {
        let caller = auth::judge(&service.config, request, Intent::ReadPublic)?;
        return Ok(caller != Caller::Anyone);
    }
    route::admit(service, request, Intent::ReadPrivate)?;
    Ok(true)
}

/// Makes `query` go on after `last`.
fn advance(query: &mut KeyQuery, mut last: Vec<u8>) {
    if query.reverse {
        query.end = Some(last);
    } else {
        // The smallest key after it.
        last.push(0);
        query.start = Some(last);
    }
}

fn page_answer(keys: &[(Key, Metadata)], next: Option<&str>, seq: u64) -> Answer {
    let mut out = String::with_capacity(64 + keys.len() * 96);
    out.push_str("{\"keys\":[");
    for (index, (key, version)) in keys.iter().enumerate() {
        out.push_str(if index == 0 { "{" } else { ",{" });
        json::push_bytes(&mut out, "key", key.as_bytes());
        let modified_ms = version.modified_wall_ns / 1_000_000;
        let (len_bytes, seq) = (version.len_bytes, version.seq.0);
        let _ = write!(
            out,
            ",\"size\":{len_bytes},\"seq\":{seq},\"modified_ms\":{modified_ms}"
        );
        if let Some(expires_ms) = version.expires_wall_ms {
            let _ = write!(out, ",\"expires_ms\":{expires_ms}");
        }
        out.push('}');
    }
    out.push_str("],\"next\":");
    match next {
        Some(link) => json::push_string(&mut out, link),
        None => out.push_str("null"),
    }
    let _ = writeln!(out, ",\"seq\":{seq}}}");
    Answer::text(200, "application/json", out)
}

/// A page of what is not there: it may have been, when an earlier page was asked for.
fn gone() -> Problem {
    Problem::new(
        Kind::SnapshotGone,
        "No snapshot has this name or sequence (any more): begin again at another one, or \
         without `at`.",
    )
}

/// The target that gives the next page, of the state that was asked for.
fn link(bucket: &BucketName, query: &KeyQuery, at: Option<&[u8]>) -> String {
    let mut link = format!("/-/keys/{}?limit={}", bucket.as_str(), query.limit);
    let prefix = (!query.prefix.is_empty()).then_some(&query.prefix);
    for (name, value) in [
        ("prefix", prefix.map(Vec::as_slice)),
        ("start", query.start.as_deref()),
        ("end", query.end.as_deref()),
        ("at", at),
    ] {
        if let Some(value) = value {
            link.push('&');
            link.push_str(name);
            link.push('=');
            target::encode(value, &mut link);
        }
    }
    if query.reverse {
        link.push_str("&reverse=1");
    }
    link
}

fn limit_of(text: Option<&[u8]>) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(LIMIT_DEFAULT);
    };
    let number = core::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| {
            let detail = format!("`limit` is a number from 1 to {LIMIT_MAX}.");
            Problem::new(Kind::BadParameter, detail)
        })
}

fn flag(name: &str, text: Option<&[u8]>) -> Result<bool, Problem> {
    match text {
        None | Some(b"0" | b"false") => Ok(false),
        Some(b"" | b"1" | b"true") => Ok(true),
        Some(_) => {
            let detail = format!("`{name}` is 1 or 0.");
            Err(Problem::new(Kind::BadParameter, detail))
        }
    }
}
