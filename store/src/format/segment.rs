//! Segment headers with their bitmap of free segments, and footers.
//!
//! A header is written with the first group of its segment, after everything
//! before it was durable: a valid one proves the log up to its `chain`.

use super::checksum::{Seeds, crc32c};
use super::codec::{Cursor, set};
use super::layout::SEGMENT_HEADER_FIXED;
use alloc::vec;
use alloc::vec::Vec;

const HEADER_MAGIC: [u8; 8] = *b"LAMPSEG\0";
const FOOTER_MAGIC: [u8; 8] = *b"LAMPEND\0";
const FOOTER_BYTES: usize = 48;
/// No segment.
const NONE: u32 = u32::MAX;

/// What a segment header says, without its bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u32,
    pub(crate) successor: Option<u32>,
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) previous_generation: u64,
    pub(crate) chain: u64,
    pub(crate) next_seq: u64,
    /// Relative to the segment.
    pub(crate) data_start: u32,
    pub(crate) wall_ns: u64,
    bitmap_len: u32,
    bitmap_crc: u32,
}

impl Header {
    /// A header to be written; [`encode`] fills in what belongs to the bitmap.
    pub(crate) fn new(number: u32, generation: u64, epoch: u64) -> Self {
        Header {
            number,
            successor: None,
            generation,
            epoch,
            previous_generation: 0,
            chain: 0,
            next_seq: 0,
            data_start: 0,
            wall_ns: 0,
            bitmap_len: 0,
            bitmap_crc: 0,
        }
    }

    /// Bytes from its start on that a checksum covers.
    pub(crate) fn covered_len(&self) -> u64 {
        SEGMENT_HEADER_FIXED as u64 + u64::from(self.bitmap_len)
    }
}

/// The bytes of a header and its bitmap, filled up to `len_bytes`.
pub(crate) fn encode(header: &Header, bitmap: &[u8], seeds: Seeds, len_bytes: usize) -> Vec<u8> {
    assert!(
        SEGMENT_HEADER_FIXED + bitmap.len() <= len_bytes,
        "bitmap outgrew the header"
    );
    let seed = seeds.segment(header.number);
    let mut out = vec![0u8; len_bytes];
    set(&mut out, 4, &crc32c(seed, bitmap).to_le_bytes());
    set(&mut out, 8, &HEADER_MAGIC);
    set(&mut out, 16, &header.number.to_le_bytes());
    set(
        &mut out,
        20,
        &header.successor.unwrap_or(NONE).to_le_bytes(),
    );
    set(&mut out, 24, &header.generation.to_le_bytes());
    set(&mut out, 32, &header.epoch.to_le_bytes());
    set(&mut out, 40, &header.previous_generation.to_le_bytes());
    set(&mut out, 48, &header.chain.to_le_bytes());
    set(&mut out, 56, &header.next_seq.to_le_bytes());
    set(&mut out, 64, &header.data_start.to_le_bytes());
    set(&mut out, 68, &(bitmap.len() as u32).to_le_bytes());
    set(&mut out, 72, &header.wall_ns.to_le_bytes());
    set(&mut out, SEGMENT_HEADER_FIXED, bitmap);
    let crc = crc32c(seed, &out[4..SEGMENT_HEADER_FIXED]);
    set(&mut out, 0, &crc.to_le_bytes());
    out
}

/// The header at the start of segment `number`, if it is intact; the bitmap is not looked at.
pub(crate) fn decode(bytes: &[u8], number: u32, seeds: Seeds) -> Option<Header> {
    let fixed = bytes.get(..SEGMENT_HEADER_FIXED)?;
    let mut c = Cursor::new(fixed);
    let (crc, bitmap_crc) = (c.u32()?, c.u32()?);
    if c.array()? != HEADER_MAGIC || crc32c(seeds.segment(number), &fixed[4..]) != crc {
        return None;
    }
    let (found, successor) = (c.u32()?, c.u32()?);
    let header = Header {
        number: found,
        successor: (successor != NONE).then_some(successor),
        generation: c.u64()?,
        epoch: c.u64()?,
        previous_generation: c.u64()?,
        chain: c.u64()?,
        next_seq: c.u64()?,
        data_start: c.u32()?,
        bitmap_len: c.u32()?,
        wall_ns: c.u64()?,
        bitmap_crc,
    };
    (found == number && header.generation > header.previous_generation).then_some(header)
}

/// The bitmap of a header that was found intact, if it is intact too.
pub(crate) fn bitmap(header: &Header, bytes: &[u8], seeds: Seeds) -> Option<Vec<u8>> {
    let end = SEGMENT_HEADER_FIXED.checked_add(header.bitmap_len as usize)?;
    let bitmap = bytes.get(SEGMENT_HEADER_FIXED..end)?;
    let intact = crc32c(seeds.segment(header.number), bitmap) == header.bitmap_crc;
    intact.then(|| bitmap.to_vec())
}

/// Where a sealed segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) number: u32,
    pub(crate) generation: u64,
    pub(crate) end_offset: u64,
    pub(crate) chain: u64,
    /// Length of the summary, 0 if there is none.
    pub(crate) summary_len: u32,
    /// Bytes from its beginning up to the room of the footer.
    pub(crate) summary_span: u32,
}

impl Footer {
    /// The last `len_bytes` of the segment; the footer fills the last `unit` of them.
    pub(crate) fn encode(&self, seeds: Seeds, len_bytes: usize, unit: usize) -> Vec<u8> {
        assert!(FOOTER_BYTES <= unit && unit <= len_bytes);
        let mut out = vec![0u8; len_bytes];
        let footer = &mut out[len_bytes - unit..];
        set(footer, 0, &FOOTER_MAGIC);
        set(footer, 12, &self.number.to_le_bytes());
        set(footer, 16, &self.generation.to_le_bytes());
        set(footer, 24, &self.end_offset.to_le_bytes());
        set(footer, 32, &self.chain.to_le_bytes());
        set(footer, 40, &self.summary_len.to_le_bytes());
        set(footer, 44, &self.summary_span.to_le_bytes());
        let crc = crc32c(seeds.segment(self.number), &footer[12..FOOTER_BYTES]);
        set(footer, 8, &crc.to_le_bytes());
        out
    }

    /// The footer in the last unit of segment `number`, if it is intact.
    pub(crate) fn decode(bytes: &[u8], number: u32, seeds: Seeds) -> Option<Footer> {
        let fixed = bytes.get(..FOOTER_BYTES)?;
        let mut c = Cursor::new(fixed);
        let magic: [u8; 8] = c.array()?;
        let crc = c.u32()?;
        if magic != FOOTER_MAGIC || crc32c(seeds.segment(number), &fixed[12..]) != crc {
            return None;
        }
        let footer = Footer {
            number: c.u32()?,
            generation: c.u64()?,
            end_offset: c.u64()?,
            chain: c.u64()?,
            summary_len: c.u32()?,
            summary_span: c.u32()?,
        };
        (footer.number == number).then_some(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_footers_go_both_ways_and_belong_to_one_segment() {
        let seeds = Seeds::new(&[1; 16], 1);
        let mut header = Header::new(3, 9, 2);
        header.successor = Some(4);
        header.previous_generation = 8;
        header.chain = 77;
        header.data_start = 512;
        let bytes = encode(&header, &[0xF0, 1], seeds, 512);
        let read = decode(&bytes, 3, seeds).expect("intact");
        assert_eq!(
            (read.successor, read.generation, read.chain),
            (Some(4), 9, 77)
        );
        assert_eq!(bitmap(&read, &bytes, seeds), Some(vec![0xF0, 1]));
        assert_eq!(decode(&bytes, 2, seeds), None);
        assert_eq!(decode(&bytes, 3, Seeds::new(&[2; 16], 1)), None);

        let footer = Footer {
            number: 3,
            generation: 9,
            end_offset: 1000,
            chain: 5,
            summary_len: 6,
            summary_span: 512,
        };
        let bytes = footer.encode(seeds, 4096, 512);
        assert_eq!(Footer::decode(&bytes[3584..], 3, seeds), Some(footer));
        assert_eq!(Footer::decode(&bytes[3584..], 4, seeds), None);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let seeds = Seeds::new(&[1; 16], 1);
        let bytes = encode(&Header::new(0, 1, 1), &[0xFF; 8], seeds, 512);
        for at in 0..SEGMENT_HEADER_FIXED + 8 {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let found = decode(&bad, 0, seeds).and_then(|header| bitmap(&header, &bad, seeds));
            assert_eq!(found, None, "{at}");
        }
    }
}
