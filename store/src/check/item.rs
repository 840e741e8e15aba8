//! What a look shows on its way, in the order of the log.

use super::content::Record;
use super::finding::{Finding, Note};
use crate::format::{group, superblock};
use alloc::boxed::Box;

/// One thing on the disk, or about it.
#[derive(Debug)]
pub enum Item<'a> {
    /// A superblock copy.
    Superblock(&'a Superblock),
    /// A segment in use begins.
    Segment(&'a Segment),
    /// A group, before its records.
    Group(&'a Group),
    /// A record.
    Record(&'a Record<'a>),
    /// Between groups, or behind the last one.
    Gap(&'a Gap),
    /// The segment ends.
    Footer(&'a Footer),
    /// Something wrong.
    Finding(&'a Finding),
    /// Something worth knowing.
    Note(&'a Note),
}

/// What is found where a superblock should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Where on the device.
    pub offset_bytes: u64,
    /// What it is.
    pub copy: SuperblockCopy,
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuperblockCopy {
    /// Nothing of ours.
    Absent,
    /// It cannot be read.
    Unreadable,
    /// Ours, but not intact.
    Damaged,
    /// Of a format version this code does not know.
    Version(u32),
    /// Intact.
    Intact(Box<Identity>),
}

/// What an intact superblock says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The store's id.
    pub store_id: [u8; 16],
    /// The copy with the higher one counts.
    pub counter: u64,
    /// Which opening wrote it.
    pub epoch: u64,
    /// The opener's random number.
    pub opener: u64,
    /// No sequence below it is given out again.
    pub next_seq: u64,
    /// Unit of writing.
    pub unit_bytes: u32,
    /// Offset of segment 0.
    pub first_segment_bytes: u64,
    /// Length of a segment.
    pub segment_bytes: u64,
    /// How many segments there are.
    pub segment_count: u32,
    /// Length of a segment's header, bitmap included.
    pub header_bytes: u32,
    /// Keys when it was written.
    pub key_count: u64,
    /// RAM of the index when it was written.
    pub index_bytes: u64,
    /// Where the log ends, if the store was closed cleanly.
    pub clean: Option<CleanMark>,
    /// Required, read-only-compatible and ignorable feature flags.
    pub flags: [u64; 3],
    /// When the store was formatted.
    pub formatted_wall_ns: u64,
}

/// Where a cleanly closed log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanMark {
    /// Of the segment.
    pub generation: u64,
    /// Where the next group would begin.
    pub offset_bytes: u64,
}

impl Identity {
    pub(super) fn of(superblock: &superblock::Superblock) -> Self {
        let layout = &superblock.layout;
        Identity {
            store_id: superblock.store_id,
            counter: superblock.counter,
            epoch: superblock.epoch,
            opener: superblock.opener,
            next_seq: superblock.next_seq,
            unit_bytes: layout.unit,
            first_segment_bytes: layout.first_segment,
            segment_bytes: layout.segment_bytes,
            segment_count: layout.segment_count,
            header_bytes: layout.header_bytes,
            key_count: superblock.key_count,
            index_bytes: superblock.index_bytes,
            clean: superblock.clean.map(|tail| CleanMark {
                generation: tail.generation,
                offset_bytes: tail.offset,
            }),
            flags: [
                superblock.required,
                superblock.read_only_compatible,
                superblock.ignorable,
            ],
            formatted_wall_ns: superblock.formatted_wall_ns,
        }
    }
}

/// A segment in use, as its header tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// Where on the device.
    pub offset_bytes: u64,
    /// The order of the log.
    pub generation: u64,
    /// The epoch that opened it.
    pub epoch: u64,
    /// The generation before it in the log, 0 for none.
    pub previous_generation: u64,
    /// The free segment set aside to follow it.
    pub successor: Option<u32>,
    /// Sequence high-water when it was written.
    pub next_seq: u64,
    /// When it was written.
    pub wall_ns: u64,
    /// Where its first group begins, on the device.
    pub data_offset_bytes: u64,
    /// Bytes of the header that a checksum covers, the bitmap included.
    pub covered_bytes: u64,
    /// Free segments in its bitmap; none if the bitmap is damaged.
    pub free_segments: Option<u32>,
}

/// What is known of a group or a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Later writes prove that it was acknowledged.
    Proven,
    /// Intact, and nothing proves that it was flushed: the next opening logs it again.
    Unproven,
    /// A record that is intact in a group that is not: opening leaves it out.
    LeftOut,
    /// It was acknowledged, and is not intact.
    Damaged,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where on the device.
    pub offset_bytes: u64,
    /// Header and records.
    pub len_bytes: u64,
    /// Up to the next group.
    pub span_bytes: u64,
    /// How many records it holds.
    pub record_count: u32,
    /// The epoch that wrote it.
    pub epoch: u64,
    /// Of the segment.
    pub generation: u64,
    /// First sequence that was not in use before it.
    pub base_seq: u64,
    /// Sequence high-water after it.
    pub next_seq: u64,
    /// Last sequence known durable when it was written.
    pub flushed_through: u64,
    /// When it was written.
    pub wall_ns: u64,
    /// In the first group of an epoch: where the log of the epochs before ends.
    pub joint: Option<Joint>,
    /// What is known of it.
    pub standing: Standing,
}

/// Where the log of earlier epochs ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joint {
    /// Of the segment.
    pub generation: u64,
    /// On the device.
    pub offset_bytes: u64,
}

impl Group {
    pub(super) fn of(header: &group::Header, offset_bytes: u64, standing: Standing) -> Self {
        Group {
            offset_bytes,
            len_bytes: header.length as u64,
            span_bytes: header.span,
            record_count: header.record_count,
            epoch: header.epoch,
            generation: header.generation,
            base_seq: header.base_seq,
            next_seq: header.next_seq,
            flushed_through: header.flushed_through,
            wall_ns: header.wall_ns,
            joint: header.joint.map(|joint| Joint {
                generation: joint.generation,
                offset_bytes: joint.offset,
            }),
            standing,
        }
    }
}

/// A range of a segment in which no group counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where on the device.
    pub offset_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
    /// What is known of it.
    pub cause: Cause,
}

/// Why no group counts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A later opening left it out: a crash tore it, or it was never acknowledged.
    Crash,
    /// What was there was acknowledged.
    Damage,
    /// Behind the last group.
    Unused,
}

/// The last unit of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where on the device.
    pub offset_bytes: u64,
    /// Generation and end of the segment, if the footer is intact.
    pub says: Option<(u64, u64)>,
    /// Length of the summary in front of it, 0 if there is none.
    pub summary_bytes: u64,
    /// Whether something after it proves that it was written.
    pub counts: bool,
}
