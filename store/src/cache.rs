//! A byte-budgeted cache of whole values, by the place of their record.
//!
//! The least recently used goes first. What is in here was checked when it
//! came in, or was just committed.

use crate::blob::Blob;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;

/// RAM per item beside its bytes.
const ITEM_BYTES: u64 = 192;

/// A value and its headers as stored.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) value: Blob,
    pub(crate) metadata: Rc<[u8]>,
}

#[derive(Debug)]
struct Item {
    cached: Cached,
    weight: u64,
    used: u64,
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    items: BTreeMap<u64, Item>,
    by_use: BTreeMap<u64, u64>,
    clock: u64,
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
    pub(crate) fn get(&mut self, pos: u64) -> Option<Cached> {
        self.clock += 1;
        let item = self.items.get_mut(&pos)?;
        self.by_use.remove(&item.used);
        item.used = self.clock;
        self.by_use.insert(item.used, pos);
        Some(item.cached.clone())
    }

    /// Keeps a value; `held_bytes` is the memory its run takes.
    pub(crate) fn insert(&mut self, pos: u64, cached: Cached, held_bytes: u64) {
        let weight = ITEM_BYTES + held_bytes + cached.metadata.len() as u64;
        self.remove(pos);
        if weight > self.budget_bytes / 4 {
            return;
        }
        self.shrink_to(self.budget_bytes - weight);
        self.clock += 1;
        self.by_use.insert(self.clock, pos);
        self.items.insert(
            pos,
            Item {
                cached,
                weight,
                used: self.clock,
            },
        );
        self.bytes += weight;
    }

    /// The record at `pos` counts no longer.
    pub(crate) fn remove(&mut self, pos: u64) -> Option<(Cached, u64)> {
        let item = self.items.remove(&pos)?;
        self.by_use.remove(&item.used);
        self.bytes -= item.weight;
        Some((item.cached, item.weight))
    }

    /// The record at `from` was copied to `to`.
    pub(crate) fn relocate(&mut self, from: u64, to: u64) {
        if let Some(item) = self.items.remove(&from) {
            self.by_use.insert(item.used, to);
            self.items.insert(to, item);
        }
    }

    /// Lets go of the least recently used until at most `bytes` are held.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let Some((_, pos)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(item) = self.items.remove(&pos) {
                self.bytes -= item.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(length: usize) -> Cached {
        Cached {
            value: Blob::copy_of(&alloc::vec![1; length]),
            metadata: Rc::from([].as_slice()),
        }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_budget_holds() {
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
}
