//! The superblock: what a store is, and who opened it last.
//!
//! Two copies, written in turn; the one with the higher counter counts. All
//! fields lie in the first 512 bytes, so that one sector decides.

use super::checksum::crc32c;
use super::codec::{Cursor, set};
use super::layout::{FLIGHT, Layout};
use alloc::vec;
use alloc::vec::Vec;

const MAGIC: [u8; 8] = *b"LAMPION\0";
/// The format version this code writes, and the only one it reads.
pub(crate) const VERSION: u32 = 1;
const FIXED_BYTES: usize = 256;

/// Where a cleanly closed log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) generation: u64,
    pub(crate) offset: u64,
    pub(crate) chain: u64,
}

/// What one copy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) required: u64,
    pub(crate) read_only_compatible: u64,
    pub(crate) ignorable: u64,
    pub(crate) store_id: [u8; 16],
    pub(crate) checksum_seed: u64,
    pub(crate) counter: u64,
    pub(crate) epoch: u64,
    pub(crate) opener: u64,
    pub(crate) next_seq: u64,
    /// Its `working_unit` is the recorded unit until the device is known.
    pub(crate) layout: Layout,
    pub(crate) key_count: u64,
    pub(crate) index_bytes: u64,
    pub(crate) clean: Option<Tail>,
    pub(crate) formatted_wall_ns: u64,
    /// TLVs of who wrote it, kept as they are.
    pub(crate) extra: Vec<u8>,
}

/// What is found where a superblock should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing of ours.
    Foreign,
    /// It could not be read.
    Unreadable,
    /// Ours, but not intact; the id as far as it can be read.
    Damaged([u8; 16]),
    /// Ours, of a format version this code does not know.
    Version(u32, [u8; 16]),
    /// Intact.
    Intact(Superblock),
}

impl Superblock {
    /// The bytes of one copy, `len_bytes` of them.
    pub(crate) fn encode(&self, len_bytes: usize) -> Vec<u8> {
        let length = FIXED_BYTES + self.extra.len();
        assert!(length <= len_bytes, "superblock outgrew its copy");
        let mut out = vec![0u8; len_bytes];
        let tail = self.clean.unwrap_or(Tail {
            generation: 0,
            offset: 0,
            chain: 0,
        });
        set(&mut out, 0, &MAGIC);
        set(&mut out, 8, &VERSION.to_le_bytes());
        set(&mut out, 16, &(length as u32).to_le_bytes());
        set(&mut out, 20, &self.layout.unit.to_le_bytes());
        set(&mut out, 24, &self.required.to_le_bytes());
        set(&mut out, 32, &self.read_only_compatible.to_le_bytes());
        set(&mut out, 40, &self.ignorable.to_le_bytes());
        set(&mut out, 48, &self.store_id);
        set(&mut out, 64, &self.checksum_seed.to_le_bytes());
        set(&mut out, 72, &self.counter.to_le_bytes());
        set(&mut out, 80, &self.epoch.to_le_bytes());
        set(&mut out, 88, &self.next_seq.to_le_bytes());
        set(&mut out, 96, &self.layout.first_segment.to_le_bytes());
        set(&mut out, 104, &self.layout.segment_bytes.to_le_bytes());
        set(&mut out, 112, &self.layout.segment_count.to_le_bytes());
        set(&mut out, 116, &self.layout.header_bytes.to_le_bytes());
        set(&mut out, 120, &self.key_count.to_le_bytes());
        set(&mut out, 128, &self.index_bytes.to_le_bytes());
        set(
            &mut out,
            136,
            &u32::from(self.clean.is_some()).to_le_bytes(),
        );
        set(&mut out, 144, &tail.offset.to_le_bytes());
        set(&mut out, 152, &tail.chain.to_le_bytes());
        set(&mut out, 160, &tail.generation.to_le_bytes());
        set(&mut out, 168, &self.formatted_wall_ns.to_le_bytes());
        set(&mut out, 176, &FLIGHT.start.to_le_bytes());
        set(&mut out, 184, &(FLIGHT.end - FLIGHT.start).to_le_bytes());
        set(&mut out, 192, &self.opener.to_le_bytes());
        set(&mut out, FIXED_BYTES, &self.extra);
        let crc = crc32c(0, &out[16..length]);
        set(&mut out, 12, &crc.to_le_bytes());
        out
    }

    /// What `bytes` say; `len_bytes` is the device's size.
    pub(crate) fn decode(bytes: &[u8]) -> Found {
        if bytes.get(..8) != Some(&MAGIC) {
            return Found::Foreign;
        }
        let id = bytes
            .get(48..64)
            .and_then(|id| id.try_into().ok())
            .unwrap_or([0; 16]);
        let mut cursor = Cursor::new(&bytes[8..]);
        let (Some(version), Some(crc), Some(length)) = (cursor.u32(), cursor.u32(), cursor.u32())
        else {
            return Found::Damaged(id);
        };
        let length = length as usize;
        let intact =
            (FIXED_BYTES..=bytes.len()).contains(&length) && crc32c(0, &bytes[16..length]) == crc;
        if !intact {
            return Found::Damaged(id);
        }
        if version != VERSION {
            return Found::Version(version, id);
        }
        match Superblock::fields(&bytes[20..length]) {
            Some(superblock) => Found::Intact(superblock),
            None => Found::Damaged(id),
        }
    }

    fn fields(bytes: &[u8]) -> Option<Superblock> {
        let mut c = Cursor::new(bytes);
        let unit = c.u32()?;
        let (required, read_only_compatible, ignorable) = (c.u64()?, c.u64()?, c.u64()?);
        let (store_id, checksum_seed) = (c.array()?, c.u64()?);
        let (counter, epoch, next_seq) = (c.u64()?, c.u64()?, c.u64()?);
        let (first_segment, segment_bytes) = (c.u64()?, c.u64()?);
        let (segment_count, header_bytes) = (c.u32()?, c.u32()?);
        let (key_count, index_bytes) = (c.u64()?, c.u64()?);
        let (clean, _zero) = (c.u32()?, c.u32()?);
        let (offset, chain, generation) = (c.u64()?, c.u64()?, c.u64()?);
        let formatted_wall_ns = c.u64()?;
        let (_flight_offset, _flight_len) = (c.u64()?, c.u64()?);
        let opener = c.u64()?;
        c.take(56)?;
        let layout = Layout {
            unit,
            working_unit: unit,
            segment_bytes,
            segment_count,
            first_segment,
            header_bytes,
        };
        Some(Superblock {
            required,
            read_only_compatible,
            ignorable,
            store_id,
            checksum_seed,
            counter,
            epoch,
            opener,
            next_seq,
            layout,
            key_count,
            index_bytes,
            clean: (clean == 1).then_some(Tail {
                generation,
                offset,
                chain,
            }),
            formatted_wall_ns,
            extra: c.rest().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            required: 0,
            read_only_compatible: 0,
            ignorable: 4,
            store_id: [7; 16],
            checksum_seed: 99,
            counter: 5,
            epoch: 6,
            opener: 7,
            next_seq: 8,
            layout: Layout::plan(8 << 20, 4096).expect("a layout"),
            key_count: 1,
            index_bytes: 2,
            clean: Some(Tail {
                generation: 3,
                offset: 4,
                chain: 5,
            }),
            formatted_wall_ns: 6,
            extra: vec![1, 0, 1, 0, 9],
        }
    }

    #[test]
    fn it_goes_both_ways() {
        let superblock = sample();
        let bytes = superblock.encode(4096);
        assert!(bytes[512..].iter().all(|byte| *byte == 0));
        assert_eq!(Superblock::decode(&bytes), Found::Intact(superblock));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = sample().encode(4096);
        for at in 0..261 {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(
                    !matches!(Superblock::decode(&bad), Found::Intact(_)) || at < 12,
                    "{at}"
                );
            }
        }
    }

    #[test]
    fn short_and_strange_bytes_do_not_panic() {
        let bytes = sample().encode(4096);
        for length in 0..300 {
            let found = Superblock::decode(&bytes[..length]);
            assert!(matches!(
                found,
                Found::Foreign | Found::Damaged(_) | Found::Intact(_)
            ));
        }
        assert_eq!(Superblock::decode(&[0; 4096]), Found::Foreign);
    }

    #[test]
    fn another_version_is_said_to_be_one() {
        let mut bytes = sample().encode(4096);
        bytes[8] = 2;
        assert_eq!(Superblock::decode(&bytes), Found::Version(2, [7; 16]));
    }
}
