//! What one segment tells of its keys, in their order, entry by entry.

use crate::format::codec::Cursor;
use crate::format::record;
use crate::format::summary::block::{Block, PAD_BYTES, Shape, Widths};
use crate::format::summary::entry::{self, Base, Entry, MS_MAX, Name};
use crate::index::{ShortKey, Version};
use crate::replay::SEQ_END;
use alloc::vec::Vec;

/// Where groups can lie in a segment that has a summary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) start: u64,
    pub(crate) data: u64,
    pub(crate) end: u64,
}

impl Bounds {
    /// The position of a record of `len` bytes at `offset` of the segment, if groups can lie there.
    pub(super) fn place(self, offset: u64, len: u64) -> Option<u64> {
        let pos = self.start.checked_add(offset)?;
        self.has(pos, len).then_some(pos)
    }

    /// Whether groups can lie where a record of `len` bytes lies.
    fn has(self, pos: u64, len: u64) -> bool {
        let end = pos.checked_add(len);
        pos >= self.data && end.is_some_and(|end| end <= self.end)
    }
}

/// Entries of one segment, of which the first that is left has been taken out.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) number: u32,
    bounds: Bounds,
    bytes: Vec<u8>,
    /// Where in `bytes` the entry that was taken out begins.
    at: usize,
    /// Where the one behind it begins.
    next: usize,
    base: Base,
    shape: Shape,
    /// Of the varint of each sequence that a block says, if it is the same for all.
    seq_len: Option<usize>,
    /// Entries in `bytes` that have not been taken out.
    left: u32,
    /// Entries that have been given out.
    pub(super) given: u32,
    pub(super) name: Name,
    /// There is no further one.
    pub(super) is_over: bool,
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An entry of the same bucket as the one before.
    SameBucket,
    OtherBucket,
    /// There is none.
    End,
    /// No segment holds what is said.
    Unsound,
}

impl Run {
    /// Of a list of `count` entries, at `at` of `bytes`, that tells of segment `number`.
    ///
    /// It becomes longer by [`PAD_BYTES`].
    pub(crate) fn of_list(
        (number, bounds): (u32, Bounds),
        mut bytes: Vec<u8>,
        at: usize,
        count: u32,
    ) -> Option<Run> {
        let mut c = Cursor::from(&bytes, at);
        let base = Base {
            start: bounds.start,
            seq: c.varint()?,
            modified_ms: c.varint()?,
        };
        let shape = Shape::new(Widths::new(c.array()?))?;
        // No sum of them and of what a block holds is too large for its type, or is 0.
        let is_sound = (1..SEQ_END).contains(&base.seq) && base.modified_ms <= MS_MAX;
        (is_sound || count == 0).then_some(())?;
        let at = c.position();
        bytes.resize(bytes.len() + PAD_BYTES, 0);
        Some(Run {
            number,
            bounds,
            bytes,
            at,
            next: at,
            base,
            shape,
            seq_len: shape.seq_len(base),
            left: count,
            given: 0,
            name: Name::default(),
            is_over: false,
        })
    }

    /// Memory it takes.
    pub(super) fn ram_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }

    /// Passes by entries that were given out before.
    pub(super) fn skip(&mut self, count: u32) -> Next {
        let mut next = self.advance();
        while self.given < count && matches!(next, Next::SameBucket | Next::OtherBucket) {
            self.given += 1;
            next = self.advance();
        }
        next
    }

    /// There is no further entry: the memory is given back.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        self.bytes = Vec::new();
    }

    /// Takes the next entry out.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> Next {
        let Some(left) = self.left.checked_sub(1) else {
            let is_all = self.next + PAD_BYTES == self.bytes.len();
            return if is_all { Next::End } else { Next::Unsound };
        };
        self.left = left;
        self.at = self.next;
        let by = (self.base, &self.shape);
        let Some((next, is_other)) = self.name.come_to((&self.bytes, self.at), by) else {
            return Next::Unsound;
        };
        self.next = next;
        match is_other {
            true => Next::OtherBucket,
            false => Next::SameBucket,
        }
    }

    /// The entry that was taken out, and the length of its record; `None` if no segment holds what
    /// is said.
    pub(super) fn entry(&self) -> Option<(Entry, u64)> {
        let entry = entry::read((&self.bytes, self.at), (self.base, &self.shape))?;
        let version = &entry.version;
        let record_len = version.record_len(self.name.bucket(), self.name.key());
        let is_sound = self.bounds.has(version.pos, record_len) && version.seq < SEQ_END;
        is_sound.then_some((entry, record_len))
    }

    /// The same of what most are, with a short key.
    #[inline(always)]
    pub(super) fn usual(&self) -> Option<(ShortKey<'_>, Version, u64)> {
        let block = Block::at(&self.bytes, self.at)??;
        let version = self.shape.version(block, self.base)?;
        let owner = (self.seq_len?, self.name.bucket().len());
        let key = self.name.short_key()?;
        let metadata = usize::from(version.metadata_len);
        let len = record::usual_put_len(owner, key.len(), metadata, version.value_len as usize)?;
        let is_sound = self.bounds.has(version.pos, len as u64) && version.seq < SEQ_END;
        is_sound.then_some((key, version, len as u64))
    }

    /// The sequence it says.
    pub(super) fn seq(&self) -> u64 {
        self.entry().map_or(0, |(entry, _)| entry.version.seq)
    }
}
