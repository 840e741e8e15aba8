//! The index out of the records of a disk, in any order.

use super::keys::{Bucket, NEWEST, after};
use super::tree::Place;
use super::version::{Form, Version};
use super::views::{NOW, Views};
use super::{Filled, Index, Retired, Totals};
use crate::name::BucketName;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

impl Index {
    /// Snapshots and rollbacks, before the records that they decide about. A later change of them
    /// may come between, in the order of the log.
    pub(crate) fn recover_views(&mut self, views: Views) {
        if views.seq >= self.views.seq {
            self.views = views;
        }
    }

    /// A put or a tombstone; `order` tells which of two records with the same sequence is later.
    pub(crate) fn recover(
        &mut self,
        name: &str,
        key: &[u8],
        version: Version,
        order: impl Fn(u64) -> (u64, u64),
    ) -> Filled {
        if !self.is_known(name, key) {
            self.pass_by(key);
            return Filled::Otherwise;
        }
        self.note_end(version.expires_ms);
        let filled = self.change(name, |bucket, views| {
            bucket.recover((name, views), key, version, order)
        });
        self.count_on(&version, &filled);
        if self.counts {
            self.change(name, |bucket, _| bucket.count_on(key, &version, &filled));
        }
        filled
    }

    /// Whether it has to be counted anew, once all is there, after such a version.
    #[inline(always)]
    pub(super) fn count_on(&mut self, version: &Version, filled: &Filled) {
        if version.form != Form::Whole || *filled == Filled::Otherwise {
            self.counts = false;
        }
    }

    /// Whether what has come so far has been counted: each version is the only one of its key and
    /// a whole value.
    pub(crate) fn is_counted(&self) -> bool {
        self.counts && self.views.seq == 0 && self.is_whole()
    }

    /// Nothing that comes is counted before all is there.
    #[cfg(test)]
    pub(crate) fn count_anew(&mut self) {
        self.counts = false;
    }

    /// All is there, and [counted](Self::is_counted).
    pub(crate) fn finish_counted(&mut self) {
        self.add_up();
    }

    /// All is there: drops tombstones nothing needs, adds up, and tells each version that has a
    /// record, with its bucket and key.
    pub(crate) fn finish(&mut self, mut tell: impl FnMut(&str, &[u8], &Version)) {
        // What a snapshot kept that is gone by now may still be there.
        let never_had_views = self.views.seq == 0;
        if never_had_views {
            let mut emptied = Vec::new();
            for (name, bucket) in &mut self.buckets {
                let before = bucket.ram_bytes();
                bucket.finish_plain(name.as_str(), &mut tell);
                self.tree_bytes = self.tree_bytes + bucket.ram_bytes() - before;
                if bucket.is_empty() {
                    emptied.push(name.clone());
                }
            }
            for name in emptied {
                self.buckets.remove(&name);
            }
        } else {
            self.finish_views(tell);
        }
        self.add_up();
        if self.views.seq > 0 {
            self.reaper.begin();
            self.forget_held();
        }
    }

    fn finish_views(&mut self, mut tell: impl FnMut(&str, &[u8], &Version)) {
        let names: Vec<BucketName> = self.buckets.keys().cloned().collect();
        for name in &names {
            self.change(name.as_str(), |bucket, _| {
                bucket.drop_all_needless(name.as_str())
            });
        }
        let mut totals: BTreeMap<u64, BTreeMap<BucketName, Totals>> = BTreeMap::new();
        let mut views: Vec<u64> = self.views.all().collect();
        views.sort_unstable();
        for (name, bucket) in &mut self.buckets {
            let of_views = bucket.totals_of((name.as_str(), &self.views), &views);
            for (at, of_view) in views.iter().zip(of_views) {
                match *at {
                    NOW => bucket.totals = of_view,
                    at => {
                        totals.entry(at).or_default().insert(name.clone(), of_view);
                    }
                }
            }
        }
        for snapshot in &self.views.snapshots {
            totals.entry(snapshot.seq).or_default();
        }
        self.totals = totals;
        for (name, bucket) in &self.buckets {
            let versions = bucket.versions();
            let versions = versions.filter(|(_, version)| version.form != Form::Ghost);
            versions.for_each(|(key, version)| tell(name.as_str(), key, &version));
        }
    }
}

impl Bucket {
    pub(super) fn recover(
        &mut self,
        under: (&str, &Views),
        key: &[u8],
        version: Version,
        order: impl Fn(u64) -> (u64, u64),
    ) -> Filled {
        if under.1.is_plain() {
            let room = self.tree.room_for(key, NEWEST);
            if let Some((_, filled)) = self.recover_newest(room, key, &version) {
                return filled;
            }
        }
        if let Some((place, old)) = self.version(key, version.seq) {
            if old.form != Form::Ghost && order(version.pos) > order(old.pos) {
                let dead = old.dead;
                self.tree.replace(place, &Version { dead, ..version });
            }
            let dead = self.take_dead(key) + u32::from(version.is_put());
            self.leave_dead(key, version.seq, dead);
            return Filled::Otherwise;
        }
        let is_first = self.tree.of(self.tree.seek(key, u64::MAX), key).is_none();
        let dead = self.take_dead(key);
        self.tree.insert(key, &version);
        self.leave_dead(key, version.seq, dead);
        if !is_first || !under.1.rollbacks.is_empty() {
            let _: Vec<Retired> = self.settle(under, key);
        }
        Filled::Otherwise
    }

    /// Where only the newest version counts, and this is another one than that; where the newest
    /// is then. `room` is that of the newest.
    pub(super) fn recover_newest(
        &mut self,
        room: Place,
        key: &[u8],
        version: &Version,
    ) -> Option<(Place, Filled)> {
        let place = self.tree.on_entry(room);
        let Some(newest) = self.tree.of(place, key) else {
            return Some((self.tree.put_in(room, key, version), Filled::New));
        };
        if newest.form == Form::Ghost || newest.seq == version.seq {
            return None;
        }
        if newest.seq > version.seq {
            let dead = newest.dead + u32::from(version.is_put());
            if dead > newest.dead {
                self.tree.replace(place, &Version { dead, ..newest });
            }
            return Some((place, Filled::Outdated));
        }
        let dead = newest.dead + u32::from(newest.is_put());
        let version = Version { dead, ..*version };
        if self.is_alone(place, key) {
            self.tree.replace(place, &version);
        } else {
            self.tree.remove(place);
            self.tree.insert(key, &version);
        }
        Some((place, Filled::InPlaceOf(newest)))
    }

    /// The totals follow a version that has come.
    #[inline(always)]
    pub(super) fn count_on(&mut self, key: &[u8], version: &Version, filled: &Filled) {
        match filled {
            Filled::New => self.count(key, None, Some(version)),
            Filled::InPlaceOf(old) => self.count(key, Some(old), Some(version)),
            Filled::Outdated | Filled::Otherwise => {}
        }
    }

    /// Where there never was a snapshot: a key has its newest version and no other.
    fn finish_plain(&mut self, name: &str, tell: &mut impl FnMut(&str, &[u8], &Version)) {
        let mut totals = Totals::default();
        let mut hidden: Vec<Box<[u8]>> = Vec::new();
        for (key, version) in self.tree.entries() {
            if version.is_put() {
                totals.keys += 1;
                totals.charged_bytes += version.charge(key);
                tell(name, key, &version);
            } else {
                hidden.push(key.into());
            }
        }
        self.totals = totals;
        for key in hidden {
            let _: Vec<Retired> = self.drop_needless(name, &key);
            if let Some((_, left)) = self
                .newest(&key)
                .filter(|(_, left)| left.form == Form::Tomb)
            {
                tell(name, &key, &left);
            }
        }
    }

    fn drop_all_needless(&mut self, name: &str) {
        let mut wanted: Vec<Box<[u8]>> = Vec::new();
        let mut place = self.tree.seek(&[], u64::MAX);
        while let Some((key, version)) = self.tree.get(place) {
            if !version.is_put() && wanted.last().is_none_or(|last| **last != *key) {
                wanted.push(key.into());
            }
            place = self.tree.next(place);
        }
        for key in wanted {
            let _: Vec<Retired> = self.drop_needless(name, &key);
        }
    }

    /// What each of the views, in order, has of this bucket.
    fn totals_of(&self, under: (&str, &Views), views: &[u64]) -> Vec<Totals> {
        match under.1.is_straight(under.0) {
            true => self.straight_totals(views),
            false => self.bent_totals(under, views),
        }
    }

    /// Where nothing was undone, a version is seen up to the next newer one.
    fn straight_totals(&self, views: &[u64]) -> Vec<Totals> {
        let mut totals = alloc::vec![Totals::default(); views.len()];
        let mut last: Option<(&[u8], u64)> = None;
        for (key, version) in self.versions() {
            let first = views.partition_point(|at| *at < version.seq);
            let end = match last.filter(|(of, _)| *of == key) {
                Some((_, newer)) => views.partition_point(|at| *at < newer),
                None => views.len(),
            };
            if version.is_put() {
                for totals in &mut totals[first..end] {
                    totals.keys += 1;
                    totals.charged_bytes += version.charge(key);
                }
            }
            last = Some((key, version.seq));
        }
        totals
    }

    fn bent_totals(&self, under: (&str, &Views), views: &[u64]) -> Vec<Totals> {
        let mut totals = alloc::vec![Totals::default(); views.len()];
        let mut next = self.key_from(&[]);
        while let Some(key) = next {
            for (totals, at) in totals.iter_mut().zip(views) {
                if let Some((_, seen)) = self.seen(under, &key, *at).filter(|(_, v)| v.is_put()) {
                    totals.keys += 1;
                    totals.charged_bytes += seen.charge(&key);
                }
            }
            next = self.key_from(&after(&key));
        }
        totals
    }

    /// Each version with its key.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&[u8], Version)> {
        let mut place = self.tree.seek(&[], u64::MAX);
        core::iter::from_fn(move || {
            let found = self.tree.get(place)?;
            place = self.tree.next(place);
            Some(found)
        })
    }
}
