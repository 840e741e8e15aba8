//! The summary of a sealed segment: what opening would learn from its groups, without values.
//!
//! It lies in front of the footer, which says how long it is. Opening believes it only if its
//! checksum is right and its chain is the one at which the segment is known to end; else the
//! groups themselves are read, so nothing depends on it.
//!
//! # Invariants
//!
//! - Entries are sorted by bucket and key, the newest sequence first.
//! - An entry takes no more bytes in a summary than it did alone ([`entry::put`] without a past).

pub(crate) mod block;
pub(crate) mod entry;

use super::checksum::Seeds;
use super::codec::{Cursor, set};
use super::layout::Layout;
use crate::name;
use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"LAMPSUM2";
/// Of summaries without entries of one length, which are not read any more.
const OLDER_MAGIC: [u8; 8] = *b"LAMPSUM\0";
/// Bytes in front of the first list.
pub(crate) const HEAD_BYTES: usize = 64;

/// No entry takes more beside its name.
pub(crate) const NUMBERS_BYTES_MAX: u64 = 56;
/// Nor does a chunk altogether.
pub(crate) const CHUNK_BYTES_MAX: u64 = 32;

/// What is said of a segment as a whole, and how many of each there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Checksum of the segment's last group.
    pub(crate) chain: u64,
    pub(crate) next_seq: u64,
    pub(crate) epoch: u64,
    pub(crate) extents: u32,
    pub(crate) records: u32,
    pub(crate) chunks: u32,
    pub(crate) entries: u32,
}

/// What lies where a footer tells of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Intact(Head),
    /// Intact as well, in a form that is not read any more.
    Older,
    Damaged,
}

/// What a change of a name of that length adds at most.
pub(crate) fn of_name(len: usize) -> u64 {
    len as u64 + NUMBERS_BYTES_MAX
}

/// What a record of that length adds at most, if it is no list of snapshots.
pub(crate) fn of_record(len: u64) -> u64 {
    len.min((name::BUCKET_BYTES_MAX + 1 + name::KEY_BYTES_MAX) as u64) + NUMBERS_BYTES_MAX
}

/// Room for the head of a summary.
pub(crate) fn begin() -> Vec<u8> {
    alloc::vec![0; HEAD_BYTES]
}

/// Fills in the head, when all lists are there.
pub(crate) fn seal(out: &mut [u8], head: &Head, seeds: Seeds, (generation, offset): (u64, u64)) {
    set(out, 0, &MAGIC);
    set(out, 16, &head.chain.to_le_bytes());
    set(out, 24, &head.next_seq.to_le_bytes());
    set(out, 32, &head.epoch.to_le_bytes());
    set(out, 40, &head.extents.to_le_bytes());
    set(out, 44, &head.records.to_le_bytes());
    set(out, 48, &head.chunks.to_le_bytes());
    set(out, 52, &head.entries.to_le_bytes());
    let checksum = seeds.summary(generation, offset, &out[16..]);
    set(out, 8, &checksum.to_le_bytes());
}

/// The head of a summary that lies at `offset`.
pub(crate) fn open(bytes: &[u8], seeds: Seeds, place: (u64, u64)) -> Opened {
    let mut c = Cursor::new(bytes);
    let (Some(magic), Some(checksum)) = (c.array::<8>(), c.u64()) else {
        return Opened::Damaged;
    };
    let is_right = seeds.summary(place.0, place.1, c.peek()) == checksum;
    match (magic, head(&mut c)) {
        (MAGIC, Some(head)) if is_right => Opened::Intact(head),
        (OLDER_MAGIC, Some(_)) if is_right => Opened::Older,
        _ => Opened::Damaged,
    }
}

fn head(c: &mut Cursor<'_>) -> Option<Head> {
    Some(Head {
        chain: c.u64()?,
        next_seq: c.u64()?,
        epoch: c.u64()?,
        extents: c.u32()?,
        records: c.u32()?,
        chunks: c.u32()?,
        entries: c.u32()?,
    })
}

/// Where a summary of that span lies.
pub(crate) fn offset(layout: &Layout, number: u32, span: u32) -> Option<u64> {
    let offset = layout.data_end(number).checked_sub(u64::from(span))?;
    (offset >= layout.data_start(number)).then_some(offset)
}
