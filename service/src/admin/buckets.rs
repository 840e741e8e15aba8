//! `/-/admin/buckets`: what each bucket uses and may use, and who may read it; emptying one.

use super::wanted::Wanted;
use super::{Done, commit};
use crate::answer::Answer;
use crate::bucket;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{Accepted, Action};
use crate::service::Service;
use crate::site;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use store::{BucketName, Refusal};

/// All of them: those that have a key or a quota, or that are not as visible as usual.
pub(super) fn list(service: &Service) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    Ok(bucket::list(service, &known(service)?))
}

fn known(service: &Service) -> Result<Vec<BucketName>, Problem> {
    let known = service.store.known_buckets();
    let mut known = known.map_err(refusal::unavailable)?;
    known.extend(service.visibility.exceptions().cloned());
    known.sort();
    known.dedup();
    Ok(known)
}

/// One of those.
pub(super) fn show(service: &Service, name: &BucketName) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    if !known(service)?.contains(name) {
        let detail = format!(
            "The bucket `{}` has no key and no quota, and nobody said who may read it.",
            name.as_str()
        );
        return Err(Problem::new(Kind::NoSuchBucket, detail));
    }
    Ok(object(service, name, 200))
}

/// Whether a bucket is in the list.
pub(super) fn is_known(service: &Service, name: &BucketName) -> bool {
    known(service).is_ok_and(|known| known.contains(name))
}

/// A bucket as an answer, whatever is in it.
fn object(service: &Service, name: &BucketName, status: u16) -> Answer {
    let mut out = String::new();
    bucket::push(&mut out, service, name);
    out.push('\n');
    Answer::text(status, "application/json", out)
}

/// The answer to what was set; what makes the bucket known has created it.
pub(super) fn set(service: &Service, name: &BucketName, was_known: bool) -> Answer {
    let is_created = !was_known && is_known(service, name);
    let mut answer = object(service, name, if is_created { 201 } else { 200 });
    if is_created {
        answer.line("Location", &format!("/-/admin/buckets/{}", name.as_str()));
    }
    answer
}

/// Sets what the body says of a bucket; the rest of it stays as it was accepted last.
///
/// # Errors
/// A body that says nothing of a bucket, or the store's refusal.
pub(crate) fn set_bucket(
    service: &mut Service,
    name: BucketName,
    body: &[u8],
) -> Result<Action, Problem> {
    let wanted = Wanted::parse(body)?;
    refusal::refuse_unreadable(&service.store)?;
    // What is durable by now, whoever has asked for it.
    service.look_at_visibility();
    let was_known = is_known(service, &name);
    let accepted = service.store.accepted_quota(&name);
    let limits = wanted.over(accepted);
    // A record of what holds already would only take room, and one of the buckets.
    let is_set = limits == accepted && limits == service.store.quota(&name).0;
    // First: a bucket whose quota is refused is not opened to everybody.
    let quota = (!is_set).then(|| service.store.set_quota(name.clone(), limits));
    let quota = quota.transpose().map_err(refusal::problem)?;
    let quota = quota.map(|ticket| service.pending(ticket));
    let published = match wanted.public() {
        Some(public) => service.publish_bucket(&name, public),
        None => Ok(None),
    };
    let published = published.map_err(refusal::problem)?;
    let published = published.map(|ticket| service.pending(ticket));
    let (first, next) = match (quota, published) {
        (None, None) => return Ok(Action::Answer(object(service, &name, 200))),
        (Some(first), next) => (first, next),
        (None, Some(first)) => (first, None),
    };
    let done = Done::BucketSet(name, was_known, next);
    Ok(Action::Commit(first, Accepted::Admin(done)))
}

/// Removes all keys; the quota stays.
pub(super) fn empty(service: &mut Service, name: BucketName) -> Result<Action, Problem> {
    site::refuse_while_any_pushed(service, Some(&name))?;
    match service.store.empty_bucket(&name) {
        Ok(ticket) => Ok(commit(service, ticket, Done::Emptied(name))),
        Err(refusal) => Err(refused(&name, refusal)),
    }
}

/// Why a bucket was not emptied.
pub(super) fn refused(name: &BucketName, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => {
            let detail = format!(
                "The bucket `{}` has no key; nothing was written.",
                name.as_str()
            );
            Problem::new(Kind::NoSuchBucket, detail)
        }
        other => refusal::problem(other),
    }
}
