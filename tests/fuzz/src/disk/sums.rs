//! Makes the checksums of a changed disk right again, from the layout's description alone.
//!
//! Source: `docs/data-layout.md`; CRC32C as in RFC 3720 B.4.

use super::image::{Image, Piece};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Where a superblock's sum begins.
const SUPERBLOCK_FROM: u64 = 16;
const SUPERBLOCK_BYTES_MAX: u32 = 4096;
const HEADER_BYTES: usize = 128;
const BITMAP_BYTES_MAX: u32 = 4096;
const GROUP_BYTES_MAX: u32 = 256 << 10;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ 0x82f6_3b78 & (crc & 1).wrapping_neg();
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// CRC32C, going on from `crc`.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, byte| {
        crc >> 8 ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

/// Three numbers as bytes, which seeds are made of.
fn triple(a: u64, b: u64, c: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (place, number) in bytes.chunks_exact_mut(8).zip([a, b, c]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// The seeds of the store on the disk.
struct Seeds(u64);

impl Seeds {
    fn of(image: &Image) -> Seeds {
        Seeds(xxh3_64_with_seed(&image.read(48, 16), image.u64(64)))
    }

    fn place(&self, generation: u64, at: u64) -> u32 {
        crc32c(0, &triple(self.0, generation, at))
    }

    fn segment(&self, number: u32) -> u32 {
        self.place(u64::MAX, number.into())
    }

    fn sum(&self, epoch: u64, generation: u64, at: u64, body: &[u8]) -> u64 {
        xxh3_64_with_seed(
            body,
            xxh3_64_with_seed(&triple(epoch, generation, at), self.0),
        )
    }
}

/// Mends all sums; with `chains` also what each group says of the one before it.
pub(super) fn mend(image: &mut Image, chains: bool) {
    let pieces = image.pieces();
    for (at, piece) in &pieces {
        if let Piece::Superblock = piece {
            mend_superblock(image, *at);
        }
    }
    let seeds = Seeds::of(image);
    for (at, piece) in &pieces {
        if let Piece::Record { generation, len } = piece {
            let sum_at = at + *len as u64 - 4;
            let sum = crc32c(seeds.place(*generation, *at), &image.read(*at, len - 4));
            image.write(sum_at, &sum.to_le_bytes());
        }
    }
    let mut renamed = BTreeMap::new();
    for (at, piece) in pieces {
        match piece {
            Piece::SegmentHeader { number } => {
                rename(image, at + 48, &renamed, chains);
                mend_segment(image, at, number, &seeds);
            }
            Piece::Footer { number } => {
                rename(image, at + 32, &renamed, chains);
                let sum = crc32c(seeds.segment(number), &image.read(at + 12, 36));
                image.write(at + 8, &sum.to_le_bytes());
            }
            Piece::Summary { generation, len } => {
                rename(image, at + 16, &renamed, chains);
                mend_summary(image, at, (generation, len), &seeds);
            }
            Piece::Group { generation } => {
                rename(image, at + 80, &renamed, chains);
                let old = image.u64(at);
                mend_group(image, at, generation, &seeds);
                renamed.insert(old, image.u64(at));
            }
            Piece::Superblock | Piece::Record { .. } => {}
        }
    }
    for at in [0, 1 << 20] {
        rename(image, at + 152, &renamed, chains);
        mend_superblock(image, at);
    }
}

/// A sum that stands for a group becomes that group's new one.
fn rename(image: &mut Image, at: u64, renamed: &BTreeMap<u64, u64>, chains: bool) {
    if let Some(new) = renamed.get(&image.u64(at)).filter(|_| chains) {
        image.write(at, &new.to_le_bytes());
    }
}

fn mend_superblock(image: &mut Image, at: u64) {
    let len = image.u32(at + 16).min(SUPERBLOCK_BYTES_MAX);
    let from = at + SUPERBLOCK_FROM;
    let bytes = image.read(from, (len as usize).saturating_sub(16));
    image.write(at + 12, &crc32c(0, &bytes).to_le_bytes());
}

fn mend_segment(image: &mut Image, at: u64, number: u32, seeds: &Seeds) {
    let seed = seeds.segment(number);
    let len = image.u32(at + 68).min(BITMAP_BYTES_MAX) as usize;
    let bitmap = crc32c(seed, &image.read(at + HEADER_BYTES as u64, len));
    image.write(at + 4, &bitmap.to_le_bytes());
    let header = crc32c(seed, &image.read(at + 4, HEADER_BYTES - 4));
    image.write(at, &header.to_le_bytes());
}

fn mend_group(image: &mut Image, at: u64, generation: u64, seeds: &Seeds) {
    let header_len = (image.u32(at + 16) & 0xffff) as usize;
    let header = image.read(at + 16, header_len.saturating_sub(16));
    let header = crc32c(seeds.place(generation, at), &header);
    image.write(at + 12, &header.to_le_bytes());
    let len = image.u32(at + 20).min(GROUP_BYTES_MAX) as usize;
    let body = image.read(at + 8, len.saturating_sub(8));
    let sum = seeds.sum(image.u64(at + 32), generation, at, &body);
    image.write(at, &sum.to_le_bytes());
}

fn mend_summary(image: &mut Image, at: u64, (generation, len): (u64, usize), seeds: &Seeds) {
    let body = image.read(at + 16, len.saturating_sub(16));
    let sum = seeds.sum(0, generation, at, &body);
    image.write(at + 8, &sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{crc32c, mend};
    use crate::disk::image::{self, Piece};

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn mending_a_disk_in_order_changes_nothing() {
        for pristine in [image::killed(), image::closed()] {
            let mut mended = pristine.clone();
            mend(&mut mended, true);
            for (at, piece) in pristine.pieces() {
                let (old, new) = (pristine.read(at, 160), mended.read(at, 160));
                assert_eq!(old, new, "{piece:?} at {at:#x}");
            }
            let is_summary = |(_, piece): &(u64, Piece)| matches!(piece, Piece::Summary { .. });
            assert!(
                pristine.pieces().iter().any(is_summary),
                "one segment is sealed"
            );
        }
    }
}
