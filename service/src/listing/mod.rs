//! `/-/keys/BUCKET` and `/-/buckets`: what there is, as JSON.

mod page;
mod values;

use crate::answer::Answer;
use crate::at;
use crate::auth::{self, Caller, Intent};
use crate::bucket;
use crate::config::AuthMode;
use crate::http::head::Request;
use crate::http::target;
use crate::kv;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Action};
use crate::service::Service;
use crate::site::generation;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use page::Page;
use store::{BucketName, Key, KeyQuery, Metadata, Now};

pub(crate) use values::Values;

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
    now: Now,
) -> Result<Action, Problem> {
    let names = ["prefix", "start", "end", "limit", "reverse", "values", "at"];
    let [prefix, start, end, limit, reverse, values, at] =
        target::parameters(request.target.query, names).map_err(route::bad_query)?;
    let sees_all = sees_scripts(service, request, bucket)?;
    let with_values = flag("values", values.as_deref())?;
    for (name, value) in [("prefix", &prefix), ("start", &start), ("end", &end)] {
        // The next page begins with the smallest key behind the last one, which is a byte longer.
        let len = value.as_ref().map_or(0, Vec::len);
        if len > KEY_BYTES_MAX + usize::from(name == "start") {
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
    let Found {
        mut keys,
        seq,
        mut more_after,
    } = find(service, bucket, &query, sees_all)?;
    let limit_bytes = service.config.limits.bodies_bytes;
    let (fitting, cost) = match with_values {
        true => page::as_many_as_fit(keys.iter().map(values::cost_of), limit_bytes),
        false => {
            let costs = keys.iter().map(|(key, _)| page::key_cost(key));
            page::as_many_as_fit(costs, limit_bytes)
        }
    };
    let held = page::hold(service, sees_all, cost)?;
    if fitting < keys.len() {
        keys.truncate(fitting);
        keys.shrink_to_fit();
        more_after = keys.last().map(|(key, _)| key.as_bytes().to_vec());
    }
    let next = more_after.map(|last| {
        advance(&mut query, &last, sees_all);
        let values = if with_values { "&values=1" } else { "" };
        link(bucket, &query, at.as_deref()) + values
    });
    let page = Page {
        keys,
        next,
        seq,
        held,
        json_bytes: cost.json_bytes,
    };
    if !with_values {
        return route::untagged(request, page.into_answer(), now).map(Action::Answer);
    }
    let values = Values::begin(service, bucket, (page, query.at))?;
    let answer = route::untagged(request, Answer::empty(200), now)?;
    Ok(match answer.status {
        200 => Action::List(Box::new(values)),
        _ => Action::Answer(answer),
    })
}

/// What there is of a page.
struct Found {
    keys: Vec<(Key, Metadata)>,
    seq: u64,
    /// The last key that was looked at, if there are more behind it.
    more_after: Option<Vec<u8>>,
}

/// Looks for as many keys as are asked for, of those that the caller may see.
fn find(
    service: &mut Service,
    bucket: &BucketName,
    asked: &KeyQuery,
    sees_all: bool,
) -> Result<Found, Problem> {
    let mut query = asked.clone();
    let mut found = Found {
        keys: Vec::new(),
        seq: 0,
        more_after: None,
    };
    for _ in 0..PAGES_MAX {
        query.limit = asked.limit - found.keys.len();
        let page = service
            .store
            .keys(bucket, &query)
            .map_err(refusal::unavailable)?;
        let last = page.keys.last().map(|(key, _)| key.as_bytes().to_vec());
        let visible = |(key, _): &(Key, Metadata)| sees_all || !kv::is_private(key.as_bytes());
        found.keys.extend(page.keys.into_iter().filter(visible));
        found.seq = page.seq.0;
        found.more_after = last.filter(|_| page.more);
        match &found.more_after {
            Some(last) if found.keys.len() < asked.limit => {
                advance(&mut query, last, sees_all);
            }
            _ => break,
        }
    }
    Ok(found)
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
    let visibility = &service.visibility;
    names.retain(|name| !anonymous || visibility.is_public(name.as_str().as_bytes()));
    Ok(bucket::list(service, &names))
}

/// Whether the request comes without a token to a service that has one.
fn is_anonymous(service: &Service, request: &Request<'_>) -> bool {
    let sent = request.fields.get(crate::http::field::Field::Authorization);
    service.config.auth == AuthMode::Token && sent.is_none()
}

/// Who may read a bucket is not known while the store opens: a stranger is not asked for a token
/// that may not be needed.
pub(crate) fn refuse_while_unknown(
    service: &Service,
    request: &Request<'_>,
) -> Result<(), Problem> {
    if !service.visibility.is_known && is_anonymous(service, request) {
        refusal::refuse_unreadable(&service.store)?;
    }
    Ok(())
}

/// Whether the caller may see scripts' names; refused if not even the rest.
pub(crate) fn sees_scripts(
    service: &mut Service,
    request: &Request<'_>,
    bucket: &BucketName,
) -> Result<bool, Problem> {
    refuse_while_unknown(service, request)?;
    let is_public = service.visibility.is_public(bucket.as_str().as_bytes());
    if is_public && is_anonymous(service, request) {
        let caller = auth::judge(&service.config, request, Intent::ReadPublic)?;
        return Ok(caller != Caller::Anyone);
    }
    route::admit(service, request, Intent::ReadPrivate)?;
    Ok(true)
}

/// Makes `query` go on after `last`; who may not see the names of a push goes on behind all of
/// them, and is told none.
fn advance(query: &mut KeyQuery, last: &[u8], sees_all: bool) {
    match (
        generation::hiding(last).filter(|_| !sees_all),
        query.reverse,
    ) {
        (None, _) => query.go_on_behind(last),
        (Some((first, _)), true) => query.end = Some(first.to_vec()),
        (Some((_, behind)), false) => query.start = Some(behind.to_vec()),
    }
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
