//! One version of a key, and how it is packed.

use crate::format::record;
use crate::request::{Metadata, Seq};

/// Positions, sequences and times take so many bytes each; the first two are refused beyond.
const WORD: usize = 6;
/// Bytes of a packed version without what only some have.
const FIXED: usize = 3 * WORD + 4 + 4 + 2 + 1;
/// The same, of versions that have nothing of that.
pub(super) const PLAIN_BYTES: usize = FIXED;
/// The form's bits of the last byte.
const FORM_BITS: u8 = 0b11;
/// There is a count of dead put records.
const HAS_DEAD: u8 = 0b100;
/// There is a time at which it is over.
const HAS_END: u8 = 0b1000;
/// Where the length of the upload number begins in the last byte.
const UPLOAD_SHIFT: u32 = 4;

/// What a version is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// A value in one record.
    #[default]
    Whole,
    /// A value in chunks, under a manifest.
    Chunked,
    /// The key was removed.
    Tomb,
    /// No record: only the count of put records that are left of the key, and hidden.
    Ghost,
}

/// One version of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// Device offset of its record.
    pub(crate) pos: u64,
    pub(crate) seq: u64,
    pub(crate) modified_ms: u64,
    /// When it is over; 0 if it never is.
    pub(crate) expires_ms: u64,
    pub(crate) value_len: u32,
    /// CRC32C of the value.
    pub(crate) checksum: u32,
    pub(crate) metadata_len: u16,
    pub(crate) form: Form,
    /// How long the varint of a manifest's upload number is.
    pub(crate) upload_len: u8,
    /// Of the key's newest version: put records of the key on the disk that are no version any
    /// more.
    pub(crate) dead: u32,
}

impl Form {
    /// Whether it gives the key a value.
    pub(crate) fn is_put(self) -> bool {
        matches!(self, Form::Whole | Form::Chunked)
    }

    fn of(flags: u8) -> Form {
        match flags & FORM_BITS {
            0 => Form::Whole,
            1 => Form::Chunked,
            2 => Form::Tomb,
            _ => Form::Ghost,
        }
    }
}

/// A version as it is packed: each part is read when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedVersion<'t>(&'t [u8]);

impl<'t> PackedVersion<'t> {
    /// Where it begins, and maybe more behind it.
    pub(crate) fn new(bytes: &'t [u8]) -> Self {
        PackedVersion(bytes)
    }

    fn fixed(self) -> &'t [u8; FIXED] {
        self.0.first_chunk().expect("a packed version")
    }

    pub(crate) fn pos(self) -> u64 {
        word(&self.fixed()[..WORD])
    }

    pub(crate) fn form(self) -> Form {
        Form::of(self.fixed()[FIXED - 1])
    }

    /// When it is over, which most never are; 0 then.
    pub(crate) fn expires_ms(self) -> u64 {
        match self.fixed()[FIXED - 1] & HAS_END {
            0 => 0,
            _ => self.unpack().expires_ms,
        }
    }

    pub(crate) fn modified_ms(self) -> u64 {
        word(&self.fixed()[2 * WORD..3 * WORD])
    }

    pub(crate) fn unpack(self) -> Version {
        Version::unpack(self.0)
    }
}

impl Version {
    /// Whether it gives the key a value.
    pub(crate) fn is_put(&self) -> bool {
        self.form.is_put()
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.expires_ms > 0 && self.expires_ms <= now_ms
    }

    /// Length of its record under `key` in a bucket.
    pub(crate) fn record_len(&self, bucket: &str, key: &[u8]) -> u64 {
        let owner = record::owner_len(self.seq, bucket.len(), key.len());
        let metadata = usize::from(self.metadata_len);
        let len = match self.form {
            Form::Whole => record::put_len(owner, metadata, self.value_len as usize),
            Form::Chunked => {
                let upload_len = usize::from(self.upload_len);
                record::manifest_len(owner, metadata, u64::from(self.value_len), upload_len)
            }
            Form::Tomb => record::tombstone_len(owner),
            Form::Ghost => 0,
        };
        len as u64
    }

    /// What it costs its bucket's quota.
    pub(crate) fn charge(&self, key: &[u8]) -> u64 {
        match self.is_put() {
            true => charge(key, u64::from(self.metadata_len), u64::from(self.value_len)),
            false => 0,
        }
    }

    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            seq: Seq(self.seq),
            len_bytes: u64::from(self.value_len),
            checksum: self.checksum,
            modified_wall_ns: self.modified_ms * 1_000_000,
            expires_wall_ms: (self.expires_ms > 0).then_some(self.expires_ms),
        }
    }

    /// Length of [`Version::pack`].
    pub(crate) fn packed_len(&self) -> usize {
        let dead = if self.dead > 0 { 4 } else { 0 };
        let end = if self.expires_ms > 0 { WORD } else { 0 };
        FIXED + dead + end
    }

    /// The same as [`pack`](Self::pack), of most versions: those without what only some have.
    #[inline(always)]
    pub(super) fn pack_plain(&self) -> Option<[u8; FIXED]> {
        let numbers = self.pos | self.seq | self.modified_ms;
        let has_more = u64::from(self.dead) | self.expires_ms | numbers >> (8 * WORD);
        if has_more != 0 {
            return None;
        }
        let mut out = [0; FIXED];
        // Each word's two bytes too many are overwritten by what comes next.
        out[..8].copy_from_slice(&self.pos.to_le_bytes());
        out[WORD..WORD + 8].copy_from_slice(&self.seq.to_le_bytes());
        out[2 * WORD..2 * WORD + 8].copy_from_slice(&self.modified_ms.to_le_bytes());
        let rest = &mut out[3 * WORD..];
        rest[..4].copy_from_slice(&self.value_len.to_le_bytes());
        rest[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        rest[8..10].copy_from_slice(&self.metadata_len.to_le_bytes());
        rest[10] = self.form as u8 | self.upload_len << UPLOAD_SHIFT;
        Some(out)
    }

    pub(crate) fn pack(&self, out: &mut [u8]) {
        let (words, rest) = out.split_at_mut(3 * WORD);
        let numbers = [self.pos, self.seq, self.modified_ms];
        for (place, number) in words.chunks_exact_mut(WORD).zip(numbers) {
            put_word(place, number);
        }
        rest[..4].copy_from_slice(&self.value_len.to_le_bytes());
        rest[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        rest[8..10].copy_from_slice(&self.metadata_len.to_le_bytes());
        let dead = if self.dead > 0 { HAS_DEAD } else { 0 };
        let end = if self.expires_ms > 0 { HAS_END } else { 0 };
        rest[10] = self.form as u8 | dead | end | self.upload_len << UPLOAD_SHIFT;
        let mut at = 11;
        if self.dead > 0 {
            rest[at..at + 4].copy_from_slice(&self.dead.to_le_bytes());
            at += 4;
        }
        if self.expires_ms > 0 {
            put_word(&mut rest[at..at + WORD], self.expires_ms);
        }
    }

    /// Out of `bytes`, which may go on behind it.
    pub(crate) fn unpack(bytes: &[u8]) -> Version {
        let fixed: &[u8; FIXED] = bytes.first_chunk().expect("a packed version");
        let (words, rest) = (fixed, &bytes[3 * WORD..]);
        let word_at = |nth: usize| word(&words[nth * WORD..][..WORD]);
        let half = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
        let flags = fixed[FIXED - 1];
        let has_dead = flags & HAS_DEAD != 0;
        let end_at = if has_dead { 15 } else { 11 };
        Version {
            pos: word_at(0),
            seq: word_at(1),
            modified_ms: word_at(2),
            expires_ms: match flags & HAS_END {
                0 => 0,
                _ => word(&rest[end_at..end_at + WORD]),
            },
            value_len: half(0),
            checksum: half(4),
            metadata_len: u16::from_le_bytes([fixed[FIXED - 3], fixed[FIXED - 2]]),
            form: Form::of(flags),
            upload_len: flags >> UPLOAD_SHIFT,
            dead: if has_dead { half(11) } else { 0 },
        }
    }

    /// Only the sequence of a packed version.
    pub(crate) fn seq_of(bytes: &[u8]) -> u64 {
        word(&bytes[WORD..2 * WORD])
    }
}

fn put_word(place: &mut [u8], number: u64) {
    assert!(number >> (8 * WORD) == 0, "a number outgrew its place");
    place.copy_from_slice(&number.to_le_bytes()[..WORD]);
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..WORD].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// What a value costs its bucket's quota.
pub(crate) fn charge(key: &[u8], metadata_len: u64, value_len: u64) -> u64 {
    key.len() as u64 + metadata_len + value_len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_both_ways() {
        let forms = [Form::Whole, Form::Chunked, Form::Tomb, Form::Ghost];
        let ends = [0, 1_800_000_000_001, (1 << 48) - 1, 0];
        let dead = [0, 1, u32::MAX, 7];
        for ((form, dead), expires_ms) in forms.into_iter().zip(dead).zip(ends) {
            let version = Version {
                pos: (1 << 48) - 1,
                seq: 0x0102_0304_0506,
                modified_ms: 1_800_000_000_000,
                expires_ms,
                value_len: 64 << 20,
                checksum: 0xdead_beef,
                metadata_len: 4096,
                form,
                upload_len: 10,
                dead,
            };
            let mut packed = alloc::vec![0; version.packed_len()];
            version.pack(&mut packed);
            assert_eq!(Version::unpack(&packed), version);
            let plain = version.pack_plain();
            assert_eq!(plain.is_some(), packed.len() == FIXED);
            assert!(plain.is_none_or(|plain| plain[..] == packed[..]));
            assert_eq!(Version::seq_of(&packed), version.seq);
            let packed = PackedVersion::new(&packed);
            assert_eq!((packed.pos(), packed.form()), (version.pos, form));
            assert_eq!(packed.expires_ms(), expires_ms);
        }
    }
}
