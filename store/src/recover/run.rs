//! What one segment tells of its keys, in their order, entry by entry.

use crate::format::codec::Cursor;
use crate::format::summary::{Base, Entry, Name};
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
    /// Where in `bytes` the next entry begins.
    at: usize,
    /// Where the others begin, last first, if not each behind the one before.
    places: Option<Vec<u32>>,
    base: Base,
    /// Entries in `bytes` that have not been taken out.
    left: u32,
    /// Entries that have been given out.
    pub(super) given: u32,
    pub(super) name: Name,
    pub(super) entry: Entry,
    /// Length of its record.
    pub(super) record_len: u64,
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
    /// Of `count` entries that begin with their base at `at` of a summary of segment `number`.
    pub(super) fn of_summary(
        (number, bounds): (u32, Bounds),
        bytes: Vec<u8>,
        at: usize,
        count: u32,
    ) -> Option<Run> {
        let mut c = Cursor::from(&bytes, at);
        let base = Base {
            start: bounds.start,
            seq: c.varint()?,
            modified_ms: c.varint()?,
        };
        let at = c.position();
        Some(Run::new((number, bounds), (bytes, at), base, count))
    }

    /// Of entries that are told alone, by the places where they begin.
    pub(crate) fn gathered(
        (number, bounds): (u32, Bounds),
        bytes: Vec<u8>,
        mut places: Vec<u32>,
        base: Base,
    ) -> Run {
        let count = places.len() as u32;
        places.reverse();
        let run = Run::new((number, bounds), (bytes, 0), base, count);
        Run {
            places: Some(places),
            ..run
        }
    }

    fn new(
        (number, bounds): (u32, Bounds),
        (bytes, at): (Vec<u8>, usize),
        base: Base,
        count: u32,
    ) -> Run {
        Run {
            number,
            bounds,
            bytes,
            at,
            places: None,
            base,
            left: count,
            given: 0,
            name: Name::default(),
            entry: Entry::default(),
            record_len: 0,
            is_over: false,
        }
    }

    /// Memory it takes.
    pub(super) fn ram_bytes(&self) -> u64 {
        let places = self
            .places
            .as_ref()
            .map_or(0, |places| 4 * places.capacity());
        (self.bytes.capacity() + places) as u64
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
        self.places = None;
    }

    /// Takes the next entry out.
    pub(super) fn advance(&mut self) -> Next {
        let Some(left) = self.left.checked_sub(1) else {
            let is_all = self.places.is_some() || self.at == self.bytes.len();
            return if is_all { Next::End } else { Next::Unsound };
        };
        if let Some(place) = self.places.as_mut().and_then(Vec::pop) {
            self.at = place as usize;
        }
        self.left = left;
        let mut c = Cursor::from(&self.bytes, self.at);
        let Some((entry, is_other)) = self.name.take(&mut c, self.base) else {
            return Next::Unsound;
        };
        self.at = c.position();
        let version = &entry.version;
        self.record_len = version.record_len(self.name.bucket(), self.name.key());
        if !self.bounds.has(version.pos, self.record_len) || !(1..SEQ_END).contains(&version.seq) {
            return Next::Unsound;
        }
        self.entry = entry;
        match is_other {
            true => Next::OtherBucket,
            false => Next::SameBucket,
        }
    }
}
