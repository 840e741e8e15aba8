//! What a record says, as a look shows it.

use super::item::Standing;
use crate::format::record;
use crate::request::QuotaLimits;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where on the device.
    pub offset_bytes: u64,
    /// Length on the disk.
    pub len_bytes: u64,
    /// What it says.
    pub content: Content<'a>,
    /// What is known of it.
    pub standing: Standing,
}

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerOf<'a> {
    /// The version's sequence.
    pub seq: u64,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The key's bytes.
    pub key: &'a [u8],
    /// When it was changed.
    pub modified_wall_ns: u64,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A value.
    Put {
        /// Whose.
        owner: OwnerOf<'a>,
        /// Headers, encoded.
        metadata: &'a [u8],
        /// CRC32C of the value.
        value_crc: u32,
        /// The value.
        value: &'a [u8],
    },
    /// A deletion.
    Tombstone {
        /// Whose.
        owner: OwnerOf<'a>,
    },
    /// A segment ends its life.
    Free {
        /// Which segment.
        number: u32,
        /// Which life.
        generation: u64,
    },
    /// A piece of a large value.
    Chunk {
        /// Of which upload.
        upload: u64,
        /// Which piece.
        number: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// A large value.
    Manifest {
        /// Whose.
        owner: OwnerOf<'a>,
        /// Headers, encoded.
        metadata: &'a [u8],
        /// CRC32C of the value.
        value_crc: u32,
        /// Length of the value.
        value_len: u64,
        /// The upload its chunks were written under.
        upload: u64,
    },
    /// A bucket's quota.
    Quota {
        /// Its sequence.
        seq: u64,
        /// The bucket's name.
        bucket: &'a str,
        /// The limits.
        limits: QuotaLimits,
    },
    /// All snapshots and rollbacks.
    Views {
        /// Its sequence.
        seq: u64,
        /// The list, encoded.
        list: &'a [u8],
    },
    /// Of a newer release.
    Unknown {
        /// Whether it may be skipped.
        ignorable: bool,
    },
}

impl<'a> Content<'a> {
    pub(super) fn of(record: &record::Record<'a>) -> Self {
        match *record {
            record::Record::Put {
                owner,
                metadata,
                value_crc,
                value,
            } => Content::Put {
                owner: OwnerOf::of(&owner),
                metadata,
                value_crc,
                value,
            },
            record::Record::Tombstone { owner } => Content::Tombstone {
                owner: OwnerOf::of(&owner),
            },
            record::Record::Free { number, generation } => Content::Free { number, generation },
            record::Record::Chunk {
                upload,
                number,
                data,
            } => Content::Chunk {
                upload,
                number,
                data,
            },
            record::Record::Manifest {
                owner,
                metadata,
                value_crc,
                value_len,
                upload,
            } => Content::Manifest {
                owner: OwnerOf::of(&owner),
                metadata,
                value_crc,
                value_len,
                upload,
            },
            record::Record::Quota {
                seq,
                bucket,
                limits,
            } => Content::Quota {
                seq,
                bucket,
                limits,
            },
            record::Record::Views { seq, list } => Content::Views { seq, list },
            record::Record::Unknown { ignorable } => Content::Unknown { ignorable },
        }
    }

    /// The version of a key this is, if it is one.
    pub fn owner(&self) -> Option<OwnerOf<'a>> {
        match *self {
            Content::Put { owner, .. }
            | Content::Tombstone { owner }
            | Content::Manifest { owner, .. } => Some(owner),
            Content::Free { .. }
            | Content::Chunk { .. }
            | Content::Quota { .. }
            | Content::Views { .. }
            | Content::Unknown { .. } => None,
        }
    }

    /// The sequence this takes, if it takes one.
    pub fn seq(&self) -> Option<u64> {
        match *self {
            Content::Put { owner, .. }
            | Content::Tombstone { owner }
            | Content::Manifest { owner, .. } => Some(owner.seq),
            Content::Quota { seq, .. } | Content::Views { seq, .. } => Some(seq),
            Content::Free { .. } | Content::Chunk { .. } | Content::Unknown { .. } => None,
        }
    }

    /// The name of its kind, as in `docs/data-layout.md`.
    pub fn name(&self) -> &'static str {
        match self {
            Content::Put { .. } => "put",
            Content::Tombstone { .. } => "tombstone",
            Content::Free { .. } => "free",
            Content::Chunk { .. } => "chunk",
            Content::Manifest { .. } => "manifest",
            Content::Quota { .. } => "quota",
            Content::Views { .. } => "views",
            Content::Unknown { .. } => "unknown",
        }
    }
}

impl<'a> OwnerOf<'a> {
    fn of(owner: &record::Owner<'a>) -> Self {
        OwnerOf {
            seq: owner.seq,
            bucket: owner.bucket,
            key: owner.key,
            modified_wall_ns: owner.modified_wall_ns,
        }
    }
}
