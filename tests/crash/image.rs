//! The bytes of a disk that many crashes are shown on, changed in place.
//!
//! A hash of each sector is kept beside it, so that what an opening read can be
//! told apart from what another one read without looking at the bytes again.
//!
//! # Invariants
//!
//! - `hashes` is of `bytes`, sector by sector.
//! - `unreadable` are the sectors with the bytes of [`WORN`]: so it goes where bytes go, into
//!   the old versions of a later write and back out of them.
//! - While a mark is out, `undo` has what was there before each change.

use sim::disk::{Medium, SECTOR};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Odd, from the golden ratio: spreads each bit over the word.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// What stands for a sector that cannot be read.
const WORN: [u8; SECTOR] = [0xbd; SECTOR];

/// Mixes a word into a hash.
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(SPREAD);
    mixed ^ mixed >> 29
}

/// The hash of one sector's bytes.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    // Four lanes, so that one multiplication does not wait for the other.
    let mut lanes = [1u64, 2, 3, 4];
    for four in words.chunks(4) {
        for (lane, word) in lanes.iter_mut().zip(four) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD);
            *lane ^= *lane >> 32;
        }
    }
    lanes.into_iter().fold(0, mix)
}

struct Change {
    sector: u64,
    bytes: [u8; SECTOR],
}

struct Sectors {
    bytes: Vec<u8>,
    hashes: Vec<u64>,
    unreadable: BTreeSet<u64>,
    undo: Vec<Change>,
    marks: u32,
}

/// A hand on the bytes.
#[derive(Clone)]
pub(crate) struct Image(Rc<RefCell<Sectors>>);

/// A point to roll back to.
pub(crate) struct Mark(usize);

impl Image {
    pub(crate) fn new(bytes: Vec<u8>) -> Image {
        let hashes = bytes.chunks_exact(SECTOR).map(hash_of).collect();
        Image(Rc::new(RefCell::new(Sectors {
            bytes,
            hashes,
            unreadable: BTreeSet::new(),
            undo: Vec::new(),
            marks: 0,
        })))
    }

    /// Copies out; an unreadable sector in it is an error, unless `covered` has it.
    pub(crate) fn read(
        &self,
        offset: u64,
        into: &mut [u8],
        covered: impl Fn(u64) -> bool,
    ) -> Result<(), ()> {
        let sectors = self.0.borrow();
        let at = offset as usize;
        into.copy_from_slice(&sectors.bytes[at..at + into.len()]);
        let (first, end) = (at / SECTOR, (at + into.len()) / SECTOR);
        let mut unreadable = sectors.unreadable.range(first as u64..end as u64);
        match unreadable.any(|sector| !covered(*sector)) {
            true => Err(()),
            false => Ok(()),
        }
    }

    /// Mixes what a read of `len` bytes at `offset` sees, and where, into a hash.
    pub(crate) fn fold(&self, mut hash: u64, offset: u64, len: usize) -> u64 {
        let sectors = self.0.borrow();
        let (first, end) = (offset as usize / SECTOR, (offset as usize + len) / SECTOR);
        hash = mix(mix(hash, offset), len as u64);
        sectors.hashes[first..end].iter().copied().fold(hash, mix)
    }

    /// Makes a sector unreadable, until something else is put there.
    pub(crate) fn wear_out(&self, sector: u64) {
        self.0.borrow_mut().set(sector, &WORN);
    }

    /// From here on, changes can be taken back.
    pub(crate) fn mark(&self) -> Mark {
        let mut sectors = self.0.borrow_mut();
        sectors.marks += 1;
        Mark(sectors.undo.len())
    }

    /// Takes back all changes since.
    pub(crate) fn roll_back(&self, mark: Mark) {
        let mut sectors = self.0.borrow_mut();
        let sectors = &mut *sectors;
        while sectors.undo.len() > mark.0 {
            let change = sectors.undo.pop().expect("longer than the mark");
            sectors.put(change.sector, &change.bytes);
        }
        sectors.marks -= 1;
    }
}

impl Sectors {
    fn place(sector: u64) -> std::ops::Range<usize> {
        let at = sector as usize * SECTOR;
        at..at + SECTOR
    }

    fn put(&mut self, sector: u64, bytes: &[u8]) {
        self.bytes[Sectors::place(sector)].copy_from_slice(bytes);
        self.hashes[sector as usize] = hash_of(bytes);
        if *bytes == WORN {
            self.unreadable.insert(sector);
        } else {
            self.unreadable.remove(&sector);
        }
    }

    fn set(&mut self, sector: u64, bytes: &[u8]) {
        if self.bytes[Sectors::place(sector)] != *bytes {
            self.keep(sector);
            self.put(sector, bytes);
        }
    }

    fn keep(&mut self, sector: u64) {
        if self.marks > 0 {
            let bytes = &self.bytes[Sectors::place(sector)];
            self.undo.push(Change {
                sector,
                bytes: bytes.try_into().expect("a sector"),
            });
        }
    }
}

impl Medium for Image {
    fn sector(&self, sector: u64) -> [u8; SECTOR] {
        let sectors = self.0.borrow();
        let bytes = &sectors.bytes[Sectors::place(sector)];
        bytes.try_into().expect("a sector")
    }

    fn set_sector(&mut self, sector: u64, bytes: &[u8]) {
        self.0.borrow_mut().set(sector, bytes);
    }
}
