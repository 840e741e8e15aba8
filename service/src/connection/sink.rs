//! Where a body goes: into a value, a batch, or a restore.

use crate::admin;
use crate::batch::Collected;
use crate::problem::{Kind, Problem};
use crate::refusal;
use alloc::boxed::Box;
use store::backup::{Restore, Stop};
use store::{Store, Upload};

/// What takes the bytes of a body, as they come.
pub(crate) enum Sink {
    /// The value of a key.
    Value(Upload),
    /// Many changes.
    Batch(Box<Collected>),
    /// A backup, in the place of all there is.
    Backup(Box<Restore>),
}

impl Sink {
    /// Takes as many of the bytes as there is room for now.
    ///
    /// # Errors
    /// The refusal to answer with; nothing was written.
    pub(super) fn take(&mut self, store: &mut Store, bytes: &[u8]) -> Result<usize, Problem> {
        match self {
            Sink::Value(upload) => store.upload(upload, bytes).map_err(refusal::problem),
            Sink::Batch(collected) => collected.take(bytes),
            Sink::Backup(restore) => {
                let taken = store.take_backup(restore, bytes);
                taken.map_err(admin::restore_refused)
            }
        }
    }

    /// What ends it from elsewhere, if it takes long.
    pub(super) fn stop(&self) -> Option<Stop> {
        match self {
            Sink::Value(_) | Sink::Batch(_) => None,
            Sink::Backup(restore) => Some(restore.stop()),
        }
    }

    /// Why the answer is a refusal, where the store takes no more for too long.
    pub(super) fn late(&self) -> Problem {
        let detail = match self {
            Sink::Value(_) => {
                "The store took no more of the value for too long; nothing was written."
            }
            Sink::Batch(_) => "The batch did not come in time; nothing was written.",
            Sink::Backup(restore) if restore.is_showing() => return refusal::outcome_unknown(),
            Sink::Backup(_) => {
                "The store took no more of the backup for too long; nothing was restored."
            }
        };
        Problem::new(Kind::StoreSlow, detail)
    }
}
