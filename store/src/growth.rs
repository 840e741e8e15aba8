//! A disk that became larger: its new room is taken into use while the store serves.
//!
//! How many segments there are stands in the superblocks, and which of them are free in the
//! header of the newest segment. So three things become durable, one after the other: a new head
//! whose header knows the new segments; one superblock; the other. Then they are used.
//!
//! # Invariants
//!
//! - No segment is used that either superblock does not know, so that losing one loses nothing.
//! - The bitmap of the newest header is never shorter than what a superblock says: segments that
//!   no header speaks of do not exist.

use crate::disk::Moved;
use crate::draft::Writes;
use crate::format::layout::Layout;
use crate::format::superblock::Superblock;
use crate::shutdown::RESTART;
use crate::store::Store;
use alloc::collections::BTreeSet;
use core::task::Poll;

/// Growth under way.
pub(crate) struct Growth {
    /// With the new segments.
    layout: Layout,
    stage: Stage,
}

enum Stage {
    /// The head of this generation has a header that does not know them.
    Head(u64),
    /// The superblocks are being written; so many are left after this one.
    Superblock(Writes, u32),
}

impl Growth {
    /// How many segments a header has to speak of.
    pub(crate) fn segment_count(&self) -> u32 {
        self.layout.segment_count
    }

    /// Whether the head of this generation has to be left.
    pub(crate) fn wants_head_after(&self, generation: u64) -> bool {
        matches!(self.stage, Stage::Head(old) if old == generation)
    }

    fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Superblock(..))
    }
}

impl Store {
    /// Whether a superblock is being written.
    pub(crate) fn is_growing(&self) -> bool {
        self.growth.as_ref().is_some_and(Growth::is_writing)
    }

    /// Begins to take in what the disk has gained, or goes on with that.
    pub(crate) fn advance_growth(&mut self) -> Moved {
        let Some(mut growth) = self.growth.take() else {
            return self.begin_growth();
        };
        match &mut growth.stage {
            Stage::Head(old) => {
                let (head, generation) = (self.log().head, self.log().generation);
                let is_durable = !self.segments.get(head).extents.is_empty();
                if generation == *old || !is_durable {
                    self.growth = Some(growth);
                    return Moved::No;
                }
                self.write_grown(growth.layout, 1)
            }
            Stage::Superblock(writes, left) => match writes.step(&mut self.disk) {
                Poll::Pending => {
                    self.growth = Some(growth);
                    Moved::No
                }
                Poll::Ready(Ok(())) if *left > 0 => {
                    let left = *left - 1;
                    self.write_grown(growth.layout, left)
                }
                Poll::Ready(Ok(())) => self.finish_growth(growth.layout),
                Poll::Ready(Err(_)) => {
                    self.stop_writing("a superblock could not be written", RESTART);
                    Moved::Yes
                }
            },
        }
    }

    fn begin_growth(&mut self) -> Moved {
        let Some(layout) = self.grown_layout() else {
            self.tell_unusable();
            return Moved::No;
        };
        let stage = Stage::Head(self.log().generation);
        self.growth = Some(Growth { layout, stage });
        Moved::Yes
    }

    /// Bytes at the end of the disk that no segment can lie in.
    pub(crate) fn unusable(&self) -> u64 {
        let layout = self.layout();
        let len = self.disk.len_bytes().unwrap_or(0);
        let beyond = len.saturating_sub(layout.grown(len).end());
        // Less than a segment is left over at the end of most disks.
        match beyond < layout.segment_bytes {
            true => 0,
            false => beyond,
        }
    }

    /// Says once if the disk is longer than the headers' bitmap can speak of.
    fn tell_unusable(&mut self) {
        let unusable = self.unusable();
        if core::mem::replace(&mut self.unusable_bytes, unusable) != unusable && unusable > 0 {
            let usable = self.layout().end();
            log::warn!(
                "store: the last {unusable} bytes of the disk cannot be used: a store that was made on a smaller disk grows to {usable} bytes; to use all of it, back it up and restore the backup on a newly formatted disk"
            );
        }
    }

    /// The layout with all segments that fit the disk as it is now, if these are more.
    fn grown_layout(&self) -> Option<Layout> {
        let layout = self.layout();
        let grown = layout.grown(self.disk.len_bytes()?);
        (grown.segment_count > layout.segment_count).then_some(grown)
    }

    fn write_grown(&mut self, layout: Layout, left: u32) -> Moved {
        if self.disk.len_bytes().is_none_or(|len| len < layout.end()) {
            // It has become smaller again: whoever opens a store that does not fit is refused.
            return Moved::Yes;
        }
        let old = self.superblock.clone();
        let old = old.expect("a store that writes has a superblock");
        let superblock = Superblock {
            counter: old.counter + 1,
            next_seq: self.log().next_seq,
            layout,
            ..old
        };
        let writes = self.superblock_writes(&superblock);
        self.superblock = Some(superblock);
        let stage = Stage::Superblock(writes, left);
        self.growth = Some(Growth { layout, stage });
        Moved::Yes
    }

    fn finish_growth(&mut self, layout: Layout) -> Moved {
        let more = layout.segment_count - self.layout().segment_count;
        self.disk.note_growth();
        self.segments.grow(layout);
        if let Some((known, _)) = &mut self.identity {
            *known = layout;
        }
        log::info!(
            "store: the disk has grown: {more} segments more, and values may take {} bytes now",
            self.limit_bytes()
        );
        self.watch_limits(BTreeSet::new());
        Moved::Yes
    }
}
