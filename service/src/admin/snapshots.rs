//! `/-/admin/snapshots`: named states, and rollback to one.

use super::{Done, commit};
use crate::answer::Answer;
use crate::http::target;
use crate::json;
use crate::kv;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use crate::site;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;
use store::{Refusal, SnapshotName, SnapshotStatus};

/// A snapshot's name, percent-decoded.
pub(super) fn name(raw: &str) -> Result<SnapshotName, Problem> {
    name_of(&target::decode(raw).unwrap_or_default())
}

/// A snapshot's name.
pub(super) fn name_of(bytes: &[u8]) -> Result<SnapshotName, Problem> {
    let name = core::str::from_utf8(bytes).unwrap_or_default();
    SnapshotName::new(name).map_err(|error| Problem::new(Kind::BadSnapshot, format!("{error}.")))
}

/// All of them, in the order they were taken.
pub(super) fn list(service: &Service) -> Result<Answer, Problem> {
    let snapshots = service.store.snapshots().map_err(refusal::unavailable)?;
    let mut out = String::from("{\"snapshots\":[");
    for (index, status) in snapshots.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, status);
    }
    out.push_str("]}\n");
    Ok(Answer::text(200, "application/json", out))
}

/// One of them.
pub(super) fn show(service: &Service, name: &SnapshotName) -> Result<Answer, Problem> {
    let snapshots = service.store.snapshots().map_err(refusal::unavailable)?;
    let found = snapshots.iter().find(|status| status.name == *name);
    let status = found.ok_or_else(|| refusal::problem(Refusal::NoSuchSnapshot))?;
    Ok(object(200, status))
}

/// Takes one.
pub(super) fn take(service: &mut Service, name: SnapshotName) -> Result<Action, Problem> {
    let ticket = service.store.take_snapshot(name.clone());
    let ticket = ticket.map_err(refusal::problem)?;
    Ok(commit(service, ticket, Done::Taken(name)))
}

/// The answer to one that was taken.
pub(super) fn taken(service: &Service, name: &SnapshotName) -> Answer {
    let snapshots = service.store.snapshots().unwrap_or_default();
    let mut answer = match snapshots.iter().find(|status| status.name == *name) {
        Some(status) => object(201, status),
        // It was taken, and in the same group of changes deleted by somebody else.
        None => Answer::empty(201),
    };
    answer.line("Location", &format!("/-/admin/snapshots/{}", name.as_str()));
    answer
}

/// Deletes one.
pub(super) fn forget(service: &mut Service, name: &SnapshotName) -> Result<Action, Problem> {
    let ticket = service.store.delete_snapshot(name);
    let ticket = ticket.map_err(refusal::problem)?;
    Ok(commit(service, ticket, Done::Forgotten))
}

/// Brings back what one shows, in one bucket or in all.
pub(super) fn roll_back(
    service: &mut Service,
    to: SnapshotName,
    bucket: Option<&[u8]>,
) -> Result<Action, Problem> {
    let bucket = bucket.map(kv::bucket_of).transpose()?;
    site::refuse_while_any_pushed(service, bucket.as_ref())?;
    let begun = service.store.roll_back(&to, bucket.as_ref());
    let (ticket, undo) = begun.map_err(refusal::problem)?;
    service.sites.is_in_doubt = true;
    let expired_keys = service.store.expired_keys(&to, bucket.as_ref());
    Ok(commit(
        service,
        ticket,
        Done::RolledBack(to, undo, expired_keys),
    ))
}

/// The answer to a rollback, with the snapshot to roll back to if it was a mistake, and how many
/// keys did not come back.
pub(super) fn rolled_back(to: &SnapshotName, undo: &SnapshotName, expired_keys: u64) -> Answer {
    let mut out = String::from("{");
    json::push_member(&mut out, "snapshot", to.as_str());
    out.push(',');
    json::push_member(&mut out, "undo", undo.as_str());
    let _ = writeln!(out, ",\"expired_keys\":{expired_keys}}}");
    Answer::text(200, "application/json", out)
}

fn object(status_code: u16, status: &SnapshotStatus) -> Answer {
    let mut out = String::new();
    push(&mut out, status);
    out.push('\n');
    Answer::text(status_code, "application/json", out)
}

fn push(out: &mut String, status: &SnapshotStatus) {
    out.push('{');
    json::push_member(out, "name", status.name.as_str());
    let SnapshotStatus {
        seq,
        taken_wall_ms,
        keys,
        live_bytes,
        held_bytes,
        ..
    } = status;
    let seq = seq.0;
    let held = held_bytes.map_or_else(|| String::from("null"), |bytes| bytes.to_string());
    let _ = write!(
        out,
        ",\"seq\":{seq},\"taken_ms\":{taken_wall_ms},\"keys\":{keys},\"bytes\":{live_bytes},\"held_bytes\":{held}}}"
    );
}
