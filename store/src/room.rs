//! Room for a group: what the next one is begun for, and whether it may be written, and where.
//!
//! # Invariants
//!
//! - The head moves only into a free segment, and only if that leaves what the
//!   reserve needs: compaction may take the last ones, deletes all but two.

use crate::format::layout::RESERVE_SEGMENTS;
use crate::format::summary;
use crate::gather::{FREE_RECORD_BYTES, summary_bytes};
use crate::growth::Growth;
use crate::queue::Waiting;
use crate::store::Store;

/// Where a group may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Here,
    NextSegment,
}

/// How much of the reserve something may use: free segments it must leave
/// when it stays in the head, and when it opens a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) here: u32,
    pub(crate) next: u32,
}

pub(crate) const USERS: Claim = Claim {
    here: RESERVE_SEGMENTS,
    next: RESERVE_SEGMENTS + 1,
};
const DELETES: Claim = Claim {
    here: RESERVE_SEGMENTS - 1,
    next: RESERVE_SEGMENTS,
};
const HOUSEKEEPING: Claim = Claim { here: 0, next: 1 };

impl Store {
    /// Whether something of `len` bytes, and `more` in the summary, may be written now, and where.
    fn room_for(&mut self, (len, more): (u64, u64), claim: Claim) -> Option<Room> {
        let available = self.segments.available();
        let fits = self.fits_head(len, more);
        if fits && available >= claim.here {
            return Some(Room::Here);
        }
        (!fits && available >= claim.next).then_some(Room::NextSegment)
    }

    pub(crate) fn batch_claim(batch: &Waiting) -> Claim {
        if batch.only_deletes() { DELETES } else { USERS }
    }

    /// Where the next group goes, led by the first thing that may be written.
    pub(crate) fn plan(&mut self) -> Option<Room> {
        self.give_up_summary();
        if let Some(first) = &self.log().first {
            let len = first.bytes();
            return self.room_for((len, len), HOUSEKEEPING);
        }
        if self.log().proof_wanted && self.room_for((0, 0), HOUSEKEEPING) == Some(Room::Here) {
            return Some(Room::Here);
        }
        let generation = self.log().generation;
        let wants_head = |growth: &Growth| growth.wants_head_after(generation);
        if self.growth.as_ref().is_some_and(wants_head)
            && self.segments.available() >= HOUSEKEEPING.next
        {
            return Some(Room::NextSegment);
        }
        let frees = self.compaction.freeable.len() as u64;
        if frees > 0
            && let Some(room) = self.room_for((frees * FREE_RECORD_BYTES, 0), HOUSEKEEPING)
        {
            return Some(room);
        }
        if let Some(len) = self.uploads.first_ready_len()
            && let Some(room) = self.room_for((len, summary::CHUNK_BYTES_MAX), USERS)
        {
            return Some(room);
        }
        if let Some(batch) = self.queue.waiting.front()
            && self.uploads.is_ready(batch)
        {
            let (bytes, claim) = (batch.bytes, Store::batch_claim(batch));
            if let Some(room) = self.room_for((bytes, summary_bytes(batch)), claim) {
                return Some(room);
            }
        }
        let copy = self.next_copy_len()?;
        self.room_for((copy, summary::of_record(copy)), HOUSEKEEPING)
    }
}
