//! What a recorded workload is like: the disk under it, and the mixture of what it does.

use store::block::{Durability, Geometry};

/// The smallest disk a store accepts.
pub(crate) const DISK_BYTES: u64 = 8 << 20;

/// How a life of a store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In the middle of what it does, and what was not flushed is lost in part.
    Crash,
    /// In the same way, and the disk keeps its cache: what the next opening finds there can
    /// still be lost.
    Kill,
    /// By a clean close.
    Close,
}

/// What is done before anything is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing: the first opening of a blank disk is recorded.
    Nothing,
    /// One segment is nearly filled.
    AlmostASegment,
    /// Written until compaction has begun.
    AlmostAll,
}

/// A kind of workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The sector, and the physical sector behind it.
    pub(crate) sectors: (u32, u32),
    /// Every other life is on a disk with the same sectors and larger physical ones.
    pub(crate) moves: bool,
    pub(crate) discard: bool,
    pub(crate) transfer_bytes: u32,
    pub(crate) before: Before,
    /// Openings, one after the other, each recorded and explored.
    pub(crate) lives: u32,
    /// How each of them ends, in turn.
    pub(crate) ends: &'static [End],
    /// Batches and uploads of one life.
    pub(crate) submissions: u32,
    /// Of them at most so many wait at once.
    pub(crate) in_flight: usize,
    /// Changes of a batch, at most.
    pub(crate) changes: u64,
    pub(crate) keys: u64,
    pub(crate) value_bytes: u64,
    /// Each batch has as many changes as it may, and is one byte longer than the last one.
    pub(crate) consecutive: bool,
    /// One in so many submissions is an upload, or 0.
    pub(crate) uploads_one_in: u64,
    /// One in so many submissions takes a snapshot, forgets one, or rolls back, or 0.
    pub(crate) undo_one_in: u64,
    /// One in so many submissions is a restore, or 0.
    pub(crate) restores_one_in: u64,
    /// One in so many values has an end, and one in so many submissions is that time goes by,
    /// or 0.
    pub(crate) ends_one_in: u64,
    /// One in so many submissions fills most of a segment, or 0.
    pub(crate) bulk_one_in: u64,
}

impl Shape {
    /// As it is in the `nth` life.
    pub(crate) fn in_life(self, nth: u32) -> Shape {
        let moved = self.moves && nth % 2 == 1;
        let sectors = if moved { (512, 4096) } else { self.sectors };
        Shape { sectors, ..self }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            len_bytes: DISK_BYTES,
            sector_bytes: self.sectors.0,
            physical_sector_bytes: self.sectors.1,
            max_transfer_bytes: self.transfer_bytes,
            durability: Durability::Flush,
            discard: self.discard,
            read_only: false,
        }
    }

    /// Small values, in a store that begins with a blank disk.
    pub(crate) const SMALL: Shape = Shape {
        name: "small values",
        sectors: (512, 512),
        moves: false,
        discard: true,
        transfer_bytes: 64 * 1024,
        before: Before::Nothing,
        lives: 3,
        ends: &[End::Kill, End::Close, End::Crash],
        submissions: 50,
        in_flight: 1,
        changes: 1,
        keys: 6,
        value_bytes: 5400,
        consecutive: false,
        uploads_one_in: 0,
        undo_one_in: 0,
        restores_one_in: 0,
        ends_one_in: 0,
        bulk_one_in: 0,
    };

    /// Groups that end on each byte of a sector.
    pub(crate) const LENGTHS: Shape = Shape {
        name: "every length",
        lives: 1,
        ends: &[End::Crash],
        submissions: 520,
        changes: 2,
        value_bytes: 400,
        consecutive: true,
        ..Shape::SMALL
    };

    /// Batches, several of which share a group.
    pub(crate) const GROUPS: Shape = Shape {
        name: "groups of batches",
        lives: 5,
        ends: &[End::Crash, End::Kill, End::Kill, End::Close],
        submissions: 64,
        in_flight: 3,
        changes: 3,
        keys: 12,
        value_bytes: 3000,
        ..Shape::SMALL
    };

    /// The same in units of 4 KiB, on a disk with sectors of 512 bytes.
    pub(crate) const PAGES: Shape = Shape {
        name: "units of 4 KiB",
        sectors: (512, 4096),
        submissions: 60,
        value_bytes: 2500,
        ..Shape::GROUPS
    };

    /// A disk whose sectors are 4 KiB.
    pub(crate) const LARGE_SECTORS: Shape = Shape {
        name: "sectors of 4 KiB",
        sectors: (4096, 4096),
        ..Shape::PAGES
    };

    /// Values above 64 KiB between small ones, in transfers of 16 KiB.
    pub(crate) const UPLOADS: Shape = Shape {
        name: "uploads",
        transfer_bytes: 16 * 1024,
        lives: 2,
        submissions: 24,
        uploads_one_in: 6,
        ..Shape::GROUPS
    };

    /// The log goes on from one segment into the next.
    pub(crate) const SEGMENTS: Shape = Shape {
        name: "a segment is sealed",
        before: Before::AlmostASegment,
        lives: 4,
        ends: &[End::Kill, End::Crash, End::Close],
        submissions: 18,
        in_flight: 2,
        bulk_one_in: 9,
        ..Shape::GROUPS
    };

    /// The end of a segment is near, on a disk that is moved to larger sectors and back.
    pub(crate) const MOVES: Shape = Shape {
        name: "a disk that moves",
        moves: true,
        // A cache does not move with it.
        ends: &[End::Crash, End::Close, End::Crash],
        submissions: 18,
        value_bytes: 300,
        bulk_one_in: 0,
        ..Shape::SEGMENTS
    };

    /// Compaction is under way.
    pub(crate) const COMPACTION: Shape = Shape {
        name: "compaction",
        discard: false,
        before: Before::AlmostAll,
        lives: 3,
        ends: &[End::Kill, End::Close],
        submissions: 24,
        in_flight: 2,
        changes: 2,
        keys: 12,
        value_bytes: 700,
        bulk_one_in: 4,
        ..Shape::GROUPS
    };

    /// Snapshots are taken and forgotten, and rolled back to.
    pub(crate) const UNDO: Shape = Shape {
        name: "snapshots and rollbacks",
        submissions: 48,
        undo_one_in: 4,
        ..Shape::GROUPS
    };

    /// Backups are restored, and some restores given up.
    pub(crate) const RESTORES: Shape = Shape {
        name: "restores",
        lives: 3,
        submissions: 16,
        restores_one_in: 6,
        ..Shape::GROUPS
    };

    /// Values are over, and the clock of the next life has not come so far yet.
    pub(crate) const ENDS: Shape = Shape {
        name: "values that end",
        ends: &[End::Crash, End::Kill, End::Close],
        submissions: 48,
        ends_one_in: 3,
        ..Shape::GROUPS
    };

    /// Snapshots and rollbacks while compaction is under way.
    pub(crate) const UNDO_FULL: Shape = Shape {
        name: "snapshots while compacting",
        undo_one_in: 4,
        ..Shape::COMPACTION
    };

    /// The same, on a disk that is told what is free.
    pub(crate) const DISCARDS: Shape = Shape {
        name: "compaction with discards",
        discard: true,
        ..Shape::COMPACTION
    };
}
