//! A leaf that is made out of versions in their order, in memory that the next one uses again.

use super::{Beginning, LEAF_BYTES, Leaf, NEVER_MS, STEP_BYTES, STEP_ENTRIES};
use crate::index::short::{SHORT_BYTES, ShortKey};
use crate::index::version::{PLAIN_BYTES, Version};
use alloc::vec;
use alloc::vec::Vec;

/// No entry of a short key and a plain version has more.
const SHORT_ENTRY_BYTES: usize = 2 + SHORT_BYTES + PLAIN_BYTES;

/// Versions that will be a leaf.
#[derive(Debug)]
pub(in crate::index) struct LeafBuilder {
    /// Room for a leaf, and for one short entry more.
    bytes: Vec<u8>,
    used: usize,
    starts: Vec<u16>,
    soonest_ms: u64,
}

impl LeafBuilder {
    pub(in crate::index) fn new() -> LeafBuilder {
        LeafBuilder {
            bytes: vec![0; LEAF_BYTES + SHORT_ENTRY_BYTES],
            used: 0,
            starts: Vec::with_capacity(8 * STEP_ENTRIES),
            soonest_ms: NEVER_MS,
        }
    }

    /// The last key.
    pub(in crate::index) fn last(&self) -> Option<&[u8]> {
        let start = usize::from(*self.starts.last()?);
        let (len, rest) = self.bytes[start..].split_first_chunk()?;
        rest.get(..usize::from(u16::from_le_bytes(*len)))
    }

    /// Whether it can be pushed; there is always room for the first one.
    #[inline(always)]
    pub(in crate::index) fn has_room(&self, key_len: usize, packed_len: usize) -> bool {
        self.used + 2 + key_len + packed_len <= LEAF_BYTES
    }

    /// The same as [`push`](Self::push) of a short key, and of a version as it is packed.
    #[inline(always)]
    pub(in crate::index) fn push_short(&mut self, key: ShortKey<'_>, packed: &[u8; PLAIN_BYTES]) {
        let start = self.used;
        let entry = self
            .bytes
            .get_mut(start..)
            .and_then(|rest| rest.first_chunk_mut());
        let entry: &mut [u8; SHORT_ENTRY_BYTES] = entry.expect("there is room for it");
        let at = 2 + key.len();
        entry[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        entry[2..2 + SHORT_BYTES].copy_from_slice(key.window());
        entry[at..at + PLAIN_BYTES].copy_from_slice(packed);
        self.starts.push(start as u16);
        self.used = start + at + PLAIN_BYTES;
    }

    /// Adds a version behind the others. There is room for it.
    #[inline(always)]
    pub(in crate::index) fn push(&mut self, key: &[u8], version: &Version) {
        match version.pack_plain() {
            Some(packed) => self.place(key, packed.len()).copy_from_slice(&packed),
            None => self.push_special(key, *version),
        }
    }

    #[cold]
    fn push_special(&mut self, key: &[u8], version: Version) {
        version.pack(self.place(key, version.packed_len()));
        if version.expires_ms > 0 {
            self.soonest_ms = self.soonest_ms.min(version.expires_ms);
        }
    }

    /// Puts a key; the place for `len` bytes behind it.
    #[inline(always)]
    fn place(&mut self, key: &[u8], len: usize) -> &mut [u8] {
        let start = self.used;
        let end = start + 2 + key.len() + len;
        let entry = &mut self.bytes[start..end];
        self.starts.push(start as u16);
        self.used = end;
        let (head, rest) = entry.split_at_mut(2);
        head.copy_from_slice(&(key.len() as u16).to_le_bytes());
        let (name, place) = rest.split_at_mut(key.len());
        name.copy_from_slice(key);
        place
    }

    /// The leaf of what was pushed, if anything was; what is pushed next will be another one.
    pub(in crate::index) fn take(&mut self) -> Option<Leaf> {
        let mut leaf = Leaf {
            bytes: Vec::new(),
            starts: Vec::new(),
            first: Beginning::default(),
            soonest_ms: self.soonest_ms,
        };
        self.starts.first()?;
        let wanted = self.used.next_multiple_of(STEP_BYTES);
        leaf.bytes.reserve_exact(wanted);
        leaf.bytes.extend_from_slice(&self.bytes[..self.used]);
        let wanted = self.starts.len().next_multiple_of(STEP_ENTRIES);
        leaf.starts.reserve_exact(wanted);
        leaf.starts.extend_from_slice(&self.starts);
        leaf.first = leaf.beginning(0);
        self.used = 0;
        self.starts.clear();
        self.soonest_ms = NEVER_MS;
        Some(leaf)
    }
}
