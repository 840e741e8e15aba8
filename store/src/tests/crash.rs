//! A random workload, crashed anywhere, opened again, and held against a model.
//!
//! Checked after each crash: every acknowledged batch is there with its exact
//! bytes, nothing is there that was never submitted, of the unacknowledged
//! batches a prefix is; opening again shows the same; opening interrupted at
//! any of its own writes shows the same.
//!
//! `STORE_TEST_EFFORT=n` does n times as much.

use super::bed::*;
use super::sim_disk::*;
use crate::*;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

pub(crate) const DISK: u64 = 8 << 20;

pub(crate) fn effort() -> u64 {
    std::env::var("STORE_TEST_EFFORT")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

/// Steps the store and the disk until both rest.
pub(crate) fn drive(store: &mut Store, disk: &SimDisk) {
    for ns in 0..10_000_000 {
        let wake = store.step(now(ns));
        if !disk.tick() && wake != Wake::Now {
            return;
        }
    }
    panic!("the store never comes to rest");
}

pub(crate) fn open_on(disk: &SimDisk, seed: u8) -> Store {
    let mut store = Store::opening(alloc::boxed::Box::new(disk.clone()), options(seed));
    drive(&mut store, disk);
    store
}

type Model = BTreeMap<(String, Vec<u8>), Rc<Vec<u8>>>;

/// Reads everything and compares; `false` if anything differs.
fn shows(store: &mut Store, disk: &SimDisk, model: &Model) -> bool {
    let mut count = 0;
    for name in store.buckets().expect("whole") {
        let query = KeyQuery {
            limit: usize::MAX,
            ..KeyQuery::default()
        };
        count += store.keys(&name, &query).expect("readable").keys.len();
    }
    if count != model.len() {
        return false;
    }
    for ((name, k), value) in model {
        let (name, k) = (bucket(name), Key::new(k).expect("a key"));
        let Some((metadata, mut reader)) = store.open_value(At::NOW, &name, &k).expect("readable")
        else {
            return false;
        };
        if metadata.len_bytes != value.len() as u64
            || metadata.checksum != crate::format::checksum::crc32c(0, value)
        {
            return false;
        }
        let mut at = 0;
        loop {
            match store.read(&mut reader) {
                Poll::Pending => drive(store, disk),
                Poll::Ready(piece) => match piece.expect("an intact value") {
                    Some(piece) => {
                        assert_eq!(&value[at..at + piece.len()], &*piece, "wrong bytes");
                        at += piece.len();
                    }
                    None => break,
                },
            }
        }
        assert_eq!(at, value.len());
    }
    true
}

/// What the workload did so far.
struct History {
    /// After each batch, the first before any.
    states: Vec<Model>,
    acked: usize,
    waiting: VecDeque<Ticket>,
}

impl History {
    fn submitted(&self) -> usize {
        self.states.len() - 1
    }

    fn collect(&mut self, store: &mut Store) {
        while let Some(ticket) = self.waiting.front() {
            match store.outcome(ticket) {
                Poll::Pending => return,
                Poll::Ready(result) => {
                    result.expect("committed");
                    self.acked += 1;
                    self.waiting.pop_front();
                }
            }
        }
    }
}

/// Sizes of the values a workload writes.
#[derive(Clone, Copy)]
struct Shape {
    keys: u64,
    value_max: u64,
    upload_one_in: u64,
}

struct Run {
    disk: SimDisk,
    store: Store,
    history: History,
    random: Random,
    shape: Shape,
}

impl Run {
    fn new(image: Image, model: Model, seed: u64, shape: Shape) -> Run {
        let disk = SimDisk::new(image, DISK, seed);
        // Half of the runs write in units of 4 KiB, also on disks formatted for 512 bytes.
        disk.0.borrow_mut().geometry.physical_sector_bytes = [512, 4096][(seed / 16 % 2) as usize];
        let store = open_on(&disk, seed as u8);
        assert_eq!(*store.state(), State::Ready);
        let history = History {
            states: vec![model],
            acked: 0,
            waiting: VecDeque::new(),
        };
        Run {
            disk,
            store,
            history,
            random: Random(seed ^ 0xABCD),
            shape,
        }
    }

    fn change(&mut self, model: &mut Model) -> (BucketName, Key, Condition, Change) {
        let name = if self.random.one_in(3) { "c" } else { "b" };
        let k = format!("key-{}", self.random.below(self.shape.keys));
        let id = (String::from(name), k.as_bytes().to_vec());
        if model.contains_key(&id) && self.random.one_in(3) {
            model.remove(&id);
            return (bucket(name), key(&k), Condition::Exists, Change::Delete);
        }
        let len = self.random.below(self.shape.value_max) as usize;
        let len = if self.random.one_in(4) { len } else { len / 16 };
        let value = pattern(len, self.random.next());
        model.insert(id, Rc::new(value.clone()));
        (bucket(name), key(&k), Condition::None, put_change(&value))
    }

    fn submit(&mut self) {
        let mut model = self.history.states.last().expect("a state").clone();
        let ticket = if self.random.one_in(self.shape.upload_one_in) {
            let k = format!("large-{}", self.random.below(4));
            let len = 66_000 + self.random.below(150_000) as usize;
            let value = pattern(len, self.random.next());
            model.insert(
                (String::from("b"), k.as_bytes().to_vec()),
                Rc::new(value.clone()),
            );
            self.feed(&k, &value)
        } else {
            let count = 1 + self.random.below(4);
            let changes = (0..count).map(|_| self.change(&mut model)).collect();
            self.store.submit(Batch { changes }).ok()
        };
        if let Some(ticket) = ticket {
            self.history.states.push(model);
            self.history.waiting.push_back(ticket);
        }
    }

    fn feed(&mut self, k: &str, value: &[u8]) -> Option<Ticket> {
        let headers = Headers::default();
        let begun = self
            .store
            .begin_upload(bucket("b"), key(k), Condition::None, headers, None);
        let mut upload = begun.ok()?;
        let mut at = 0;
        while at < value.len() {
            at += self.store.upload(&mut upload, &value[at..]).ok()?;
            self.store.step(now(0));
            self.disk.tick();
            self.history.collect(&mut self.store);
        }
        self.store.commit_upload(upload).ok()
    }

    /// Works for a while; a crash point now and then, with what was known at it.
    fn work(&mut self, moves: u64, points: u64) -> Vec<(CrashPoint, usize, usize)> {
        let mut crashes = vec![];
        for at in 0..moves {
            if self.history.waiting.len() < 6 && self.random.one_in(3) {
                self.submit();
            }
            self.store.step(now(at));
            self.history.collect(&mut self.store);
            self.disk.tick();
            if self.random.one_in((moves / points).max(1)) {
                let history = &self.history;
                crashes.push((self.disk.crash_point(), history.acked, history.submitted()));
            }
        }
        let history = &self.history;
        crashes.push((self.disk.crash_point(), history.acked, history.submitted()));
        crashes
    }
}

/// Opens a crashed image; which state it shows.
fn check(image: &Image, states: &[Model], acked: usize, submitted: usize, seed: u64) -> usize {
    let disk = SimDisk::new(image.clone(), DISK, seed);
    let mut store = open_on(&disk, seed as u8);
    assert_eq!(
        *store.state(),
        State::Ready,
        "seed {seed} acked {acked} submitted {submitted}"
    );
    let found = (acked..=submitted).find(|n| shows(&mut store, &disk, &states[*n]));
    found.unwrap_or_else(|| panic!("seed {seed}: no state from {acked} to {submitted} fits"))
}

/// Crashes the opening of `image` at each of its own writes and flushes.
fn check_interrupted(image: &Image, states: &[Model], n: usize, seed: u64) -> u64 {
    let disk = SimDisk::new(image.clone(), DISK, seed);
    let mut store = Store::opening(alloc::boxed::Box::new(disk.clone()), options(seed as u8));
    let mut random = Random(seed);
    let mut checked = 0;
    let mut seen = 0;
    loop {
        let wake = store.step(now(0));
        let ticked = disk.tick();
        if disk.events() != seen || !ticked {
            seen = disk.events();
            let crashed = disk.crash_point().sample(&mut random);
            assert_eq!(check(&crashed, states, n, n, seed + 1), n);
            checked += 1;
        }
        if !ticked && wake != Wake::Now {
            return checked;
        }
    }
}

fn campaign(
    base: &Image,
    model: &Model,
    seeds: core::ops::Range<u64>,
    shape: Shape,
    moves: u64,
) -> u64 {
    let mut checked = 0;
    for seed in seeds {
        let mut image = base.clone();
        let mut model = model.clone();
        let mut random = Random(seed);
        for round in 0..3 {
            let mut run = Run::new(image, model, seed * 16 + round, shape);
            let crashes = run.work(moves, 4);
            let states = run.history.states;
            for (point, acked, submitted) in &crashes {
                let outcomes = point.outcomes();
                let exhaustive = point.versions.len() <= 10 && outcomes <= 64;
                let count = if exhaustive { outcomes } else { 4 };
                for n in 0..count {
                    let crashed = match exhaustive {
                        true => point.nth(n),
                        false => point.sample(&mut random),
                    };
                    let found = check(&crashed, &states, *acked, *submitted, seed + n);
                    checked += 1;
                    if n == 0 {
                        assert_eq!(check(&crashed, &states, found, found, seed + n + 1), found);
                        checked += 1 + check_interrupted(&crashed, &states, found, seed + n + 2);
                    }
                }
            }
            let (point, acked, submitted) = crashes.last().expect("at least one");
            image = point.sample(&mut random);
            let found = check(&image, &states, *acked, *submitted, seed);
            model = states[found].clone();
        }
    }
    checked
}

#[test]
fn a_young_store_survives_any_crash() {
    let shape = Shape {
        keys: 12,
        value_max: 3000,
        upload_one_in: 40,
    };
    let checked = campaign(
        &Image::default(),
        &Model::new(),
        0..6 * effort(),
        shape,
        120,
    );
    std::println!("young store: {checked} crash states checked");
    assert!(checked > 100);
}

#[test]
fn a_full_store_survives_any_crash() {
    // Made nearly full first, so that compaction and freeing are under way at the crash.
    let shape = Shape {
        keys: 90,
        value_max: 60_000,
        upload_one_in: 30,
    };
    let mut run = Run::new(Image::default(), Model::new(), 77, shape);
    run.work(1200, 1);
    drive(&mut run.store, &run.disk);
    run.history.collect(&mut run.store);
    assert!(
        run.store.statistics().compactions > 3,
        "{:?}",
        run.store.statistics()
    );
    let model = run.history.states.last().expect("a state").clone();
    let image = run.disk.0.borrow().durable.clone();
    let checked = campaign(&image, &model, 0..effort(), shape, 100);
    std::println!("full store: {checked} crash states checked");
    assert!(checked > 20);
}
