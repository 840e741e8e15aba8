//! What a look adds up to, in numbers.

use super::content::Content;
use super::item::Identity;
use crate::request::QuotaLimits;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Counts and bytes of a whole disk.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Findings shown.
    pub findings: u64,
    /// Notes shown.
    pub notes: u64,
    /// What the superblock that counts says; none if neither copy is intact.
    pub identity: Option<Identity>,
    /// Length of the device.
    pub device_bytes: u64,
    /// Whether a clean mark proves where the log ends.
    pub closed: bool,
    /// Highest epoch in the log.
    pub epoch: u64,
    /// Sequence high-water of the log.
    pub next_seq: u64,
    /// Segments in use, in the order of the log.
    pub segments: Vec<SegmentUse>,
    /// Groups that count.
    pub groups: u64,
    /// Bytes of their headers.
    pub group_header_bytes: u64,
    /// Bytes between the end of a group and the next unit.
    pub padding_bytes: u64,
    /// Bytes between groups in which no group counts.
    pub gap_bytes: u64,
    /// Records by kind.
    pub tally: Tally,
    /// Bytes of records that something points at.
    pub live_bytes: u64,
    /// Bytes of records that nothing points at any more.
    pub dead_bytes: u64,
    /// What is shown, by bucket; the appliance's own bucket is among them.
    pub buckets: BTreeMap<Box<str>, BucketUse>,
    /// Snapshots, in the order they were taken.
    pub snapshots: Vec<SnapshotUse>,
    /// Rollbacks that still hide something.
    pub rollbacks: u64,
}

/// One snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotUse {
    /// Its name.
    pub name: Box<str>,
    /// It sees what has a lower sequence.
    pub seq: u64,
    /// When it was taken.
    pub taken_wall_ms: u64,
    /// Keys it shows.
    pub keys: u64,
}

/// One segment in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// Its number.
    pub number: u32,
    /// The order of the log.
    pub generation: u64,
    /// Groups that count.
    pub groups: u64,
    /// Bytes from its start to the end of its log.
    pub used_bytes: u64,
    /// Bytes of records in it.
    pub record_bytes: u64,
    /// Bytes of records in it that something points at.
    pub live_bytes: u64,
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordSum {
    /// How many.
    pub count: u64,
    /// Their length on the disk.
    pub bytes: u64,
}

/// Records by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values.
    pub put: RecordSum,
    /// Deletions.
    pub tombstone: RecordSum,
    /// Ends of segments' lives.
    pub free: RecordSum,
    /// Pieces of large values.
    pub chunk: RecordSum,
    /// Large values.
    pub manifest: RecordSum,
    /// Quotas.
    pub quota: RecordSum,
    /// Lists of snapshots and rollbacks.
    pub views: RecordSum,
    /// Of newer releases.
    pub unknown: RecordSum,
}

impl Tally {
    pub(super) fn add(&mut self, content: &Content<'_>, bytes: u64) {
        let sum = match content {
            Content::Put { .. } => &mut self.put,
            Content::Tombstone { .. } => &mut self.tombstone,
            Content::Free { .. } => &mut self.free,
            Content::Chunk { .. } => &mut self.chunk,
            Content::Manifest { .. } => &mut self.manifest,
            Content::Quota { .. } => &mut self.quota,
            Content::Views { .. } => &mut self.views,
            Content::Unknown { .. } => &mut self.unknown,
        };
        sum.count += 1;
        sum.bytes += bytes;
    }

    /// Each kind by name.
    pub fn by_name(&self) -> [(&'static str, RecordSum); 8] {
        [
            ("put", self.put),
            ("tombstone", self.tombstone),
            ("free", self.free),
            ("chunk", self.chunk),
            ("manifest", self.manifest),
            ("quota", self.quota),
            ("views", self.views),
            ("unknown", self.unknown),
        ]
    }
}

/// What one bucket shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketUse {
    /// Keys that are shown.
    pub keys: u64,
    /// Bytes of these keys.
    pub key_bytes: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Bytes of the headers kept with them.
    pub metadata_bytes: u64,
    /// Deleted keys of which older records are still in the log.
    pub tombstones: u64,
    /// The quota.
    pub quota: QuotaLimits,
}
