//! What is judged once the whole log has been read.

use super::finding::{About, Kind};
use super::ledger::{Body, Chunk, History, Value, Version, about, names};
use super::look::Look;
use super::report::{BucketUse, SnapshotUse};
use crate::format::layout::{CHUNK_BYTES, SUPERBLOCK_OFFSETS};
use crate::format::superblock::Superblock;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl Look {
    /// Sequences are given out once, and the superblock of a closed store knows how far.
    pub(super) fn judge_sequences(&mut self, newest: &Superblock) {
        let offset = SUPERBLOCK_OFFSETS[(newest.counter % 2) as usize];
        if self.report.closed && newest.next_seq < self.high_water {
            let meaning = format!(
                "the superblock's sequence high-water is {}, the log's {}: sequences may be given out twice",
                newest.next_seq, self.high_water
            );
            self.find(offset, Kind::Sequence, None, meaning);
        }
        self.report.next_seq = self.high_water.max(newest.next_seq);
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for bucket in self.ledger.buckets.values() {
            let versions = bucket.keys.values().flat_map(|history| &history.versions);
            taken.extend(versions.map(|held| (held.seq, held.place.1)));
            taken.extend(bucket.quota.iter().map(|held| (held.seq, held.place.1)));
        }
        taken.sort_unstable();
        for pair in taken.windows(2) {
            if pair[0].0 == pair[1].0 {
                let meaning = format!(
                    "sequence {} was given out twice, to this record and to the one at {:#x}",
                    pair[1].0, pair[0].1
                );
                self.find(pair[1].1, Kind::Sequence, None, meaning);
            }
        }
    }

    /// Every chunk of every large value is there, and together they are the value.
    pub(super) fn judge_large(&mut self) {
        for (about, version, value, upload) in self.ledger.large() {
            let chunks: Vec<(u32, Chunk)> = self
                .ledger
                .chunks
                .range((upload, 0)..=(upload, u32::MAX))
                .map(|((_, number), chunk)| (*number, *chunk))
                .collect();
            if let Some((kind, meaning)) = self.wrong_large(&about, value, upload, &chunks) {
                self.find(version.place.1, kind, Some(about), meaning);
            }
        }
    }

    fn wrong_large(
        &self,
        about: &About,
        value: Value,
        upload: u64,
        chunks: &[(u32, Chunk)],
    ) -> Option<(Kind, String)> {
        let count = value.len_bytes.div_ceil(CHUNK_BYTES as u64);
        let mut crc = 0;
        for number in 0..count as u32 {
            let from = u64::from(number) * CHUNK_BYTES as u64;
            let wanted = (value.len_bytes - from).min(CHUNK_BYTES as u64);
            let chunk = chunks.get(number as usize);
            let chunk = chunk.filter(|(found, _)| *found == number);
            let Some((_, chunk)) = chunk else {
                let lies = match self.salvaged.chunks.get(&(upload, number)) {
                    Some(offset) => format!("; it lies in a damaged group, at {offset:#x}"),
                    None => String::new(),
                };
                let meaning = format!(
                    "the value of {about} lacks chunk {number} of {count}: reading it breaks off at byte {from}{lies}"
                );
                return Some((Kind::Chunk, meaning));
            };
            if chunk.data_bytes != wanted {
                let meaning = format!(
                    "chunk {number} of the value of {about} has {} bytes instead of {wanted}: reading it breaks off at byte {from}",
                    chunk.data_bytes
                );
                return Some((Kind::Chunk, meaning));
            }
            crc = super::combine::crc32c(crc, chunk.crc, chunk.data_bytes);
        }
        if chunks.len() as u64 > count {
            let meaning = format!("the value of {about} has more chunks than its length allows");
            return Some((Kind::Chunk, meaning));
        }
        let meaning =
            || format!("the value of {about} is damaged: its chunks are not what was put");
        (crc != value.crc).then(|| (Kind::Value, meaning()))
    }

    /// What damaged groups held matters where a view shows nothing newer of the same key.
    pub(super) fn judge_lost(&mut self) {
        let views = names(&self.ledger.views);
        for ((bucket, key), versions) in core::mem::take(&mut self.salvaged.versions) {
            let mut told = BTreeSet::new();
            for (index, (at, name)) in views.iter().enumerate() {
                let spans = self.ledger.views.spans(&bucket, *at);
                let seen = versions.iter().filter(|version| spans.has(version.seq));
                let Some(lost) = seen.max_by_key(|version| version.seq) else {
                    continue;
                };
                let shown = self.ledger.seen(&bucket, &key, index).copied();
                let is_newer = shown.is_some_and(|shown| shown.seq >= lost.seq);
                if is_newer || !told.insert(lost.seq) {
                    continue;
                }
                let view = match name {
                    Some(name) => format!(" by the snapshot {name}"),
                    None => String::new(),
                };
                let about = about(&bucket, &key, lost.seq);
                if let Some(meaning) = lost_meaning(&about, lost.deletes, shown, &view) {
                    self.find(lost.offset, Kind::Lost, Some(about), meaning);
                }
            }
        }
        if self.salvaged.more > 0 {
            let meaning = format!(
                "{} more versions in damaged groups were not compared",
                self.salvaged.more
            );
            self.note(0, meaning);
        }
    }

    /// The list of snapshots is the one that was written last.
    pub(super) fn judge_views(&mut self) {
        let known = self.ledger.views.seq;
        if let Some((seq, offset)) = self.salvaged.views.filter(|(seq, _)| *seq > known) {
            let meaning = format!(
                "the list of snapshots (seq {seq}) is lost: the one with sequence {known} is used, and rollbacks after it are undone"
            );
            self.find(offset, Kind::Lost, None, meaning);
        }
    }

    /// Live and dead bytes, and what each bucket shows.
    pub(super) fn add_up(&mut self) {
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        let mut uploads: BTreeSet<u64> = BTreeSet::new();
        let mut buckets = BTreeMap::new();
        for (name, bucket) in &self.ledger.buckets {
            let mut sum = BucketUse::default();
            for (key, history) in &bucket.keys {
                for version in history.versions.iter().filter(|one| counts(one, history)) {
                    *live.entry(version.place.0).or_default() += version.record_bytes;
                    if let Body::Chunked(_, upload) = version.body {
                        uploads.insert(upload);
                    }
                }
                let now = bucket.spans.first().and_then(|spans| history.seen(spans));
                match now.map(|version| (version, version.value())) {
                    Some((_, Some(value))) => {
                        sum.keys += 1;
                        sum.key_bytes += key.len() as u64;
                        sum.value_bytes += value.len_bytes;
                        sum.metadata_bytes += value.metadata_bytes;
                    }
                    Some((tomb, None)) => sum.tombstones += u64::from(counts(tomb, history)),
                    None => {}
                }
            }
            if let Some(quota) = &bucket.quota {
                *live.entry(quota.place.0).or_default() += quota.record_bytes;
                sum.quota = quota.limits;
            }
            buckets.insert(name.clone(), sum);
        }
        for ((upload, _), chunk) in &self.ledger.chunks {
            if uploads.contains(upload) {
                *live.entry(chunk.place.0).or_default() += chunk.record_bytes;
            }
        }
        if let Some((_, place, bytes, _)) = &self.ledger.list {
            *live.entry(place.0).or_default() += bytes;
        }
        let report = &mut self.report;
        for segment in &mut report.segments {
            segment.live_bytes = live.get(&segment.generation).copied().unwrap_or(0);
        }
        let records: u64 = report.segments.iter().map(|one| one.record_bytes).sum();
        report.live_bytes = live.values().sum();
        report.dead_bytes = records.saturating_sub(report.live_bytes);
        report.buckets = buckets;
        report.rollbacks = self.ledger.views.rollbacks.len() as u64;
        let snapshots = self.ledger.views.snapshots.iter().enumerate();
        report.snapshots = snapshots
            .map(|(index, snapshot)| SnapshotUse {
                name: snapshot.name.as_str().into(),
                seq: snapshot.seq,
                taken_wall_ms: snapshot.wall_ms,
                keys: self.ledger.shown_keys_of(index + 1),
            })
            .collect();
    }

    /// The clean mark counts the keys.
    pub(super) fn judge_key_count(&mut self, newest: &Superblock) {
        let keys: u64 = self.report.buckets.values().map(|bucket| bucket.keys).sum();
        if self.report.closed && self.report.findings == 0 && newest.key_count != keys {
            let offset = SUPERBLOCK_OFFSETS[(newest.counter % 2) as usize];
            let meaning = format!(
                "the store was closed with {} keys, and the log holds {keys}",
                newest.key_count
            );
            self.find(offset, Kind::Shown, None, meaning);
        }
    }

    /// Sectors that could not be read: in what counts, or elsewhere.
    pub(super) fn judge_unread(&mut self, sector: u32) {
        let unread = self.watched.borrow_mut().take_unread();
        let sector = u64::from(sector);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for at in unread {
            match runs.last_mut() {
                Some(last) if last.1 == at => last.1 = at + sector,
                _ => runs.push((at, at + sector)),
            }
        }
        for (start, end) in runs {
            let counts = self
                .covered
                .iter()
                .any(|(from, to)| *from < end && start < *to);
            let len = end - start;
            if counts {
                let meaning = format!(
                    "{len} bytes cannot be read; something that counts lies there: copy the disk while it can be read"
                );
                self.find(start, Kind::Unreadable, None, meaning);
            } else {
                let meaning = format!(
                    "{len} bytes cannot be read; nothing that counts lies there, and a crash while they were written explains it"
                );
                self.note(start, meaning);
            }
        }
    }
}

/// A deletion counts as long as there is something older to hide.
fn counts(version: &Version, history: &History) -> bool {
    version.value().is_some() || history.puts > 0
}

/// What it costs that a version is lost, if it costs anything.
fn lost_meaning(
    about: &About,
    deletes: bool,
    shown: Option<Version>,
    view: &str,
) -> Option<String> {
    let older = shown.filter(|shown| shown.value().is_some());
    match (older, deletes) {
        (Some(older), true) => Some(format!(
            "the deletion of {about} is lost: the version with sequence {} is shown again{view}",
            older.seq
        )),
        (Some(older), false) => Some(format!(
            "{about} is lost: the version with sequence {} is shown instead{view}",
            older.seq
        )),
        (None, true) => None,
        (None, false) => Some(format!("{about} is lost: the key is not shown{view}")),
    }
}
