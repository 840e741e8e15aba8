//! Backups: all that one state shows, as a stream that a stranger can read and check.
//!
//! `docs/backup-format.md` has every byte. A [`Backup`] is such a stream on its way out of a
//! [`crate::Store`] that serves meanwhile; a [`Decoder`] takes one in, and believes nothing that
//! it has not checked; a [`Restore`] puts it in the place of what a store has.

mod block;
mod decoder;
mod item;
mod pins;
mod restore;
mod stop;
mod writer;

pub use decoder::{Broken, Decoder};
pub use item::{BucketHead, End, EntryHead, Header, Item, Loss};
pub use restore::{Restore, RestoreError, RestoreProgress, Restored};
pub use stop::Stop;
pub use writer::{Backup, BackupError};

pub(crate) use pins::Pins;
