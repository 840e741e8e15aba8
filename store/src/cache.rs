//! A byte-budgeted cache of whole values, by the place of their record.
//!
//! Room is made by second chance (Corbató, 1968): a hand goes round, passes over what was read
//! since it came by last, and takes what was not. So a hit changes one flag, and what is read
//! often stays. What is in here was checked when it came in, or was just committed.

use crate::blob::Blob;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;

/// RAM per item beside its bytes.
const ITEM_BYTES: u64 = 192;
/// Second chances given at once: where all was read of late, something has to go all the same.
const SPARED_MAX: u32 = 64;

/// A value and its headers as stored.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) value: Blob,
    pub(crate) metadata: Rc<[u8]>,
}

#[derive(Debug)]
struct Item {
    cached: Cached,
    /// What its reader made of it, to be given back with it.
    derived: Option<Rc<[u8]>>,
    weight: u64,
    /// Since the hand came by.
    was_read: bool,
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    items: BTreeMap<u64, Item>,
    /// The place the hand looks at next.
    hand: u64,
    bytes: u64,
    budget_bytes: u64,
}

impl Cache {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        Cache {
            budget_bytes,
            ..Cache::default()
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The value whose record lies at `pos`.
    pub(crate) fn get(&mut self, pos: u64) -> Option<&Cached> {
        let item = self.items.get_mut(&pos)?;
        item.was_read = true;
        Some(&item.cached)
    }

    /// The same, and what was made of it.
    pub(crate) fn get_derived(&mut self, pos: u64) -> Option<(&Cached, Option<&Rc<[u8]>>)> {
        let item = self.items.get_mut(&pos)?;
        item.was_read = true;
        Some((&item.cached, item.derived.as_ref()))
    }

    /// Keeps what was made of the value whose record lies at `pos`, as long as the value.
    pub(crate) fn derive(&mut self, pos: u64, derived: Rc<[u8]>) {
        let weight = derived.len() as u64;
        self.shrink_to(self.budget_bytes.saturating_sub(weight));
        if let Some(item) = self.items.get_mut(&pos)
            && self.bytes + weight <= self.budget_bytes
        {
            let before = item.derived.replace(derived);
            let before = before.map_or(0, |before| before.len() as u64);
            item.weight = item.weight + weight - before;
            self.bytes = self.bytes + weight - before;
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
            derived: None,
            weight,
            was_read: false,
        };
        self.items.insert(pos, item);
        self.bytes += weight;
    }

    /// The record at `pos` counts no longer.
    pub(crate) fn remove(&mut self, pos: u64) -> Option<(Cached, u64)> {
        let item = self.items.remove(&pos)?;
        self.bytes -= item.weight;
        Some((item.cached, item.weight))
    }

    /// The record at `from` was copied to `to`.
    pub(crate) fn relocate(&mut self, from: u64, to: u64) {
        if let Some(item) = self.items.remove(&from) {
            self.items.insert(to, item);
        }
    }

    /// Lets go of what was not read of late until at most `bytes` are held.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let mut spared = 0;
        while self.bytes > bytes && !self.items.is_empty() {
            let Some((pos, item)) = self.items.range_mut(self.hand..).next() else {
                self.hand = 0;
                continue;
            };
            let pos = *pos;
            self.hand = pos + 1;
            if core::mem::take(&mut item.was_read) && spared < SPARED_MAX {
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
        let before = cache.bytes();
        assert_eq!(cache.get_derived(7).and_then(|(_, derived)| derived), None);
        for text in ["made of it", "made again"] {
            let derived = Rc::from(text.as_bytes());
            cache.derive(7, Rc::clone(&derived));
            let found = cache.get_derived(7).and_then(|(_, derived)| derived);
            assert_eq!(found, Some(&derived));
            assert_eq!(cache.bytes(), before + 10);
        }
        cache.derive(8, Rc::from(&b"of nothing"[..]));
        cache.derive(7, Rc::from(alloc::vec![0; 1_000]));
        assert!(cache.bytes() <= 4 * (ITEM_BYTES + 100));
        cache.remove(7);
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
