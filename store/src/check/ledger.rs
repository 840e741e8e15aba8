//! What the log adds up to, kept apart from the index that opening makes.
//!
//! For each key and each view (that of now, and of each snapshot) the version with the highest
//! sequence that the view sees, among equal ones the one at the later place in the log; for each
//! upload its chunks; for each bucket its quota.

use super::content::{Content, OwnerOf, Record};
use super::finding::About;
use crate::format::checksum::crc32c;
use crate::format::views;
use crate::index::views::{Spans, Views};
use crate::large::CHUNKS_MAX;
use crate::name::is_system;
use crate::replay::SEQ_END;
use crate::request::QuotaLimits;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Where a record lies: the generation of its segment, and its offset.
pub(super) type Place = (u64, u64);

/// What a version of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Tombstone,
    Whole(Value),
    Chunked(Value, u64),
}

/// A value, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) len_bytes: u64,
    pub(super) crc: u32,
    pub(super) metadata_bytes: u64,
}

/// A version of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) seq: u64,
    pub(super) place: Place,
    pub(super) record_bytes: u64,
    pub(super) body: Body,
}

/// The versions of a key that a view sees, and for a while some others.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) versions: Vec<Version>,
    /// How many there were when they were last sorted out.
    kept: usize,
    /// Puts and manifests of this key in the log, of whatever version.
    pub(super) puts: u32,
}

/// The chunk that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) place: Place,
    pub(super) record_bytes: u64,
    pub(super) data_bytes: u64,
    pub(super) crc: u32,
}

/// The quota that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) seq: u64,
    pub(super) place: Place,
    pub(super) record_bytes: u64,
    pub(super) limits: QuotaLimits,
}

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) keys: BTreeMap<Box<[u8]>, History>,
    pub(super) quota: Option<Quota>,
    /// What each view sees, in the order of [`Views::readable`].
    pub(super) spans: Vec<Spans>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) buckets: BTreeMap<Box<str>, Bucket>,
    pub(super) chunks: BTreeMap<(u64, u32), Chunk>,
    /// Snapshots and rollbacks as recovery knows them.
    pub(super) views: Views,
    /// As the log says: sequence, place, length of the record, and the list.
    pub(super) list: Option<(u64, Place, u64, Views)>,
}

impl Ledger {
    /// Adds a record that counts. `false`: the same version of this key was added before, and
    /// is another one.
    pub(super) fn add(&mut self, record: &Record<'_>, generation: u64) -> bool {
        let place = (generation, record.offset_bytes);
        match record.content {
            Content::Put {
                owner,
                metadata,
                value_crc,
                value,
            } => {
                let value = value_of(value.len() as u64, value_crc, metadata);
                self.version(&owner, place, record.len_bytes, Body::Whole(value))
            }
            Content::Manifest {
                owner,
                metadata,
                value_crc,
                value_len,
                upload,
            } => {
                let value = value_of(value_len, value_crc, metadata);
                let body = Body::Chunked(value, upload);
                self.version(&owner, place, record.len_bytes, body)
            }
            Content::Tombstone { owner } => {
                self.version(&owner, place, record.len_bytes, Body::Tombstone)
            }
            Content::Chunk {
                upload,
                number,
                data,
            } => {
                let chunk = Chunk {
                    place,
                    record_bytes: record.len_bytes,
                    data_bytes: data.len() as u64,
                    crc: crc32c(0, data),
                };
                number >= CHUNKS_MAX || self.chunk((upload, number), chunk)
            }
            Content::Quota {
                seq,
                bucket,
                limits,
            } => {
                let quota = Quota {
                    seq,
                    place,
                    record_bytes: record.len_bytes,
                    limits,
                };
                self.quota(bucket, quota)
            }
            Content::Views { seq, list } => {
                let newer = self
                    .list
                    .as_ref()
                    .is_none_or(|(held, at, ..)| (*held, *at) < (seq, place));
                if newer && let Some(views) = views::decode(seq, list) {
                    self.list = Some((seq, place, record.len_bytes, views));
                }
                true
            }
            Content::Free { .. } | Content::Unknown { .. } => true,
        }
    }

    fn chunk(&mut self, id: (u64, u32), chunk: Chunk) -> bool {
        let held = self.chunks.entry(id).or_insert(chunk);
        let same = (held.data_bytes, held.crc) == (chunk.data_bytes, chunk.crc);
        if held.place < chunk.place {
            *held = chunk;
        }
        same
    }

    fn quota(&mut self, bucket: &str, quota: Quota) -> bool {
        let held = self.bucket(bucket).quota.get_or_insert(quota);
        let same = held.seq != quota.seq || held.limits == quota.limits;
        if (held.seq, held.place) < (quota.seq, quota.place) {
            *held = quota;
        }
        same
    }

    fn bucket(&mut self, name: &str) -> &mut Bucket {
        if !self.buckets.contains_key(name) {
            let spans = self.views.readable().map(|at| self.views.spans(name, at));
            let bucket = Bucket {
                spans: spans.collect(),
                ..Bucket::default()
            };
            self.buckets.insert(name.into(), bucket);
        }
        self.buckets.get_mut(name).expect("just made")
    }

    fn version(&mut self, owner: &OwnerOf<'_>, place: Place, len: u64, body: Body) -> bool {
        if owner.seq == 0 || owner.seq >= SEQ_END {
            return true;
        }
        let version = Version {
            seq: owner.seq,
            place,
            record_bytes: len,
            body,
        };
        let bucket = self.bucket(owner.bucket);
        if !bucket.keys.contains_key(owner.key) {
            bucket.keys.insert(owner.key.into(), History::default());
        }
        let history = bucket.keys.get_mut(owner.key).expect("just made");
        history.add(version, &bucket.spans)
    }

    /// All is there: of each key only what a view sees is left.
    pub(super) fn sort_out(&mut self) {
        for bucket in self.buckets.values_mut() {
            for history in bucket.keys.values_mut() {
                history.sort_out(&bucket.spans);
            }
        }
    }

    /// The version of a key that a view sees, deleted or not; views are counted as in
    /// [`Views::readable`].
    pub(super) fn seen(&self, bucket: &str, key: &[u8], view: usize) -> Option<&Version> {
        let bucket = self.buckets.get(bucket)?;
        bucket.keys.get(key)?.seen(bucket.spans.get(view)?)
    }

    /// How many keys a view shows, without the appliance's own.
    pub(super) fn shown_keys_of(&self, view: usize) -> u64 {
        let buckets = self
            .buckets
            .iter()
            .filter(|(name, _)| !is_system(name.as_bytes()));
        let buckets = buckets.map(|(_, bucket)| bucket);
        let shown = buckets.flat_map(|bucket| {
            let spans = bucket.spans.get(view);
            let seen = bucket.keys.values();
            seen.filter_map(move |history| history.seen(spans?)?.value())
        });
        shown.count() as u64
    }

    /// All large values that any view sees: whose, the manifest, value and upload.
    pub(super) fn large(&self) -> Vec<(About, Version, Value, u64)> {
        let mut large = Vec::new();
        for (bucket, held) in &self.buckets {
            for (key, history) in &held.keys {
                for version in &history.versions {
                    if let Body::Chunked(value, upload) = version.body {
                        let about = about(bucket, key, version.seq);
                        large.push((about, *version, value, upload));
                    }
                }
            }
        }
        large
    }
}

impl History {
    fn add(&mut self, version: Version, spans: &[Spans]) -> bool {
        self.puts = self
            .puts
            .saturating_add(u32::from(version.body != Body::Tombstone));
        let mut held = self.versions.iter_mut();
        if let Some(held) = held.find(|held| held.seq == version.seq) {
            let same = held.body == version.body;
            if held.place < version.place {
                *held = version;
            }
            return same;
        }
        self.versions.push(version);
        // Sorted out when there are twice as many: the cost of it stays in proportion.
        if self.versions.len() > 2 * self.kept {
            self.sort_out(spans);
        }
        true
    }

    fn sort_out(&mut self, spans: &[Spans]) {
        if spans.len() > 1 || self.versions.len() > 1 {
            let seen: Vec<Option<u64>> = spans
                .iter()
                .map(|spans| self.seen(spans).map(|version| version.seq))
                .collect();
            self.versions
                .retain(|version| seen.contains(&Some(version.seq)));
        }
        self.kept = self.versions.len().max(1);
    }

    /// What a view sees of this key.
    pub(super) fn seen(&self, spans: &Spans) -> Option<&Version> {
        let seen = self.versions.iter().filter(|one| spans.has(one.seq));
        seen.max_by_key(|version| version.seq)
    }
}

fn value_of(len_bytes: u64, crc: u32, metadata: &[u8]) -> Value {
    Value {
        len_bytes,
        crc,
        metadata_bytes: metadata.len() as u64,
    }
}

/// The version of a key, by name.
pub(super) fn about(bucket: &str, key: &[u8], seq: u64) -> About {
    About {
        bucket: bucket.into(),
        key: key.into(),
        seq,
    }
}

impl Version {
    /// The value shown, if the key is not deleted.
    pub(super) fn value(&self) -> Option<Value> {
        match self.body {
            Body::Tombstone => None,
            Body::Whole(value) | Body::Chunked(value, _) => Some(value),
        }
    }
}

/// The views that can be read: where each stands, and its name; the first is what is shown now.
pub(super) fn names(views: &Views) -> Vec<(u64, Option<Box<str>>)> {
    let mut names = vec![(views.shown(), None)];
    let snapshots = views.snapshots.iter();
    names.extend(snapshots.map(|one| (one.seq, Some(one.name.as_str().into()))));
    names
}
