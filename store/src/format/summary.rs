//! The summary of a sealed segment: what opening would learn from its groups, without values.
//!
//! It lies in front of the footer, which says how long it is. Opening believes it only if its
//! checksum is right and its chain is the one at which the segment is known to end; else the
//! groups themselves are read, so nothing depends on it.
//!
//! # Invariants
//!
//! - Entries are sorted by bucket and key, the newest sequence first.
//! - An entry takes no more bytes in a summary than it did alone ([`put`] without a past).

use super::checksum::Seeds;
use super::codec::{Cursor, put_varint, set};
use super::layout::{CHUNK_BYTES, Layout, METADATA_BYTES_MAX, VALUE_BYTES_MAX};
use crate::index::{Form, Version};
use crate::name;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

const MAGIC: [u8; 8] = *b"LAMPSUM\0";
/// Bytes in front of the first list.
pub(crate) const HEAD_BYTES: usize = 64;

/// No entry takes more beside its name.
pub(crate) const NUMBERS_BYTES_MAX: u64 = 56;
/// Nor does a chunk altogether.
pub(crate) const CHUNK_BYTES_MAX: u64 = 32;

const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;
const MANIFEST: u8 = 3;
/// Times in milliseconds lie below 2^48.
const MS_MAX: u64 = (1 << 48) - 1;
const KIND: u8 = 0x3;
const EXPIRES: u8 = 0x4;

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

/// A change of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// Upload number of a manifest.
    pub(crate) upload: u64,
}

/// What the numbers of an entry are relative to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Base {
    pub(crate) start: u64,
    pub(crate) seq: u64,
    pub(crate) modified_ms: u64,
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

/// The head of an intact summary that lies at `offset`.
pub(crate) fn open(bytes: &[u8], seeds: Seeds, (generation, offset): (u64, u64)) -> Option<Head> {
    let mut c = Cursor::new(bytes.get(..HEAD_BYTES)?);
    let (magic, checksum): ([u8; 8], u64) = (c.array()?, c.u64()?);
    if magic != MAGIC || seeds.summary(generation, offset, &bytes[16..]) != checksum {
        return None;
    }
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

/// Bucket and key as they are sorted: a bucket's name has no byte 0.
pub(crate) fn name_of(out: &mut Vec<u8>, bucket: &str, key: &[u8]) {
    out.clear();
    out.extend_from_slice(bucket.as_bytes());
    out.push(0);
    out.extend_from_slice(key);
}

/// Bucket and key of the entry that was taken last.
#[derive(Debug, Default)]
pub(crate) struct Name {
    bytes: Vec<u8>,
    bucket: String,
}

impl Name {
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.bytes.get(self.bucket.len() + 1..).unwrap_or_default()
    }

    /// Takes the next entry, and tells whether its bucket is another one; `None` if no segment
    /// holds a record of such a name.
    #[inline(always)]
    pub(crate) fn take(&mut self, c: &mut Cursor<'_>, base: Base) -> Option<(Entry, bool)> {
        let (entry, shared) = take(c, &mut self.bytes, base)?;
        let is_other = shared <= self.bucket.len() && !self.is_of_bucket();
        if is_other {
            self.take_bucket()?;
        }
        (1..=name::KEY_BYTES_MAX)
            .contains(&self.key().len())
            .then_some((entry, is_other))
    }

    #[cold]
    fn take_bucket(&mut self) -> Option<()> {
        let end = self.bytes.iter().position(|byte| *byte == 0)?;
        let bucket = core::str::from_utf8(&self.bytes[..end]).ok()?;
        name::is_stored_bucket(bucket).then_some(())?;
        self.bucket.clear();
        self.bucket.push_str(bucket);
        Some(())
    }

    fn is_of_bucket(&self) -> bool {
        let rest = self.bytes.strip_prefix(self.bucket.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&0)) && !self.bucket.is_empty()
    }
}

/// Appends an entry whose name begins with `shared` bytes of the one before.
pub(crate) fn put(out: &mut Vec<u8>, (name, shared): (&[u8], usize), entry: &Entry, base: Base) {
    let version = &entry.version;
    let kind = match version.form {
        Form::Whole => PUT,
        Form::Chunked => MANIFEST,
        Form::Tomb | Form::Ghost => TOMBSTONE,
    };
    let ends = version.expires_ms > 0;
    out.push(kind | if ends { EXPIRES } else { 0 });
    put_varint(out, shared as u64);
    put_varint(out, (name.len() - shared) as u64);
    out.extend_from_slice(&name[shared..]);
    put_varint(out, version.pos - base.start);
    put_varint(out, version.seq - base.seq);
    put_varint(out, version.modified_ms - base.modified_ms);
    if ends {
        put_varint(out, version.expires_ms);
    }
    if kind == TOMBSTONE {
        return;
    }
    out.extend_from_slice(&version.checksum.to_le_bytes());
    put_varint(out, u64::from(version.metadata_len));
    put_varint(out, u64::from(version.value_len));
    if kind == MANIFEST {
        put_varint(out, entry.upload);
    }
}

/// The next entry, and how much of its name is that of the one before; `name` goes from the one to
/// the other.
#[inline(always)]
pub(crate) fn take(c: &mut Cursor<'_>, name: &mut Vec<u8>, base: Base) -> Option<(Entry, usize)> {
    let flags = c.u8()?;
    let (shared, added) = (c.short_varint()?, c.short_varint()?);
    let shared = usize::try_from(shared).ok()?;
    if shared > name.len() || flags & !(KIND | EXPIRES) != 0 {
        return None;
    }
    let added = c.take(usize::try_from(added).ok()?)?;
    name.truncate(shared);
    name.extend_from_slice(added);
    let mut entry = Entry::default();
    let version = &mut entry.version;
    version.pos = base.start.checked_add(c.short_varint()?)?;
    version.seq = base.seq.checked_add(c.short_varint()?)?;
    version.modified_ms = base.modified_ms.checked_add(c.short_varint()?)?;
    if flags & EXPIRES != 0 {
        version.expires_ms = c.varint()?;
    }
    if flags & KIND == PUT {
        take_value(c, version)?;
    } else {
        take_special(c, flags & KIND, &mut entry)?;
    }
    is_sound(&entry.version).then_some((entry, shared))
}

#[inline(always)]
fn take_value(c: &mut Cursor<'_>, version: &mut Version) -> Option<()> {
    version.checksum = c.u32()?;
    version.metadata_len = u16::try_from(c.short_varint()?).ok()?;
    version.value_len = u32::try_from(c.short_varint()?).ok()?;
    Some(())
}

/// What is no put.
fn take_special(c: &mut Cursor<'_>, kind: u8, entry: &mut Entry) -> Option<()> {
    match kind {
        MANIFEST => {
            take_value(c, &mut entry.version)?;
            entry.upload = c.varint()?;
            entry.version.form = Form::Chunked;
            entry.version.upload_len = super::codec::varint_len(entry.upload) as u8;
        }
        TOMBSTONE => entry.version.form = Form::Tomb,
        _ => return None,
    }
    Some(())
}

/// Whether a record can say that: what it could not, a summary does not say either.
#[inline(always)]
fn is_sound(version: &Version) -> bool {
    let value_max = match version.form {
        Form::Whole => CHUNK_BYTES as u64,
        _ => VALUE_BYTES_MAX,
    };
    version.modified_ms <= MS_MAX
        && version.expires_ms <= MS_MAX
        && u64::from(version.value_len) <= value_max
        && usize::from(version.metadata_len) <= METADATA_BYTES_MAX
}

/// By what an entry that was put without a past is sorted: its name, and the newest first.
pub(crate) fn order(mut c: Cursor<'_>) -> Option<(&[u8], Reverse<u64>)> {
    c.u8()?;
    c.varint()?;
    let len = c.length()?;
    let name = c.take(len)?;
    c.varint()?;
    Some((name, Reverse(c.varint()?)))
}
