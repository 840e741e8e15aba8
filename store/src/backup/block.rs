//! Blocks: what a backup is made of.
//!
//! The checksum of a block covers its number, and begins with that of the first block, which no
//! other backup has: so a block that is missing, in another place, or from another stream shows.

use crate::format::checksum::crc32c;
use crate::format::codec::Cursor;
use crate::format::layout::{CHUNK_BYTES, METADATA_BYTES_MAX};
use crate::name::KEY_BYTES_MAX;
use alloc::vec::Vec;

/// How every backup begins.
pub(super) const MAGIC: [u8; 8] = *b"LAMPBACK";
/// Length, checksum, kind and three zeros.
pub(super) const HEAD_BYTES: usize = 12;
/// Longest body of a block: an entry with all it can have.
pub(super) const BODY_BYTES_MAX: usize = 64 + KEY_BYTES_MAX + METADATA_BYTES_MAX + CHUNK_BYTES;

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) crc: u32,
    pub(super) kind: u8,
}

/// The checksum of the block with this number; `seed` is the first block's, and 0 for itself.
fn checksum(seed: u32, number: u64, kind: u8, body: &[u8]) -> u32 {
    let crc = crc32c(seed, &number.to_le_bytes());
    let crc = crc32c(crc, &(body.len() as u32).to_le_bytes());
    crc32c(crc32c(crc, &[kind, 0, 0, 0]), body)
}

/// Appends a block; its checksum.
pub(super) fn put(out: &mut Vec<u8>, (seed, number): (u32, u64), kind: u8, body: &[u8]) -> u32 {
    assert!(body.len() <= BODY_BYTES_MAX, "a block that nobody reads");
    let crc = checksum(seed, number, kind, body);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(body);
    crc
}

impl Head {
    /// The head that `bytes` begin with; `None` if there cannot be such a block.
    pub(super) fn decode(bytes: &[u8]) -> Option<Head> {
        let mut c = Cursor::new(bytes);
        let (len, crc, kind) = (c.u32()? as usize, c.u32()?, c.u8()?);
        let zeros: [u8; 3] = c.array()?;
        let sound = len <= BODY_BYTES_MAX && zeros == [0; 3];
        sound.then_some(Head { len, crc, kind })
    }

    /// Whether `body` is what was written under this head.
    pub(super) fn is_of(&self, (seed, number): (u32, u64), body: &[u8]) -> bool {
        self.crc == checksum(seed, number, self.kind, body)
    }
}
