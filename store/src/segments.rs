//! Which segment is free, which is in use, and how much of each still counts.
//!
//! # Invariants
//!
//! - `live` of a segment is the sum of the lengths of the records in it that
//!   the index, a chunk table or a quota points at.
//! - A free segment is handed out only if nobody holds its token: no reader, no
//!   read and no discard under way.
//! - `extents` are the ranges of valid groups, in order; what lies between them
//!   was explained by a crash and is never looked at again.

use crate::format::layout::Layout;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

/// What a segment is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Free,
    Log,
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) usage: Use,
    /// Of its last life; 0 if it never had one.
    pub(crate) generation: u64,
    pub(crate) extents: Vec<(u64, u64)>,
    pub(crate) live: u64,
    /// Bytes of its summary.
    pub(crate) summary: u64,
    token: Rc<()>,
}

impl Segment {
    /// Free and without a past.
    fn fresh() -> Segment {
        Segment {
            usage: Use::Free,
            generation: 0,
            extents: vec![],
            live: 0,
            summary: 0,
            token: Rc::new(()),
        }
    }

    /// Bytes in groups that count.
    pub(crate) fn written(&self) -> u64 {
        self.extents.iter().map(|(start, end)| end - start).sum()
    }
}

/// All segments.
#[derive(Debug)]
pub(crate) struct Segments {
    layout: Layout,
    all: Vec<Segment>,
    free: u32,
    /// Free, but somebody may still hold a token.
    held: Vec<u32>,
    live_total: u64,
    cursor: u32,
}

impl Segments {
    /// All free and without a past.
    pub(crate) fn new(layout: Layout) -> Self {
        let fresh = |_| Segment::fresh();
        Segments {
            layout,
            all: (0..layout.segment_count).map(fresh).collect(),
            free: layout.segment_count,
            held: vec![],
            live_total: 0,
            cursor: 0,
        }
    }

    /// Before a device is known: none at all.
    pub(crate) fn none() -> Self {
        let smallest = Layout::plan(crate::format::layout::DEVICE_BYTES_MIN, 512);
        let layout = Layout {
            segment_count: 0,
            ..smallest.expect("the smallest device has a layout")
        };
        Segments::new(layout)
    }

    /// There are more of them.
    pub(crate) fn grow(&mut self, layout: Layout) {
        self.free += layout.segment_count - self.layout.segment_count;
        self.all
            .resize_with(layout.segment_count as usize, Segment::fresh);
        self.layout = layout;
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn get(&self, number: u32) -> &Segment {
        &self.all[number as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Segment)> {
        self.all
            .iter()
            .enumerate()
            .map(|(number, segment)| (number as u32, segment))
    }

    /// Free segments, held ones included.
    pub(crate) fn free_count(&self) -> u32 {
        self.free
    }

    /// Free segments that can be written now.
    pub(crate) fn available(&mut self) -> u32 {
        let all = &self.all;
        self.held
            .retain(|number| Rc::strong_count(&all[*number as usize].token) > 1);
        self.free - self.held.len() as u32
    }

    /// Live bytes in all segments.
    pub(crate) fn live_total(&self) -> u64 {
        self.live_total
    }

    /// The segment `offset` lies in; `offset` is one the store wrote or validated.
    pub(crate) fn number_of(&self, offset: u64) -> u32 {
        self.layout
            .segment_of(offset)
            .expect("positions lie in segments")
    }

    /// The generation of the segment `offset` lies in.
    pub(crate) fn generation_at(&self, offset: u64) -> u64 {
        self.get(self.number_of(offset)).generation
    }

    /// A token of the segment `offset` lies in: as long as it lives, the segment is not reused.
    pub(crate) fn hold(&self, offset: u64) -> Rc<()> {
        Rc::clone(&self.get(self.number_of(offset)).token)
    }

    /// The generation of the oldest segment that is not free.
    pub(crate) fn oldest_generation(&self) -> u64 {
        let used = self.all.iter().filter(|segment| segment.usage == Use::Log);
        used.map(|segment| segment.generation).min().unwrap_or(0)
    }

    /// Begins a life of a segment.
    pub(crate) fn begin(&mut self, number: u32, generation: u64) {
        let segment = &mut self.all[number as usize];
        assert_eq!(
            segment.usage,
            Use::Free,
            "only a free segment begins a life"
        );
        segment.usage = Use::Log;
        segment.generation = generation;
        segment.extents.clear();
        segment.live = 0;
        segment.summary = 0;
        self.free -= 1;
    }

    /// Notes a valid group.
    pub(crate) fn extend(&mut self, number: u32, start: u64, end: u64) {
        let extents = &mut self.all[number as usize].extents;
        match extents.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => extents.push((start, end)),
        }
    }

    /// A segment that is sealed has a summary of so many bytes.
    pub(crate) fn summarised(&mut self, number: u32, bytes: u64) {
        self.all[number as usize].summary = bytes;
    }

    /// A record at `offset` counts.
    pub(crate) fn add_live(&mut self, offset: u64, len: u64) {
        self.add_live_in(self.number_of(offset), len);
    }

    /// A record in a segment counts.
    pub(crate) fn add_live_in(&mut self, number: u32, len: u64) {
        let segment = &mut self.all[number as usize];
        assert_eq!(segment.usage, Use::Log, "a live record in a free segment");
        segment.live += len;
        self.live_total += len;
    }

    /// No record counts: they are to be counted anew.
    pub(crate) fn forget_live(&mut self) {
        self.live_total = 0;
        self.all.iter_mut().for_each(|segment| segment.live = 0);
    }

    /// A record at `offset` no longer counts.
    pub(crate) fn remove_live(&mut self, offset: u64, len: u64) {
        let number = self.number_of(offset);
        let segment = &mut self.all[number as usize];
        assert!(
            segment.live >= len,
            "more died in a segment than lived there"
        );
        segment.live -= len;
        self.live_total -= len;
    }

    /// Ends the life of a segment: the record that says so is durable.
    pub(crate) fn release(&mut self, number: u32) {
        let segment = &mut self.all[number as usize];
        assert_eq!(segment.usage, Use::Log, "a segment is freed once");
        assert_eq!(segment.live, 0, "a segment with live records is not freed");
        segment.usage = Use::Free;
        segment.extents = vec![];
        self.free += 1;
        self.note_holds(number);
    }

    /// A segment that was released before anything else was durable goes on with its life.
    pub(crate) fn resume(&mut self, offset: u64, generation: u64) {
        let number = self.number_of(offset);
        if self.get(number).usage == Use::Free {
            self.begin(number, generation);
        }
    }

    /// To be called when a token of a free segment was given out.
    pub(crate) fn note_holds(&mut self, number: u32) {
        let held = Rc::strong_count(&self.all[number as usize].token) > 1;
        if held && !self.held.contains(&number) {
            self.held.push(number);
        }
    }

    /// Whether anybody reads from a segment, or a discard is under way.
    pub(crate) fn is_held(&self, number: u32) -> bool {
        Rc::strong_count(&self.all[number as usize].token) > 1
    }

    /// A token of a free segment, for a discard.
    pub(crate) fn hold_free(&mut self, number: u32) -> Rc<()> {
        let token = Rc::clone(&self.all[number as usize].token);
        self.note_holds(number);
        token
    }

    /// A free segment nobody holds, other than `but`; they are used in turn.
    pub(crate) fn pick_free(&mut self, but: Option<u32>) -> Option<u32> {
        self.available();
        let count = self.layout.segment_count;
        let fits = |number: &u32| {
            self.get(*number).usage == Use::Free
                && Some(*number) != but
                && !self.held.contains(number)
        };
        let picked = (1..=count)
            .map(|step| (self.cursor + step) % count)
            .find(fits)?;
        self.cursor = picked;
        Some(picked)
    }

    /// The bitmap for a segment header: a bit is 1 if the segment is free, and for what is to be
    /// a segment soon.
    pub(crate) fn bitmap(&self, segment_count: u32) -> Vec<u8> {
        let mut bitmap = vec![0u8; segment_count.div_ceil(8) as usize];
        for number in self.all.len()..segment_count as usize {
            bitmap[number / 8] |= 1 << (number % 8);
        }
        for (number, segment) in self.all.iter().enumerate() {
            if segment.usage == Use::Free {
                bitmap[number / 8] |= 1 << (number % 8);
            }
        }
        bitmap
    }
}

/// Whether `bitmap` says that segment `number` is free.
pub(crate) fn is_free(bitmap: &[u8], number: u32) -> bool {
    bitmap
        .get(number as usize / 8)
        .is_some_and(|byte| byte >> (number % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Segments {
        Segments::new(Layout::plan(8 << 20, 512).expect("a layout"))
    }

    #[test]
    fn a_held_segment_is_not_handed_out() {
        let mut segments = segments();
        segments.begin(3, 1);
        let offset = segments.layout().data_start(3);
        let token = segments.hold(offset);
        segments.release(3);
        assert_eq!((segments.free_count(), segments.available()), (24, 23));
        let picked: Vec<u32> = (0..23).filter_map(|_| segments.pick_free(None)).collect();
        assert!(!picked.contains(&3));
        drop(token);
        assert_eq!(segments.available(), 24);
    }

    #[test]
    fn the_bitmap_names_the_free_ones() {
        let mut segments = segments();
        segments.begin(9, 1);
        let bitmap = segments.bitmap(segments.layout().segment_count);
        assert!((0..24).all(|number| is_free(&bitmap, number) == (number != 9)));
        assert!(!is_free(&bitmap, 24) && !is_free(&bitmap, 4000));
    }

    #[test]
    fn extents_that_touch_are_one() {
        let mut segments = segments();
        segments.begin(0, 1);
        segments.extend(0, 0, 512);
        segments.extend(0, 512, 1024);
        segments.extend(0, 2048, 4096);
        assert_eq!(segments.get(0).extents, [(0, 1024), (2048, 4096)]);
    }
}
