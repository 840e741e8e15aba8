//! A durable, ordered key-value store on one raw block device.
//!
//! Nothing in it waits: [`Store::step`] advances opening, commits and
//! compaction; every call returns a result, a [`Ticket`] to ask again with, or
//! a [`Refusal`]. It knows neither Xen nor HTTP; its world is the
//! [`block::BlockDevice`] it is given and the [`Now`] handed to each step.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod accepted;
mod admit;
mod apply;
pub mod backup;
pub mod blob;
pub mod block;
mod cache;
mod changes;
pub mod check;
mod commit;
mod compact;
mod crowding;
mod disk;
mod draft;
mod expiry;
mod fetch;
pub mod flight;
mod format;
mod gather;
mod growth;
mod guard;
mod head;
mod in_memory;
mod index;
mod large;
mod memory_disk;
mod metadata;
mod name;
mod opening;
mod options;
mod pace;
mod pressure;
mod queue;
mod quota;
mod reader;
mod recover;
mod replay;
mod request;
mod room;
mod scan;
mod scrub;
mod segments;
mod shutdown;
mod snapshots;
mod staging;
mod store;
mod summary;
#[cfg(test)]
mod tests;
mod uploads;
mod walk;

pub use accepted::Accepted;
pub use changes::{Event, What};
pub use in_memory::{Derive, InMemory};
pub use memory_disk::MemoryDisk;
pub use name::{BucketName, Key, NameError, SnapshotName};
pub use options::{FormatPermission, Options, State, Statistics, Wake};
pub use pressure::{Level, Resource, Warning};
pub use reader::Reader;
pub use request::{
    At, BATCH_VALUE_BYTES_MAX, Batch, Change, Committed, Condition, Headers, KeptHeaders, KeyPage,
    KeyQuery, Metadata, NoSpace, QuotaLimits, ReadError, Refusal, Seq, SnapshotStatus, Ticket,
    Unavailable, Upload,
};
pub use scrub::ScrubStatus;
pub use store::Store;

/// The time of one step, read by the caller once: monotonic for deadlines, wall for dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since boot; never goes back.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z; may step either way.
    pub wall_ns: u64,
}
