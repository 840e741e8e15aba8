//! All versions of a bucket's keys, in order: branches of leaves of packed versions.
//!
//! Two levels are enough: a leaf has some eighty versions, a branch some hundred leaves, and the
//! branches of ten million keys are a thousand.
//!
//! # Invariants
//!
//! - No branch and no leaf is empty.
//! - `ram_bytes` is the sum of what leaves and branches take.

use super::leaf::{ALLOCATION_BYTES, Beginning, LEAF_BYTES, Leaf, entry_len};
use super::version::{PackedVersion, Version};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Leaves of a branch; one with more is split.
const BRANCH_LEAVES: usize = 128;
/// What a branch takes: its leaves' heads are allocated at once.
const BRANCH_BYTES: usize =
    (BRANCH_LEAVES + 1) * size_of::<Leaf>() + ALLOCATION_BYTES + 2 * size_of::<Branch>();

#[derive(Debug)]
struct Branch(Vec<Leaf>);

/// Versions in order.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    branches: Vec<Branch>,
    len: usize,
    ram_bytes: usize,
}

/// Where an entry is; good until the tree changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    branch: usize,
    leaf: usize,
    at: usize,
}

impl Place {
    /// In eight bytes; a number that does not fit leads elsewhere.
    pub(super) fn pack(self) -> (u32, u16, u16) {
        (self.branch as u32, self.leaf as u16, self.at as u16)
    }

    pub(super) fn unpack((branch, leaf, at): (u32, u16, u16)) -> Place {
        Place {
            branch: branch as usize,
            leaf: usize::from(leaf),
            at: usize::from(at),
        }
    }

    pub(super) fn is_in_leaf_of(self, other: Place) -> bool {
        (self.branch, self.leaf) == (other.branch, other.leaf)
    }
}

impl Branch {
    fn new(leaves: impl Iterator<Item = Leaf>) -> Branch {
        let mut room = Vec::with_capacity(BRANCH_LEAVES + 1);
        room.extend(leaves);
        Branch(room)
    }
}

impl Tree {
    /// Versions in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// RAM it takes.
    pub(crate) fn ram_bytes(&self) -> usize {
        self.ram_bytes
    }

    /// The first entry that is not before `key` with `seq`: newer versions come first.
    pub(crate) fn seek(&self, key: &[u8], seq: u64) -> Place {
        self.on_entry(self.room_for(key, seq))
    }

    /// Where `key` with `seq` is, or would be put: behind an entry of the same leaf, if any is
    /// before it.
    pub(super) fn room_for(&self, key: &[u8], seq: u64) -> Place {
        let (at, beginning) = ((key, seq), Beginning::of(key));
        let is_before = |leaf: &Leaf| leaf.begins_before(at, beginning);
        let branch = self
            .branches
            .partition_point(|branch| is_before(&branch.0[0]));
        let branch = branch.saturating_sub(1);
        let (leaf, at) = self.branches.get(branch).map_or((0, 0), |leaves| {
            let leaf = leaves.0.partition_point(is_before).saturating_sub(1);
            (leaf, leaves.0[leaf].seek(at, beginning))
        });
        Place { branch, leaf, at }
    }

    /// The same, of what is likely to be in the leaf of `near` or at its end.
    pub(super) fn room_near(&self, near: Place, key: &[u8], seq: u64) -> Place {
        let wanted = (key, seq);
        let beginning = Beginning::of(key);
        let Some(leaf) = self.leaf(near) else {
            return self.room_for(key, seq);
        };
        let starts_before = leaf.begins_before(wanted, beginning);
        if starts_before && !leaf.ends_before(wanted, beginning) {
            let at = leaf.seek_from(near.at, wanted, beginning);
            return Place { at, ..near };
        }
        let end = Place {
            at: leaf.len(),
            ..near
        };
        let next = self.leaf(self.on_entry(end));
        let is_next = next.is_none_or(|next| !next.begins_before(wanted, beginning));
        match starts_before && is_next {
            true => end,
            false => self.room_for(key, seq),
        }
    }

    /// All entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], Version)> {
        let leaves = self.branches.iter().flat_map(|branch| &branch.0);
        leaves.flat_map(|leaf| (0..leaf.len()).map(|at| leaf.get(at)))
    }

    /// Behind the last entry.
    pub(crate) fn end(&self) -> Place {
        Place {
            branch: self.branches.len(),
            leaf: 0,
            at: 0,
        }
    }

    /// The same place, or the first of the next leaf behind the end of one.
    pub(super) fn on_entry(&self, mut place: Place) -> Place {
        let Some(branch) = self.branches.get(place.branch) else {
            return place;
        };
        if place.at >= branch.0[place.leaf].len() {
            place.at = 0;
            place.leaf += 1;
            if place.leaf >= branch.0.len() {
                place.leaf = 0;
                place.branch += 1;
            }
        }
        place
    }

    fn leaf(&self, place: Place) -> Option<&Leaf> {
        self.branches.get(place.branch)?.0.get(place.leaf)
    }

    /// What is there; `None` behind the last.
    pub(crate) fn get(&self, place: Place) -> Option<(&[u8], Version)> {
        Some(self.leaf(place)?.get(place.at))
    }

    /// The version at a place, if it is one of `key`.
    pub(crate) fn of(&self, place: Place, key: &[u8]) -> Option<Version> {
        Some(self.packed(place, key)?.unpack())
    }

    /// The same, as it is packed.
    pub(super) fn packed(&self, place: Place, key: &[u8]) -> Option<PackedVersion<'_>> {
        self.leaf(place)?.of(place.at, key)
    }

    /// The version at what may be no place any more, if it is the newest one of `key`.
    pub(super) fn newest_at(&self, place: Place, key: &[u8]) -> Option<PackedVersion<'_>> {
        let leaf = self.leaf(place)?;
        let version = leaf.of(place.at, key)?;
        let is_newest = match place.at.checked_sub(1) {
            Some(before) => leaf.of(before, key).is_none(),
            None => false,
        };
        is_newest.then_some(version)
    }

    pub(crate) fn next(&self, place: Place) -> Place {
        let at = place.at + 1;
        self.on_entry(Place { at, ..place })
    }

    /// The place before; `None` before the first.
    pub(crate) fn before(&self, place: Place) -> Option<Place> {
        let Place { branch, leaf, at } = place;
        if let Some(at) = at.checked_sub(1) {
            return Some(Place { at, ..place });
        }
        let (branch, leaf) = match leaf.checked_sub(1) {
            Some(leaf) => (branch, leaf),
            None => {
                let branch = branch.checked_sub(1)?;
                (branch, self.branches[branch].0.len() - 1)
            }
        };
        let at = self.branches[branch].0[leaf].len() - 1;
        Some(Place { branch, leaf, at })
    }

    /// All leaves, in order, with the places of their first entries.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (Place, &Leaf)> {
        let branches = self.branches.iter().enumerate();
        branches.flat_map(|(branch, leaves)| {
            let leaves = leaves.0.iter().enumerate();
            leaves.map(move |(leaf, found)| {
                let at = 0;
                (Place { branch, leaf, at }, found)
            })
        })
    }

    /// Says of the leaf at a place when the first version in it is over.
    pub(super) fn set_soonest(&mut self, place: Place, soonest_ms: u64) {
        self.branches[place.branch].0[place.leaf].soonest_ms = soonest_ms;
    }

    /// Nothing is known of when versions are over: each leaf has to be looked at.
    pub(super) fn forget_soonest(&mut self) {
        let leaves = self.branches.iter_mut().flat_map(|branch| &mut branch.0);
        leaves.for_each(|leaf| leaf.soonest_ms = 0);
    }

    /// Adds a version that is not there.
    pub(crate) fn insert(&mut self, key: &[u8], version: &Version) {
        self.put_in(self.room_for(key, version.seq), key, version);
    }

    /// Adds a version of a key that has none, where [`seek`](Self::seek) did not find it.
    pub(crate) fn insert_first(&mut self, place: Place, key: &[u8], version: &Version) {
        let place = match self.before(place) {
            Some(before) if place.at == 0 => Place {
                at: before.at + 1,
                ..before
            },
            _ => place,
        };
        self.put_in(place, key, version);
    }

    /// Puts a version where [`room_for`](Self::room_for) told; where that is then.
    pub(super) fn put_in(&mut self, place: Place, key: &[u8], version: &Version) -> Place {
        if self.branches.is_empty() {
            self.branches
                .push(Branch::new([Leaf::default()].into_iter()));
            self.ram_bytes += BRANCH_BYTES + self.branches[0].0[0].ram_bytes();
        }
        let place = self.make_room(place, entry_len(key, version));
        self.change(place, |leaf| leaf.insert(place.at, key, version));
        self.len += 1;
        place
    }

    /// Adds a leaf behind all others.
    pub(super) fn append(&mut self, leaf: Leaf) {
        self.len += leaf.len();
        let end = self.before(self.end());
        if let Some(last) = end.and_then(|end| self.leaf(end).map(|last| (end, last)))
            && last.1.len_bytes() + leaf.len_bytes() <= LEAF_BYTES
        {
            return self.change(last.0, |last| last.take_in(&leaf, 0));
        }
        let full = self.branches.last();
        if full.is_none_or(|branch| branch.0.len() >= BRANCH_LEAVES) {
            self.branches.push(Branch::new(core::iter::empty()));
            self.ram_bytes += BRANCH_BYTES;
        }
        self.ram_bytes += leaf.ram_bytes();
        let branch = self.branches.last_mut().expect("one was pushed");
        branch.0.push(leaf);
    }

    /// The last entry, if there is one.
    pub(super) fn last(&self) -> Option<(Place, &[u8])> {
        let place = self.before(self.end())?;
        Some((place, self.leaf(place)?.key(place.at)))
    }

    /// Puts another version of the same key in its place: one that stands between the same
    /// versions.
    pub(crate) fn replace(&mut self, place: Place, version: &Version) {
        self.change(place, |leaf| leaf.replace(place.at, version));
    }

    /// Takes a version out.
    pub(crate) fn remove(&mut self, place: Place) {
        self.change(place, |leaf| leaf.remove(place.at));
        self.len -= 1;
        self.merge(place);
    }

    fn change(&mut self, place: Place, change: impl FnOnce(&mut Leaf)) {
        let leaf = &mut self.branches[place.branch].0[place.leaf];
        let before = leaf.ram_bytes();
        change(leaf);
        self.ram_bytes = self.ram_bytes + leaf.ram_bytes() - before;
    }

    /// Splits the leaf of `place` if it has no room; where `place` is then.
    fn make_room(&mut self, place: Place, len: usize) -> Place {
        let leaf = &self.branches[place.branch].0[place.leaf];
        if leaf.len() < 2 || leaf.len_bytes() + len <= LEAF_BYTES {
            return place;
        }
        let is_last = place.branch + 1 == self.branches.len()
            && place.leaf + 1 == self.branches[place.branch].0.len();
        // Keys that come in order fill their leaves.
        let cut = match is_last && place.at == leaf.len() {
            true => leaf.len(),
            false => leaf.middle(),
        };
        let mut right = Leaf::default();
        self.change(place, |leaf| right = leaf.split_off(cut));
        self.ram_bytes += right.ram_bytes();
        self.branches[place.branch].0.insert(place.leaf + 1, right);
        let place = match place.at.checked_sub(cut) {
            Some(at) => Place {
                leaf: place.leaf + 1,
                at,
                ..place
            },
            None => place,
        };
        self.split_branch(place)
    }

    fn split_branch(&mut self, place: Place) -> Place {
        let leaves = &mut self.branches[place.branch].0;
        if leaves.len() <= BRANCH_LEAVES {
            return place;
        }
        // The same for branches.
        let cut = match place.leaf + 1 == leaves.len() {
            true => leaves.len() - 1,
            false => leaves.len() / 2,
        };
        let right = Branch::new(leaves.drain(cut..));
        self.branches.insert(place.branch + 1, right);
        self.ram_bytes += BRANCH_BYTES;
        match place.leaf.checked_sub(cut) {
            Some(leaf) => Place {
                branch: place.branch + 1,
                leaf,
                ..place
            },
            None => place,
        }
    }

    /// Drops the last leaf; the first key that was in it. There is one.
    pub(super) fn drop_last_leaf(&mut self) -> Box<[u8]> {
        let branch = self.branches.last_mut().expect("a tree that is not empty");
        let leaf = branch.0.pop().expect("no branch is empty");
        self.len -= leaf.len();
        self.ram_bytes -= leaf.ram_bytes();
        if branch.0.is_empty() {
            self.branches.pop();
            self.ram_bytes -= BRANCH_BYTES;
        }
        leaf.key(0).into()
    }

    /// A leaf that has become small goes into its neighbour, and so does a branch.
    fn merge(&mut self, place: Place) {
        let leaves = &mut self.branches[place.branch].0;
        let left = place.leaf.saturating_sub(1);
        if leaves[place.leaf].len() == 0 {
            let gone = leaves.remove(place.leaf);
            self.ram_bytes -= gone.ram_bytes();
        } else if let [one, other] = leaves.get(left..left + 2).unwrap_or_default()
            && leaves[place.leaf].len_bytes() < LEAF_BYTES / 4
            && one.len_bytes() + other.len_bytes() <= LEAF_BYTES / 2
        {
            let gone = leaves.remove(left + 1);
            self.ram_bytes -= gone.ram_bytes();
            let place = Place {
                leaf: left,
                ..place
            };
            self.change(place, |leaf| leaf.take_in(&gone, 0));
        }
        self.merge_branch(place.branch);
    }

    fn merge_branch(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if self.branches[at].0.is_empty() {
            self.branches.remove(at);
            self.ram_bytes -= BRANCH_BYTES;
        } else if let [one, other] = self.branches.get(left..left + 2).unwrap_or_default()
            && self.branches[at].0.len() < BRANCH_LEAVES / 4
            && one.0.len() + other.0.len() <= BRANCH_LEAVES / 2
        {
            let gone = self.branches.remove(left + 1);
            self.branches[left].0.extend(gone.0);
            self.ram_bytes -= BRANCH_BYTES;
        }
        if self.branches.is_empty() {
            self.branches = Vec::new();
        }
    }
}

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;
