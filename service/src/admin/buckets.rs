//! `/-/admin/buckets`: what each bucket uses and may use; emptying one.

use super::quota::Quota;
use super::{Done, commit};
use crate::answer::Answer;
use crate::bucket;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use store::{BucketName, Refusal};

/// All of them: those that have a key or a quota.
pub(super) fn list(service: &Service) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    let known = service
        .store
        .known_buckets()
        .map_err(refusal::unavailable)?;
    Ok(bucket::list(&service.store, &known))
}

/// One of those.
pub(super) fn show(service: &Service, name: &BucketName) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    let known = service
        .store
        .known_buckets()
        .map_err(refusal::unavailable)?;
    if !known.contains(name) {
        let detail = format!("The bucket `{}` has no key and no quota.", name.as_str());
        return Err(Problem::new(Kind::NoSuchBucket, detail));
    }
    Ok(object(service, name, 200))
}

/// Whether a bucket has a key or a quota.
pub(super) fn is_known(service: &Service, name: &BucketName) -> bool {
    let known = service.store.known_buckets();
    known.is_ok_and(|known| known.contains(name))
}

/// A bucket as an answer, whatever is in it.
fn object(service: &Service, name: &BucketName, status: u16) -> Answer {
    let mut out = String::new();
    bucket::push(&mut out, &service.store, name);
    out.push('\n');
    Answer::text(status, "application/json", out)
}

/// The answer to a quota that was set; one that makes the bucket known has created it.
pub(super) fn set(service: &Service, name: &BucketName, was_known: bool) -> Answer {
    let is_created = !was_known && is_known(service, name);
    object(service, name, if is_created { 201 } else { 200 })
}

/// Sets what the body says of the quota; the rest of it stays as it was accepted last.
///
/// # Errors
/// A body that says no quota, or the store's refusal.
pub(crate) fn set_quota(
    service: &mut Service,
    name: BucketName,
    body: &[u8],
) -> Result<Action, Problem> {
    let quota = Quota::parse(body)?;
    refusal::refuse_unreadable(&service.store)?;
    let accepted = service.store.accepted_quota(&name);
    let limits = quota.over(accepted);
    if limits == accepted && limits == service.store.quota(&name).0 {
        // A record of what holds already would only take room, and one of the buckets.
        return Ok(Action::Answer(object(service, &name, 200)));
    }
    let ticket = service.store.set_quota(name.clone(), limits);
    let ticket = ticket.map_err(refusal::problem)?;
    let was_known = is_known(service, &name);
    Ok(commit(service, ticket, Done::QuotaSet(name, was_known)))
}

/// Removes all keys; the quota stays.
pub(super) fn empty(service: &mut Service, name: BucketName) -> Result<Action, Problem> {
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
