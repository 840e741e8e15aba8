//! A run of versions, packed one behind the other: by key, the newest of a key first.
//!
//! # Invariants
//!
//! - `starts` are where entries begin in `bytes`, in order; `bytes` has nothing else.
//! - `first` is how the first key begins, so that a search need not come here to pass by.
//! - No version in it that the view of now sees is over before `soonest_ms`.
//! - Capacity is kept within [`STEP_BYTES`] of what is used, so that a leaf costs what it holds.

mod builder;

pub(super) use builder::LeafBuilder;

use super::version::{PackedVersion, Version};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

/// A leaf that would outgrow this is split.
pub(super) const LEAF_BYTES: usize = 4096;
/// Memory grows and shrinks by so much.
const STEP_BYTES: usize = 256;
/// The same for `starts`, in entries.
const STEP_ENTRIES: usize = 16;
/// Later than any time a version can be over.
pub(crate) const NEVER_MS: u64 = u64::MAX;
/// What an allocation costs beside its bytes.
pub(super) const ALLOCATION_BYTES: usize = 24;

/// Where an entry stands in the order: by key, and for one key by falling sequence.
pub(super) type At<'a> = (&'a [u8], u64);

#[derive(Debug)]
pub(super) struct Leaf {
    bytes: Vec<u8>,
    starts: Vec<u16>,
    /// Of the first key.
    first: Beginning,
    pub(super) soonest_ms: u64,
}

impl Default for Leaf {
    fn default() -> Self {
        Leaf {
            bytes: Vec::new(),
            starts: Vec::new(),
            first: Beginning::default(),
            soonest_ms: NEVER_MS,
        }
    }
}

/// Bytes of one entry.
pub(super) fn entry_len(key: &[u8], version: &Version) -> usize {
    2 + key.len() + version.packed_len()
}

/// Whether two keys are the same.
///
/// Their ends are looked at first: neighbours often begin alike.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(begin), Some(end)) = (one.first_chunk::<8>(), one.last_chunk::<8>()) else {
        return one == other;
    };
    let same_ends = other.last_chunk() == Some(end) && other.first_chunk() == Some(begin);
    same_ends && (one.len() <= 16 || one == other)
}

/// How a key begins: its first eight bytes, as a number that is in the order of keys.
///
/// Most keys are told apart by it. Of two that are not equal the smaller one is of the smaller
/// key: what a short key lacks is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Beginning(u64);

impl Beginning {
    /// No key's is behind it.
    pub(crate) const LAST: Beginning = Beginning(u64::MAX);

    #[inline(always)]
    pub(crate) fn of(key: &[u8]) -> Beginning {
        let mut word = [0; 8];
        match key.first_chunk() {
            Some(first) => word = *first,
            None => word[..key.len()].copy_from_slice(key),
        }
        Beginning(u64::from_be_bytes(word))
    }

    /// Of a key of `len` bytes, of a word that may have more behind it.
    #[inline(always)]
    pub(super) fn cut(word: [u8; 8], len: usize) -> Beginning {
        let word = u64::from_be_bytes(word);
        match len {
            0 => Beginning(0),
            1..8 => Beginning(word & (u64::MAX << (64 - 8 * len))),
            _ => Beginning(word),
        }
    }
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// RAM it takes, but for its own two vectors' heads.
    pub(super) fn ram_bytes(&self) -> usize {
        self.bytes.capacity() + 2 * self.starts.capacity() + 2 * ALLOCATION_BYTES
    }

    fn range(&self, at: usize) -> core::ops::Range<usize> {
        let end = self
            .starts
            .get(at + 1)
            .map_or(self.bytes.len(), |end| usize::from(*end));
        usize::from(self.starts[at])..end
    }

    /// Key and packed version.
    fn split(&self, at: usize) -> (&[u8], &[u8]) {
        let entry = &self.bytes[self.range(at)];
        let key_len = usize::from(u16::from_le_bytes([entry[0], entry[1]]));
        entry[2..].split_at(key_len)
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        self.split(at).0
    }

    pub(super) fn get(&self, at: usize) -> (&[u8], Version) {
        let (key, packed) = self.split(at);
        (key, Version::unpack(packed))
    }

    #[cfg(test)]
    pub(super) fn first_is_right(&self) -> bool {
        self.first == Beginning::of(self.key(0))
    }

    fn beginning(&self, at: usize) -> Beginning {
        let entry = &self.bytes[usize::from(self.starts[at])..];
        // A version is longer than a word, so there is one even where the key is short.
        let entry: &[u8; 10] = entry.first_chunk().expect("a key and a version");
        let [low, high, word @ ..] = *entry;
        Beginning::cut(word, usize::from(u16::from_le_bytes([low, high])))
    }

    /// Whether entry `at` is before `wanted`, whose key has the same beginning.
    fn is_before(&self, at: usize, wanted: At<'_>) -> bool {
        let (key, packed) = self.split(at);
        let order = key.cmp(wanted.0);
        order.then_with(|| wanted.1.cmp(&Version::seq_of(packed))) == Ordering::Less
    }

    /// Whether all of it is behind the place of `wanted`, or it begins there.
    pub(super) fn begins_before(&self, wanted: At<'_>, beginning: Beginning) -> bool {
        self.first < beginning || (self.first == beginning && self.is_before(0, wanted))
    }

    /// Whether all of it is before `wanted`; it is not empty.
    pub(super) fn ends_before(&self, wanted: At<'_>, beginning: Beginning) -> bool {
        self.is_entry_before(self.len() - 1, wanted, beginning)
    }

    #[inline(always)]
    fn is_entry_before(&self, at: usize, wanted: At<'_>, beginning: Beginning) -> bool {
        let found = self.beginning(at);
        found < beginning || (found == beginning && self.is_before(at, wanted))
    }

    /// The first entry that is not before `wanted`.
    pub(super) fn seek(&self, wanted: At<'_>, beginning: Beginning) -> usize {
        self.seek_within(0..self.len(), wanted, beginning)
    }

    /// The same, which is likely to be one of the next after `near`.
    pub(super) fn seek_from(&self, near: usize, wanted: At<'_>, beginning: Beginning) -> usize {
        let is_before = |at: usize| self.is_entry_before(at, wanted, beginning);
        if near >= self.len() || !is_before(near) {
            return self.seek_within(0..near.min(self.len()), wanted, beginning);
        }
        let mut low = near + 1;
        let mut step = 1;
        while low + step <= self.len() && is_before(low + step - 1) {
            low += step;
            step *= 2;
        }
        self.seek_within(low..self.len().min(low + step - 1), wanted, beginning)
    }

    /// The first entry of some that is not before `wanted`, or where they end.
    fn seek_within(&self, some: Range<usize>, wanted: At<'_>, beginning: Beginning) -> usize {
        let (mut low, mut len) = (some.start, some.len());
        while len > 0 {
            let half = len / 2;
            let is_before = self.is_entry_before(low + half, wanted, beginning);
            low += if is_before { half + 1 } else { 0 };
            len = if is_before { len - half - 1 } else { half };
        }
        low
    }

    /// The version at `at`, if there is one and it is of `key`.
    pub(super) fn of(&self, at: usize, key: &[u8]) -> Option<PackedVersion<'_>> {
        let start = usize::from(*self.starts.get(at)?);
        let entry = self.bytes.get(start..)?;
        let (len, rest) = entry.split_first_chunk()?;
        let key_len = usize::from(u16::from_le_bytes(*len));
        let (found, packed) = rest.split_at_checked(key_len)?;
        is_same(found, key).then(|| PackedVersion::new(packed))
    }

    /// Opens or closes a gap: `old` bytes at `from` become `new` ones.
    fn resize_at(&mut self, from: usize, old: usize, new: usize) {
        let len = self.bytes.len();
        if new > old {
            let wanted = (len + new - old).next_multiple_of(STEP_BYTES);
            self.bytes.reserve_exact(wanted - len);
            self.bytes.resize(len + new - old, 0);
        }
        self.bytes.copy_within(from + old..len, from + new);
        if new < old {
            self.bytes.truncate(len + new - old);
            let wanted = self.bytes.len().next_multiple_of(STEP_BYTES);
            if self.bytes.capacity() >= wanted + STEP_BYTES {
                self.bytes.shrink_to(wanted);
            }
        }
    }

    fn shift(&mut self, from: usize, old: usize, new: usize) {
        for start in &mut self.starts[from..] {
            *start = (usize::from(*start) + new - old) as u16;
        }
    }

    /// A version came that may be over sooner than the others.
    fn note_end(&mut self, version: &Version) {
        if version.expires_ms > 0 {
            self.soonest_ms = self.soonest_ms.min(version.expires_ms);
        }
    }

    pub(super) fn insert(&mut self, at: usize, key: &[u8], version: &Version) {
        self.note_end(version);
        let len = entry_len(key, version);
        let start = self
            .starts
            .get(at)
            .map_or(self.bytes.len(), |start| usize::from(*start));
        self.resize_at(start, 0, len);
        self.shift(at, 0, len);
        let wanted = (self.len() + 1).next_multiple_of(STEP_ENTRIES);
        self.starts.reserve_exact(wanted - self.len());
        self.starts.insert(at, start as u16);
        let entry = &mut self.bytes[start..start + len];
        entry[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        entry[2..2 + key.len()].copy_from_slice(key);
        version.pack(&mut entry[2 + key.len()..]);
        if at == 0 {
            self.first = Beginning::of(key);
        }
    }

    /// Puts another version of the same key in its place.
    pub(super) fn replace(&mut self, at: usize, version: &Version) {
        self.note_end(version);
        let range = self.range(at);
        let key_len = self.key(at).len();
        let from = range.start + 2 + key_len;
        let (old, new) = (range.end - from, version.packed_len());
        if old != new {
            self.resize_at(from, old, new);
            self.shift(at + 1, old, new);
        }
        version.pack(&mut self.bytes[from..from + new]);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let range = self.range(at);
        self.shift(at + 1, range.len(), 0);
        self.resize_at(range.start, range.len(), 0);
        self.starts.remove(at);
        if at == 0 && self.len() > 0 {
            self.first = self.beginning(0);
        }
        if self.starts.capacity() >= self.len() + 2 * STEP_ENTRIES {
            self.starts.shrink_to(self.len() + STEP_ENTRIES);
        }
    }

    /// Cuts the entries from `at` on off.
    pub(super) fn split_off(&mut self, at: usize) -> Leaf {
        let mut right = Leaf::default();
        right.take_in(self, at);
        right.soonest_ms = self.soonest_ms;
        let end = self
            .starts
            .get(at)
            .map_or(self.bytes.len(), |end| usize::from(*end));
        self.bytes.truncate(end);
        self.bytes.shrink_to(end.next_multiple_of(STEP_BYTES));
        self.starts.truncate(at);
        self.starts.shrink_to(at.next_multiple_of(STEP_ENTRIES));
        right
    }

    /// Adds the entries of the next leaf, from `at` on, at the end.
    pub(super) fn take_in(&mut self, next: &Leaf, at: usize) {
        let Some(first) = next.starts.get(at).map(|first| usize::from(*first)) else {
            return;
        };
        self.soonest_ms = self.soonest_ms.min(next.soonest_ms);
        let base = self.bytes.len();
        let more = next.bytes.len() - first;
        let wanted = (base + more).next_multiple_of(STEP_BYTES);
        self.bytes.reserve_exact(wanted - base);
        self.bytes.extend_from_slice(&next.bytes[first..]);
        let wanted = (self.len() + next.len() - at).next_multiple_of(STEP_ENTRIES);
        self.starts.reserve_exact(wanted - self.len());
        let moved = next.starts[at..].iter();
        self.starts
            .extend(moved.map(|start| (usize::from(*start) - first + base) as u16));
        if base == 0 {
            self.first = self.beginning(0);
        }
    }

    /// The entry at which both halves are about as long.
    pub(super) fn middle(&self) -> usize {
        let half = self.bytes.len() / 2;
        let at = self
            .starts
            .partition_point(|start| usize::from(*start) < half);
        at.clamp(1, self.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_if_every_byte_is() {
        for len in 0..40 {
            let key: Vec<u8> = (0..len).collect();
            assert!(is_same(&key, &key.clone()));
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 1;
                assert!(!is_same(&key, &other), "{len} {at}");
            }
            assert!(!is_same(&key, &[&key[..], &[0]].concat()));
            assert!(!is_same(&[&[0], &key[..]].concat(), &key));
        }
    }
}
