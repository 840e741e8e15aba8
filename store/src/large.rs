//! Where the chunks of large values lie.
//!
//! Not on the disk: opening collects it by (upload, number), and compaction
//! changes it when it moves a chunk. A reader keeps the table as it was when
//! it began (tables are copied on write).

use crate::format::layout::CHUNK_BYTES;
use crate::format::record;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// No chunk: no record lies at offset 0.
pub(crate) const MISSING: u64 = 0;
/// Chunks of the longest value.
pub(crate) const CHUNKS_MAX: u32 =
    (crate::format::layout::VALUE_BYTES_MAX / CHUNK_BYTES as u64) as u32;

/// The chunks of one upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Device offset of each chunk's record, or [`MISSING`].
    pub(crate) positions: Vec<u64>,
    /// Length of each chunk's data.
    pub(crate) lens: Vec<u32>,
}

impl Table {
    /// Notes where chunk `number` lies.
    pub(crate) fn set(&mut self, number: u32, pos: u64, data_len: usize) {
        let at = number as usize;
        if self.positions.len() <= at {
            self.positions.resize(at + 1, MISSING);
            self.lens.resize(at + 1, 0);
        }
        self.positions[at] = pos;
        self.lens[at] = data_len as u32;
    }

    /// Where chunk `number` lies.
    pub(crate) fn position(&self, number: u32) -> Option<u64> {
        self.positions
            .get(number as usize)
            .copied()
            .filter(|pos| *pos != MISSING)
    }

    /// The chunks that are there: position and length of the record.
    pub(crate) fn records(&self, upload: u64) -> impl Iterator<Item = (u64, u64)> {
        let chunks = self.positions.iter().zip(&self.lens).enumerate();
        chunks
            .filter(|(_, (pos, _))| **pos != MISSING)
            .map(move |(number, (pos, data_len))| {
                let len = record::chunk_len(upload, number as u32, *data_len as usize);
                (*pos, len as u64)
            })
    }

    /// Whether these are the chunks of a value of `value_len` bytes.
    pub(crate) fn is_complete(&self, value_len: u64) -> bool {
        let count = value_len.div_ceil(CHUNK_BYTES as u64);
        let whole = |number: usize| {
            let left = value_len - number as u64 * CHUNK_BYTES as u64;
            u64::from(self.lens[number]) == left.min(CHUNK_BYTES as u64)
        };
        self.positions.len() as u64 == count
            && (0..self.positions.len())
                .all(|number| self.positions[number] != MISSING && whole(number))
    }
}

/// All chunk tables.
#[derive(Debug, Default)]
pub(crate) struct Large {
    /// By upload number: of live manifests and of uploads in progress.
    tables: BTreeMap<u64, Rc<Table>>,
    /// The upload number of each manifest, by the manifest's sequence.
    pub(crate) manifests: BTreeMap<u64, u64>,
    chunks: u64,
}

/// RAM per chunk, and per table.
const CHUNK_RAM_BYTES: u64 = 16;
const TABLE_RAM_BYTES: u64 = 256;

impl Large {
    /// Estimated RAM.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks * CHUNK_RAM_BYTES + self.tables.len() as u64 * TABLE_RAM_BYTES
    }

    /// The table of the manifest with sequence `seq`, and its upload number.
    pub(crate) fn of_manifest(&self, seq: u64) -> Option<(u64, &Rc<Table>)> {
        let upload = *self.manifests.get(&seq)?;
        Some((upload, self.tables.get(&upload)?))
    }

    /// Bytes of all chunk records of the manifest with sequence `seq`.
    pub(crate) fn stored_len(&self, seq: u64) -> u64 {
        let Some((upload, table)) = self.of_manifest(seq) else {
            return 0;
        };
        table.records(upload).map(|(_, len)| len).sum()
    }

    pub(crate) fn set(&mut self, upload: u64, number: u32, pos: u64, data_len: usize) {
        assert!(number < CHUNKS_MAX, "chunk number out of range");
        let table = Rc::make_mut(self.tables.entry(upload).or_default());
        let before = table.positions.len();
        table.set(number, pos, data_len);
        self.chunks += (table.positions.len() - before) as u64;
    }

    /// Forgets the chunks of an upload; gives them back.
    pub(crate) fn remove(&mut self, upload: u64) -> Option<Rc<Table>> {
        let table = self.tables.remove(&upload)?;
        self.chunks -= table.positions.len() as u64;
        Some(table)
    }

    /// Keeps only what `manifests` name, after recovery.
    pub(crate) fn retain_manifests(&mut self, keep: impl Fn(u64) -> bool) {
        self.manifests.retain(|seq, _| keep(*seq));
        let wanted: BTreeSet<u64> = self.manifests.values().copied().collect();
        self.tables.retain(|upload, _| wanted.contains(upload));
        self.chunks = self
            .tables
            .values()
            .map(|table| table.positions.len() as u64)
            .sum();
    }

    pub(crate) fn position(&self, upload: u64, number: u32) -> Option<u64> {
        self.tables.get(&upload)?.position(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_complete_only_with_every_chunk_of_the_right_length() {
        let mut table = Table::default();
        table.set(1, 77, 10);
        assert!(!table.is_complete(CHUNK_BYTES as u64 + 10));
        table.set(0, 66, CHUNK_BYTES);
        assert!(table.is_complete(CHUNK_BYTES as u64 + 10));
        assert!(!table.is_complete(CHUNK_BYTES as u64 + 11));
        assert!(!table.is_complete(2 * CHUNK_BYTES as u64 + 10));
        assert_eq!(table.position(0), Some(66));
        assert_eq!(table.position(2), None);
        assert_eq!(table.records(5).count(), 2);
    }
}
