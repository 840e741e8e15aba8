//! The checksum of two pieces from the checksums of each: a value's from its chunks'.
//!
//! A CRC is the remainder of a polynomial over GF(2); to put bytes behind a piece multiplies
//! its remainder by a power of x.
//!
//! Source: zlib 1.2.12, `crc32_combine_op`, with the polynomial of RFC 3720 B.4.

const POLYNOMIAL: u32 = 0x82F6_3B78;
/// x to the power of 0, reflected.
const ONE: u32 = 1 << 31;
/// x to the power of 8.
const BYTE: u32 = 1 << 23;

/// `a` times `b`, modulo the polynomial.
fn product(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit > 0 {
        if a & bit != 0 {
            product ^= b;
        }
        bit >>= 1;
        b = if b & 1 == 1 {
            (b >> 1) ^ POLYNOMIAL
        } else {
            b >> 1
        };
    }
    product
}

/// CRC32C of two pieces, the second `second_len` bytes long.
pub(super) fn crc32c(first: u32, second: u32, mut second_len: u64) -> u32 {
    let (mut shift, mut square) = (ONE, BYTE);
    while second_len > 0 {
        if second_len & 1 == 1 {
            shift = product(square, shift);
        }
        square = product(square, square);
        second_len >>= 1;
    }
    product(shift, first) ^ second
}

#[cfg(test)]
mod tests {
    use crate::format::checksum::crc32c;

    #[test]
    fn any_cut_gives_the_same_checksum() {
        let bytes: alloc::vec::Vec<u8> = (0..3000u32).map(|at| (at * at / 7) as u8).collect();
        let whole = crc32c(0, &bytes);
        for cut in [0, 1, 7, 8, 512, 1499, 2999, 3000] {
            let (first, second) = bytes.split_at(cut);
            let (a, b) = (crc32c(0, first), crc32c(0, second));
            assert_eq!(super::crc32c(a, b, second.len() as u64), whole, "{cut}");
        }
    }
}
