//! `/-/admin/site`: a directory as a site, shown and taken back as a whole.

use super::{Done, commit};
use crate::answer::Answer;
use crate::connection::Sink;
use crate::http::field::Field;
use crate::http::head::{Framing, Request};
use crate::json;
use crate::kv;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use crate::site;
use crate::site::generation::{self, Generation};
use crate::site::push::{self, Pushed};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::BucketName;

/// How many earlier pushes are kept, if nothing is said.
const KEEP: usize = 2;
/// How many can be.
const KEEP_MAX: usize = 8;
/// Pages of a push that are counted while everybody else waits.
const COUNTED_MAX: u64 = 4_096;

/// Begins a push; the tar is the body.
pub(super) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    (bucket, keep): (Option<&[u8]>, Option<&[u8]>),
) -> Result<Action, Problem> {
    let bucket = bucket_of(service, bucket)?;
    let keep = match keep {
        None => KEEP,
        Some(text) => number(text)
            .and_then(|keep| usize::try_from(keep).ok())
            .filter(|keep| *keep <= KEEP_MAX)
            .ok_or_else(|| {
                let detail = format!("`keep` is how many earlier pushes stay: 0 to {KEEP_MAX}.");
                Problem::new(Kind::BadParameter, detail)
            })?,
    };
    let refuse = |detail: &str| Err(Problem::new(Kind::BadSite, detail));
    if request.framing == Framing::None {
        return refuse("Send the directory as a tar, as the body of this request.");
    }
    if request.fields.get(Field::ContentEncoding).is_some() {
        return refuse("Send the plain tar, without a Content-Encoding.");
    }
    let push = push::begin(service, &bucket, keep)?;
    Ok(Action::Receive(Sink::Site(Box::new(push))))
}

/// The answer to a push that is shown.
pub(crate) fn pushed(pushed: &Pushed) -> Answer {
    let Pushed {
        bucket,
        generation: Generation(number),
        files,
        bytes,
    } = pushed;
    let mut out = String::from("{");
    json::push_member(&mut out, "bucket", bucket.as_str());
    let _ = write!(
        out,
        ",\"shown\":{number},\"files\":{files},\"bytes\":{bytes}}}"
    );
    out.push('\n');
    let mut answer = Answer::text(201, "application/json", out);
    answer.line("Location", "/-/admin/site");
    answer
}

/// Shows an earlier push again.
pub(super) fn back(
    service: &mut Service,
    (bucket, to): (Option<&[u8]>, Option<&[u8]>),
) -> Result<Action, Problem> {
    let bucket = bucket_of(service, bucket)?;
    let to = match to {
        None => None,
        Some(text) => Some(number(text).ok_or_else(|| {
            let detail = "`to` is the number of a push, as `GET /-/admin/site` lists them.";
            Problem::new(Kind::BadParameter, detail)
        })?),
    };
    let (ticket, shown, before) = site::back(service, &bucket, to)?;
    Ok(commit(
        service,
        ticket,
        Done::SiteShown(bucket, shown, before),
    ))
}

/// The answer to that.
pub(super) fn shown(bucket: &BucketName, shown: Generation, before: Option<Generation>) -> Answer {
    let mut out = String::from("{");
    json::push_member(&mut out, "bucket", bucket.as_str());
    let _ = write!(out, ",\"shown\":{}", shown.0);
    push_number(&mut out, "before", before);
    out.push_str("}\n");
    Answer::text(200, "application/json", out)
}

/// Takes away all that was pushed.
pub(super) fn down(service: &mut Service, bucket: Option<&[u8]>) -> Result<Action, Problem> {
    let bucket = bucket_of(service, bucket)?;
    let ticket = site::down(service, &bucket)?;
    service.sites.is_in_doubt = true;
    Ok(commit(service, ticket, Done::SiteDown(bucket)))
}

/// All sites: those of the configuration, and every bucket something was pushed into.
pub(super) fn list(service: &mut Service) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    let configured: Vec<BucketName> = service.config.sites.buckets().cloned().collect();
    let mut buckets = service.store.buckets().map_err(refusal::unavailable)?;
    buckets.extend(configured.iter().cloned());
    buckets.sort();
    buckets.dedup();
    let mut out = String::from("{\"sites\":[");
    let mut is_first = true;
    for bucket in buckets {
        let marks = generation::marks(&mut service.store, &bucket).map_err(refusal::unavailable)?;
        if marks.is_empty() && !configured.contains(&bucket) {
            continue;
        }
        if !core::mem::replace(&mut is_first, false) {
            out.push(',');
        }
        out.push('{');
        json::push_member(&mut out, "bucket", bucket.as_str());
        let shown = marks
            .iter()
            .rev()
            .find(|mark| mark.state == generation::State::Current);
        push_number(&mut out, "shown", shown.map(|mark| mark.generation));
        out.push_str(",\"pushes\":[");
        for (index, mark) in marks.iter().enumerate() {
            let store = &mut service.store;
            let size = mark.generation.size(store, &bucket, COUNTED_MAX);
            let size = size.map_err(refusal::unavailable)?;
            let comma = if index > 0 { "," } else { "" };
            let since_ms = mark.since_wall_ns / 1_000_000;
            let (number, state) = (mark.generation.0, mark.state.word());
            let _ = write!(
                out,
                "{comma}{{\"push\":{number},\"state\":\"{state}\",\"since_ms\":{since_ms}"
            );
            let _ = match size {
                Some((files, bytes)) => write!(out, ",\"files\":{files},\"bytes\":{bytes}}}"),
                None => write!(out, ",\"files\":null,\"bytes\":null}}"),
            };
        }
        out.push_str("]}");
    }
    out.push_str("]}\n");
    Ok(Answer::text(200, "application/json", out))
}

fn push_number(out: &mut String, name: &str, number: Option<Generation>) {
    let _ = match number {
        Some(Generation(number)) => write!(out, ",\"{name}\":{number}"),
        None => write!(out, ",\"{name}\":null"),
    };
}

/// The bucket that is asked for, or that of hosts nothing is said of.
fn bucket_of(service: &Service, bucket: Option<&[u8]>) -> Result<BucketName, Problem> {
    match bucket {
        Some(name) => kv::bucket_of(name),
        None => Ok(service.config.sites.fallback().clone()),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(text)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()
}
