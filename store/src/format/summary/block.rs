//! An entry whose numbers stand at the same places in all of a list.
//!
//! So they are read without looking at what stands before them.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 1 | [`FLAG`] |
//! | 1 | 1 | how many bytes of the name are those of the one before |
//! | 2 | 1 | how many follow behind the block |
//! | 3 | 4 | CRC32C of the value |
//! | 7 | … | offset, sequence, length of the value and of the metadata, time |
//!
//! How many bytes each of the last five takes is the list's [`Shape`].

use super::entry::{Base, MS_MAX};
use crate::format::codec::varint_len;
use crate::index::{Form, Version};
use alloc::vec::Vec;

/// The first byte of a block, and of nothing else.
const FLAG: u8 = 8;
/// What stands before the numbers that a shape gives their places.
const FIXED: usize = 7;
/// More bytes than any block has, and a word behind each of its numbers: in memory a list ends
/// with so many zeros.
pub(crate) const PAD_BYTES: usize = 32;
/// No number takes more, in their order. That of the times is last, so that it may be long.
const WIDTHS_MAX: [u8; 5] = [3, 6, 2, 1, 6];
/// No number begins so far behind what is fixed.
const FIELDS_END: usize = 16;
/// The bytes of a block, and what stands behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a>(&'a [u8; PAD_BYTES]);

/// Where a number is, behind what is fixed.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    at: usize,
    mask: u64,
}

/// Where the numbers of blocks are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    fields: [Field; 5],
    len: usize,
}

/// How many bytes numbers take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Widths([u8; 5]);

impl<'a> Block<'a> {
    /// The one at `at` of a list, if there is one; `None` behind the list's end.
    #[inline(always)]
    pub(crate) fn at(bytes: &'a [u8], at: usize) -> Option<Option<Self>> {
        let block: &[u8; PAD_BYTES] = bytes.get(at..)?.first_chunk()?;
        Some((block[0] == FLAG).then_some(Block(block)))
    }

    /// How many bytes of its name are those of the one before, and how many follow.
    #[inline(always)]
    pub(crate) fn name(self) -> (usize, usize) {
        (usize::from(self.0[1]), usize::from(self.0[2]))
    }

    #[inline(always)]
    fn number(self, field: Field) -> u64 {
        let at = FIXED + field.at % FIELDS_END;
        let word = self.0[at..at + 8].try_into().expect("8 bytes");
        u64::from_le_bytes(word) & field.mask
    }
}

impl Shape {
    /// `None` if no list is of such widths.
    pub(crate) fn new(widths: Widths) -> Option<Shape> {
        let mut fields = [Field::default(); 5];
        let mut at = 0;
        for ((field, width), most) in fields.iter_mut().zip(widths.0).zip(WIDTHS_MAX) {
            (width <= most).then_some(())?;
            let mask = (1 << (8 * u32::from(width))) - 1;
            *field = Field { at, mask };
            at += usize::from(width);
        }
        let len = FIXED + at;
        Some(Shape { fields, len })
    }

    /// Whatever fits any.
    pub(crate) fn widest() -> Shape {
        Shape::new(Widths(WIDTHS_MAX)).expect("no number takes more")
    }

    /// How many bytes the varint of each sequence takes that a block can say, if all take as many.
    pub(crate) fn seq_len(&self, base: Base) -> Option<usize> {
        let last = base.seq.checked_add(self.fields[1].mask)?;
        let len = varint_len(base.seq);
        (varint_len(last) == len).then_some(len)
    }

    /// Bytes of a block without the part of the name behind it.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What a block says; `None` if no record says that.
    #[inline(always)]
    pub(crate) fn version(&self, block: Block<'_>, base: Base) -> Option<Version> {
        let [offset, seq, value_len, metadata_len, modified] = self.fields;
        let [_, _, _, a, b, c, d, ..] = *block.0;
        let version = Version {
            pos: base.start + block.number(offset),
            seq: base.seq + block.number(seq),
            modified_ms: base.modified_ms + block.number(modified),
            value_len: block.number(value_len) as u32,
            checksum: u32::from_le_bytes([a, b, c, d]),
            metadata_len: block.number(metadata_len) as u16,
            ..Version::default()
        };
        (version.modified_ms <= MS_MAX).then_some(version)
    }

    /// Appends a version under a name of which `shared` bytes are known; whether it fits.
    pub(crate) fn put(
        &self,
        out: &mut Vec<u8>,
        (shared, added): (usize, &[u8]),
        version: &Version,
        base: Base,
    ) -> bool {
        let (Ok(shared), Ok(added_len)) = (u8::try_from(shared), u8::try_from(added.len())) else {
            return false;
        };
        let Some(numbers) = numbers(version, base) else {
            return false;
        };
        let mut fields = self.fields.iter().zip(numbers);
        if fields.any(|(field, number)| number > field.mask) {
            return false;
        }
        let mut block = [0; PAD_BYTES];
        for (field, number) in self.fields.iter().zip(numbers) {
            let at = FIXED + field.at;
            block[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        block[..3].copy_from_slice(&[FLAG, shared, added_len]);
        block[3..FIXED].copy_from_slice(&version.checksum.to_le_bytes());
        out.extend_from_slice(&block[..self.len]);
        out.extend_from_slice(added);
        true
    }
}

impl Widths {
    pub(crate) const BYTES: usize = 5;

    /// As a list tells them.
    pub(crate) fn new(bytes: [u8; 5]) -> Widths {
        Widths(bytes)
    }

    pub(crate) fn bytes(self) -> [u8; 5] {
        self.0
    }
}

/// How far the numbers of versions reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    lowest_seq: u64,
    lowest_ms: u64,
    /// In the order of a block's numbers.
    highest: [u64; 5],
}

impl Reach {
    /// Of none.
    pub(crate) fn new() -> Reach {
        Reach {
            lowest_seq: u64::MAX,
            lowest_ms: u64::MAX,
            highest: [0; 5],
        }
    }

    /// A version is one of them.
    pub(crate) fn note(&mut self, version: &Version) {
        self.lowest_seq = self.lowest_seq.min(version.seq);
        self.lowest_ms = self.lowest_ms.min(version.modified_ms);
        let numbers = numbers(version, Base::default()).unwrap_or_default();
        for (highest, number) in self.highest.iter_mut().zip(numbers) {
            *highest = number.max(*highest);
        }
    }

    /// What their numbers are relative to in the list of a segment that begins at `start`.
    pub(crate) fn base(&self, start: u64) -> Base {
        Base {
            start,
            seq: self.lowest_seq,
            modified_ms: self.lowest_ms,
        }
    }

    /// As few bytes as are enough for all, or for as many as can be.
    pub(crate) fn widths(&self, base: Base) -> Widths {
        let lowest = [base.start, base.seq, 0, 0, base.modified_ms];
        let mut widths = WIDTHS_MAX;
        for ((width, highest), lowest) in widths.iter_mut().zip(self.highest).zip(lowest) {
            let bits = u64::BITS - highest.saturating_sub(lowest).leading_zeros();
            *width = (bits.div_ceil(8) as u8).min(*width);
        }
        Widths(widths)
    }
}

/// The numbers of a version that can be put as a block, in their order.
fn numbers(version: &Version, base: Base) -> Option<[u64; 5]> {
    let is_usual = version.form == Form::Whole && version.expires_ms == 0;
    is_usual.then_some([
        version.pos - base.start,
        version.seq - base.seq,
        u64::from(version.value_len),
        u64::from(version.metadata_len),
        version.modified_ms - base.modified_ms,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::bed::Random;

    /// Any number of at most so many bits, small ones as often as large ones.
    fn number(random: &mut Random, bits: u64) -> u64 {
        let bits = 1 + random.below(bits);
        random.below(1 << bits)
    }

    fn version(random: &mut Random) -> Version {
        Version {
            pos: 4096 + number(random, 25),
            seq: 7 + number(random, 47),
            modified_ms: 5_000 + number(random, 47),
            value_len: number(random, 17) as u32,
            checksum: number(random, 32) as u32,
            metadata_len: number(random, 9) as u16,
            ..Version::default()
        }
    }

    #[test]
    fn what_is_put_is_read_and_what_does_not_fit_is_not_put() {
        let (mut random, mut fitted) = (Random(5), 0);
        for _ in 0..2000 {
            let versions: [Version; 3] = core::array::from_fn(|_| version(&mut random));
            let mut reach = Reach::new();
            versions.iter().for_each(|version| reach.note(version));
            let base = reach.base(4096);
            let shape = Shape::new(reach.widths(base)).expect("a shape");
            for version in versions {
                let mut out = Vec::new();
                let fits = shape.put(&mut out, (3, b"rest"), &version, base);
                let most = [1 << 24, 1 << 48, 1 << 16, 1 << 8, 1 << 48];
                let numbers = numbers(&version, base).expect("a put");
                let expected = numbers
                    .iter()
                    .zip(most)
                    .all(|(number, most)| *number < most);
                assert_eq!(fits, expected, "{version:?}");
                if !fits {
                    assert!(out.is_empty());
                    continue;
                }
                fitted += 1;
                assert_eq!(out.len(), shape.len() + 4);
                out.extend_from_slice(&[0xFF; PAD_BYTES]);
                let block = Block::at(&out, 0).expect("inside").expect("a block");
                assert_eq!(block.name(), (3, 4));
                assert_eq!(shape.version(block, base), Some(version));
            }
        }
        assert!(fitted > 2000, "{fitted}");
    }

    #[test]
    fn what_no_block_says_is_none() {
        assert!(Shape::new(Widths([4, 0, 0, 0, 0])).is_none());
        assert!(Shape::new(Widths([0, 0, 0, 0, 7])).is_none());
        let shape = Shape::widest();
        let long = [0x61; 256];
        let version = Version::default();
        let mut out = Vec::new();
        for (shared, added) in [(256, &long[..1]), (0, &long[..])] {
            assert!(!shape.put(&mut out, (shared, added), &version, Base::default()));
        }
        let ends = Version {
            expires_ms: 1,
            ..version
        };
        assert!(!shape.put(&mut out, (0, b"a"), &ends, Base::default()));
        // A list that ends too early.
        assert!(Block::at(&[FLAG; PAD_BYTES], 1).is_none());
        assert!(Block::at(&[0; PAD_BYTES], 0).is_some_and(|block| block.is_none()));
    }
}
