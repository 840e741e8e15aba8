//! Where a body goes: into a value, a batch, a restore, or a site.

use crate::admin;
use crate::batch::Collected;
use crate::jobs;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::site::Push;
use alloc::boxed::Box;
use store::backup::{Restore, Stop};
use store::{Store, Upload};

/// What takes the bytes of a body, as they come.
pub(crate) enum Sink {
    /// The value of a key, and the path it was put to.
    Value(Upload, Box<str>),
    /// Many changes.
    Batch(Box<Collected>),
    /// A backup, in the place of all there is.
    Backup(Box<Restore>),
    /// The pages of a site, in the place of those there are.
    Site(Box<Push>),
}

impl Sink {
    /// Takes as many of the bytes as there is room for now.
    ///
    /// # Errors
    /// The refusal to answer with; nothing was written.
    pub(super) fn take(&mut self, store: &mut Store, bytes: &[u8]) -> Result<usize, Problem> {
        match self {
            Sink::Value(upload, _) => store.upload(upload, bytes).map_err(refusal::problem),
            Sink::Batch(collected) => collected.take(bytes),
            Sink::Backup(restore) => {
                let taken = store.take_backup(restore, bytes);
                taken.map_err(admin::restore_refused)
            }
            Sink::Site(push) => push.take(store, bytes),
        }
    }

    /// What it is told as and what ends it from elsewhere, if it takes long.
    pub(super) fn job(&self) -> Option<(jobs::Kind, Stop)> {
        match self {
            Sink::Value(..) | Sink::Batch(_) => None,
            Sink::Backup(restore) => Some((jobs::Kind::Restore, restore.stop())),
            Sink::Site(push) => Some((jobs::Kind::Site, push.stop())),
        }
    }

    /// Why the answer is a refusal, where the store takes no more for too long.
    pub(super) fn late(&self) -> Problem {
        let detail = match self {
            Sink::Value(..) => {
                "The store took no more of the value for too long; nothing was written."
            }
            Sink::Batch(_) => "The batch did not come in time; nothing was written.",
            Sink::Backup(restore) if restore.is_showing() => return refusal::outcome_unknown(),
            Sink::Backup(_) => {
                "The store took no more of the backup for too long; nothing was restored."
            }
            Sink::Site(push) if push.is_switching() => return refusal::outcome_unknown(),
            Sink::Site(_) => {
                "The store took no more of the site for too long; nothing was published."
            }
        };
        Problem::new(Kind::StoreSlow, detail)
    }
}
