//! Proven groups become the index.
//!
//! The order in which groups are replayed does not matter: a key resolves by
//! sequence, and equal sequences by their place in the log.

use crate::format::codec::varint_len;
use crate::format::layout::Layout;
use crate::format::record::{self, Found, Owner, Record};
use crate::format::summary::entry::Entry;
use crate::format::views;
use crate::index::{Filled, Filling, Form, Index, Quota, Version};
use crate::large::{CHUNKS_MAX, Large};
use crate::metadata;
use crate::segments::Segments;
use crate::summary::{Summary, Unlisted};
use crate::walk::Taken;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Something wrong on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// What has been read so far.
pub(crate) struct Replay {
    pub(crate) segments: Segments,
    pub(crate) index: Index,
    pub(crate) large: Large,
    /// Segments named by Free records of the newest segment, with their generation.
    pub(crate) freed: Vec<(u32, u64)>,
    pub(crate) findings: Vec<Finding>,
    /// Records of a newer release were met that must not be skipped.
    pub(crate) newer: bool,
    next_seq: u64,
    max_epoch: u64,
    /// Highest sequence of any record.
    pub(crate) last_seq: u64,
    memory_limit_bytes: u64,
    /// The chunks alone are too many: some of them are left out.
    is_starved: bool,
}

/// Sequences of the index, and its positions, lie below.
pub(crate) const SEQ_END: u64 = 1 << 48;
/// No store is opened so often.
pub(crate) const EPOCH_END: u64 = u64::MAX / 2;
/// The last millisecond a version can have been modified in.
const MODIFIED_MS_MAX: u64 = (1 << 48) - 1;
/// Findings kept; the first ones tell enough.
const FINDINGS_MAX: usize = 64;

impl Replay {
    pub(crate) fn new(layout: Layout, memory_limit_bytes: u64) -> Self {
        Replay {
            segments: Segments::new(layout),
            index: Index::default(),
            large: Large::default(),
            freed: vec![],
            findings: vec![],
            newer: false,
            next_seq: 1,
            max_epoch: 0,
            last_seq: 0,
            memory_limit_bytes,
            is_starved: false,
        }
    }

    /// Notes something wrong.
    pub(crate) fn find(&mut self, offset: u64, what: &'static str) {
        log::error!("store: at {offset}: {what}");
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { offset, what });
        }
    }

    /// Notes numbers that must not be given out again.
    pub(crate) fn see_numbers(&mut self, next_seq: u64, epoch: u64) {
        self.next_seq = self.next_seq.max(next_seq);
        if epoch < EPOCH_END {
            self.max_epoch = self.max_epoch.max(epoch);
        }
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn max_epoch(&self) -> u64 {
        self.max_epoch
    }

    /// Memory that nothing takes yet.
    pub(crate) fn spare_memory_bytes(&self) -> u64 {
        let used = self.index.bytes() + self.large.bytes();
        self.memory_limit_bytes.saturating_sub(used)
    }

    /// Gives up some of the index if there is too little memory; false if that is not enough.
    pub(crate) fn fits_memory(&mut self) -> bool {
        let large = self.large.bytes();
        if self.is_starved {
            return false;
        }
        if self.index.bytes() + large <= self.memory_limit_bytes {
            return true;
        }
        // Somewhat more than has to be, since this walks to the end of the tree.
        let rest = self.memory_limit_bytes / 16 * 15;
        self.index.give_up(rest.saturating_sub(large))
    }

    /// Replays a group that is proven.
    pub(crate) fn group(&mut self, taken: &Taken) {
        self.note_group(taken);
        let header = &taken.header;
        let records = &taken.bytes[header.header_len..];
        let offset = taken.offset + header.header_len as u64;
        self.records(records, offset, header.record_count);
    }

    /// The same, but leaves the versions to a summary, as long as that lists all.
    pub(crate) fn group_beside(
        &mut self,
        summary: &mut Summary,
        taken: &Taken,
    ) -> Result<(), Unlisted> {
        self.note_group(taken);
        let header = &taken.header;
        let records = &taken.bytes[header.header_len..];
        let offset = taken.offset + header.header_len as u64;
        let mut listed = Ok(());
        self.each_record(
            records,
            offset,
            header.record_count,
            |replay, found, pos| {
                let record = &found.record;
                let seq = record.owner().map(|owner| owner.seq);
                if listed.is_ok() && seq.is_none_or(is_in_range) {
                    let at = (pos - offset) as usize;
                    listed = summary.note(record, &records[at..at + found.len], pos);
                }
                if listed.is_err() || !seq.is_some_and(is_in_range) {
                    replay.record(record, pos, found.len);
                }
            },
        );
        listed
    }

    fn note_group(&mut self, taken: &Taken) {
        let header = &taken.header;
        let number = self.segments.number_of(taken.offset);
        if header.epoch >= EPOCH_END {
            self.find(taken.offset, "the epoch of a group is out of range");
        }
        self.see_numbers(header.next_seq, header.epoch);
        self.newer |= header.newer;
        self.segments
            .extend(number, taken.offset, taken.offset + header.span);
    }

    /// Replays records that lie at `offset` of the device.
    pub(crate) fn records(&mut self, records: &[u8], offset: u64, count: u32) {
        self.each_record(records, offset, count, |replay, found, pos| {
            replay.record(&found.record, pos, found.len);
        });
    }

    #[inline(always)]
    fn each_record(
        &mut self,
        records: &[u8],
        offset: u64,
        count: u32,
        mut take: impl FnMut(&mut Replay, &Found<'_>, u64),
    ) {
        let mut at = 0;
        let mut seen = 0;
        while at < records.len() {
            let pos = offset + at as u64;
            let Some(found) = record::decode_proven(&records[at..]) else {
                self.find(pos, "an intact group holds what is no record");
                return;
            };
            take(self, &found, pos);
            at += found.len;
            seen += 1;
        }
        if seen != count {
            self.find(offset, "a group does not hold as many records as it says");
        }
    }

    /// Replays one record.
    pub(crate) fn record(&mut self, record: &Record<'_>, pos: u64, len: usize) {
        match *record {
            Record::Put { .. } | Record::Manifest { .. } | Record::Tombstone { .. } => {
                if let Some((owner, version, upload)) = version_of(record, pos) {
                    self.version((owner.bucket, owner.key), version, upload);
                }
            }
            Record::Chunk {
                upload,
                number,
                data,
            } => self.chunk((upload, number), pos, data.len()),
            Record::Free { number, generation } => self.freed.push((number, generation)),
            Record::Quota {
                seq,
                bucket,
                limits,
            } => {
                self.quota(
                    bucket,
                    Quota {
                        pos,
                        seq,
                        record_len: len as u32,
                        limits,
                    },
                );
            }
            Record::Views { seq, list } => self.views(pos, seq, list),
            Record::Unknown { ignorable } => self.newer |= !ignorable,
        }
    }

    /// A change of a key; `upload` is that of a manifest.
    pub(crate) fn version(&mut self, (bucket, key): (&str, &[u8]), version: Version, upload: u64) {
        if !is_in_range(version.seq) {
            self.find(version.pos, "a sequence is out of range");
            return;
        }
        if version.form == Form::Chunked {
            self.large.manifests.insert(version.seq, upload);
        }
        let segments = &self.segments;
        let order = |pos: u64| (segments.generation_at(pos), pos);
        let filled = self.index.recover(bucket, key, version, order);
        self.see_seq(version.seq);
        let record_len = version.record_len(bucket, key);
        let number = self.segments.number_of(version.pos);
        self.count((bucket, key), filled, (number, record_len));
    }

    /// A version that was put into the index at once, in the order of keys: its record, of so
    /// many bytes, lies in the segment of that `number`.
    #[inline(always)]
    pub(crate) fn count_in_order(&mut self, number: u32, record_len: u64, seq: u64) {
        self.segments.add_live_in(number, record_len);
        self.see_seq(seq);
    }

    /// The same as [`version`](Self::version), of changes that come in the order of their keys;
    /// `filling` is theirs alone. The record, of `record_len` bytes, lies in the segment of that
    /// `number`.
    pub(crate) fn version_near(
        &mut self,
        filling: &mut Filling,
        key: &[u8],
        entry: &Entry,
        (number, record_len): (u32, u64),
    ) {
        let version = &entry.version;
        let segments = &self.segments;
        let order = |pos: u64| (segments.generation_at(pos), pos);
        let filled = self.index.fill(filling, key, version, order);
        self.see_seq(version.seq);
        if version.form == Form::Chunked {
            self.large.manifests.insert(version.seq, entry.upload);
        }
        self.count((filling.name(), key), filled, (number, record_len));
    }

    /// Live bytes follow a version that was taken in, as the totals do.
    #[inline(always)]
    fn count(&mut self, whose: (&str, &[u8]), filled: Filled, (number, record_len): (u32, u64)) {
        if !self.index.is_counted() {
            return;
        }
        match filled {
            Filled::New => self.segments.add_live_in(number, record_len),
            Filled::InPlaceOf(old) => {
                let old_len = old.record_len(whose.0, whose.1);
                self.segments.remove_live(old.pos, old_len);
                self.segments.add_live_in(number, record_len);
            }
            Filled::Outdated | Filled::Otherwise => {}
        }
    }

    /// A chunk of a large value, with `data_len` bytes of it.
    pub(crate) fn chunk(&mut self, (upload, number): (u64, u32), pos: u64, data_len: usize) {
        if number >= CHUNKS_MAX {
            self.find(pos, "a chunk's number is out of range");
            return;
        }
        self.is_starved |= !self.fits_memory();
        if self.is_starved {
            return;
        }
        let order = |pos: u64| (self.segments.generation_at(pos), pos);
        let old = self.large.position(upload, number);
        if old.is_none_or(|old| order(old) < order(pos)) {
            self.large.set(upload, number, pos, data_len);
        }
    }

    fn quota(&mut self, bucket: &str, quota: Quota) {
        let order = |pos: u64| (self.segments.generation_at(pos), pos);
        let old = self
            .index
            .buckets
            .get(bucket)
            .and_then(|bucket| bucket.quota);
        let rank = |quota: Quota| (quota.seq, order(quota.pos));
        if old.is_none_or(|old| rank(old) < rank(quota)) {
            self.index.set_quota(bucket, quota);
        }
        self.see_seq(quota.seq);
    }

    fn views(&mut self, pos: u64, seq: u64, list: &[u8]) {
        match views::decode(seq, list) {
            Some(views) => self.index.recover_views(views),
            None => self.find(pos, "a list of snapshots is none"),
        }
        self.see_seq(seq);
    }

    /// The first list of snapshots in a group that is not replayed yet, where no group before it
    /// has brought one: what is replayed meanwhile has to know what is kept.
    pub(crate) fn views_of(&mut self, taken: &Taken) {
        let mut at = taken.header.header_len;
        while let Some(found) = record::decode_proven(&taken.bytes[at..]) {
            if let Record::Views { seq, list } = found.record {
                return self.views(taken.offset + at as u64, seq, list);
            }
            at += found.len;
        }
    }

    fn see_seq(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
        self.next_seq = self.next_seq.max(seq.saturating_add(1));
    }

    /// Only the Free records of a group that is not replayed yet; the segments they name.
    pub(crate) fn frees_of(&mut self, taken: &Taken) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut at = taken.header.header_len;
        while at < taken.bytes.len() {
            let Some(found) = record::decode_proven(&taken.bytes[at..]) else {
                break;
            };
            if let Record::Free { number, generation } = found.record {
                self.freed.push((number, generation));
                numbers.push(number);
            }
            at += found.len;
        }
        numbers
    }

    /// All is replayed: what nothing points at is dropped, what counts is added up.
    pub(crate) fn finish(&mut self) {
        match self.index.is_counted() {
            true => {
                self.index.finish_counted();
                self.large.retain_manifests(|_| false);
            }
            false => self.finish_uncounted(),
        }
        for quota in self
            .index
            .buckets
            .values()
            .filter_map(|bucket| bucket.quota)
        {
            self.segments
                .add_live(quota.pos, u64::from(quota.record_len));
        }
    }

    fn finish_uncounted(&mut self) {
        let Replay {
            index,
            large,
            segments,
            ..
        } = self;
        let mut wanted = BTreeSet::new();
        let mut broken = Vec::new();
        segments.forget_live();
        index.finish(|name, key, version| {
            segments.add_live(version.pos, version.record_len(name, key));
            if version.form != Form::Chunked {
                return;
            }
            wanted.insert(version.seq);
            let table = large.of_manifest(version.seq);
            let value_len = u64::from(version.value_len);
            if !table.is_some_and(|(_, table)| table.is_complete(value_len)) {
                broken.push(version.pos);
            }
            for (pos, len) in table.into_iter().flat_map(|(id, table)| table.records(id)) {
                segments.add_live(pos, len);
            }
        });
        self.large.retain_manifests(|seq| wanted.contains(&seq));
        for pos in broken {
            self.find(pos, "a large value lacks chunks");
        }
    }
}

/// Whether a version can have this sequence.
fn is_in_range(seq: u64) -> bool {
    (1..SEQ_END).contains(&seq)
}

/// What a record at `pos` makes of its key, and the upload number if it is a manifest; `None` for
/// records that are of no key.
pub(crate) fn version_of<'a>(record: &Record<'a>, pos: u64) -> Option<(Owner<'a>, Version, u64)> {
    let (owner, metadata, checksum, value_len, upload) = match *record {
        Record::Put {
            owner,
            metadata,
            value_crc,
            value,
        } => (owner, metadata, value_crc, value.len() as u64, None),
        Record::Manifest {
            owner,
            metadata,
            value_crc,
            value_len,
            upload,
        } => (owner, metadata, value_crc, value_len, Some(upload)),
        Record::Tombstone { owner } => (owner, &[][..], 0, 0, None),
        _ => return None,
    };
    let version = Version {
        pos,
        seq: owner.seq,
        modified_ms: (owner.modified_wall_ns / 1_000_000).min(MODIFIED_MS_MAX),
        expires_ms: metadata::expires_ms(metadata),
        value_len: value_len as u32,
        checksum,
        metadata_len: metadata.len() as u16,
        form: match (record, upload) {
            (Record::Tombstone { .. }, _) => Form::Tomb,
            (_, Some(_)) => Form::Chunked,
            (_, None) => Form::Whole,
        },
        upload_len: upload.map_or(0, |upload| varint_len(upload) as u8),
        dead: 0,
    };
    Some((owner, version, upload.unwrap_or(0)))
}
