//! What a summary tells beside the entries of keys.

use super::run::Bounds;
use crate::format::codec::Cursor;
use crate::format::layout::CHUNK_BYTES;
use crate::format::record;
use crate::format::summary::Head;
use crate::large::CHUNKS_MAX;
use crate::replay::Replay;
use crate::summary::EXTENTS_MAX;

impl Replay {
    /// Takes in what the summary of segment `number` tells in front of its entries; `None` if that
    /// is what no segment holds.
    pub(super) fn told(
        &mut self,
        number: u32,
        head: &Head,
        c: &mut Cursor<'_>,
        bounds: Bounds,
    ) -> Option<()> {
        (head.extents as usize <= EXTENTS_MAX).then_some(())?;
        let mut last = bounds.start;
        for _ in 0..head.extents {
            let start = last.checked_add(c.varint()?)?;
            let end = start.checked_add(c.varint()?)?;
            let fits = start >= bounds.data && start < end && end <= bounds.end;
            fits.then(|| self.segments.extend(number, start, end))?;
            last = end;
        }
        for _ in 0..head.records {
            let offset = c.varint()?;
            let found = record::decode_proven(c.peek())?;
            let pos = bounds.place(offset, found.len as u64)?;
            c.take(found.len)?;
            self.record(&found.record, pos, found.len);
        }
        for _ in 0..head.chunks {
            let (upload, number) = (c.varint()?, u32::try_from(c.varint()?).ok()?);
            let (offset, data_len) = (c.varint()?, c.length()?);
            let sound = number < CHUNKS_MAX && data_len <= CHUNK_BYTES;
            let len = record::chunk_len(upload, number, data_len.min(CHUNK_BYTES));
            let pos = bounds.place(offset, len as u64)?;
            sound.then(|| self.chunk((upload, number), pos, data_len))?;
        }
        Some(())
    }
}

/// Reads over the same.
pub(super) fn pass_by(head: &Head, c: &mut Cursor<'_>) -> Option<()> {
    for _ in 0..head.extents {
        c.varint()?;
        c.varint()?;
    }
    for _ in 0..head.records {
        c.varint()?;
        let found = record::decode_proven(c.peek())?;
        c.take(found.len)?;
    }
    for _ in 0..4 * u64::from(head.chunks) {
        c.varint()?;
    }
    Some(())
}
