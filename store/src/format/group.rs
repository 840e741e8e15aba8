//! A commit group: the piece of log that is written, flushed and believed as one.
//!
//! # Invariants
//!
//! - The header has its own checksum, so that looking for groups in garbage
//!   costs a few bytes per unit and not a hash of a megabyte.
//! - `length <= span`, `span` is a multiple of 512 and fits what was asked for.

use super::checksum::{Seeds, crc32c};
use super::codec::{Cursor, set};
use alloc::vec::Vec;

const MAGIC: u32 = u32::from_le_bytes(*b"LGRP");
/// Length of a header without TLVs.
pub(crate) const HEADER_BYTES: usize = 96;
const JOINT_TYPE: u16 = 0x8001;
const JOINT_BYTES: usize = 24;
const MUST_KNOW: u16 = 0x8000;

/// Where the valid log of earlier epochs ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joint {
    pub(crate) generation: u64,
    pub(crate) offset: u64,
    pub(crate) chain: u64,
}

/// What a group's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) header_len: usize,
    /// Header and records.
    pub(crate) length: usize,
    /// Up to where the next group begins.
    pub(crate) span: u64,
    pub(crate) record_count: u32,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) base_seq: u64,
    pub(crate) next_seq: u64,
    pub(crate) flushed_through: u64,
    pub(crate) wall_ns: u64,
    /// Checksum of the group before.
    pub(crate) chain: u64,
    /// Of this one.
    pub(crate) checksum: u64,
    pub(crate) joint: Option<Joint>,
    /// Whether it holds a TLV that must be understood and is not.
    pub(crate) newer: bool,
}

/// Length of the header this group will have.
pub(crate) fn header_len(joint: Option<&Joint>) -> usize {
    HEADER_BYTES + joint.map_or(0, |_| 4 + JOINT_BYTES)
}

/// Fills in the header in front of `group`, whose records are already in place,
/// and gives the group's checksum.
pub(crate) fn seal(group: &mut [u8], header: &Header, offset: u64, seeds: Seeds) -> u64 {
    let header_bytes = header_len(header.joint.as_ref());
    assert!(group.len() >= header_bytes && group.len() as u64 <= header.span);
    set(group, 8, &MAGIC.to_le_bytes());
    set(group, 16, &(header_bytes as u16).to_le_bytes());
    set(group, 18, &0u16.to_le_bytes());
    set(group, 20, &(group.len() as u32).to_le_bytes());
    set(group, 24, &(header.span as u32).to_le_bytes());
    set(group, 28, &header.record_count.to_le_bytes());
    set(group, 32, &header.epoch.to_le_bytes());
    set(group, 40, &header.generation.to_le_bytes());
    set(group, 48, &header.base_seq.to_le_bytes());
    set(group, 56, &header.next_seq.to_le_bytes());
    set(group, 64, &header.flushed_through.to_le_bytes());
    set(group, 72, &header.wall_ns.to_le_bytes());
    set(group, 80, &header.chain.to_le_bytes());
    set(group, 88, &[0; 8]);
    if let Some(joint) = header.joint {
        set(group, 96, &JOINT_TYPE.to_le_bytes());
        set(group, 98, &(JOINT_BYTES as u16).to_le_bytes());
        set(group, 100, &joint.generation.to_le_bytes());
        set(group, 108, &joint.offset.to_le_bytes());
        set(group, 116, &joint.chain.to_le_bytes());
    }
    let crc = crc32c(
        seeds.place(header.generation, offset),
        &group[16..header_bytes],
    );
    set(group, 12, &crc.to_le_bytes());
    let checksum = seeds.group(header.epoch, header.generation, offset, &group[8..]);
    set(group, 0, &checksum.to_le_bytes());
    checksum
}

/// The header at `offset` of the device, if `bytes` begin with an intact one.
///
/// After this, `header_len <= length <= span` and `span > 0` hold.
pub(crate) fn decode(bytes: &[u8], offset: u64, seeds: Seeds) -> Option<Header> {
    let mut c = Cursor::new(bytes);
    let checksum = c.u64()?;
    if c.u32()? != MAGIC {
        return None;
    }
    let crc = c.u32()?;
    let (header_len, _flags) = (usize::from(c.u16()?), c.u16()?);
    let (length, span, record_count) = (c.u32()?, c.u32()?, c.u32()?);
    let (epoch, generation) = (c.u64()?, c.u64()?);
    if header_len < HEADER_BYTES {
        return None;
    }
    if crc32c(seeds.place(generation, offset), bytes.get(16..header_len)?) != crc {
        return None;
    }
    let mut header = Header {
        header_len,
        length: length as usize,
        span: u64::from(span),
        record_count,
        epoch,
        generation,
        base_seq: c.u64()?,
        next_seq: c.u64()?,
        flushed_through: c.u64()?,
        wall_ns: c.u64()?,
        chain: c.u64()?,
        checksum,
        joint: None,
        newer: false,
    };
    c.u64()?;
    let sound = header.length >= header_len && length <= span && span.is_multiple_of(512);
    if !sound || header.base_seq > header.next_seq {
        return None;
    }
    tlvs(&mut header, &bytes[HEADER_BYTES..header_len])?;
    Some(header)
}

fn tlvs(header: &mut Header, bytes: &[u8]) -> Option<()> {
    let mut c = Cursor::new(bytes);
    while c.position() < bytes.len() {
        let (kind, length) = (c.u16()?, c.u16()?);
        let mut body = Cursor::new(c.take(usize::from(length))?);
        if kind == JOINT_TYPE {
            header.joint = Some(Joint {
                generation: body.u64()?,
                offset: body.u64()?,
                chain: body.u64()?,
            });
        } else if kind & MUST_KNOW != 0 {
            header.newer = true;
        }
    }
    Some(())
}

/// Whether the whole group, header and records, is intact.
pub(crate) fn is_intact(header: &Header, bytes: &[u8], offset: u64, seeds: Seeds) -> bool {
    bytes.len() == header.length
        && seeds.group(header.epoch, header.generation, offset, &bytes[8..]) == header.checksum
}

/// An empty group of `header`'s length for records to be appended to.
pub(crate) fn begin(out: &mut Vec<u8>, joint: Option<&Joint>) {
    out.clear();
    out.resize(header_len(joint), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(joint: Option<Joint>) -> Header {
        Header {
            header_len: header_len(joint.as_ref()),
            length: 0,
            span: 512,
            record_count: 1,
            epoch: 3,
            generation: 4,
            base_seq: 5,
            next_seq: 6,
            flushed_through: 4,
            wall_ns: 7,
            chain: 8,
            checksum: 0,
            joint,
            newer: false,
        }
    }

    #[test]
    fn it_goes_both_ways_with_and_without_a_joint() {
        let seeds = Seeds::new(&[1; 16], 1);
        for joint in [
            None,
            Some(Joint {
                generation: 1,
                offset: 2,
                chain: 3,
            }),
        ] {
            let mut group = Vec::new();
            begin(&mut group, joint.as_ref());
            group.extend_from_slice(b"records");
            let checksum = seal(&mut group, &header(joint), 4096, seeds);
            let read = decode(&group, 4096, seeds).expect("intact");
            let expected = Header {
                length: group.len(),
                checksum,
                ..header(joint)
            };
            assert_eq!(read, expected);
            assert!(is_intact(&read, &group, 4096, seeds));
            assert_eq!(decode(&group, 8192, seeds), None);
            for at in 0..group.len() {
                let mut bad = group.clone();
                bad[at] ^= 1;
                let whole = decode(&bad, 4096, seeds)
                    .is_some_and(|read| is_intact(&read, &bad, 4096, seeds));
                assert!(!whole, "{at}");
            }
        }
    }
}
