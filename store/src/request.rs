//! What can be asked of a store, and how it answers.

use crate::name::{BucketName, Key, SnapshotName};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// The number of one change; they never repeat and never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// Which state is read: that of now, or a snapshot's; see [`crate::Store::at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At(pub(crate) u64);

impl At {
    /// What is durable now.
    pub const NOW: At = At(crate::index::views::NOW);
}

impl Default for At {
    fn default() -> Self {
        At::NOW
    }
}

/// A snapshot, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// Its name.
    pub name: SnapshotName,
    /// The last change it can show.
    pub seq: Seq,
    /// When it was taken, milliseconds since 1970.
    pub taken_wall_ms: u64,
    /// Keys in it.
    pub keys: u64,
    /// Bytes of keys, values and headers in it.
    pub live_bytes: u64,
    /// Bytes of them that nothing else shows, so that they become free with it; `None` while that
    /// is being counted, which takes some steps after each change of the snapshots.
    pub held_bytes: Option<u64>,
}

/// What is kept with a value and given back with it: representation headers, and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Type`, if one was given.
    pub content_type: Option<Box<str>>,
    /// `Content-Encoding`, if one was given.
    pub content_encoding: Option<Box<str>>,
    /// `Cache-Control`, if one was given.
    pub cache_control: Option<Box<str>>,
    /// `Content-Disposition`, if one was given.
    pub content_disposition: Option<Box<str>>,
    /// When the value is over, milliseconds since 1970, if it ever is.
    pub expires_wall_ms: Option<u64>,
}

/// [`Headers`] that are borrowed from where they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptHeaders<'k> {
    /// `Content-Type`, if one was given.
    pub content_type: Option<&'k str>,
    /// `Content-Encoding`, if one was given.
    pub content_encoding: Option<&'k str>,
    /// `Cache-Control`, if one was given.
    pub cache_control: Option<&'k str>,
    /// `Content-Disposition`, if one was given.
    pub content_disposition: Option<&'k str>,
    /// When the value is over, milliseconds since 1970, if it ever is.
    pub expires_wall_ms: Option<u64>,
}

impl KeptHeaders<'_> {
    /// The same, to keep.
    pub fn to_owned(self) -> Headers {
        Headers {
            content_type: self.content_type.map(Box::from),
            content_encoding: self.content_encoding.map(Box::from),
            cache_control: self.cache_control.map(Box::from),
            content_disposition: self.content_disposition.map(Box::from),
            expires_wall_ms: self.expires_wall_ms,
        }
    }
}

impl Headers {
    /// The same, borrowed.
    pub fn kept(&self) -> KeptHeaders<'_> {
        KeptHeaders {
            content_type: self.content_type.as_deref(),
            content_encoding: self.content_encoding.as_deref(),
            cache_control: self.cache_control.as_deref(),
            content_disposition: self.content_disposition.as_deref(),
            expires_wall_ms: self.expires_wall_ms,
        }
    }
}

/// What the index knows of one stored version without reading the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The change that wrote it.
    pub seq: Seq,
    /// Length of the value.
    pub len_bytes: u64,
    /// CRC32C of the value; with `seq` it makes the ETag.
    pub checksum: u32,
    /// When it was written, nanoseconds since 1970.
    pub modified_wall_ns: u64,
    /// When it is over, milliseconds since 1970, if it ever is.
    pub expires_wall_ms: Option<u64>,
}

/// What must hold of the key, judged against everything accepted before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// There is a value (`If-Match: *`).
    Exists,
    /// There is no value (`If-None-Match: *`).
    Absent,
    /// The value is one of these versions (`If-Match`).
    AnyOf(Vec<Seq>),
    /// The value, if any, is none of these versions (`If-None-Match`).
    NoneOf(Vec<Seq>),
    /// The value was not modified after this second since 1970 (`If-Unmodified-Since`).
    UnmodifiedSince(u64),
}

/// Longest value in a [`Change::Put`]; longer ones come by an [`Upload`].
pub const BATCH_VALUE_BYTES_MAX: usize = crate::format::layout::CHUNK_BYTES;

/// One change of one key.
#[derive(Clone, Debug)]
pub enum Change {
    /// Put a value of at most [`BATCH_VALUE_BYTES_MAX`].
    Put {
        /// The value.
        value: Vec<u8>,
        /// Kept with it.
        headers: Headers,
    },
    /// Remove the key.
    Delete,
    /// Leave the key as it is: its condition is judged, and nothing else.
    Check,
}

/// Changes that happen all or not at all, each with its condition.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order; the same key twice is judged in order.
    pub changes: Vec<(BucketName, Key, Condition, Change)>,
}

/// A batch that is durable and visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Per change: the version now there (`None` after a delete), and whether one was there before.
    pub results: Vec<(Option<Metadata>, bool)>,
}

/// Asks after a submitted batch; see [`crate::Store::outcome`].
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(pub(crate) crate::queue::Outcome);

/// A value on its way in; dropped, it leaves only garbage that compaction takes.
#[derive(Debug)]
pub struct Upload {
    pub(crate) id: u64,
    /// The store sees by this reference whether the upload still lives.
    pub(crate) _alive: alloc::rc::Rc<()>,
}

/// Which space is used up, with the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSpace {
    /// The disk: bytes that can be used in all, and bytes in use.
    Disk {
        /// What the store can hold.
        limit_bytes: u64,
        /// What it holds.
        used_bytes: u64,
        /// What of that only snapshots and backups show; `None` while that is being counted.
        held_bytes: Option<u64>,
    },
    /// The index would outgrow its memory budget.
    Memory {
        /// The budget.
        limit_bytes: u64,
        /// What it uses.
        used_bytes: u64,
    },
    /// The bucket's quota in bytes.
    Quota {
        /// The quota.
        limit_bytes: u64,
        /// What it uses.
        used_bytes: u64,
    },
    /// The bucket's quota in keys.
    QuotaKeys {
        /// The quota.
        limit: u64,
        /// How many there are.
        used: u64,
    },
}

/// The quota of a bucket: each part 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Bytes of keys, values and headers that are shown now.
    pub bytes: u64,
    /// Keys that are shown now.
    pub keys: u64,
}

/// Why a change did not happen, or may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The condition of the change with this index does not hold; its key is at this version.
    Condition {
        /// Which change.
        index: usize,
        /// What is there.
        current: Option<Metadata>,
    },
    /// A delete of a key that is not there: nothing was written.
    NotFound,
    /// No room.
    NoSpace(NoSpace),
    /// The value is longer than the store takes.
    TooLarge {
        /// Longest value.
        limit_bytes: u64,
    },
    /// More buckets than the store takes.
    TooManyBuckets {
        /// How many.
        limit: u32,
    },
    /// There is no snapshot of this name.
    NoSuchSnapshot,
    /// There is a snapshot of this name already.
    SnapshotExists,
    /// No room in the list of snapshots and rollbacks: delete some.
    TooManySnapshots {
        /// How many there are.
        count: u32,
    },
    /// Not now, or not any more.
    Unavailable(Unavailable),
    /// The write or flush failed after it was begun: nobody knows whether it happened.
    OutcomeUnknown,
}

/// Why the store cannot do it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Still opening.
    Opening,
    /// Open for reading only; the sentence says why and what to do.
    ReadOnly(Box<str>),
    /// Not open; the sentence says why and what to do.
    Refused(Box<str>),
    /// Whether there is such a key is not known, since there is too little memory for it; the
    /// sentence says how much is needed.
    InPart(Box<str>),
    /// Too many requests are waiting: try again soon.
    Busy,
    /// The value came too slowly while others waited for its room: nothing was written.
    Slow,
    /// The disk has been away for some time; it may come back.
    Away,
    /// A backup is being restored: nothing else is changed until that has ended.
    Restoring,
}

/// Why a value could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes read back do not match their checksum.
    Corrupt {
        /// Where on the device.
        offset_bytes: u64,
    },
    /// The disk failed the read.
    Io {
        /// Where on the device.
        offset_bytes: u64,
    },
    /// No memory to hold it now.
    Memory,
}

/// Which keys to list, in ascending order of bytes (descending if `reverse`).
#[derive(Clone, Debug, Default)]
pub struct KeyQuery {
    /// Only keys that begin with this.
    pub prefix: Vec<u8>,
    /// From this key on, itself included.
    pub start: Option<Vec<u8>>,
    /// Up to this key, itself not included.
    pub end: Option<Vec<u8>>,
    /// At most this many.
    pub limit: usize,
    /// From the end.
    pub reverse: bool,
    /// Of which state.
    pub at: At,
}

impl KeyQuery {
    /// Goes on behind this key, in its direction.
    pub fn go_on_behind(&mut self, last: &[u8]) {
        match self.reverse {
            true => self.end = Some(last.to_vec()),
            // The smallest key after it.
            false => self.start = Some([last, b"\0"].concat()),
        }
    }
}

/// A page of keys.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// In order.
    pub keys: Vec<(Key, Metadata)>,
    /// Whether there are more after the last.
    pub more: bool,
    /// The last change this page can know of.
    pub seq: Seq,
}

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, limit, used) = match *self {
            NoSpace::QuotaKeys { limit, used } => {
                return write!(
                    f,
                    "the bucket's quota is used up: {used} of {limit} keys are there"
                );
            }
            NoSpace::Disk {
                limit_bytes,
                used_bytes,
                held_bytes: Some(held_bytes @ 1..),
            } => {
                return write!(
                    f,
                    "the disk is full: {used_bytes} of {limit_bytes} bytes in use, {held_bytes} of \
                     them by snapshots and backups alone"
                );
            }
            NoSpace::Disk {
                limit_bytes,
                used_bytes,
                ..
            } => ("the disk is full", limit_bytes, used_bytes),
            NoSpace::Memory {
                limit_bytes,
                used_bytes,
            } => ("the index has no memory left", limit_bytes, used_bytes),
            NoSpace::Quota {
                limit_bytes,
                used_bytes,
            } => ("the bucket's quota is used up", limit_bytes, used_bytes),
        };
        write!(f, "{what}: {used} of {limit} bytes in use")
    }
}
