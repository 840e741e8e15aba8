//! A byte-budgeted cache of whole values, by the place of their record.
//!
//! Room is made by second chance (Corbató, 1968): a hand goes round, passes over what was read
//! since it came by last, and takes what was not. So a hit changes one flag, and what is read
//! often stays. What is in here was checked when it came in, or was just committed.
//!
//! # Invariants
//!
//! - What is in `recent` is in `items`, under the same place.

use crate::blob::Blob;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, OnceCell};

/// RAM per item beside its bytes.
const ITEM_BYTES: u64 = 192;
/// Second chances given at once: where all was read of late, something has to go all the same.
const SPARED_MAX: u32 = 64;
/// How many items are found without a search; those of one place push each other out.
const RECENT_COUNT: usize = 512;

/// A value and its headers as stored.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) value: Blob,
    pub(crate) metadata: Rc<[u8]>,
}

/// What is held of a value.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) cached: Cached,
    /// What its reader made of it, to be given back with it.
    derived: OnceCell<Rc<[u8]>>,
    /// Without what was made of it.
    weight: u64,
    /// Since the hand came by.
    was_read: Cell<bool>,
}

impl Item {
    /// What was made of it.
    pub(crate) fn derived(&self) -> Option<&[u8]> {
        self.derived.get().map(|derived| &**derived)
    }

    fn weight(&self) -> u64 {
        self.weight + self.derived().map_or(0, |derived| derived.len() as u64)
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    items: BTreeMap<u64, Rc<Item>>,
    recent: Box<[Recent]>,
    /// The place the hand looks at next.
    hand: u64,
    bytes: u64,
    budget_bytes: u64,
}

/// An item that was found of late, and its place.
type Recent = Option<(u64, Rc<Item>)>;
/// RAM these take, however many items there are.
pub(crate) const RECENT_BYTES: u64 = (RECENT_COUNT * size_of::<Recent>()) as u64;

/// Where an item is kept that was found of late.
fn nth_recent(pos: u64) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    (pos.wrapping_mul(ODD) >> (64 - RECENT_COUNT.ilog2())) as usize
}

impl Cache {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        Cache {
            items: BTreeMap::new(),
            recent: core::iter::repeat_n(None, RECENT_COUNT).collect(),
            hand: 0,
            bytes: 0,
            budget_bytes,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The value whose record lies at `pos`, and what was made of it.
    #[inline]
    pub(crate) fn find(&mut self, pos: u64) -> Option<&Rc<Item>> {
        let nth = nth_recent(pos);
        if !matches!(&self.recent[nth], Some((of, _)) if *of == pos) {
            self.search(pos, nth)?;
        }
        let (_, item) = self.recent[nth].as_ref()?;
        item.was_read.set(true);
        Some(item)
    }

    /// Has an item found from now on.
    #[cold]
    fn search(&mut self, pos: u64, nth: usize) -> Option<()> {
        let item = self.items.get(&pos)?;
        self.recent[nth] = Some((pos, Rc::clone(item)));
        Some(())
    }

    /// The value whose record lies at `pos`.
    pub(crate) fn get(&mut self, pos: u64) -> Option<&Cached> {
        self.find(pos).map(|item| &item.cached)
    }

    /// Keeps what was first made of the value whose record lies at `pos`, as long as the value, if
    /// there is room for both.
    pub(crate) fn derive(&mut self, pos: u64, derived: Rc<[u8]>) {
        let weight = derived.len() as u64;
        self.shrink_to(self.budget_bytes.saturating_sub(weight));
        if let Some(item) = self.items.get(&pos)
            && self.bytes + weight <= self.budget_bytes
            && item.derived.set(derived).is_ok()
        {
            self.bytes += weight;
        }
    }

    /// Keeps a value; `held_bytes` is the memory its run takes.
    pub(crate) fn insert(&mut self, pos: u64, cached: Cached, held_bytes: u64) {
        let weight = ITEM_BYTES + held_bytes + cached.metadata.len() as u64;
        self.remove(pos);
        if weight > self.budget_bytes / 4 {
            return;
        }
        self.shrink_to(self.budget_bytes - weight);
        let item = Item {
            cached,
            derived: OnceCell::new(),
            weight,
            was_read: Cell::new(false),
        };
        self.items.insert(pos, Rc::new(item));
        self.bytes += weight;
    }

    /// The record at `pos` counts no longer.
    pub(crate) fn remove(&mut self, pos: u64) {
        if let Some(item) = self.take(pos) {
            self.bytes -= item.weight();
        }
    }

    /// The record at `from` was copied to `to`.
    pub(crate) fn relocate(&mut self, from: u64, to: u64) {
        if let Some(item) = self.take(from) {
            self.remove(to);
            self.items.insert(to, item);
        }
    }

    fn take(&mut self, pos: u64) -> Option<Rc<Item>> {
        let item = self.items.remove(&pos)?;
        self.recent[nth_recent(pos)].take_if(|(of, _)| *of == pos);
        Some(item)
    }

    /// Lets go of what was not read of late until at most `bytes` are held.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let mut spared = 0;
        while self.bytes > bytes && !self.items.is_empty() {
            let Some((pos, item)) = self.items.range(self.hand..).next() else {
                self.hand = 0;
                continue;
            };
            let pos = *pos;
            self.hand = pos + 1;
            if item.was_read.take() && spared < SPARED_MAX {
                spared += 1;
            } else {
                self.remove(pos);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::bed::Random;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn cached(length: usize) -> Cached {
        Cached {
            value: Blob::copy_of(&alloc::vec![1; length]),
            metadata: Rc::from([].as_slice()),
        }
    }

    #[test]
    fn what_was_read_stays_and_the_budget_holds() {
        let mut cache = Cache::new(4 * (ITEM_BYTES + 100));
        for pos in 0..4 {
            cache.insert(pos, cached(100), 100);
        }
        assert!(cache.get(0).is_some());
        cache.insert(9, cached(100), 100);
        assert!(cache.get(1).is_none() && cache.get(0).is_some());
        assert!(cache.bytes() <= 4 * (ITEM_BYTES + 100));
        cache.relocate(0, 50);
        assert!(cache.get(50).is_some() && cache.get(0).is_none());
        cache.insert(60, cached(5000), 5000);
        assert!(cache.get(60).is_none());
        cache.shrink_to(0);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn what_was_made_of_a_value_counts_and_goes_with_it() {
        let mut cache = Cache::new(4 * (ITEM_BYTES + 100));
        cache.insert(7, cached(100), 100);
        cache.insert(9, cached(100), 100);
        let before = cache.bytes();
        let derived = |cache: &mut Cache, pos: u64| {
            let item = cache.find(pos).expect("it is there");
            item.derived().map(Vec::from)
        };
        assert_eq!(derived(&mut cache, 7), None);
        for text in ["made of it", "made again"] {
            cache.derive(7, Rc::from(text.as_bytes()));
            assert_eq!(derived(&mut cache, 7).as_deref(), Some(&b"made of it"[..]));
            assert_eq!(cache.bytes(), before + 10);
        }
        cache.derive(8, Rc::from(&b"of nothing"[..]));
        cache.relocate(7, 70);
        assert_eq!(derived(&mut cache, 70).as_deref(), Some(&b"made of it"[..]));
        assert_eq!(cache.bytes(), before + 10);
        cache.remove(70);
        cache.derive(9, Rc::from(alloc::vec![0; 2_000]));
        assert!(cache.find(9).is_none() && cache.bytes() == 0);
    }

    /// Many that come, go and move, of which most share the place of a recent one with others.
    #[test]
    fn what_was_found_of_late_is_never_what_is_gone() {
        let mut random = Random(7);
        let (mut cache, mut known) = (Cache::new(1 << 20), BTreeMap::new());
        for number in 1..60_000 {
            let pos = random.below(3_000);
            match random.below(8) {
                0 => {
                    let text = number.to_string();
                    let value = Blob::copy_of(text.as_bytes());
                    let metadata = Rc::from([].as_slice());
                    cache.insert(pos, Cached { value, metadata }, 8);
                    known.insert(pos, text);
                }
                1 => {
                    cache.remove(pos);
                    known.remove(&pos);
                }
                2 => {
                    let to = 3_000 + pos;
                    cache.relocate(pos, to);
                    known.remove(&pos).map(|text| known.insert(to, text));
                }
                _ => {}
            }
            for pos in [pos, random.below(6_000)] {
                let found = cache.get(pos).map(|found| found.value.to_vec());
                let expected = known.get(&pos).map(|text| text.as_bytes().to_vec());
                assert_eq!(found, expected);
            }
        }
        cache.shrink_to(0);
        assert!(known.keys().all(|pos| cache.get(*pos).is_none()));
        assert_eq!(cache.bytes(), 0);
    }

    /// However many there are, room is made in a bounded number of looks.
    #[test]
    fn where_all_was_read_something_goes_soon() {
        let mut cache = Cache::new(200 * (ITEM_BYTES + 1));
        for pos in 0..200 {
            cache.insert(pos, cached(1), 1);
            assert!(cache.get(pos).is_some());
        }
        cache.insert(200, cached(1), 1);
        let gone: Vec<u64> = (0..200).filter(|pos| cache.get(*pos).is_none()).collect();
        assert_eq!(gone, [u64::from(SPARED_MAX)]);
    }
}
