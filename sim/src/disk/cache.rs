//! What was written and is not durable: each sector's versions, in order.

use super::{SECTOR, SECTOR_BYTES};
use std::collections::BTreeMap;

/// Unflushed versions of one sector; with one more, the oldest reaches the medium unasked.
///
/// Without it, a disk that never flushes would remember every write of a long run.
pub(super) const VERSIONS_MAX: usize = 64;

/// What one write left in one sector.
#[derive(Clone)]
pub(super) struct Version {
    /// Among all sectors of all writes.
    pub(super) order: u64,
    bytes: Box<[u8; SECTOR]>,
    /// Flips on the way to the medium.
    rotten_bit: Option<usize>,
}

impl Version {
    pub(super) fn on_medium(&self) -> [u8; SECTOR] {
        let mut bytes = *self.bytes;
        if let Some(bit) = self.rotten_bit {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes
    }
}

/// One sector's versions, the newest last.
///
/// # Invariants
///
/// There is at least one, and at most [`VERSIONS_MAX`].
#[derive(Clone, Default)]
pub(super) struct Cached {
    pub(super) versions: Vec<Version>,
    /// A failed flush took the newest for clean: no later one makes it durable.
    stranded: bool,
}

impl Cached {
    fn newest(&self) -> &Version {
        self.versions.last().expect("a cached sector has a version")
    }
}

/// The cache, by sector.
#[derive(Clone, Default)]
pub(super) struct Cache {
    sectors: BTreeMap<u64, Cached>,
    order_next: u64,
}

impl Cache {
    /// Adds a version. Returns the one that had to go to the medium for it.
    pub(super) fn put(&mut self, sector: u64, bytes: &[u8]) -> Option<Version> {
        let cached = self.sectors.entry(sector).or_default();
        let full = cached.versions.len() == VERSIONS_MAX;
        let oldest = full.then(|| cached.versions.remove(0));
        cached.stranded = false;
        cached.versions.push(Version {
            order: self.order_next,
            bytes: Box::new(bytes.try_into().expect("a version is one sector")),
            rotten_bit: None,
        });
        self.order_next += 1;
        oldest
    }

    /// Lets a bit of the newest version flip when it reaches the medium.
    pub(super) fn rot(&mut self, sector: u64, bit: usize) {
        let cached = self.sectors.get_mut(&sector);
        let newest = cached.and_then(|cached| cached.versions.last_mut());
        newest.expect("only what was just written rots").rotten_bit = Some(bit);
    }

    /// Covers `into`, which was read at `offset`, with what is newer.
    pub(super) fn overlay(&self, offset: u64, into: &mut [u8]) {
        let first = offset / SECTOR_BYTES;
        let end = first + (into.len() / SECTOR) as u64;
        for (sector, cached) in self.sectors.range(first..end) {
            let at = (sector - first) as usize * SECTOR;
            into[at..at + SECTOR].copy_from_slice(&*cached.newest().bytes);
        }
    }

    /// How many sectors are unflushed.
    pub(super) fn len(&self) -> usize {
        self.sectors.len()
    }

    pub(super) fn holds(&self, sector: u64) -> bool {
        self.sectors.contains_key(&sector)
    }

    /// The order of the oldest version there is.
    pub(super) fn order_first(&self) -> Option<u64> {
        let oldest = self.sectors.values().map(|cached| cached.versions[0].order);
        oldest.min()
    }

    /// The order of the next version.
    pub(super) fn order_next(&self) -> u64 {
        self.order_next
    }

    /// Keeps all there is from later flushes.
    pub(super) fn strand(&mut self) {
        for cached in self.sectors.values_mut() {
            cached.stranded = true;
        }
    }

    /// Takes out what a flush makes durable.
    pub(super) fn take_flushable(&mut self) -> Vec<(u64, Version)> {
        let mut flushed = Vec::new();
        for (sector, mut cached) in self.take() {
            if cached.stranded {
                self.sectors.insert(sector, cached);
            } else {
                let newest = cached.versions.pop();
                flushed.push((sector, newest.expect("a cached sector has a version")));
            }
        }
        flushed
    }

    /// Takes out everything.
    pub(super) fn take(&mut self) -> BTreeMap<u64, Cached> {
        std::mem::take(&mut self.sectors)
    }

    /// Drops all sectors from `end` on.
    pub(super) fn truncate(&mut self, end: u64) {
        self.sectors.split_off(&end);
    }

    /// All versions with their sectors, as they were written.
    pub(super) fn in_order(&self) -> Vec<(u64, &[u8])> {
        let sectors = self.sectors.iter();
        let mut all: Vec<(u64, &Version)> = sectors
            .flat_map(|(sector, cached)| cached.versions.iter().map(|version| (*sector, version)))
            .collect();
        all.sort_by_key(|(_, version)| version.order);
        all.into_iter()
            .map(|(sector, version)| (sector, version.bytes.as_slice()))
            .collect()
    }
}
