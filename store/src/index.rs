//! Every key in memory: where its current record lies.
//!
//! # Invariants
//!
//! - A key is in `live` or in `tombs` of its bucket, never in both.
//! - `puts` is the number of put and manifest records of this key in segments
//!   recovery would read, the current one included. So a tombstone is needed
//!   exactly as long as its `puts` is not 0.
//! - `bytes` estimates the RAM all this takes, and never falls short of what
//!   the keys alone take.

use crate::name::{BucketName, Key};
use crate::request::{KeyPage, KeyQuery, Metadata, Seq};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Bound;

/// RAM per key beside its bytes: entry, allocation, and slack of the tree.
const ENTRY_BYTES: u64 = 128;
const TOMB_BYTES: u64 = 96;
const BUCKET_BYTES: u64 = 512;

/// Whether a value lies in one record or in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Chunked,
}

/// The current version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Device offset of its put or manifest record.
    pub(crate) pos: u64,
    pub(crate) seq: u64,
    pub(crate) modified_wall_ns: u64,
    pub(crate) record_len: u32,
    pub(crate) value_len: u32,
    pub(crate) checksum: u32,
    pub(crate) puts: u32,
    pub(crate) metadata_len: u16,
    pub(crate) form: Form,
}

impl Entry {
    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            seq: Seq(self.seq),
            len_bytes: u64::from(self.value_len),
            checksum: self.checksum,
            modified_wall_ns: self.modified_wall_ns,
        }
    }

    /// What the key costs its bucket's quota.
    pub(crate) fn charge(&self, key: &[u8]) -> u64 {
        charge(key, u64::from(self.metadata_len), u64::from(self.value_len))
    }
}

/// What a version costs its bucket's quota.
pub(crate) fn charge(key: &[u8], metadata_len: u64, value_len: u64) -> u64 {
    key.len() as u64 + metadata_len + value_len
}

/// A key that was deleted while older records of it are still on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tomb {
    pub(crate) pos: u64,
    pub(crate) seq: u64,
    pub(crate) record_len: u32,
    pub(crate) puts: u32,
}

/// The record that sets a bucket's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) pos: u64,
    pub(crate) seq: u64,
    pub(crate) record_len: u32,
    /// 0 is none.
    pub(crate) limit_bytes: u64,
}

/// One bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) live: BTreeMap<Box<[u8]>, Entry>,
    pub(crate) tombs: BTreeMap<Box<[u8]>, Tomb>,
    /// Sum of [`Entry::charge`].
    pub(crate) charged_bytes: u64,
    pub(crate) quota: Option<Quota>,
}

impl Bucket {
    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.tombs.is_empty() && self.quota.is_none()
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) buckets: BTreeMap<BucketName, Bucket>,
    bytes: u64,
    keys: u64,
    charged_bytes: u64,
}

/// What a change took out of the index; its records count no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) entry: Option<Entry>,
    pub(crate) tomb: Option<Tomb>,
}

/// RAM a new key takes.
pub(crate) fn growth(key: &[u8]) -> u64 {
    ENTRY_BYTES + key.len().next_multiple_of(16) as u64
}

fn tomb_growth(key: &[u8]) -> u64 {
    TOMB_BYTES + key.len().next_multiple_of(16) as u64
}

impl Index {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Live keys.
    pub(crate) fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes of live keys, values and headers.
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charged_bytes
    }

    pub(crate) fn get(&self, bucket: &str, key: &[u8]) -> Option<&Entry> {
        self.buckets.get(bucket)?.live.get(key)
    }

    pub(crate) fn tomb(&self, bucket: &str, key: &[u8]) -> Option<&Tomb> {
        self.buckets.get(bucket)?.tombs.get(key)
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> &mut Bucket {
        if !self.buckets.contains_key(name) {
            self.bytes += BUCKET_BYTES;
            let name = BucketName::stored(name).expect("names are validated where they enter");
            self.buckets.insert(name, Bucket::default());
        }
        self.buckets.get_mut(name).expect("just made")
    }

    fn prune(&mut self, name: &str) {
        if self.buckets.get(name).is_some_and(Bucket::is_empty) {
            self.buckets.remove(name);
            self.bytes -= BUCKET_BYTES;
        }
    }

    fn set_live(&mut self, name: &str, key: &[u8], entry: Entry) -> Option<Entry> {
        let charged = entry.charge(key);
        let bucket = self.bucket_mut(name);
        bucket.charged_bytes += charged;
        let old = match bucket.live.get_mut(key) {
            Some(held) => Some(core::mem::replace(held, entry)),
            None => bucket.live.insert(key.into(), entry),
        };
        let freed = old.map_or(0, |old| old.charge(key));
        bucket.charged_bytes -= freed;
        self.charged_bytes = self.charged_bytes + charged - freed;
        if old.is_none() {
            self.keys += 1;
            self.bytes += growth(key);
        }
        old
    }

    fn take_live(&mut self, name: &str, key: &[u8]) -> Option<Entry> {
        let bucket = self.buckets.get_mut(name)?;
        let old = bucket.live.remove(key)?;
        bucket.charged_bytes -= old.charge(key);
        self.charged_bytes -= old.charge(key);
        self.keys -= 1;
        self.bytes -= growth(key);
        Some(old)
    }

    fn set_tomb(&mut self, name: &str, key: &[u8], tomb: Tomb) -> Option<Tomb> {
        let old = self.bucket_mut(name).tombs.insert(key.into(), tomb);
        if old.is_none() {
            self.bytes += tomb_growth(key);
        }
        old
    }

    fn take_tomb(&mut self, name: &str, key: &[u8]) -> Option<Tomb> {
        let old = self.buckets.get_mut(name)?.tombs.remove(key)?;
        self.bytes -= tomb_growth(key);
        Some(old)
    }

    /// A put is durable; `entry.puts` is set here.
    pub(crate) fn put(&mut self, name: &str, key: &[u8], mut entry: Entry) -> Replaced {
        let tomb = self.take_tomb(name, key);
        let before = self.get(name, key).map_or(0, |old| old.puts) + tomb.map_or(0, |old| old.puts);
        entry.puts = before + 1;
        let old = self.set_live(name, key, entry);
        assert!(
            old.is_none() || tomb.is_none(),
            "a key is live or deleted, not both"
        );
        Replaced { entry: old, tomb }
    }

    /// A tombstone is durable; `tomb.puts` is set here.
    pub(crate) fn delete(&mut self, name: &str, key: &[u8], mut tomb: Tomb) -> Replaced {
        let old = self.take_live(name, key);
        let before = self.tomb(name, key).map_or(0, |old| old.puts);
        tomb.puts = before + old.map_or(0, |old| old.puts);
        let old_tomb = self.set_tomb(name, key, tomb);
        Replaced {
            entry: old,
            tomb: old_tomb,
        }
    }

    /// A put record that does not count is about to go with its segment; gives
    /// back the tombstone that is thereby no longer needed.
    pub(crate) fn forget_put(&mut self, name: &str, key: &[u8]) -> Option<Tomb> {
        let bucket = self.buckets.get_mut(name)?;
        if let Some(entry) = bucket.live.get_mut(key) {
            assert!(entry.puts > 1, "the current put record is not forgotten");
            entry.puts -= 1;
            return None;
        }
        let tomb = bucket.tombs.get_mut(key)?;
        assert!(tomb.puts > 0, "more put records forgotten than there were");
        tomb.puts -= 1;
        if tomb.puts > 0 {
            return None;
        }
        let dropped = self.take_tomb(name, key);
        self.prune(name);
        dropped
    }

    /// The current record of a key was copied; whether it still was the current one.
    pub(crate) fn relocate(&mut self, name: &str, key: &[u8], from: u64, to: u64) -> bool {
        let bucket = self.buckets.get_mut(name);
        match bucket.and_then(|bucket| bucket.live.get_mut(key)) {
            Some(entry) if entry.pos == from => {
                entry.pos = to;
                true
            }
            _ => false,
        }
    }

    /// The tombstone of a key was copied.
    pub(crate) fn relocate_tomb(&mut self, name: &str, key: &[u8], from: u64, to: u64) -> bool {
        let bucket = self.buckets.get_mut(name);
        match bucket.and_then(|bucket| bucket.tombs.get_mut(key)) {
            Some(tomb) if tomb.pos == from => {
                tomb.pos = to;
                true
            }
            _ => false,
        }
    }

    /// The quota record of a bucket was copied.
    pub(crate) fn relocate_quota(&mut self, name: &str, from: u64, to: u64) -> bool {
        let bucket = self.buckets.get_mut(name);
        match bucket.and_then(|bucket| bucket.quota.as_mut()) {
            Some(quota) if quota.pos == from => {
                quota.pos = to;
                true
            }
            _ => false,
        }
    }

    /// A record of recovery: `order` tells which of two records with the same sequence is later.
    pub(crate) fn recover_put(
        &mut self,
        name: &str,
        key: &[u8],
        mut entry: Entry,
        order: impl Fn(u64) -> (u64, u64),
    ) {
        if let Some(tomb) = self.tomb(name, key).copied() {
            entry.puts = tomb.puts + 1;
            if entry.seq > tomb.seq {
                self.take_tomb(name, key);
                self.set_live(name, key, entry);
            } else {
                self.set_tomb(
                    name,
                    key,
                    Tomb {
                        puts: entry.puts,
                        ..tomb
                    },
                );
            }
            return;
        }
        let Some(old) = self.get(name, key).copied() else {
            entry.puts = 1;
            self.set_live(name, key, entry);
            return;
        };
        let newer = (entry.seq, order(entry.pos)) > (old.seq, order(old.pos));
        let puts = old.puts + 1;
        self.set_live(
            name,
            key,
            Entry {
                puts,
                ..if newer { entry } else { old }
            },
        );
    }

    /// A tombstone of recovery.
    pub(crate) fn recover_tomb(
        &mut self,
        name: &str,
        key: &[u8],
        mut tomb: Tomb,
        order: impl Fn(u64) -> (u64, u64),
    ) {
        if let Some(entry) = self.get(name, key).copied() {
            if tomb.seq > entry.seq {
                tomb.puts = entry.puts;
                self.take_live(name, key);
                self.set_tomb(name, key, tomb);
            }
            return;
        }
        if let Some(old) = self.tomb(name, key).copied() {
            if (old.seq, order(old.pos)) > (tomb.seq, order(tomb.pos)) {
                return;
            }
            tomb.puts = old.puts;
        } else {
            tomb.puts = 0;
        }
        self.set_tomb(name, key, tomb);
    }

    /// Drops tombstones nothing needs, after recovery.
    pub(crate) fn drop_needless_tombs(&mut self) {
        for bucket in self.buckets.values_mut() {
            let bytes = &mut self.bytes;
            bucket.tombs.retain(|key, tomb| {
                if tomb.puts == 0 {
                    *bytes -= tomb_growth(key);
                }
                tomb.puts > 0
            });
        }
        let before = self.buckets.len();
        self.buckets.retain(|_, bucket| !bucket.is_empty());
        self.bytes -= BUCKET_BYTES * (before - self.buckets.len()) as u64;
    }

    /// Sets a quota, or takes it away; gives back the record that no longer counts.
    pub(crate) fn set_quota(&mut self, name: &str, quota: Quota) -> Option<Quota> {
        self.bucket_mut(name).quota.replace(quota)
    }

    /// A page of live keys.
    pub(crate) fn page(&self, bucket: &BucketName, query: &KeyQuery) -> KeyPage {
        let mut page = KeyPage::default();
        let Some(bucket) = self.buckets.get(bucket) else {
            return page;
        };
        let start = match &query.start {
            Some(start) if start.as_slice() > query.prefix.as_slice() => start.as_slice(),
            _ => query.prefix.as_slice(),
        };
        if query
            .end
            .as_ref()
            .is_some_and(|end| end.as_slice() <= start)
        {
            return page;
        }
        let upper = match (&query.end, after_prefix(&query.prefix)) {
            (Some(end), Some(after)) if after.as_ref() < end.as_slice() => Some(after),
            (Some(end), _) => Some(end.as_slice().into()),
            (None, after) => after,
        };
        if upper.as_ref().is_some_and(|upper| upper.as_ref() <= start) {
            return page;
        }
        let upper = upper.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = bucket
            .live
            .range::<[u8], _>((Bound::Included(start), upper));
        loop {
            let next = if query.reverse {
                range.next_back()
            } else {
                range.next()
            };
            let Some((key, entry)) = next else { break };
            if page.keys.len() >= query.limit {
                page.more = true;
                break;
            }
            let key = Key::new(key).expect("keys are validated where they enter");
            page.keys.push((key, entry.metadata()));
        }
        page
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Box<[u8]>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after.into())
}

#[cfg(test)]
#[path = "index/tests.rs"]
mod tests;
