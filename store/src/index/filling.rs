//! Versions that come in the order of their keys, as a summary tells them.
//!
//! Each belongs where the one before went, or a little behind it, so that the tree is not searched.

use super::Index;
use super::keys::Bucket;
use super::tree::Place;
use super::version::Version;
use super::views::Views;
use crate::name::BucketName;

/// A bucket that is being filled: it is not in the index meanwhile.
pub(crate) struct Filling {
    name: BucketName,
    bucket: Bucket,
    /// Where the last version went.
    finger: Place,
}

impl Index {
    /// Goes on with the bucket that was taken out last, or gives it back and takes out another.
    ///
    /// # Panics
    /// If `name` is none that can be in the log.
    pub(crate) fn fill_on<'f>(
        &mut self,
        filling: &'f mut Option<Filling>,
        name: &str,
    ) -> &'f mut Filling {
        if filling
            .as_ref()
            .is_none_or(|filling| filling.name.as_str() != name)
        {
            let before = filling.take();
            before
                .into_iter()
                .for_each(|before| self.end_filling(before));
            *filling = Some(self.begin_filling(name));
        }
        filling.as_mut().expect("just taken out")
    }

    fn begin_filling(&mut self, name: &str) -> Filling {
        let (name, bucket) = self.buckets.remove_entry(name).unwrap_or_else(|| {
            let name = BucketName::stored(name).expect("names are validated where they enter");
            (name, Bucket::default())
        });
        self.tree_bytes -= bucket.ram_bytes();
        Filling {
            name,
            bucket,
            finger: Place::default(),
        }
    }

    /// The same as [`recover`](Self::recover), of a bucket that was taken out.
    pub(crate) fn fill(
        &mut self,
        filling: &mut Filling,
        key: &[u8],
        version: Version,
        order: impl Fn(u64) -> (u64, u64),
    ) {
        if !self.is_known(filling.name.as_str(), key) {
            return self.pass_by(key);
        }
        self.note_end(version.expires_ms);
        filling.recover(&self.views, key, version, order);
    }

    /// Gives a bucket back.
    pub(crate) fn end_filling(&mut self, filling: Filling) {
        let Filling { name, bucket, .. } = filling;
        self.tree_bytes += bucket.ram_bytes();
        if !bucket.is_empty() {
            self.buckets.insert(name, bucket);
        }
    }
}

impl Filling {
    fn recover(
        &mut self,
        views: &Views,
        key: &[u8],
        version: Version,
        order: impl Fn(u64) -> (u64, u64),
    ) {
        if views.is_plain() {
            let tree = &self.bucket.tree;
            let room = tree.room_near(self.finger, key, super::keys::NEWEST);
            if let Some(place) = self.bucket.recover_newest(room, key, &version) {
                self.finger = place;
                return;
            }
        }
        let under = (self.name.as_str(), views);
        self.bucket.recover(under, key, version, order);
    }
}
