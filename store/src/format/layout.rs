//! Where things lie on the device, and how much fits.
//!
//! # Invariants
//!
//! - `working_unit` is a power of two, at least `unit`, and divides all offsets
//!   the log writes to.
//! - Data of segment *n* lies in `data_start(n)..data_end(n)`, footer after it.

use core::ops::Range;

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;

/// Smallest device that can be formatted.
pub(crate) const DEVICE_BYTES_MIN: u64 = 8 * MIB;
/// No group reaches into so many bytes at a segment's end, whatever the unit: sectors of this
/// size are the largest in use.
const FOOTER_ROOM_BYTES: u32 = 4096;
/// Of a larger device, only so much is used: the index keeps positions in 48 bits.
pub(crate) const DEVICE_BYTES_MAX: u64 = 1 << 47;
/// A superblock copy, unless the unit is larger.
pub(crate) const SUPERBLOCK_BYTES: u32 = 4096;
/// Where the two superblock copies lie.
pub(crate) const SUPERBLOCK_OFFSETS: [u64; 2] = [0, MIB];
/// Room for the flight record.
pub(crate) const FLIGHT: Range<u64> = 64 * KIB..128 * KIB;
/// Where segments begin.
pub(crate) const SEGMENTS_OFFSET: u64 = 2 * MIB;
/// Largest unit of writing: the superblock's room allows no more.
pub(crate) const UNIT_BYTES_MAX: u32 = 16 * 1024;

const SEGMENT_BYTES_MIN: u64 = 256 * KIB;
const SEGMENT_BYTES_MAX: u64 = 8 * MIB;
const SEGMENT_COUNT_WANTED: u64 = 24;
const SEGMENT_COUNT_MAX: u64 = 65_536;
/// Fixed part of a segment header, before the bitmap.
pub(crate) const SEGMENT_HEADER_FIXED: usize = 128;

/// Room kept for a group's header with a joint.
pub(crate) const GROUP_HEADER_ROOM: u64 = 128;
/// A value in one record is at most this long; a chunk is this long.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// All headers kept with one value, encoded.
pub(crate) const METADATA_BYTES_MAX: usize = 4096;
/// No record is longer: value, key, bucket, metadata, and what holds them.
pub(crate) const RECORD_BYTES_MAX: u64 =
    (CHUNK_BYTES + METADATA_BYTES_MAX + crate::name::KEY_BYTES_MAX + 64 + 64) as u64;
/// Longest value, whatever the disk.
pub(crate) const VALUE_BYTES_MAX: u64 = 64 * MIB;
const BATCH_BYTES_MAX: u64 = MIB;
const VIEWS_BYTES_MAX: u64 = 32 * KIB;
const GROUP_BYTES_SOFT: u64 = 256 * KIB;

/// Segments the log keeps free beside its head: the successor, two for
/// compaction, one for deletes.
pub(crate) const RESERVE_SEGMENTS: u32 = 4;

/// The geometry of one formatted device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Unit recorded at formatting; groups are looked for on it.
    pub(crate) unit: u32,
    /// Unit of writing now; at least `unit`.
    pub(crate) working_unit: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_count: u32,
    pub(crate) first_segment: u64,
    pub(crate) header_bytes: u32,
}

impl Layout {
    /// How a device of `len_bytes` is laid out; `None` if it is too small.
    pub(crate) fn plan(len_bytes: u64, unit: u32) -> Option<Layout> {
        assert!(unit.is_power_of_two() && (512..=UNIT_BYTES_MAX).contains(&unit));
        if len_bytes < DEVICE_BYTES_MIN {
            return None;
        }
        let len_bytes = len_bytes.min(DEVICE_BYTES_MAX);
        let room = len_bytes - SEGMENTS_OFFSET;
        let part = len_bytes / 64;
        let mut segment_bytes = 1u64 << (63 - part.leading_zeros());
        segment_bytes = segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        while room / segment_bytes < SEGMENT_COUNT_WANTED && segment_bytes > SEGMENT_BYTES_MIN {
            segment_bytes /= 2;
        }
        while room / segment_bytes > SEGMENT_COUNT_MAX {
            segment_bytes *= 2;
        }
        let segment_count = u32::try_from(room / segment_bytes).ok()?;
        let header = SEGMENT_HEADER_FIXED as u32 + segment_count.div_ceil(8);
        let layout = Layout {
            unit,
            working_unit: unit,
            segment_bytes,
            segment_count,
            first_segment: SEGMENTS_OFFSET,
            header_bytes: header.next_multiple_of(unit),
        };
        layout.is_sound(len_bytes).then_some(layout)
    }

    /// The same with as many segments as a device of `len_bytes` has room for, and headers for
    /// their bitmap; never fewer.
    pub(crate) fn grown(&self, len_bytes: u64) -> Layout {
        let room = len_bytes
            .min(DEVICE_BYTES_MAX)
            .saturating_sub(self.first_segment);
        let bits = (u64::from(self.header_bytes) - SEGMENT_HEADER_FIXED as u64) * 8;
        let count = (room / self.segment_bytes).min(bits).min(SEGMENT_COUNT_MAX);
        Layout {
            segment_count: self.segment_count.max(count as u32),
            ..*self
        }
    }

    /// Whether numbers read from a disk make sense on a device of `len_bytes`.
    pub(crate) fn is_sound(&self, len_bytes: u64) -> bool {
        let unit = u64::from(self.unit);
        let header_min = SEGMENT_HEADER_FIXED as u64 + u64::from(self.segment_count.div_ceil(8));
        let sound_units = self.unit.is_power_of_two()
            && self.working_unit.is_power_of_two()
            && self.unit >= 512
            && self.working_unit >= self.unit
            && self.working_unit <= UNIT_BYTES_MAX;
        let sound_segments = self.segment_bytes.is_power_of_two()
            && self.segment_bytes >= SEGMENT_BYTES_MIN
            && self.segment_bytes <= 1 << 40
            && (u64::from(RESERVE_SEGMENTS) + 4..=SEGMENT_COUNT_MAX)
                .contains(&u64::from(self.segment_count))
            && self.first_segment >= SEGMENTS_OFFSET
            && self.first_segment.is_multiple_of(u64::from(UNIT_BYTES_MAX));
        sound_units
            && sound_segments
            && u64::from(self.header_bytes) >= header_min
            && u64::from(self.header_bytes) <= self.segment_bytes / 4
            && u64::from(self.header_bytes).is_multiple_of(unit)
            && u64::from(self.segment_count)
                .checked_mul(self.segment_bytes)
                .and_then(|bytes| bytes.checked_add(self.first_segment))
                .is_some_and(|end| end <= len_bytes.min(DEVICE_BYTES_MAX))
    }

    /// Where segment `number` begins.
    pub(crate) fn start(&self, number: u32) -> u64 {
        assert!(number < self.segment_count, "segment number out of range");
        self.first_segment + u64::from(number) * self.segment_bytes
    }

    /// Where the last segment ends.
    pub(crate) fn end(&self) -> u64 {
        self.first_segment + u64::from(self.segment_count) * self.segment_bytes
    }

    /// Where its data begins if it is written now.
    pub(crate) fn data_start(&self, number: u32) -> u64 {
        self.start(number) + u64::from(self.header_bytes.next_multiple_of(self.working_unit))
    }

    /// Where its data ends: in front of the footer's block on any disk it may be moved to.
    pub(crate) fn data_end(&self, number: u32) -> u64 {
        self.start(number) + self.segment_bytes - u64::from(self.working_unit_max())
    }

    /// The largest unit of writing that the store can come to: a block that is written again
    /// must not hold groups from when it was smaller.
    pub(crate) fn working_unit_max(&self) -> u32 {
        self.unit.max(FOOTER_ROOM_BYTES)
    }

    /// Where the block begins that is written with the footer at its end.
    pub(crate) fn footer_block(&self, number: u32) -> u64 {
        self.start(number) + self.segment_bytes - u64::from(self.working_unit)
    }

    /// Where its footer lies: groups are looked for up to here.
    pub(crate) fn footer(&self, number: u32) -> u64 {
        self.start(number) + self.segment_bytes - u64::from(self.unit)
    }

    /// The segment a device offset lies in.
    pub(crate) fn segment_of(&self, offset: u64) -> Option<u32> {
        let number = offset.checked_sub(self.first_segment)? / self.segment_bytes;
        u32::try_from(number)
            .ok()
            .filter(|number| *number < self.segment_count)
    }

    /// Bytes for groups in one segment.
    pub(crate) fn payload(&self) -> u64 {
        self.data_end(0) - self.data_start(0)
    }

    /// `len_bytes` rounded up to what a group takes.
    pub(crate) fn span(&self, len_bytes: u64) -> u64 {
        len_bytes.next_multiple_of(u64::from(self.working_unit))
    }

    /// A group goes on taking batches up to this length.
    pub(crate) fn group_bytes_soft(&self) -> u64 {
        GROUP_BYTES_SOFT.min(self.payload() / 4)
    }

    /// Longest batch: it must fit one group, and so one segment.
    pub(crate) fn batch_bytes_max(&self) -> u64 {
        let views = self.views_bytes_max();
        BATCH_BYTES_MAX.min(self.payload() - GROUP_HEADER_ROOM - views)
    }

    /// Longest record of snapshots and rollbacks: each segment begins with it.
    pub(crate) fn views_bytes_max(&self) -> u64 {
        VIEWS_BYTES_MAX.min(self.segment_bytes / 8)
    }

    /// Bytes of live records the store takes: what compaction can always pack
    /// into all segments but the reserve and the head, less one sixteenth so
    /// that it never has to move everything for one byte.
    pub(crate) fn limit_bytes(&self) -> u64 {
        let groups = self.payload() / self.group_bytes_soft() + 2;
        let overhead = groups * (GROUP_HEADER_ROOM + u64::from(self.working_unit));
        let packed = self.payload().saturating_sub(RECORD_BYTES_MAX + overhead);
        u64::from(self.segment_count - RESERVE_SEGMENTS - 2) * packed / 16 * 15
    }

    /// Longest value on this disk.
    pub(crate) fn value_bytes_max(&self) -> u64 {
        let quarter = u64::from(self.segment_count) * self.segment_bytes / 4;
        VALUE_BYTES_MAX.min(quarter).min(self.limit_bytes() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_from_the_smallest_on_gets_a_sound_layout() {
        for unit in [512, 4096, UNIT_BYTES_MAX] {
            for len in [
                8 * MIB,
                8 * MIB + 511,
                9 * MIB + 1,
                64 * MIB,
                1 << 30,
                1 << 37,
                1 << 43,
                u64::MAX,
            ] {
                let layout = Layout::plan(len, unit).expect("a layout");
                assert!(layout.is_sound(len), "{len} {layout:?}");
                assert!(layout.segment_count >= 24, "{len} {layout:?}");
                assert!(layout.limit_bytes() > 0 && layout.limit_bytes() < len);
                assert!(layout.batch_bytes_max() > RECORD_BYTES_MAX);
            }
        }
        assert_eq!(Layout::plan(8 * MIB - 1, 512), None);
    }

    #[test]
    fn a_small_device_still_has_segments_enough() {
        let layout = Layout::plan(8 * MIB, 512).expect("a layout");
        assert_eq!(
            (layout.segment_bytes, layout.segment_count),
            (256 * KIB, 24)
        );
        let layout = Layout::plan(64 * MIB, 512).expect("a layout");
        assert_eq!((layout.segment_bytes, layout.segment_count), (MIB, 62));
    }

    #[test]
    fn offsets_find_their_segment_again() {
        let layout = Layout::plan(16 * MIB, 4096).expect("a layout");
        for number in 0..layout.segment_count {
            for offset in [
                layout.start(number),
                layout.data_start(number),
                layout.footer(number),
            ] {
                assert_eq!(layout.segment_of(offset), Some(number));
            }
        }
        assert_eq!(layout.segment_of(0), None);
        assert_eq!(layout.segment_of(u64::MAX), None);
    }
}
