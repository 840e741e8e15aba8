//! `/-/admin/`: what the owner sees and changes, on the admin plane alone.
//!
//! All of it takes the read-write token, reading included.

mod backup;
mod buckets;
mod crash;
mod jobs;
mod power;
mod restore;
mod scrub;
mod site;
mod snapshots;
mod status;
mod subject;
mod wanted;

use crate::answer::Answer;
use crate::auth::{self, Intent};
use crate::awaited::Awaited;
use crate::config::AuthMode;
use crate::http::head::Request;
use crate::http::method::{Allowed, Method};
use crate::kv;
use crate::openapi;
use crate::problem::Problem;
use crate::rotation;
use crate::route::{self, Accepted, Action};
use crate::service::{Pending, Power, Service};
use crate::site::generation::Generation;
use alloc::vec::Vec;
use store::{BucketName, Committed, Now, Refusal, SnapshotName, Ticket};

pub(crate) use backup::refused as backup_refused;
pub(crate) use jobs::stopped;
pub(crate) use restore::{ended as restored, refused as restore_refused};
pub(crate) use site::pushed;
pub(crate) use subject::Subject;

/// What a path under `/-/admin/` names.
pub(crate) enum Resource {
    /// `buckets`
    Buckets,
    /// `buckets/B`
    Bucket(BucketName),
    /// `snapshots`
    Snapshots,
    /// `snapshots/NAME`
    Snapshot(SnapshotName),
    /// `snapshots/NAME/rollback`
    Rollback(SnapshotName),
    /// `scrub`
    Scrub,
    /// `crash`
    Crash,
    /// `backup`
    Backup,
    /// `restore`
    Restore,
    /// `openapi.json`
    Openapi,
    /// `status`
    Status,
    /// `site`
    Site,
    /// `site/rollback`
    SiteRollback,
    /// `token/rotate`
    Rotate,
    /// `tls`
    Tls,
    /// `power/off`, `power/reboot`
    Power(Power),
    /// `jobs`
    Jobs,
    /// `jobs/ID`
    Job(u64),
}

/// A change that was handed in, and what its answer tells.
#[derive(Debug)]
pub(crate) enum Done {
    /// What was said of this bucket is set, and there was such a bucket or not; the rest of it
    /// may have to be waited for.
    BucketSet(BucketName, bool, Option<Pending>),
    /// This bucket has no key any more.
    Emptied(BucketName),
    /// There is this snapshot.
    Taken(SnapshotName),
    /// There is a snapshot less.
    Forgotten,
    /// It is as it was in the first snapshot, but for so many keys whose time is over; the second
    /// one has what was undone.
    RolledBack(SnapshotName, SnapshotName, u64),
    /// The site in this bucket shows this push again, and which one it has shown.
    SiteShown(BucketName, Generation, Option<Generation>),
    /// Nothing is shown of what was pushed into this bucket.
    SiteDown(BucketName),
}

impl Done {
    /// What else has to be durable before it is answered.
    pub(crate) fn next(&mut self) -> Option<Pending> {
        match self {
            Done::BucketSet(_, _, next) => next.take(),
            _ => None,
        }
    }
}

/// The resource at `/-/admin/REST`, if there is one.
///
/// # Errors
/// A name that is none.
pub(crate) fn resource(rest: &str) -> Result<Option<Resource>, Problem> {
    let (first, rest) = match rest.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (rest, None),
    };
    Ok(Some(match (first, rest) {
        ("buckets", None) => Resource::Buckets,
        ("buckets", Some(name)) if !name.contains('/') => Resource::Bucket(kv::bucket(name)?),
        ("backup", None) => Resource::Backup,
        ("restore", None) => Resource::Restore,
        ("jobs", None) => Resource::Jobs,
        ("jobs", Some(id)) => match id.parse() {
            Ok(id) => Resource::Job(id),
            Err(_) => return Ok(None),
        },
        ("openapi.json", None) => Resource::Openapi,
        ("status", None) => Resource::Status,
        ("site", None) => Resource::Site,
        ("site", Some("rollback")) => Resource::SiteRollback,
        ("token", Some("rotate")) => Resource::Rotate,
        ("tls", None) => Resource::Tls,
        ("power", Some("off")) => Resource::Power(Power::Off),
        ("power", Some("reboot")) => Resource::Power(Power::Reboot),
        ("scrub", None) => Resource::Scrub,
        ("crash", None) => Resource::Crash,
        ("snapshots", None) => Resource::Snapshots,
        ("snapshots", Some(rest)) => match rest.split_once('/') {
            None => Resource::Snapshot(snapshots::name(rest)?),
            Some((name, "rollback")) => Resource::Rollback(snapshots::name(name)?),
            Some(_) => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

impl Resource {
    /// Its methods.
    pub(crate) fn allowed(&self) -> Allowed {
        match self {
            Resource::Buckets
            | Resource::Snapshots
            | Resource::Backup
            | Resource::Openapi
            | Resource::Status
            | Resource::Jobs => Allowed::Read,
            Resource::Job(_) | Resource::Crash => Allowed::ReadDelete,
            Resource::Bucket(_) | Resource::Snapshot(_) | Resource::Site => Allowed::ReadWrite,
            Resource::Rollback(_)
            | Resource::SiteRollback
            | Resource::Power(_)
            | Resource::Rotate => Allowed::Post,
            Resource::Restore => Allowed::Put,
            Resource::Tls => Allowed::ReadPut,
            Resource::Scrub => Allowed::ReadPost,
        }
    }
}

/// Answers a request whose method is allowed, or begins to.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn dispatch(
    service: &mut Service,
    request: &Request<'_>,
    (resource, now): (Resource, Now),
) -> Result<Action, Problem> {
    let [parameter, second] = parameters(request, &resource)?;
    let intent = match request.method {
        Method::Put | Method::Post | Method::Delete => Intent::Write,
        _ => Intent::Administer,
    };
    route::admit(service, request, intent)?;
    if intent == Intent::Write {
        if service.config.auth == AuthMode::Open {
            // What `cors` allows is for the users' port alone.
            auth::refuse_other_sites(request)?;
        }
        kv::refuse_part(request)?;
        let is_there = is_there(service, &resource);
        if !is_refused_anyway(&resource, request.method, is_there) {
            route::refuse_unless(request, is_there, now)?;
        }
    }
    match (resource, request.method) {
        (Resource::Bucket(bucket), Method::Put) => Subject::Bucket(bucket).collect(request.framing),
        (Resource::Bucket(bucket), Method::Delete) => buckets::empty(service, bucket),
        (Resource::Bucket(bucket), _) => buckets::show(service, &bucket).map(Action::Answer),
        (Resource::Buckets, _) => buckets::list(service).map(Action::Answer),
        (Resource::Snapshot(name), Method::Put) => {
            route::refuse_body(request.framing)?;
            snapshots::take(service, name)
        }
        (Resource::Snapshot(name), Method::Delete) => snapshots::forget(service, &name),
        (Resource::Snapshot(name), _) => snapshots::show(service, &name).map(Action::Answer),
        (Resource::Snapshots, _) => snapshots::list(service).map(Action::Answer),
        (Resource::Backup, _) => backup::begin(service, parameter.as_deref()),
        (Resource::Restore, _) => restore::begin(service, request, parameter.as_deref()),
        (Resource::Openapi, _) => Ok(Action::Answer(openapi::document(service))),
        (Resource::Status, _) => Ok(Action::Answer(status::show(service, now))),
        (Resource::Power(power), _) => {
            route::refuse_body(request.framing)?;
            power::ask(service, power).map(Action::Answer)
        }
        (Resource::Site, Method::Put) => {
            site::begin(service, request, (parameter.as_deref(), second.as_deref()))
        }
        (Resource::Site, Method::Delete) => site::down(service, parameter.as_deref()),
        (Resource::Site, _) => site::list(service).map(Action::Answer),
        (Resource::SiteRollback, _) => {
            route::refuse_body(request.framing)?;
            site::back(service, (parameter.as_deref(), second.as_deref()))
        }
        (Resource::Rotate, _) => {
            route::refuse_body(request.framing)?;
            let rotation = rotation::ask(service)?;
            Ok(Action::Await(Awaited::Token(rotation)))
        }
        (Resource::Tls, Method::Put) => Subject::Certificate.collect(request.framing),
        (Resource::Tls, _) => service.told_certificate().map(Action::Answer),
        (Resource::Jobs, _) => Ok(Action::Answer(jobs::list(service))),
        (Resource::Job(id), Method::Delete) => jobs::stop(service, id).map(Action::Answer),
        (Resource::Job(id), _) => jobs::show(service, id).map(Action::Answer),
        (Resource::Crash, Method::Delete) => crash::acknowledge(service).map(Action::Answer),
        (Resource::Crash, _) => crash::show(service).map(Action::Answer),
        (Resource::Scrub, Method::Post) => {
            route::refuse_body(request.framing)?;
            scrub::begin(service).map(Action::Answer)
        }
        (Resource::Scrub, _) => scrub::show(service).map(Action::Answer),
        (Resource::Rollback(name), _) => {
            route::refuse_body(request.framing)?;
            snapshots::roll_back(service, name, parameter.as_deref())
        }
    }
}

/// The values of the parameters that a resource has, in the order of its own.
fn parameters(request: &Request<'_>, resource: &Resource) -> Result<[Option<Vec<u8>>; 2], Problem> {
    let one = |name| kv::parameters(request, [name]).map(|[value]| [value, None]);
    match (resource, request.method) {
        (Resource::Rollback(_), _) => one("bucket"),
        (Resource::Backup, _) => one("snapshot"),
        (Resource::Restore, _) => one("lossy"),
        (Resource::Site, Method::Put) => kv::parameters(request, ["bucket", "keep"]),
        (Resource::Site, Method::Delete) => one("bucket"),
        (Resource::SiteRollback, _) => kv::parameters(request, ["bucket", "to"]),
        _ => {
            route::no_parameters(request.target.query)?;
            Ok([None, None])
        }
    }
}

/// Whether there is what a change is about.
fn is_there(service: &Service, resource: &Resource) -> bool {
    match resource {
        Resource::Bucket(name) => buckets::is_known(service, name),
        Resource::Snapshot(name) | Resource::Rollback(name) => {
            matches!(service.store.at(name), Ok(Some(_)))
        }
        Resource::Job(id) => service.jobs.all().iter().any(|job| job.id == *id),
        _ => true,
    }
}

/// Whether it is 404 or 409, so that its conditions do not count (RFC 9110 section 13.2.1).
fn is_refused_anyway(resource: &Resource, method: Method, is_there: bool) -> bool {
    match (resource, method) {
        (Resource::Snapshot(_), Method::Put) => is_there,
        (_, Method::Put) => false,
        _ => !is_there,
    }
}

/// The answer to a change that has ended.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn done(
    service: &mut Service,
    done: Done,
    outcome: Result<Committed, Refusal>,
) -> Result<Answer, Problem> {
    if matches!(done, Done::BucketSet(..)) {
        service.end_awaiting_visibility();
    }
    // Somebody else has made it as visible meanwhile.
    let is_so = matches!(outcome, Err(Refusal::NotFound | Refusal::Condition { .. }))
        && matches!(done, Done::BucketSet(..));
    if let Err(refusal) = outcome
        && !is_so
    {
        return Err(match done {
            Done::Emptied(bucket) => buckets::refused(&bucket, refusal),
            Done::SiteShown(..) | Done::SiteDown(_) => crate::site::refused(refusal),
            _ => crate::refusal::problem(refusal),
        });
    }
    Ok(match done {
        Done::BucketSet(bucket, was_known, _) => buckets::set(service, &bucket, was_known),
        Done::Emptied(_) | Done::Forgotten => Answer::empty(204),
        Done::Taken(name) => snapshots::taken(service, &name),
        Done::RolledBack(to, undo, expired_keys) => {
            service.sweep_all_sites();
            snapshots::rolled_back(&to, &undo, expired_keys)
        }
        Done::SiteShown(bucket, shown, before) => {
            service.sweep_site(&bucket);
            site::shown(&bucket, shown, before)
        }
        Done::SiteDown(bucket) => {
            service.sweep_site(&bucket);
            Answer::empty(204)
        }
    })
}

fn commit(service: &Service, ticket: Ticket, done: Done) -> Action {
    Action::Commit(service.pending(ticket), Accepted::Admin(done))
}
