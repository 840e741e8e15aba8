//! Versions that come in the order of their keys, as runs tell them.
//!
//! Each belongs behind the last one there is, or near where the one before went, so that the tree
//! is not searched.

use super::Index;
use super::ShortKey;
use super::keys::{Bucket, NEWEST};
use super::leaf::{Beginning, LeafBuilder};
use super::tree::Place;
use super::version::{Form, Version};
use super::views::Views;
use crate::name::BucketName;

/// A bucket that is being filled: it is not in the index meanwhile.
pub(crate) struct Filling {
    name: BucketName,
    bucket: Bucket,
    /// Versions behind all that are in the bucket.
    builder: LeafBuilder,
    /// Where the last version went.
    finger: Place,
    /// How the last key of all begins.
    last: Beginning,
    /// All that is known counts, and there are no snapshots.
    is_simple: bool,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is its key's first one.
    New,
    /// It takes the place of an older one.
    InPlaceOf(Version),
    /// It is older than what there is.
    Outdated,
    /// None of these, or that is not known.
    Otherwise,
}

impl Index {
    /// Takes a bucket out.
    ///
    /// # Panics
    /// If `name` is none that can be in the log.
    pub(crate) fn begin_filling(&mut self, name: &str) -> Filling {
        let (name, bucket) = self.buckets.remove_entry(name).unwrap_or_else(|| {
            let name = BucketName::stored(name).expect("names are validated where they enter");
            (name, Bucket::default())
        });
        self.tree_bytes -= bucket.ram_bytes();
        self.now.keys -= bucket.totals.keys;
        self.now.charged_bytes -= bucket.totals.charged_bytes;
        let last = bucket.tree.last();
        let (finger, last) =
            last.map_or_else(Default::default, |(place, key)| (place, Beginning::of(key)));
        Filling {
            name,
            bucket,
            builder: LeafBuilder::new(),
            finger,
            last,
            is_simple: self.counts && self.is_whole() && self.views.is_plain(),
        }
    }

    /// The same as [`recover`](Self::recover), of a bucket that was taken out.
    pub(crate) fn fill(
        &mut self,
        filling: &mut Filling,
        key: &[u8],
        version: &Version,
        order: impl Fn(u64) -> (u64, u64),
    ) -> Filled {
        if !self.is_whole() && !self.is_known(filling.name.as_str(), key) {
            self.pass_by(key);
            return Filled::Otherwise;
        }
        self.note_end(version.expires_ms);
        let filled = self.fill_known(filling, key, version, order);
        self.count_on(version, &filled);
        filling.is_simple &= self.counts;
        if self.counts {
            filling.bucket.count_on(key, version, &filled);
        }
        filled
    }

    fn fill_known(
        &self,
        filling: &mut Filling,
        key: &[u8],
        version: &Version,
        order: impl Fn(u64) -> (u64, u64),
    ) -> Filled {
        if !self.views.is_plain() {
            filling.settle();
            let under = (filling.name.as_str(), &self.views);
            return filling.bucket.recover(under, key, *version, order);
        }
        let beginning = Beginning::of(key);
        if filling.is_behind_all(key, beginning) {
            filling.last = beginning;
            filling.make_room(key.len(), version.packed_len());
            filling.builder.push(key, version);
            return Filled::New;
        }
        filling.settle();
        filling.recover(&self.views, key, version, order)
    }

    /// Gives a bucket back.
    pub(crate) fn end_filling(&mut self, mut filling: Filling) {
        filling.settle();
        let Filling { name, bucket, .. } = filling;
        self.tree_bytes += bucket.ram_bytes();
        self.now.keys += bucket.totals.keys;
        self.now.charged_bytes += bucket.totals.charged_bytes;
        if !bucket.is_empty() {
            self.buckets.insert(name, bucket);
        }
    }
}

impl Filling {
    /// Of the bucket.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The same as [`Index::fill`] of what most are: a whole value without an end under a short
    /// key, behind all that there are. Whether it was one.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        (key, beginning): (ShortKey<'_>, Beginning),
        version: Version,
    ) -> bool {
        let is_usual = version.form == Form::Whole && version.expires_ms == 0;
        if !(self.is_simple && is_usual && beginning > self.last) {
            return false;
        }
        let Some(packed) = version.pack_plain() else {
            return false;
        };
        self.last = beginning;
        self.make_room(key.len(), packed.len());
        self.builder.push_short(key, &packed);
        self.bucket.totals.keys += 1;
        let charge =
            key.len() as u64 + u64::from(version.metadata_len) + u64::from(version.value_len);
        self.bucket.totals.charged_bytes += charge;
        true
    }

    #[inline(always)]
    fn make_room(&mut self, key_len: usize, packed_len: usize) {
        if !self.builder.has_room(key_len, packed_len) {
            self.settle();
        }
    }

    /// All versions are in the bucket.
    #[cold]
    fn settle(&mut self) {
        if let Some(leaf) = self.builder.take() {
            self.bucket.tree.append(leaf);
        }
    }

    fn is_behind_all(&self, key: &[u8], beginning: Beginning) -> bool {
        beginning > self.last || self.is_just_behind_all(key, beginning)
    }

    fn is_just_behind_all(&self, key: &[u8], beginning: Beginning) -> bool {
        let last = self.builder.last();
        let last = last.or_else(|| self.bucket.tree.last().map(|(_, last)| last));
        last.is_none_or(|last| beginning == self.last && key > last)
    }

    fn recover(
        &mut self,
        views: &Views,
        key: &[u8],
        version: &Version,
        order: impl Fn(u64) -> (u64, u64),
    ) -> Filled {
        let tree = &self.bucket.tree;
        let near = tree.last().filter(|(_, last)| *last == key);
        let near = near.map_or(self.finger, |(place, _)| place);
        let room = tree.room_near(near, key, NEWEST);
        let filled = match self.bucket.recover_newest(room, key, version) {
            Some((place, filled)) => {
                self.finger = place;
                filled
            }
            None => {
                let under = (self.name.as_str(), views);
                self.bucket.recover(under, key, *version, order)
            }
        };
        self.set_last();
        filled
    }

    fn set_last(&mut self) {
        let last = self.bucket.tree.last();
        self.last = last.map_or_else(Default::default, |(_, last)| Beginning::of(last));
    }
}
