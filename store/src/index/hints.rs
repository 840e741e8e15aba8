//! Where keys were found of late, so that what is asked often need not be searched.
//!
//! # Invariants
//!
//! - A hint is never believed: what it leads to is looked at, and is used only if it is the newest
//!   version of the very key. So nobody has to take back a hint when a tree changes.

use super::keys::Bucket;
use super::tree::Place;
use super::version::{Form, PackedVersion};
use alloc::boxed::Box;
use core::cell::Cell;

/// How many keys have a hint; those of one place push each other out.
const COUNT: usize = 2048;

/// Places by what keys look like.
#[derive(Debug)]
pub(super) struct Hints(Box<[Cell<Packed>]>);

/// A place in eight bytes: branch, leaf and entry.
type Packed = (u32, u16, u16);

impl Default for Hints {
    fn default() -> Self {
        Hints(core::iter::repeat_n(Cell::default(), COUNT).collect())
    }
}

/// A number that most keys do not share.
fn number(key: &[u8]) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut words = [[0; 8]; 2];
    match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => words = [*first, *last],
        _ => words[0][..key.len()].copy_from_slice(key),
    }
    let [first, last] = words.map(u64::from_le_bytes);
    let mixed = (first.wrapping_mul(ODD) ^ last ^ key.len() as u64).wrapping_mul(ODD);
    (mixed >> (64 - COUNT.ilog2())) as usize
}

impl Hints {
    /// RAM they take.
    pub(super) const BYTES: u64 = (COUNT * size_of::<Packed>()) as u64;

    /// The newest version of a key where nothing was undone.
    pub(super) fn newest<'b>(&self, bucket: &'b Bucket, key: &[u8]) -> Option<PackedVersion<'b>> {
        let hint = &self.0[number(key)];
        if let Some(version) = bucket.tree.newest_at(Place::unpack(hint.get()), key) {
            return Some(version);
        }
        self.search(bucket, key, hint)
    }

    #[cold]
    fn search<'b>(
        &self,
        bucket: &'b Bucket,
        key: &[u8],
        hint: &Cell<Packed>,
    ) -> Option<PackedVersion<'b>> {
        let (place, version) = bucket.newest(key)?;
        if version.form != Form::Ghost {
            hint.set(place.pack());
        }
        bucket.tree.packed(place, key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::put;
    use super::*;
    use crate::tests::bed::Random;
    use alloc::vec::Vec;

    /// A tree that changes all the time, and keys of which most share a hint with others.
    #[test]
    fn a_hint_never_leads_astray() {
        let mut random = Random(11);
        let (mut bucket, hints) = (Bucket::default(), Hints::default());
        let key = |number: u64| -> Vec<u8> { alloc::format!("key {:05}", number).into_bytes() };
        for seq in 1..60_000 {
            let name = key(random.below(20_000));
            match random.below(3) {
                0 => {
                    if let Some((place, _)) = bucket.newest(&name) {
                        bucket.tree.remove(place);
                    }
                }
                _ => bucket.tree.insert(&name, &put(seq, seq)),
            }
            for _ in 0..3 {
                let name = key(random.below(20_000));
                let expected = bucket.newest(&name).map(|(_, version)| version);
                for _ in 0..2 {
                    let newest = hints.newest(&bucket, &name);
                    assert_eq!(newest.map(PackedVersion::unpack), expected);
                }
            }
        }
    }
}
