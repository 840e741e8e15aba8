//! The keys of one bucket, and what becomes of their versions.

use super::tree::{Place, Tree};
use super::version::{Form, Version};
use super::views::{NOW, Views};
use super::{Quota, Retired, Totals};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The newest sequence a version could have.
pub(super) const NEWEST: u64 = u64::MAX;

/// One bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(super) tree: Tree,
    /// What the view of now has.
    pub(crate) totals: Totals,
    pub(crate) quota: Option<Quota>,
}

/// A bucket's name, and what is seen when.
pub(super) type Under<'a> = (&'a str, &'a Views);

impl Bucket {
    pub(super) fn is_empty(&self) -> bool {
        self.tree.len() == 0 && self.quota.is_none()
    }

    pub(super) fn ram_bytes(&self) -> u64 {
        self.tree.ram_bytes() as u64
    }

    /// A version by its sequence.
    pub(super) fn version(&self, key: &[u8], seq: u64) -> Option<(Place, Version)> {
        let place = self.tree.seek(key, seq);
        let version = self.tree.of(place, key)?;
        (version.seq == seq).then_some((place, version))
    }

    /// The newest version, a ghost included.
    pub(super) fn newest(&self, key: &[u8]) -> Option<(Place, Version)> {
        let place = self.tree.seek(key, NEWEST);
        Some((place, self.tree.of(place, key)?))
    }

    /// The oldest version, a ghost included.
    fn oldest(&self, key: &[u8]) -> Option<(Place, Version)> {
        let behind = self.tree.seek(key, 0);
        // Nothing has sequence 0.
        let place = self.tree.before(behind)?;
        Some((place, self.tree.of(place, key)?))
    }

    /// What the view at `at` sees of a key: a value or a tombstone.
    pub(super) fn seen(
        &self,
        (name, views): Under<'_>,
        key: &[u8],
        at: u64,
    ) -> Option<(Place, Version)> {
        let mut place = self.tree.seek(key, at);
        let straight = views.rollbacks.is_empty() || views.is_straight(name);
        let spans = (!straight).then(|| views.spans(name, at));
        while let Some(version) = self.tree.of(place, key) {
            let visible = spans.as_ref().is_none_or(|spans| spans.has(version.seq));
            if visible && version.form != Form::Ghost {
                return Some((place, version));
            }
            place = self.tree.next(place);
        }
        None
    }

    /// Whether any view sees the version at `place`.
    fn is_seen(&self, under: Under<'_>, key: &[u8], (place, version): (Place, Version)) -> bool {
        let (name, views) = under;
        if views.rollbacks.is_empty() || views.is_straight(name) {
            let newer = self.tree.before(place);
            let newer = newer.and_then(|newer| self.tree.of(newer, key));
            return newer.is_none_or(|newer| views.any_between(version.seq, newer.seq));
        }
        let sees = |at: u64| {
            let seen = self.seen(under, key, at);
            seen.is_some_and(|(_, seen)| seen.seq == version.seq)
        };
        views.all().any(sees)
    }

    fn retired(&self, name: &str, key: &[u8], version: &Version) -> Retired {
        Retired {
            pos: version.pos,
            len: version.record_len(name, key),
            seq: version.seq,
            form: version.form,
        }
    }

    /// A put or a tombstone of a key is durable; its sequence is the highest there is.
    pub(super) fn write(
        &mut self,
        under: Under<'_>,
        key: &[u8],
        mut version: Version,
    ) -> Vec<Retired> {
        let place = self.tree.seek(key, NEWEST);
        let Some(newest) = self.tree.of(place, key) else {
            self.tree.insert_first(place, key, &version);
            self.count(key, None, Some(&version));
            return Vec::new();
        };
        if under.1.is_plain() && newest.form != Form::Ghost && self.is_alone(place, key) {
            version.dead = newest.dead + u32::from(newest.is_put());
            self.tree.replace(place, &version);
            self.count(key, Some(&newest), Some(&version));
            return alloc::vec![self.retired(under.0, key, &newest)];
        }
        let old = self.seen(under, key, NOW).map(|(_, old)| old);
        version.dead = self.take_dead(key);
        self.tree.insert(key, &version);
        self.count(key, old.as_ref(), Some(&version));
        let Some(old) = old else {
            return Vec::new();
        };
        let place = self.tree.seek(key, old.seq);
        if self.is_seen(under, key, (place, old)) {
            return Vec::new();
        }
        self.tree.remove(place);
        if old.is_put() {
            version.dead += 1;
            self.tree
                .replace(self.tree.seek(key, version.seq), &version);
        }
        alloc::vec![self.retired(under.0, key, &old)]
    }

    /// Whether the newest version of a key is its only one.
    pub(super) fn is_alone(&self, newest: Place, key: &[u8]) -> bool {
        self.tree.of(self.tree.next(newest), key).is_none()
    }

    /// Takes the count of dead records off the newest version, before there is a newer one.
    pub(super) fn take_dead(&mut self, key: &[u8]) -> u32 {
        let Some((place, newest)) = self.newest(key) else {
            return 0;
        };
        if newest.form == Form::Ghost {
            self.tree.remove(place);
        } else if newest.dead > 0 {
            self.tree.replace(place, &Version { dead: 0, ..newest });
        }
        newest.dead
    }

    /// The view of now sees `new` in place of `old`.
    pub(super) fn count(&mut self, key: &[u8], old: Option<&Version>, new: Option<&Version>) {
        let totals = &mut self.totals;
        if let Some(new) = new.filter(|new| new.is_put()) {
            totals.keys += 1;
            totals.charged_bytes += new.charge(key);
        }
        if let Some(old) = old.filter(|old| old.is_put()) {
            totals.keys -= 1;
            totals.charged_bytes -= old.charge(key);
        }
    }

    pub(super) fn forget_put(&mut self, name: &str, key: &[u8]) -> Vec<Retired> {
        let (place, newest) = self
            .newest(key)
            .expect("a key with a dead record has a version or a ghost");
        let dead = newest.dead.checked_sub(1);
        let dead = dead.expect("no more put records are forgotten than there were");
        self.tree.replace(place, &Version { dead, ..newest });
        self.drop_needless(name, key)
    }

    /// Drops tombstones with nothing left to hide.
    pub(super) fn drop_needless(&mut self, name: &str, key: &[u8]) -> Vec<Retired> {
        let mut retired = Vec::new();
        if self.newest(key).is_none_or(|(_, newest)| newest.dead > 0) {
            return retired;
        }
        while let Some((place, oldest)) = self.oldest(key)
            && !oldest.is_put()
        {
            self.tree.remove(place);
            if oldest.form == Form::Tomb {
                retired.push(self.retired(name, key, &oldest));
            }
        }
        retired
    }

    /// Drops the versions of a key that no view sees any more.
    pub(super) fn settle(&mut self, under: Under<'_>, key: &[u8]) -> Vec<Retired> {
        let mut unseen = Vec::new();
        let mut place = self.tree.seek(key, NEWEST);
        let Some(newest) = self.tree.of(place, key) else {
            return Vec::new();
        };
        while let Some(version) = self.tree.of(place, key) {
            let counts = version.form != Form::Ghost;
            if counts && !self.is_seen(under, key, (place, version)) {
                unseen.push(version);
            }
            place = self.tree.next(place);
        }
        if unseen.is_empty() {
            return Vec::new();
        }
        let mut dead = self.take_dead(key);
        for version in &unseen {
            self.tree.remove(self.tree.seek(key, version.seq));
            dead += u32::from(version.is_put());
        }
        self.leave_dead(key, newest.seq, dead);
        let retired = unseen.iter();
        retired
            .map(|version| self.retired(under.0, key, version))
            .collect()
    }

    /// Puts the count of dead records where it belongs: at the newest version, or at a ghost.
    pub(super) fn leave_dead(&mut self, key: &[u8], ghost_seq: u64, dead: u32) {
        if let Some((place, newest)) = self.newest(key) {
            if newest.dead != dead {
                self.tree.replace(place, &Version { dead, ..newest });
            }
        } else if dead > 0 {
            let ghost = Version {
                pos: 0,
                seq: ghost_seq,
                modified_ms: 0,
                expires_ms: 0,
                value_len: 0,
                checksum: 0,
                metadata_len: 0,
                form: Form::Ghost,
                upload_len: 0,
                dead,
            };
            self.tree.insert(key, &ghost);
        }
    }

    pub(super) fn relocate(&mut self, key: &[u8], seq: u64, from: u64, to: u64) -> bool {
        let Some((place, version)) = self.version(key, seq) else {
            return false;
        };
        let counts = version.pos == from && version.form != Form::Ghost;
        if counts {
            self.tree.replace(place, &Version { pos: to, ..version });
        }
        counts
    }
}

/// The first key behind this one.
pub(super) fn after(key: &[u8]) -> Box<[u8]> {
    let mut after = key.to_vec();
    after.push(0);
    after.into()
}
