//! What a store is opened with, and what it tells about itself.

use crate::blob::Pages;
use alloc::boxed::Box;

/// What may be formatted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FormatPermission {
    /// Only a blank device (first and last MiB all zero).
    #[default]
    BlankOnly,
    /// A foreign device too (`disk.format=yes`), but nothing that looks like a store.
    Foreign,
    /// The store with this id, and whatever is on the device (`disk.format=STOREID`).
    StoreId([u8; 16]),
}

/// How to open.
pub struct Options {
    /// What may be formatted.
    pub format: FormatPermission,
    /// Unit of writing to use when formatting, if not the detected one (`disk.unit`).
    pub unit_bytes: Option<u32>,
    /// RAM for index and cache.
    pub memory_bytes: u64,
    /// 32 bytes nobody can guess, for store id and checksums' seeds.
    pub seed: [u8; 32],
    /// Where runs of pages come from.
    pub pages: Box<dyn Pages>,
}

/// How far the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for the device, reading the log.
    Opening,
    /// Reading and writing.
    Ready,
    /// Reading only; why, and what to do.
    ReadOnly(Box<str>),
    /// Not open; why, and what to do. Nothing was written.
    Refused(Box<str>),
    /// Closed cleanly: all is durable and marked so.
    Closed,
}

/// When [`crate::Store::step`] wants to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Right away: there is more to do.
    Now,
    /// When the device has a completion, or at this monotonic time in ns if given: what waits may
    /// be held until then.
    At(Option<u64>),
}

impl Wake {
    /// The sooner one of two.
    #[must_use]
    pub fn or_sooner(self, other: Wake) -> Wake {
        match (self, other) {
            (Wake::At(at_ns), Wake::At(None)) | (Wake::At(None), Wake::At(at_ns)) => {
                Wake::At(at_ns)
            }
            (Wake::At(Some(one_ns)), Wake::At(Some(other_ns))) => {
                Wake::At(Some(one_ns.min(other_ns)))
            }
            (Wake::Now, _) | (_, Wake::Now) => Wake::Now,
        }
    }
}

/// Numbers for metrics and status; bytes and counts since opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Whether keys and bytes are of a part only: there is too little memory for the whole index.
    pub in_part: bool,
    /// Live keys.
    pub keys: u64,
    /// Bytes of live keys, values and headers.
    pub live_bytes: u64,
    /// Bytes of the device that hold anything.
    pub used_bytes: u64,
    /// Bytes the store can hold.
    pub limit_bytes: u64,
    /// Bytes of RAM the index uses.
    pub index_bytes: u64,
    /// Bytes of RAM the value cache uses.
    pub cache_bytes: u64,
    /// Segments: all, and free.
    pub segments: u32,
    /// Free segments.
    pub segments_free: u32,
    /// Commit groups written.
    pub groups: u64,
    /// Changes committed.
    pub changes: u64,
    /// Bytes written to the device.
    pub written_bytes: u64,
    /// Flushes completed.
    pub flushes: u64,
    /// Segments compacted.
    pub compactions: u64,
    /// Bytes of records in all segments that count no longer, with what each group is filled up by.
    pub dead_bytes: u64,
    /// Bytes that compaction has to make free before it rests.
    pub compaction_debt_bytes: u64,
    /// Bytes left to be read of the segment that is being emptied.
    pub compaction_left_bytes: u64,
    /// Bytes of keys, values and headers that snapshots show and now does not; `None` while that
    /// is being counted.
    pub held_bytes: Option<u64>,
    /// Bytes at the disk's end for which the store has no room in its segments' headers.
    pub unusable_bytes: u64,
    /// Values whose time was over.
    pub expired: u64,
    /// How often the wall clock was set by more than a minute.
    pub clock_steps: u64,
    /// Checksum mismatches met.
    pub corruptions: u64,
    /// Batches and uploads waiting.
    pub waiting: u64,
    /// Bytes that uploads hold in memory beyond the first KiB of each, and how many they may; a few
    /// go beyond it by a chunk.
    pub upload_bytes: u64,
    /// See `upload_bytes`.
    pub upload_limit_bytes: u64,
    /// Uploads that were ended since they were too slow while others wanted their room.
    pub uploads_displaced: u64,
}
