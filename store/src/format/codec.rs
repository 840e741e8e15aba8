//! Little-endian numbers and varints, read with bounds and written by appending.

use alloc::vec::Vec;

/// Reads forward through bytes of the disk; `None` once they run out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// From `at` on.
    pub(crate) fn from(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at }
    }

    /// Where the next read begins.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// What is left, without reading it.
    pub(crate) fn peek(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        self.at = self.bytes.len();
        rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 number; one that does not fit 64 bits is refused.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let rest = self.bytes.get(self.at..)?;
        match rest.first() {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Some(u64::from(*byte))
            }
            _ => self.longer_varint(rest),
        }
    }

    /// The same, of up to eight bytes at once.
    fn longer_varint(&mut self, rest: &[u8]) -> Option<u64> {
        let Some(word) = rest.first_chunk() else {
            return self.long_varint();
        };
        let word = u64::from_le_bytes(*word);
        // The first byte without its high bit is the last one.
        let ends = !word & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.long_varint();
        }
        let bits = ends.trailing_zeros();
        self.at += bits as usize / 8 + 1;
        let word = word & (u64::MAX >> (63 - bits)) & 0x7F7F_7F7F_7F7F_7F7F;
        // Seven bits of each byte move together: by pairs, by fours, by eights.
        let pairs = (word & 0x007F_007F_007F_007F) | ((word & 0x7F00_7F00_7F00_7F00) >> 1);
        let fours = (pairs & 0x0000_3FFF_0000_3FFF) | ((pairs & 0x3FFF_0000_3FFF_0000) >> 2);
        Some((fours & 0x0FFF_FFFF) | ((fours & 0x0FFF_FFFF_0000_0000) >> 4))
    }

    /// The same, byte by byte: of more than eight bytes, or at the end.
    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let low = u64::from(byte & 0x7F);
            if shift == 63 && low > 1 {
                return None;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A varint that must fit a length in memory.
    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }
}

/// How many bytes [`put_varint`] appends.
#[inline(always)]
pub(crate) fn varint_len(value: u64) -> usize {
    // The bits divided by seven and rounded up, of 1 to 64 bits.
    let bits = u64::BITS - (value | 1).leading_zeros();
    (9 * bits as usize + 64) / 64
}

/// Appends an unsigned LEB128 number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes `bytes` at `at`; the caller's struct has room for all its fields.
pub(crate) fn set(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_go_both_ways_and_know_their_length() {
        for shift in 0..64 {
            for value in [
                (1u64 << shift) - 1,
                1 << shift,
                (1 << shift) + 1,
                u64::MAX >> shift,
            ] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
                assert_eq!(Cursor::new(&out).varint(), Some(value));
                let mut longer = out.clone();
                longer.extend_from_slice(&[0xFF; 9]);
                let mut cursor = Cursor::new(&longer);
                assert_eq!(cursor.varint(), Some(value));
                assert_eq!(cursor.position(), out.len());
                assert_eq!(Cursor::new(&out[..out.len() - 1]).varint(), None);
            }
        }
    }

    #[test]
    fn a_varint_that_is_too_long_is_refused() {
        assert_eq!(Cursor::new(&[0x80; 11]).varint(), None);
        let too_big = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02];
        assert_eq!(Cursor::new(&too_big).varint(), None);
    }

    #[test]
    fn a_cursor_stops_at_the_end() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.u16(), Some(0x0201));
        assert_eq!(cursor.u16(), None);
        assert_eq!(cursor.take(usize::MAX), None);
        assert_eq!(cursor.rest(), &[3]);
    }
}
