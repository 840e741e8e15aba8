//! CRC32C, and the seeds that tie each checksum to its place.
//!
//! A checksum on this disk is seeded with the store and with where and when it
//! was written, so that former lives of a segment, misplaced sectors and user
//! data that looks like a record never validate.
//!
//! Source: CRC32C as in RFC 3720 B.4 (Castagnoli), slicing by eight.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const POLYNOMIAL: u32 = 0x82F6_3B78;

static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut t = 1;
    while t < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[t - 1][i];
            tables[t][i] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            i += 1;
        }
        t += 1;
    }
    tables
}

/// CRC32C of `bytes`, going on from `crc` (0 to begin).
pub(crate) fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let word = u64::from_le_bytes(*eight) ^ u64::from(crc);
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        crc = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for byte in rest {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(*byte)) & 0xFF) as usize];
    }
    !crc
}

/// The store's part of every seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    store: u64,
}

impl Seeds {
    /// From what the superblock holds.
    pub(crate) fn new(store_id: &[u8; 16], checksum_seed: u64) -> Self {
        Seeds {
            store: xxh3_64_with_seed(store_id, checksum_seed),
        }
    }

    /// For a record, and for a group's header, at `offset` of the device.
    pub(crate) fn place(self, generation: u64, offset: u64) -> u32 {
        let mut material = [0u8; 24];
        material[..8].copy_from_slice(&self.store.to_le_bytes());
        material[8..16].copy_from_slice(&generation.to_le_bytes());
        material[16..].copy_from_slice(&offset.to_le_bytes());
        crc32c(0, &material)
    }

    /// For a segment's header and footer.
    pub(crate) fn segment(self, number: u32) -> u32 {
        self.place(u64::MAX, u64::from(number))
    }

    /// The 64-bit checksum of a group's bytes.
    pub(crate) fn group(self, epoch: u64, generation: u64, offset: u64, bytes: &[u8]) -> u64 {
        let mut material = [0u8; 24];
        material[..8].copy_from_slice(&epoch.to_le_bytes());
        material[8..16].copy_from_slice(&generation.to_le_bytes());
        material[16..].copy_from_slice(&offset.to_le_bytes());
        xxh3_64_with_seed(bytes, xxh3_64_with_seed(&material, self.store))
    }

    /// The 64-bit checksum of a summary's bytes: no group is of epoch 0.
    pub(crate) fn summary(self, generation: u64, offset: u64, bytes: &[u8]) -> u64 {
        self.group(0, generation, offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32c(0, b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(0, &[0u8; 32]), 0x8A91_36AA);
    }

    #[test]
    fn going_on_is_the_same_as_at_once() {
        let bytes: alloc::vec::Vec<u8> = (0..200u8).collect();
        for cut in 0..bytes.len() {
            let begun = crc32c(0, &bytes[..cut]);
            assert_eq!(crc32c(begun, &bytes[cut..]), crc32c(0, &bytes));
        }
    }

    #[test]
    fn each_part_of_a_seed_matters() {
        let seeds = Seeds::new(&[1; 16], 2);
        assert_ne!(seeds.place(1, 2), seeds.place(2, 1));
        assert_ne!(seeds.place(1, 2), Seeds::new(&[1; 16], 3).place(1, 2));
        let sum = seeds.group(1, 2, 3, b"x");
        assert_ne!(sum, seeds.group(2, 2, 3, b"x"));
        assert_ne!(sum, seeds.group(1, 3, 3, b"x"));
        assert_ne!(sum, seeds.group(1, 2, 4, b"x"));
    }
}
