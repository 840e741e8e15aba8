//! Random lives of an index beside a model that keeps every state whole.
//!
//! The disk is a list of records. Compaction takes any of them away or copies it, and recovery
//! reads what is left in any order: whatever was taken away too early shows as a difference then.

use super::views::{NOW, Rollback, Snapshot, Views};
use super::*;
use crate::name::SnapshotName;
use crate::tests::bed::Random;
use alloc::format;
use alloc::vec;
use core::cmp::Reverse;

const BUCKETS: [&str; 2] = ["a", "b"];
const KEYS: u64 = 5;

type Name = (usize, u64);
/// Which version each key has.
type State = BTreeMap<Name, u64>;

#[derive(Clone, Copy, Debug)]
struct OnDisk {
    name: Name,
    version: Version,
}

struct World {
    random: Random,
    index: Index,
    disk: Vec<OnDisk>,
    /// Retired by the index, and so no live record any more.
    live: BTreeMap<u64, u64>,
    seq: u64,
    pos: u64,
    now: State,
    states: BTreeMap<u64, State>,
    clock_ms: u64,
    /// When versions are over that ever are.
    ends: BTreeMap<u64, u64>,
}

fn key(number: u64) -> [u8; 2] {
    [b'k', number as u8]
}

fn version(seq: u64, pos: u64, form: Form) -> Version {
    Version {
        pos,
        seq,
        modified_ms: 0,
        expires_ms: 0,
        value_len: seq as u32 % 50,
        checksum: 0,
        metadata_len: 0,
        form,
        upload_len: 0,
        dead: 0,
    }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random(seed),
            index: Index::default(),
            disk: vec![],
            live: BTreeMap::new(),
            seq: 0,
            pos: 0,
            now: State::new(),
            states: BTreeMap::new(),
            clock_ms: 1,
            ends: BTreeMap::new(),
        }
    }

    fn next(&mut self) -> (u64, u64) {
        self.seq += 1;
        self.pos += 1000;
        (self.seq, self.pos)
    }

    fn retire(&mut self, retired: &[Retired]) {
        for record in retired {
            let len = self.live.remove(&record.pos);
            assert_eq!(len, Some(record.len), "it was live, and is retired once");
        }
    }

    fn add(&mut self, name: Name, version: Version) {
        self.disk.push(OnDisk { name, version });
        let len = version.record_len(BUCKETS[name.0], &key(name.1));
        self.live.insert(version.pos, len);
    }

    fn write(&mut self) {
        let name = (self.random.below(2) as usize, self.random.below(KEYS));
        let form = match (self.now.contains_key(&name), self.random.below(3)) {
            (true, 0) => Form::Tomb,
            _ => Form::Whole,
        };
        self.write_as(name, form);
    }

    fn write_as(&mut self, name: Name, form: Form) {
        let (seq, pos) = self.next();
        let mut version = version(seq, pos, form);
        if form == Form::Whole && self.random.one_in(3) {
            version.expires_ms = self.clock_ms + 1 + self.random.below(300);
            self.ends.insert(seq, version.expires_ms);
        }
        match form {
            Form::Whole => self.now.insert(name, seq),
            _ => self.now.remove(&name),
        };
        self.add(name, version);
        let retired = self.index.write(BUCKETS[name.0], &key(name.1), version);
        self.retire(&retired);
    }

    /// Time goes by, and what is over is found and removed.
    fn expire(&mut self) {
        self.clock_ms += self.random.below(50);
        while self.index.soonest_ms() <= self.clock_ms {
            let due = self.index.take_due(self.clock_ms, 1);
            for (bucket, key) in due {
                let bucket = BUCKETS.iter().position(|name| *name == bucket.as_str());
                let name = (bucket.expect("ours"), u64::from(key.as_bytes()[1]));
                let seq = self.now.get(&name).expect("found, so it is there");
                assert!(self.ends[seq] <= self.clock_ms, "found, so it is over");
                self.write_as(name, Form::Tomb);
            }
        }
        let ends = self.now.values().filter_map(|seq| self.ends.get(seq));
        let left = ends.filter(|end| **end <= self.clock_ms).count();
        assert_eq!(left, 0, "what is over is found");
    }

    fn change_views(&mut self, change: impl FnOnce(&mut Views)) {
        // Its records are the segments of this disk.
        let oldest = self.disk.iter().map(|record| record.version.pos).min();
        let oldest = oldest.unwrap_or(u64::MAX);
        self.index.forget_rollbacks(oldest, self.pos);
        let mut views = self.index.views().clone();
        views.seq = self.seq;
        change(&mut views);
        self.index.set_views(views);
    }

    fn snapshot(&mut self) -> Snapshot {
        let seq = self.seq;
        self.states.insert(seq, self.now.clone());
        Snapshot {
            name: SnapshotName::new(&format!("s{seq}")).expect("a name"),
            seq,
            wall_ms: 0,
        }
    }

    fn some_state(&mut self) -> Option<u64> {
        let nth = self.random.below(self.states.len().max(1) as u64) as usize;
        self.states.keys().nth(nth).copied()
    }

    fn roll_back(&mut self) {
        let Some(to) = self.some_state() else { return };
        let only = [None, Some(0), Some(1)][self.random.below(3) as usize];
        let (at, _) = self.next();
        let before = self.snapshot();
        let then = self.states[&to].clone();
        let concerned = |name: &Name| only.is_none_or(|only| only == name.0);
        self.now.retain(|name, _| !concerned(name));
        self.now
            .extend(then.into_iter().filter(|(name, _)| concerned(name)));
        let bucket = only.map(|only| BucketName::new(BUCKETS[only]).expect("a name"));
        self.change_views(|views| {
            views.snapshots.push(before);
            views.rollbacks.push(Rollback { at, to, bucket });
        });
    }

    /// Empties a place on the disk: what counts is copied, what does not is forgotten.
    fn compact(&mut self) {
        if self.disk.is_empty() {
            return;
        }
        let at = self.random.below(self.disk.len() as u64) as usize;
        let OnDisk { name, version } = self.disk.swap_remove(at);
        let (bucket, key) = (BUCKETS[name.0], key(name.1));
        if self.index.is_at(bucket, &key, version.seq, version.pos) {
            self.pos += 1000;
            let to = self.pos;
            self.disk.push(OnDisk {
                name,
                version: Version { pos: to, ..version },
            });
            let moved = self
                .index
                .relocate(bucket, (&key, version.seq), version.pos, to);
            assert!(moved);
            let len = self.live.remove(&version.pos).expect("it was live");
            self.live.insert(to, len);
            // A crash may come before the original is gone.
            if self.random.below(4) == 0 {
                self.disk.push(OnDisk { name, version });
                self.restart();
            }
        } else if version.is_put() {
            let retired = self.index.forget_put(bucket, &key);
            self.retire(&retired);
        }
    }

    fn reap(&mut self) {
        let retired = self.index.reap();
        self.retire(&retired);
    }

    /// The index out of what is on the disk, in any order.
    fn restart(&mut self) {
        let mut index = Index::default();
        index.recover_views(self.index.views().clone());
        let mut disk = self.disk.clone();
        for end in (1..disk.len()).rev() {
            disk.swap(end, self.random.below(end as u64 + 1) as usize);
        }
        // Some of it as segments with summaries have it: in the order of keys.
        let mut rest = disk.as_slice();
        while !rest.is_empty() {
            let len = 1 + self.random.below(rest.len() as u64) as usize;
            let (mut segment, behind) = (rest[..len].to_vec(), &rest[len..]);
            if self.random.below(2) == 0 {
                segment.sort_by_key(|record| (record.name, Reverse(record.version.seq)));
                for of_bucket in segment.chunk_by(|one, other| one.name.0 == other.name.0) {
                    let mut filling = index.begin_filling(BUCKETS[of_bucket[0].name.0]);
                    for OnDisk { name, version } in of_bucket {
                        index.fill(&mut filling, &key(name.1), version, |pos| (0, pos));
                    }
                    index.end_filling(filling);
                }
            } else {
                for OnDisk { name, version } in &segment {
                    index.recover(BUCKETS[name.0], &key(name.1), *version, |pos| (0, pos));
                }
            }
            rest = behind;
        }
        self.live.clear();
        let live = &mut self.live;
        index.finish(|name, key, version| {
            let before = live.insert(version.pos, version.record_len(name, key));
            assert_eq!(before, None, "each is told once");
        });
        self.index = index;
        let buckets = self.index.buckets.values();
        let records = buckets.flat_map(Bucket::versions);
        let records = records.filter(|(_, version)| version.form != Form::Ghost);
        assert_eq!(records.count(), self.live.len(), "and all are told");
    }

    fn check(&self) {
        let views = self.states.iter().map(|(at, state)| (*at, state));
        for (at, state) in views.chain([(NOW, &self.now)]) {
            let mut totals = Totals::default();
            for name in (0..2).flat_map(|bucket| (0..KEYS).map(move |key| (bucket, key))) {
                let found = self.index.get_at(BUCKETS[name.0], &key(name.1), at);
                let found = found.map(|version| version.seq);
                assert_eq!(found, state.get(&name).copied(), "{name:?} at {at}");
                totals.keys += u64::from(found.is_some());
                totals.charged_bytes += found.map_or(0, |seq| 2 + seq % 50);
            }
            let counted = if at == NOW {
                self.index.now
            } else {
                self.index.totals_at(at)
            };
            assert_eq!(counted, totals, "at {at}");
        }
        self.check_held();
        let trees = self.index.buckets.values().map(Bucket::ram_bytes);
        assert_eq!(self.index.tree_bytes, trees.sum::<u64>());
    }

    /// What only one snapshot shows is held by it alone, and what now does not show by some.
    fn check_held(&self) {
        let mut seers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (at, state) in &self.states {
            for seq in state.values() {
                seers.entry(*seq).or_default().push(*at);
            }
        }
        let now: Vec<u64> = self.now.values().copied().collect();
        seers.retain(|seq, _| !now.contains(seq));
        let bytes = |seq: &u64| 2 + seq % 50;
        let all = seers.keys().map(bytes).sum::<u64>();
        let is_settled = !self.index.is_reaping();
        assert_eq!(self.index.held(), is_settled.then_some(all));
        for at in self.states.keys() {
            let alone = seers.iter().filter(|(_, seers)| **seers == [*at]);
            let alone = alone.map(|(seq, _)| bytes(seq)).sum::<u64>();
            let held = self.index.held_alone(*at);
            assert_eq!(held, is_settled.then_some(alone), "at {at}");
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 => {
                self.next();
                let snapshot = self.snapshot();
                self.change_views(|views| views.snapshots.push(snapshot));
            }
            1 => {
                if let Some(seq) = self.some_state() {
                    self.next();
                    self.states.remove(&seq);
                    self.change_views(|views| views.snapshots.retain(|one| one.seq != seq));
                }
            }
            2 => self.roll_back(),
            3 => self.restart(),
            4..7 => self.reap(),
            7 => self.expire(),
            8..14 => self.compact(),
            _ => self.write(),
        }
        self.check();
    }
}

#[test]
fn every_view_is_what_it_was() {
    for seed in 1..=200 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
    }
}

#[test]
fn without_snapshots_only_what_is_now_stays() {
    let mut world = World::new(7);
    (0..2_000).for_each(|_| world.step());
    let (names, _) = (world.states.clone(), world.next());
    world.states.clear();
    world.change_views(|views| views.snapshots.clear());
    assert!(!names.is_empty());
    while world.index.is_reaping() {
        world.reap();
    }
    world.check();
    // All that lives now is what is shown, and the tombstones of what still lies about.
    for _ in 0..100_000 {
        world.compact();
    }
    let kept: usize = world
        .index
        .buckets
        .values()
        .map(|bucket| bucket.tree.len())
        .sum();
    assert_eq!((kept, world.live.len()), (world.now.len(), world.now.len()));
}
