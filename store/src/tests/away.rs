//! A disk whose backend goes and comes back, having lost what no flush had covered.
//!
//! Each time everything acknowledged is there, nobody is told of a failure, and what came back
//! and is another disk is not written to.

use super::bed::*;
use super::crash::{DISK, drive, effort, open_on};
use super::sim_disk::*;
use crate::blob::{PageRun, Pages};
use crate::block::{IoError, Presence};
use crate::*;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::task::Poll;

const SECOND_NS: u64 = 1_000_000_000;

/// A store on a disk that flaps, and what it was promised to hold.
struct Flapping {
    disk: SimDisk,
    store: Store,
    random: Random,
    ns: u64,
    model: BTreeMap<String, Vec<u8>>,
    waiting: BTreeMap<String, (Ticket, Option<Vec<u8>>)>,
    /// How often the backend went.
    losses: u32,
}

impl Flapping {
    fn new(seed: u64) -> Flapping {
        let disk = SimDisk::new(Image::default(), DISK, seed);
        Flapping {
            store: Store::opening(Box::new(disk.clone()), options(seed as u8)),
            disk,
            random: Random(seed ^ 0xa3a1),
            ns: 0,
            model: BTreeMap::new(),
            waiting: BTreeMap::new(),
            losses: 0,
        }
    }

    /// One of the things that may happen next.
    fn act(&mut self, flaps_one_in: u64) {
        self.ns += 1;
        if !self.is_here() && self.random.one_in(4) {
            self.disk.come_back();
        }
        if self.random.one_in(flaps_one_in) && self.is_here() {
            self.disk.go_away();
            self.losses += 1;
            if self.random.one_in(3) {
                // So soon that the store never sees it away.
                self.disk.come_back();
            }
        }
        match self.random.below(4) {
            0 if *self.store.state() == State::Ready => self.change(),
            1 | 2 => drop(self.disk.tick()),
            _ => drop(self.store.step(now(self.ns))),
        }
        self.collect();
    }

    fn is_here(&self) -> bool {
        matches!(self.disk.0.borrow().presence, Presence::Here { .. })
    }

    fn change(&mut self) {
        let k = format!("k{}", self.random.below(24));
        if self.waiting.contains_key(&k) {
            return;
        }
        let (len, salt) = (self.random.below(6000) as usize, self.random.next());
        let value = (!self.random.one_in(5)).then(|| pattern(len, salt));
        let change = match &value {
            Some(value) => put_change(value),
            None => Change::Delete,
        };
        match self.store.submit(one("b", &k, Condition::None, change)) {
            Ok(ticket) => drop(self.waiting.insert(k, (ticket, value))),
            Err(Refusal::NotFound) => assert!(!self.model.contains_key(&k)),
            Err(Refusal::Unavailable(Unavailable::Busy)) => {}
            Err(refusal) => panic!("{k}: {refusal:?}"),
        }
    }

    /// Takes in what has been acknowledged.
    fn collect(&mut self) {
        let keys: Vec<String> = self.waiting.keys().cloned().collect();
        for k in keys {
            let Poll::Ready(outcome) = self.store.outcome(&self.waiting[&k].0) else {
                continue;
            };
            let (_, value) = self.waiting.remove(&k).expect("it was just there");
            match (outcome, value) {
                (Ok(_), Some(value)) => drop(self.model.insert(k, value)),
                (Ok(_), None) => drop(self.model.remove(&k)),
                (Err(Refusal::NotFound), None) => assert!(!self.model.contains_key(&k)),
                (Err(refusal), _) => panic!("{k}: {refusal:?}, {:?}", self.store.state()),
            }
        }
    }

    fn come_to_rest(&mut self) {
        if !self.is_here() {
            self.disk.come_back();
        }
        drive(&mut self.store, &self.disk);
        self.collect();
        assert!(self.waiting.is_empty(), "all that waited has ended");
        assert_eq!(*self.store.state(), State::Ready);
    }

    fn shows(&self, store: &mut Store) {
        for number in 0..24 {
            let k = format!("k{number}");
            let found = read(store, &self.disk, &k);
            assert_eq!(found.as_ref(), self.model.get(&k), "{k}");
        }
    }
}

fn read(store: &mut Store, disk: &SimDisk, k: &str) -> Option<Vec<u8>> {
    let (_, mut reader) = store
        .open_value(At::NOW, &bucket("b"), &key(k))
        .expect("readable")?;
    let mut value = Vec::new();
    loop {
        match store.read(&mut reader) {
            Poll::Pending => drive(store, disk),
            Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return Some(value),
            Poll::Ready(Err(error)) => panic!("{k}: {error:?}"),
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_a_backend_that_comes_and_goes() {
    let mut losses = 0;
    for seed in 1..=40 * effort() {
        let mut world = Flapping::new(seed);
        for _ in 0..6_000 {
            world.act(100 + 50 * (seed % 5));
        }
        world.come_to_rest();
        losses += world.losses;
        assert!(world.model.len() > 3, "seed {seed}: it got somewhere");
        // Killed now, or closed in good order, by turns.
        let image = match seed % 2 {
            0 => {
                let mut random = Random(seed);
                world.disk.crash_point().sample(&mut random)
            }
            _ => {
                world.store.close();
                drive(&mut world.store, &world.disk);
                assert_eq!(*world.store.state(), State::Closed);
                world.disk.crash_point().durable
            }
        };
        world.disk = SimDisk::new(image, DISK, seed);
        let mut store = open_on(&world.disk, 9);
        assert_eq!(*store.state(), State::Ready, "seed {seed}");
        world.shows(&mut store);
    }
    assert!(losses > 1_000, "{losses} losses");
}

/// A store with one acknowledged key, whose backend has gone with another one on its way.
fn interrupted(seed: u64) -> (SimDisk, Store, Ticket) {
    let disk = SimDisk::new(Image::default(), DISK, seed);
    let mut store = open_on(&disk, seed as u8);
    let first = store.submit(one("b", "first", Condition::None, put_change(b"one")));
    drive(&mut store, &disk);
    let outcome = store.outcome(&first.expect("taken"));
    assert!(matches!(outcome, Poll::Ready(Ok(_))), "{outcome:?}");
    let second = store
        .submit(one("b", "second", Condition::None, put_change(b"two")))
        .expect("taken");
    store.step(now(1));
    disk.tick();
    store.step(now(2));
    disk.go_away();
    store.step(now(3));
    (disk, store, second)
}

fn replace(disk: &SimDisk, image: &Image) -> Image {
    let mut sim = disk.0.borrow_mut();
    let was = core::mem::replace(&mut sim.durable, image.clone());
    sim.current = image.clone();
    was
}

#[test]
fn nothing_is_written_to_another_disk_and_the_right_one_goes_on() {
    let other = {
        let disk = SimDisk::new(Image::default(), DISK, 5);
        drop(open_on(&disk, 77));
        disk.crash_point().durable
    };
    for (seed, stranger) in [(1, Image::default()), (2, other)] {
        let (disk, mut store, second) = interrupted(seed);
        let right = replace(&disk, &stranger);
        disk.come_back();
        let events = disk.events();
        drive(&mut store, &disk);
        assert_eq!(disk.events(), events, "nothing was written or flushed");
        assert!(store.outcome(&second).is_pending());
        assert!(store.disk_absence().is_some());
        disk.go_away();
        store.step(now(4));
        replace(&disk, &right);
        disk.come_back();
        drive(&mut store, &disk);
        assert!(matches!(store.outcome(&second), Poll::Ready(Ok(_))));
        assert_eq!(
            read(&mut store, &disk, "first").as_deref(),
            Some(&b"one"[..])
        );
        assert_eq!(
            read(&mut store, &disk, "second").as_deref(),
            Some(&b"two"[..])
        );
    }
}

/// Who only reads takes any state of his store, and no other store.
#[test]
fn a_store_that_is_read_only_waits_for_its_own_disk() {
    let (disk, mut store, _) = interrupted(16);
    disk.0.borrow_mut().geometry.read_only = true;
    disk.come_back();
    drive(&mut store, &disk);
    assert!(matches!(store.state(), State::ReadOnly(_)));
    let other = SimDisk::new(Image::default(), DISK, 5);
    drop(open_on(&other, 77));
    disk.go_away();
    store.step(now(4));
    let right = replace(&disk, &other.crash_point().durable);
    disk.come_back();
    drive(&mut store, &disk);
    let absence = store.disk_absence().expect("it is not there");
    assert!(absence.contains("another disk"), "{absence}");
    disk.go_away();
    store.step(now(5));
    replace(&disk, &right);
    disk.come_back();
    drive(&mut store, &disk);
    assert_eq!(store.disk_absence(), None);
    assert_eq!(
        read(&mut store, &disk, "first").as_deref(),
        Some(&b"one"[..])
    );
}

#[test]
fn an_older_state_of_the_same_store_is_another_disk() {
    let disk = SimDisk::new(Image::default(), DISK, 3);
    drop(open_on(&disk, 1));
    let yesterday = disk.crash_point().durable;
    let today = SimDisk::new(yesterday.clone(), DISK, 4);
    let mut store = open_on(&today, 2);
    let put = store.submit(one("b", "k", Condition::None, put_change(b"v")));
    drive(&mut store, &today);
    today.go_away();
    store.step(now(1));
    replace(&today, &yesterday);
    today.come_back();
    let events = today.events();
    drive(&mut store, &today);
    assert_eq!(today.events(), events);
    assert!(store.disk_absence().is_some());
    drop(put);
}

/// Somebody writes while the disk is away: that is in no ring yet when another one comes.
#[test]
fn what_cannot_be_told_from_another_disk_is_not_written_to_and_looked_at_again() {
    let disk = SimDisk::new(Image::default(), DISK, 12);
    let mut store = open_on(&disk, 12);
    let right = disk.crash_point().durable;
    disk.go_away();
    store.step(now(1));
    let put = store.submit(one("b", "k", Condition::None, put_change(b"v")));
    let put = put.expect("it may still come back soon");
    store.step(now(2));
    let mut unread = Image::default();
    unread.unreadable.extend((0..8).chain(2048..2056));
    replace(&disk, &unread);
    disk.come_back();
    let events = disk.events();
    drive(&mut store, &disk);
    assert_eq!(disk.events(), events, "nothing was written or flushed");
    assert_eq!(*store.state(), State::Ready);
    assert!(
        store
            .disk_absence()
            .is_some_and(|why| why.contains("cannot be read"))
    );
    // It can be read now.
    replace(&disk, &right);
    drive_from(&mut store, &disk, 6 * SECOND_NS);
    assert!(matches!(store.outcome(&put), Poll::Ready(Ok(_))));
}

#[test]
fn a_smaller_disk_in_its_place_is_another_disk() {
    let (disk, mut store, second) = interrupted(13);
    let right = replace(&disk, &Image::default());
    disk.0.borrow_mut().geometry.len_bytes = DISK / 2;
    disk.come_back();
    drive(&mut store, &disk);
    assert_eq!(*store.state(), State::Ready);
    disk.go_away();
    store.step(now(4));
    replace(&disk, &right);
    disk.0.borrow_mut().geometry.len_bytes = DISK;
    disk.come_back();
    drive(&mut store, &disk);
    assert!(matches!(store.outcome(&second), Poll::Ready(Ok(_))));
}

/// What is never flushed is not kept for ever: written again later, it would be an old state.
#[test]
fn a_disk_that_knows_no_flush_is_not_written_to_when_it_comes_back() {
    let disk = SimDisk::new(Image::default(), DISK, 14);
    disk.0.borrow_mut().flush_result = Err(IoError::Unsupported);
    let mut store = open_on(&disk, 14);
    for round in 0..3 {
        for number in 0..20 {
            let change = put_change(&[round; 3_000]);
            let put = store.submit(one("b", &format!("k{number}"), Condition::None, change));
            drive(&mut store, &disk);
            let outcome = store.outcome(&put.expect("taken"));
            assert!(matches!(outcome, Poll::Ready(Ok(_))), "{outcome:?}");
        }
        let events = disk.events();
        let current = disk.0.borrow().current.clone();
        disk.go_away();
        store.step(now(1));
        // Nothing of it was lost this time.
        replace(&disk, &current);
        disk.come_back();
        drive(&mut store, &disk);
        assert!(store.disk_absence().is_none());
        assert_eq!(disk.events(), events, "nothing is written again");
    }
}

/// Memory for so many runs at a time.
struct FewPages(Rc<Cell<usize>>);

struct FewRun(Vec<u8>, Rc<Cell<usize>>);

impl PageRun for FewRun {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for FewRun {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
    }
}

impl Pages for FewPages {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        let left = self.0.get().checked_sub(1)?;
        self.0.set(left);
        Some(Box::new(FewRun(vec![0; len_bytes], Rc::clone(&self.0))))
    }
}

#[test]
fn a_group_for_which_there_is_no_memory_at_once_is_written_bit_by_bit() {
    let disk = SimDisk::new(Image::default(), 64 << 20, 15);
    let given = Rc::new(Cell::new(100));
    let few = Options {
        pages: Box::new(FewPages(Rc::clone(&given))),
        ..options(15)
    };
    let mut store = Store::opening(Box::new(disk.clone()), few);
    drive(&mut store, &disk);
    given.set(3);
    let changes = (0..8).map(|number| {
        let change = put_change(&[number; 60_000]);
        (
            bucket("b"),
            key(&format!("k{number}")),
            Condition::None,
            change,
        )
    });
    let batch = Batch {
        changes: changes.collect(),
    };
    let ticket = store.submit(batch).expect("taken");
    drive_from(&mut store, &disk, SECOND_NS);
    for step in 2..200 {
        drive_from(&mut store, &disk, step * SECOND_NS);
    }
    let outcome = store.outcome(&ticket);
    assert!(matches!(outcome, Poll::Ready(Ok(_))), "{outcome:?}");
}

#[test]
fn a_disk_that_cannot_take_again_what_it_lost_ends_the_writing() {
    for failing in [0, 1] {
        let (disk, mut store, second) = interrupted(6 + failing);
        match failing {
            0 => disk.0.borrow_mut().geometry.read_only = true,
            _ => disk.0.borrow_mut().flush_result = Err(IoError::Failed),
        }
        disk.come_back();
        drive(&mut store, &disk);
        let outcome = store.outcome(&second);
        assert_eq!(outcome, Poll::Ready(Err(Refusal::OutcomeUnknown)));
        let State::ReadOnly(why) = store.state().clone() else {
            panic!("{:?}", store.state());
        };
        assert!(why.contains("came back"), "{why}");
        assert_eq!(
            read(&mut store, &disk, "first").as_deref(),
            Some(&b"one"[..])
        );
    }
}

#[test]
fn who_comes_when_it_has_been_away_for_long_is_told_so_and_who_waits_waits_on() {
    let (disk, mut store, second) = interrupted(8);
    let change = || one("b", "third", Condition::None, put_change(b"three"));
    store.step(now(9 * SECOND_NS));
    let early = store.submit(change()).expect("it may still come back soon");
    let wake = store.step(now(9 * SECOND_NS));
    let at_ns = 10 * SECOND_NS + 3;
    assert!(
        matches!(wake, Wake::At(Some(ns)) if ns <= at_ns),
        "{wake:?}"
    );
    store.step(now(at_ns));
    let late = store.submit(change());
    assert_eq!(late, Err(Refusal::Unavailable(Unavailable::Away)));
    store.cache.shrink_to(0);
    let (name, first) = (bucket("b"), key("first"));
    let value = store.open_value(At::NOW, &name, &first);
    assert!(matches!(value, Err(Unavailable::Away)));
    assert!(store.outcome(&second).is_pending() && store.outcome(&early).is_pending());

    disk.come_back();
    drive_from(&mut store, &disk, at_ns);
    // Whoever came in between may have been held for company.
    drive_from(&mut store, &disk, at_ns + SECOND_NS);
    assert!(matches!(store.outcome(&second), Poll::Ready(Ok(_))));
    assert!(matches!(store.outcome(&early), Poll::Ready(Ok(_))));
    assert!(store.open_value(At::NOW, &name, &first).is_ok());
}

fn drive_from(store: &mut Store, disk: &SimDisk, from_ns: u64) {
    for ns in from_ns..from_ns + 100_000 {
        let wake = store.step(now(ns));
        if !disk.tick() && wake != Wake::Now {
            return;
        }
    }
    panic!("the store never comes to rest");
}
