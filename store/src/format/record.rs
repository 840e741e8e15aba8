//! Records: what the log is made of.
//!
//! Each is self-contained (bucket, key and sequence are in it) and seeded with
//! its place, so that one read of it checks everything.
//!
//! # Invariants
//!
//! - Encoding the same record anywhere gives the same length.
//! - Only the last four bytes, the checksum, depend on the place: a copy is the
//!   old bytes and a new checksum.

use super::checksum::crc32c;
use super::codec::{Cursor, put_varint, varint_len};
use super::layout::{CHUNK_BYTES, METADATA_BYTES_MAX, VALUE_BYTES_MAX};
use crate::name::{BUCKET_BYTES_MAX, KEY_BYTES_MAX};
use crate::request::QuotaLimits;
use alloc::vec::Vec;
use core::ops::Range;

const PUT: u8 = 1;
const TOMBSTONE: u8 = 2;
const FREE: u8 = 3;
const CHUNK: u8 = 4;
const MANIFEST: u8 = 5;
const QUOTA: u8 = 6;
const VIEWS: u8 = 8;
const IGNORABLE: u8 = 0x80;
const CRC_BYTES: usize = 4;

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub(crate) seq: u64,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) modified_wall_ns: u64,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Put {
        owner: Owner<'a>,
        metadata: &'a [u8],
        value_crc: u32,
        value: &'a [u8],
    },
    Tombstone {
        owner: Owner<'a>,
    },
    Free {
        number: u32,
        generation: u64,
    },
    Chunk {
        upload: u64,
        number: u32,
        data: &'a [u8],
    },
    Manifest {
        owner: Owner<'a>,
        metadata: &'a [u8],
        value_crc: u32,
        value_len: u64,
        upload: u64,
    },
    Quota {
        seq: u64,
        bucket: &'a str,
        limits: QuotaLimits,
    },
    /// All snapshots and rollbacks; the list is [`super::views`]'.
    Views {
        seq: u64,
        list: &'a [u8],
    },
    /// Of a newer release; it may be skipped if `ignorable`.
    Unknown {
        ignorable: bool,
    },
}

impl<'a> Record<'a> {
    /// Whose it is, if it is a key's.
    pub(crate) fn owner(&self) -> Option<&Owner<'a>> {
        match self {
            Record::Put { owner, .. }
            | Record::Manifest { owner, .. }
            | Record::Tombstone { owner } => Some(owner),
            _ => None,
        }
    }
}

/// A record as found, with the range of its value or chunk data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) len: usize,
    pub(crate) data: Range<usize>,
}

/// How long the owner of a record is, by its sequence and the lengths of bucket and key.
pub(crate) fn owner_len(seq: u64, bucket: usize, key: usize) -> usize {
    varint_len(seq) + 1 + bucket + varint_len(key as u64) + key + 8
}

fn len_of(owner: &Owner<'_>) -> usize {
    owner_len(owner.seq, owner.bucket.len(), owner.key.len())
}

fn sized(bytes: usize) -> usize {
    varint_len(bytes as u64) + bytes
}

/// How long a put is on disk, by the length of its owner.
pub(crate) fn put_len(owner: usize, metadata: usize, value: usize) -> usize {
    len_of_body(owner + sized(metadata) + 4 + value)
}

/// The same by the length of the sequence's varint, of most records: where the lengths of key and
/// metadata take a byte each.
#[inline(always)]
pub(crate) fn usual_put_len(
    (seq_len, bucket): (usize, usize),
    key: usize,
    metadata: usize,
    value: usize,
) -> Option<usize> {
    let body = seq_len + 1 + bucket + 1 + key + 8 + 1 + metadata + 4 + value;
    ((key | metadata) < 0x80 && body < 0x4000).then_some(())?;
    Some(1 + 1 + usize::from(body >= 0x80) + body + CRC_BYTES)
}

/// How long a tombstone is on disk, by the length of its owner.
pub(crate) fn tombstone_len(owner: usize) -> usize {
    len_of_body(owner)
}

/// How long a manifest is on disk, by the lengths of its owner and of its upload number's varint.
pub(crate) fn manifest_len(owner: usize, metadata: usize, value: u64, upload: usize) -> usize {
    let chunk_size = varint_len(CHUNK_BYTES as u64);
    len_of_body(owner + sized(metadata) + 4 + varint_len(value) + upload + chunk_size)
}

fn body_len(record: &Record<'_>) -> usize {
    match record {
        Record::Put {
            owner,
            metadata,
            value,
            ..
        } => len_of(owner) + sized(metadata.len()) + 4 + value.len(),
        Record::Tombstone { owner } => len_of(owner),
        Record::Free { number, generation } => {
            varint_len(u64::from(*number)) + varint_len(*generation)
        }
        Record::Chunk {
            upload,
            number,
            data,
        } => varint_len(*upload) + varint_len(u64::from(*number)) + data.len(),
        Record::Manifest {
            owner,
            metadata,
            value_len,
            upload,
            ..
        } => {
            len_of(owner)
                + sized(metadata.len())
                + 4
                + varint_len(*value_len)
                + varint_len(*upload)
                + varint_len(CHUNK_BYTES as u64)
        }
        Record::Quota {
            seq,
            bucket,
            limits,
        } => {
            let keys = match limits.keys {
                0 => 0,
                keys => varint_len(keys),
            };
            varint_len(*seq) + 1 + bucket.len() + varint_len(limits.bytes) + keys
        }
        Record::Views { seq, list } => varint_len(*seq) + list.len(),
        Record::Unknown { .. } => 0,
    }
}

fn len_of_body(body: usize) -> usize {
    1 + varint_len(body as u64) + body + CRC_BYTES
}

/// How long `record` is on disk.
pub(crate) fn len(record: &Record<'_>) -> usize {
    len_of_body(body_len(record))
}

/// How long a chunk of `data_len` bytes is on disk.
pub(crate) fn chunk_len(upload: u64, number: u32, data_len: usize) -> usize {
    len_of_body(varint_len(upload) + varint_len(u64::from(number)) + data_len)
}

fn put_bucket(out: &mut Vec<u8>, bucket: &str) {
    assert!(!bucket.is_empty() && bucket.len() <= BUCKET_BYTES_MAX);
    out.push(bucket.len() as u8);
    out.extend_from_slice(bucket.as_bytes());
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner<'_>) {
    assert!(!owner.key.is_empty() && owner.key.len() <= KEY_BYTES_MAX);
    put_varint(out, owner.seq);
    put_bucket(out, owner.bucket);
    put_block(out, owner.key);
    out.extend_from_slice(&owner.modified_wall_ns.to_le_bytes());
}

fn put_block(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends `record` under the seed of its place.
pub(crate) fn encode(out: &mut Vec<u8>, record: &Record<'_>, seed: u32) {
    let start = out.len();
    out.push(match record {
        Record::Put { .. } => PUT,
        Record::Tombstone { .. } => TOMBSTONE,
        Record::Free { .. } => FREE,
        Record::Chunk { .. } => CHUNK,
        Record::Manifest { .. } => MANIFEST,
        Record::Quota { .. } => QUOTA,
        Record::Views { .. } => VIEWS,
        Record::Unknown { .. } => unreachable!("an unknown record is never written"),
    });
    put_varint(out, body_len(record) as u64);
    put_body(out, record);
    let crc = crc32c(seed, &out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(
        out.len() - start,
        len(record),
        "a record's length is known before it is written"
    );
}

fn put_body(out: &mut Vec<u8>, record: &Record<'_>) {
    match record {
        Record::Put {
            owner,
            metadata,
            value_crc,
            value,
        } => {
            put_owner(out, owner);
            put_block(out, metadata);
            out.extend_from_slice(&value_crc.to_le_bytes());
            out.extend_from_slice(value);
        }
        Record::Tombstone { owner } => put_owner(out, owner),
        Record::Free { number, generation } => {
            put_varint(out, u64::from(*number));
            put_varint(out, *generation);
        }
        Record::Chunk {
            upload,
            number,
            data,
        } => {
            put_varint(out, *upload);
            put_varint(out, u64::from(*number));
            out.extend_from_slice(data);
        }
        Record::Manifest {
            owner,
            metadata,
            value_crc,
            value_len,
            upload,
        } => {
            put_owner(out, owner);
            put_block(out, metadata);
            out.extend_from_slice(&value_crc.to_le_bytes());
            put_varint(out, *value_len);
            put_varint(out, *upload);
            put_varint(out, CHUNK_BYTES as u64);
        }
        Record::Quota {
            seq,
            bucket,
            limits,
        } => {
            put_varint(out, *seq);
            put_bucket(out, bucket);
            put_varint(out, limits.bytes);
            if limits.keys > 0 {
                put_varint(out, limits.keys);
            }
        }
        Record::Views { seq, list } => {
            put_varint(out, *seq);
            out.extend_from_slice(list);
        }
        Record::Unknown { .. } => {}
    }
}

/// Appends a copy of an intact record under the seed of its new place.
pub(crate) fn copy(out: &mut Vec<u8>, record: &[u8], seed: u32) {
    assert!(record.len() > CRC_BYTES);
    let start = out.len();
    out.extend_from_slice(&record[..record.len() - CRC_BYTES]);
    let crc = crc32c(seed, &out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The record `bytes` begin with, if it is intact under `seed`.
pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Found<'_>> {
    let found = decode_proven(bytes)?;
    let crc_at = found.len - CRC_BYTES;
    let crc = Cursor::new(&bytes[crc_at..]).u32()?;
    (crc == crc32c(seed, &bytes[..crc_at])).then_some(found)
}

/// The record `bytes` begin with, where the checksum of its whole group has proven it.
pub(crate) fn decode_proven(bytes: &[u8]) -> Option<Found<'_>> {
    let mut c = Cursor::new(bytes);
    let kind = c.u8()?;
    let body_len = c.length()?;
    let body_at = c.position();
    let body = c.take(body_len)?;
    let crc_at = c.position();
    c.u32()?;
    let (record, data_at) = decode_body(kind, body)?;
    Some(Found {
        record,
        len: c.position(),
        data: body_at + data_at..crc_at,
    })
}

fn take_bucket<'a>(c: &mut Cursor<'a>) -> Option<&'a str> {
    let length = usize::from(c.u8()?);
    let bucket = core::str::from_utf8(c.take(length)?).ok()?;
    crate::name::is_stored_bucket(bucket).then_some(bucket)
}

fn take_owner<'a>(c: &mut Cursor<'a>) -> Option<Owner<'a>> {
    let seq = c.varint()?;
    let bucket = take_bucket(c)?;
    let key_len = c.length()?;
    let key = c.take(key_len)?;
    let modified_wall_ns = c.u64()?;
    let sound = !key.is_empty() && key.len() <= KEY_BYTES_MAX;
    sound.then_some(Owner {
        seq,
        bucket,
        key,
        modified_wall_ns,
    })
}

fn take_metadata<'a>(c: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = c.length()?;
    if length > METADATA_BYTES_MAX {
        return None;
    }
    c.take(length)
}

/// The record in `body`, and where its value or chunk data begins in it.
fn decode_body(kind: u8, body: &[u8]) -> Option<(Record<'_>, usize)> {
    let mut c = Cursor::new(body);
    let record = match kind {
        PUT => {
            let (owner, metadata) = (take_owner(&mut c)?, take_metadata(&mut c)?);
            let value_crc = c.u32()?;
            let (value, at) = take_data(&mut c)?;
            return Some((
                Record::Put {
                    owner,
                    metadata,
                    value_crc,
                    value,
                },
                at,
            ));
        }
        CHUNK => {
            let (upload, number) = (c.varint()?, c.varint()?.try_into().ok()?);
            let (data, at) = take_data(&mut c)?;
            return Some((
                Record::Chunk {
                    upload,
                    number,
                    data,
                },
                at,
            ));
        }
        TOMBSTONE => Record::Tombstone {
            owner: take_owner(&mut c)?,
        },
        FREE => Record::Free {
            number: c.varint()?.try_into().ok()?,
            generation: c.varint()?,
        },
        MANIFEST => take_manifest(&mut c)?,
        QUOTA => {
            let (seq, bucket) = (c.varint()?, take_bucket(&mut c)?);
            let bytes = c.varint()?;
            // There is a second limit only where it is one.
            let keys = match c.position() == body.len() {
                true => 0,
                false => c.varint()?,
            };
            Record::Quota {
                seq,
                bucket,
                limits: QuotaLimits { bytes, keys },
            }
        }
        VIEWS => Record::Views {
            seq: c.varint()?,
            list: c.rest(),
        },
        _ => Record::Unknown {
            ignorable: kind & IGNORABLE != 0,
        },
    };
    Some((record, body.len()))
}

fn take_data<'a>(c: &mut Cursor<'a>) -> Option<(&'a [u8], usize)> {
    let at = c.position();
    let data = c.rest();
    (data.len() <= CHUNK_BYTES).then_some((data, at))
}

fn take_manifest<'a>(c: &mut Cursor<'a>) -> Option<Record<'a>> {
    let (owner, metadata) = (take_owner(c)?, take_metadata(c)?);
    let (value_crc, value_len, upload) = (c.u32()?, c.varint()?, c.varint()?);
    let sound = c.varint()? == CHUNK_BYTES as u64 && value_len <= VALUE_BYTES_MAX;
    sound.then_some(Record::Manifest {
        owner,
        metadata,
        value_crc,
        value_len,
        upload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn samples() -> Vec<Record<'static>> {
        let owner = Owner {
            seq: 300,
            bucket: "www",
            key: b"k",
            modified_wall_ns: 5,
        };
        vec![
            Record::Put {
                owner,
                metadata: &[1, 1, b'x'],
                value_crc: 9,
                value: b"value",
            },
            Record::Put {
                owner,
                metadata: &[],
                value_crc: 0,
                value: b"",
            },
            Record::Tombstone { owner },
            Record::Free {
                number: 3,
                generation: 1 << 40,
            },
            Record::Chunk {
                upload: 7,
                number: 1023,
                data: b"data",
            },
            Record::Manifest {
                owner,
                metadata: &[],
                value_crc: 1,
                value_len: 70_000,
                upload: 7,
            },
            Record::Quota {
                seq: 1,
                bucket: "b",
                limits: QuotaLimits {
                    bytes: u64::MAX,
                    keys: 0,
                },
            },
            Record::Quota {
                seq: 1,
                bucket: "b",
                limits: QuotaLimits {
                    bytes: 0,
                    keys: 1 << 20,
                },
            },
            Record::Views {
                seq: 1 << 40,
                list: &[0, 0],
            },
        ]
    }

    #[test]
    fn all_kinds_go_both_ways_and_know_their_length() {
        for record in samples() {
            let mut out = Vec::new();
            encode(&mut out, &record, 17);
            assert_eq!(out.len(), len(&record));
            let found = decode(&out, 17).expect("intact");
            assert_eq!((found.record, found.len), (record, out.len()));
            assert_eq!(decode(&out, 18), None);
            let mut copied = Vec::new();
            copy(&mut copied, &out, 18);
            assert_eq!(decode(&copied, 18).map(|found| found.record), Some(record));
        }
        assert_eq!(chunk_len(7, 1023, 4), len(&samples()[4]));
    }

    #[test]
    fn the_range_of_the_data_is_the_data() {
        let mut out = Vec::new();
        encode(&mut out, &samples()[0], 0);
        let found = decode(&out, 0).expect("intact");
        assert_eq!(&out[found.data], b"value");
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        for record in samples() {
            let mut out = Vec::new();
            encode(&mut out, &record, 17);
            for at in 0..out.len() {
                assert_eq!(decode(&out[..at], 17), None);
                for bit in 0..8 {
                    let mut bad = out.clone();
                    bad[at] ^= 1 << bit;
                    assert_eq!(decode(&bad, 17), None);
                }
            }
        }
    }

    #[test]
    fn a_tombstone_is_never_longer_than_the_put_it_answers() {
        let owner = Owner {
            seq: u64::MAX,
            bucket: "b",
            key: b"k",
            modified_wall_ns: 0,
        };
        let put = Record::Put {
            owner,
            metadata: &[],
            value_crc: 0,
            value: b"",
        };
        assert!(len(&Record::Tombstone { owner }) <= len(&put));
    }
}
