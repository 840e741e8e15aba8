//! `/-/admin/restore`: the state of a backup, in the place of all there is.

use super::jobs;
use crate::answer::Answer;
use crate::connection::Sink;
use crate::http::head::{Framing, Request};
use crate::json;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use crate::site;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use store::backup::{RestoreError, Restored};
use store::{BucketName, Key};

/// Begins one; the backup is the body.
pub(super) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    lossy: Option<&[u8]>,
) -> Result<Action, Problem> {
    let lossy = match lossy {
        None | Some(b"false") => false,
        Some(b"true") => true,
        Some(_) => {
            let detail = "`lossy` is `true` or `false`.";
            return Err(Problem::new(Kind::BadParameter, detail));
        }
    };
    if request.framing == Framing::None {
        let detail = "Send the backup as the body of this request.";
        return Err(Problem::new(Kind::BadBackup, detail));
    }
    site::refuse_while_any_pushed(service, None)?;
    let restore = service.store.begin_restore(lossy);
    let restore = restore.map_err(refusal::problem)?;
    // They wait for its end, however it comes to one.
    service.sweep_all_sites();
    Ok(Action::Receive(Sink::Backup(Box::new(restore))))
}

/// The answer to one that has ended, with the snapshot to roll back to if it was a mistake.
///
/// 202, since what it has replaced still takes its room, until that snapshot is deleted.
pub(crate) fn ended(restored: &Restored) -> Answer {
    let Restored {
        before,
        keys,
        lost,
        of,
    } = restored;
    let mut out = String::from("{");
    let of = of.0;
    let _ = write!(out, "\"keys\":{keys},\"lost\":{lost},\"of_seq\":{of},");
    json::push_member(&mut out, "undo", before.as_str());
    out.push_str("}\n");
    Answer::text(202, "application/json", out)
}

/// Why nothing was restored.
pub(crate) fn refused(error: RestoreError) -> Problem {
    match error {
        RestoreError::Broken(broken) => {
            let detail = format!("Nothing was restored: {broken}.");
            Problem::new(Kind::BadBackup, detail).number("offset_bytes", broken.offset_bytes)
        }
        RestoreError::Stopped => jobs::stopped(),
        RestoreError::Refused(refusal) => refusal::problem(refusal),
        RestoreError::Value {
            bucket,
            key,
            refusal,
        } => {
            let name = named(&bucket, &key);
            refusal::problem(refusal).about(&format!("Nothing was restored, for {name}:"))
        }
        RestoreError::Lossy { bucket, key, loss } => {
            let name = named(&bucket, &key);
            let detail = format!(
                "Nothing was restored: the backup lacks {name}, which could not be read when it \
                 was taken. `?lossy=true` restores it without such values."
            );
            Problem::new(Kind::BackupLossy, detail).number("offset_bytes", loss.offset_bytes)
        }
    }
}

fn named(bucket: &BucketName, key: &Key) -> String {
    format!("{}/{}", bucket.as_str(), key.as_bytes().escape_ascii())
}
