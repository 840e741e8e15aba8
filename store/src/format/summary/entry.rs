//! What a summary says of one change of a key.
//!
//! Most are puts of small values without an end: their numbers fit a [`Block`], whose places are
//! the same in all of a list. The others are numbers of any length.

use super::block::{Block, Shape};
use crate::format::codec::{self, Cursor, put_varint};
use crate::format::layout::{CHUNK_BYTES, METADATA_BYTES_MAX, VALUE_BYTES_MAX};
use crate::index::{Form, ShortKey, Version};
use crate::name;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;
const MANIFEST: u8 = 3;
/// Times in milliseconds lie below 2^48.
pub(crate) const MS_MAX: u64 = (1 << 48) - 1;
const KIND: u8 = 0x3;
const EXPIRES: u8 = 0x4;
/// Most names take no more bytes behind what they share with the one before.
const FEW: usize = 16;

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

/// Bucket and key as they are sorted: a bucket's name has no byte 0.
pub(crate) fn name_of(out: &mut Vec<u8>, bucket: &str, key: &[u8]) {
    out.clear();
    out.extend_from_slice(bucket.as_bytes());
    out.push(0);
    out.extend_from_slice(key);
}

/// Bucket and key of the entry that was come to last.
#[derive(Debug, Default)]
pub(crate) struct Name {
    /// The name, and behind it what is no part of it.
    bytes: Vec<u8>,
    len: usize,
    bucket: String,
    key_at: usize,
}

impl Name {
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> &[u8] {
        self.bytes.get(self.key_at..self.len).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn key_len(&self) -> usize {
        self.len.saturating_sub(self.key_at)
    }

    /// The key, if it is short.
    #[inline(always)]
    pub(crate) fn short_key(&self) -> Option<ShortKey<'_>> {
        ShortKey::new(self.bytes.get(self.key_at..)?, self.key_len())
    }

    /// Comes to the entry at `at` of a list: where the next one begins, and whether its bucket is
    /// another one than that of the one before; `None` if no segment holds a record of such a
    /// name.
    #[inline(always)]
    pub(crate) fn come_to(
        &mut self,
        (bytes, at): (&[u8], usize),
        by: (Base, &Shape),
    ) -> Option<(usize, bool)> {
        let found = find((bytes, at), by)?;
        self.go_on(bytes, found)?;
        let is_other = found.shared <= self.bucket.len() && !self.is_of_bucket();
        if is_other {
            self.take_bucket()?;
        }
        let is_key = (1..=name::KEY_BYTES_MAX).contains(&self.key_len());
        is_key.then_some((found.next, is_other))
    }

    /// Most names are told from the one before by a few bytes.
    #[inline(always)]
    fn go_on(&mut self, bytes: &[u8], found: Found) -> Option<()> {
        if found.shared > self.len {
            return None;
        }
        let from: Option<&[u8; FEW]> = bytes.get(found.added..)?.first_chunk();
        let to = self.bytes.get_mut(found.shared..)?.first_chunk_mut();
        match (from, to) {
            (Some(from), Some(to)) if found.len <= FEW => *to = *from,
            _ => self.go_on_far(bytes, found)?,
        }
        self.len = found.shared + found.len;
        Some(())
    }

    #[cold]
    fn go_on_far(&mut self, bytes: &[u8], found: Found) -> Option<()> {
        let added = bytes.get(found.added..found.added.checked_add(found.len)?)?;
        self.bytes.truncate(found.shared);
        self.bytes.extend_from_slice(added);
        self.bytes.resize(self.bytes.len() + 4 * FEW, 0);
        Some(())
    }

    #[cold]
    fn take_bucket(&mut self) -> Option<()> {
        let name = self.bytes.get(..self.len)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        let bucket = core::str::from_utf8(&name[..end]).ok()?;
        name::is_stored_bucket(bucket).then_some(())?;
        self.bucket.clear();
        self.bucket.push_str(bucket);
        self.key_at = end + 1;
        Some(())
    }

    fn is_of_bucket(&self) -> bool {
        let name = self.bytes.get(..self.len).unwrap_or_default();
        let rest = name.strip_prefix(self.bucket.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&0)) && !self.bucket.is_empty()
    }
}

/// Where an entry has what.
#[derive(Clone, Copy)]
struct Found {
    /// How much of its name is that of the one before.
    shared: usize,
    /// Where the rest of it is, and how long that is.
    added: usize,
    len: usize,
    /// Where the next one begins.
    next: usize,
}

#[inline(always)]
fn find((bytes, at): (&[u8], usize), by: (Base, &Shape)) -> Option<Found> {
    let Some(block) = Block::at(bytes, at)? else {
        return special(bytes, at, by.0).map(|(found, _)| found);
    };
    let (shared, len) = block.name();
    let added = at + by.1.len();
    Some(Found {
        shared,
        added,
        len,
        next: added + len,
    })
}

/// What the entry at `at` of a list says; `None` if no record says that.
#[inline(always)]
pub(crate) fn read((bytes, at): (&[u8], usize), (base, shape): (Base, &Shape)) -> Option<Entry> {
    let Some(block) = Block::at(bytes, at)? else {
        return special(bytes, at, base).map(|(_, entry)| entry);
    };
    let version = shape.version(block, base)?;
    Some(Entry { version, upload: 0 })
}

/// By what an entry that was put without a past is sorted: its name, and the newest first.
pub(crate) fn order<'a>(
    (bytes, at): (&'a [u8], usize),
    by: (Base, &Shape),
) -> Option<(&'a [u8], Reverse<u64>)> {
    let found = find((bytes, at), by)?;
    let name = bytes.get(found.added..found.added.checked_add(found.len)?)?;
    Some((name, Reverse(read((bytes, at), by)?.version.seq)))
}

/// Appends an entry whose name begins with `shared` bytes of the one before: as a block of that
/// shape, if it fits one.
pub(crate) fn put(
    out: &mut Vec<u8>,
    (name, shared): (&[u8], usize),
    entry: &Entry,
    (base, shape): (Base, &Shape),
) {
    let added = &name[shared..];
    if !shape.put(out, (shared, added), &entry.version, base) {
        put_special(out, (shared, added), entry, base);
    }
}

/// Whether the entry at `at` of a list is a block.
pub(crate) fn is_block(bytes: &[u8], at: usize) -> bool {
    Block::at(bytes, at).flatten().is_some()
}

/// Appends an entry that is no block.
pub(crate) fn put_special(
    out: &mut Vec<u8>,
    (shared, added): (usize, &[u8]),
    entry: &Entry,
    base: Base,
) {
    let version = &entry.version;
    let kind = match version.form {
        Form::Whole => PUT,
        Form::Chunked => MANIFEST,
        Form::Tomb | Form::Ghost => TOMBSTONE,
    };
    let ends = version.expires_ms > 0;
    out.push(kind | if ends { EXPIRES } else { 0 });
    put_varint(out, shared as u64);
    put_varint(out, added.len() as u64);
    out.extend_from_slice(added);
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

/// An entry that is no block.
#[cold]
fn special(bytes: &[u8], at: usize, base: Base) -> Option<(Found, Entry)> {
    let mut c = Cursor::from(bytes, at);
    let flags = c.u8()?;
    let (shared, added) = (c.length()?, c.length()?);
    if flags & !(KIND | EXPIRES) != 0 {
        return None;
    }
    let begin = c.position();
    c.take(added)?;
    let mut entry = Entry::default();
    let version = &mut entry.version;
    version.pos = base.start.checked_add(c.varint()?)?;
    version.seq = base.seq.checked_add(c.varint()?)?;
    version.modified_ms = base.modified_ms.checked_add(c.varint()?)?;
    if flags & EXPIRES != 0 {
        version.expires_ms = c.varint()?;
    }
    match flags & KIND {
        PUT => take_value(&mut c, version)?,
        MANIFEST => {
            take_value(&mut c, version)?;
            version.form = Form::Chunked;
            entry.upload = c.varint()?;
            version.upload_len = codec::varint_len(entry.upload) as u8;
        }
        TOMBSTONE => version.form = Form::Tomb,
        _ => return None,
    }
    let found = Found {
        shared,
        added: begin,
        len: added,
        next: c.position(),
    };
    is_sound(&entry.version).then_some((found, entry))
}

fn take_value(c: &mut Cursor<'_>, version: &mut Version) -> Option<()> {
    version.checksum = c.u32()?;
    version.metadata_len = u16::try_from(c.varint()?).ok()?;
    version.value_len = u32::try_from(c.varint()?).ok()?;
    Some(())
}

/// Whether a record can say that: what it could not, a summary does not say either.
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
