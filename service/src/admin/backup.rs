//! `/-/admin/backup`: all that one state shows, as one stream.

use super::{jobs, snapshots};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use crate::service::Service;
use alloc::boxed::Box;
use store::backup::BackupError;

/// Begins one of a snapshot, or of the state there is now.
pub(super) fn begin(service: &mut Service, snapshot: Option<&[u8]>) -> Result<Action, Problem> {
    let of = snapshot.map(snapshots::name_of).transpose()?;
    let backup = service.store.begin_backup(of.as_ref());
    let backup = backup.map_err(refusal::problem)?;
    Ok(Action::BackUp(Box::new(backup)))
}

/// Why a backup did not begin, or ended early.
pub(crate) fn refused(error: BackupError) -> Problem {
    match error {
        BackupError::Refused(refusal) => refusal::problem(refusal),
        BackupError::Stopped => jobs::stopped(),
        BackupError::Cut => Problem::new(
            Kind::RequestTimeout,
            "The backup was not read for two minutes and has been ended; begin it again.",
        ),
    }
}
