//! A disk that becomes larger while the store serves, crashed at every moment of that.

use super::bed::{Random, contents, get, now, opened, options, pattern, put, ready, settle};
use super::check;
use super::crash::drive;
use super::sim_disk::{Image, SimDisk};
use crate::block::{BlockDevice, Completion, Geometry, Request, RequestId, SubmitError};
use crate::format::layout::SUPERBLOCK_OFFSETS;
use crate::{MemoryDisk, Refusal, State, Store};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

const SMALL: u64 = 8 << 20;
const LARGE: u64 = 24 << 20;
const VALUE_BYTES: usize = 40_000;
/// Crashes that are tried at each moment.
const SAMPLES: u64 = 12;

/// A disk that ends all requests at once, as long as it is told to.
#[derive(Clone)]
struct Prompt(SimDisk, Rc<Cell<bool>>);

impl BlockDevice for Prompt {
    fn geometry(&self) -> Option<Geometry> {
        self.0.geometry()
    }
    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        self.0.submit(id, request)
    }
    fn poll(&mut self) -> Option<Completion> {
        while self.1.get() && self.0.tick() {}
        self.0.poll()
    }
}

fn prompt(disk: &SimDisk) -> Prompt {
    Prompt(disk.clone(), Rc::new(Cell::new(true)))
}

type Written = BTreeMap<String, Vec<u8>>;

/// Puts new keys until there is no room.
fn fill(store: &mut Store, written: &mut Written) {
    loop {
        let name = format!("{:05}", written.len());
        let value = pattern(VALUE_BYTES, written.len() as u64);
        match put(store, &name, &value) {
            Ok(_) => written.insert(name, value),
            Err(Refusal::NoSpace(_)) => return,
            Err(other) => panic!("{other:?}"),
        };
    }
}

fn grow(disk: &Prompt) {
    disk.0.0.borrow_mut().geometry.len_bytes = LARGE;
}

fn shows(store: &mut Store, written: &Written) {
    for (name, value) in written {
        assert!(get(store, name).as_ref() == Some(value), "{name}");
    }
}

/// A store on a small disk that is full, and the disk.
fn full() -> (Prompt, Store, Written) {
    let disk = prompt(&SimDisk::new(Image::default(), SMALL, 1));
    let mut store = ready(disk.clone(), 1);
    let mut written = Written::new();
    fill(&mut store, &mut written);
    (disk, store, written)
}

#[test]
fn a_full_store_takes_the_room_its_disk_gains() {
    let (disk, mut store, mut written) = full();
    let (before, small) = (written.len(), store.statistics());
    grow(&disk);
    settle(&mut store);
    let large = store.statistics();
    assert!(large.segments > 2 * small.segments && large.limit_bytes > 2 * small.limit_bytes);
    fill(&mut store, &mut written);
    assert!(
        written.len() > 2 * before,
        "{before}, then {}",
        written.len()
    );
    shows(&mut store, &written);
    store.close();
    settle(&mut store);
    let mut store = ready(disk, 2);
    assert_eq!(store.statistics().segments, large.segments);
    shows(&mut store, &written);
}

#[test]
fn a_disk_that_grew_while_nobody_used_it_is_taken_as_it_is() {
    let (disk, mut store, mut written) = full();
    store.close();
    settle(&mut store);
    grow(&disk);
    let mut store = ready(disk.clone(), 2);
    settle(&mut store);
    let before = written.len();
    fill(&mut store, &mut written);
    assert!(written.len() > 2 * before);
    shows(&mut store, &written);
    store.close();
    settle(&mut store);
    // Headers from before speak of fewer segments.
    check::look_at(disk).assert_clean("a disk that grew");
}

/// Each write and flush of the growth is the last: nothing is lost, and the room is taken in the
/// next life, and filled, and all of it outlives that life, too.
#[test]
fn growing_survives_every_crash() {
    let mut random = Random(3);
    let mut images = 0;
    for after_events in 0.. {
        let (disk, mut store, written) = full();
        grow(&disk);
        disk.1.set(false);
        let end = disk.0.events() + after_events;
        for ns in 0..10_000 {
            if disk.0.events() >= end {
                break;
            }
            store.step(now(ns));
            disk.0.tick();
        }
        let is_over = disk.0.events() < end;
        let samples = if is_over { 1 } else { SAMPLES };
        for _ in 0..samples {
            let image = disk.0.crash_point().sample(&mut random);
            survives(image, &written, after_events);
            images += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(images > 60, "{images}");
}

fn survives(image: Image, written: &Written, seed: u64) {
    let again = prompt(&SimDisk::new(image, LARGE, seed));
    let mut store = opened(again.clone(), options(2));
    assert_eq!(*store.state(), State::Ready, "{seed} events into it");
    shows(&mut store, written);
    let mut more = written.clone();
    fill(&mut store, &mut more);
    assert!(more.len() > 2 * written.len(), "{seed} events into it");
    drop(store);
    let mut store = ready(again, 3);
    shows(&mut store, &more);
}

/// Both superblocks know what is used: one of them can be lost.
#[test]
fn either_superblock_is_enough_after_growth() {
    for offset in SUPERBLOCK_OFFSETS {
        let (disk, mut store, mut written) = full();
        grow(&disk);
        settle(&mut store);
        fill(&mut store, &mut written);
        drop(store);
        let mut image = disk.0.0.borrow().durable.clone();
        image.set_sector(offset / 512, &[0xa5; 512]);
        let mut store = opened(prompt(&SimDisk::new(image, LARGE, 5)), options(2));
        assert!(matches!(store.state(), State::Ready | State::ReadOnly(_)));
        shows(&mut store, &written);
        assert_eq!(contents(&mut store).len(), written.len());
    }
}

#[test]
fn a_store_is_closed_in_the_middle_of_growing() {
    for steps in 0..40 {
        let (disk, mut store, written) = full();
        grow(&disk);
        disk.1.set(false);
        for ns in 0..steps {
            store.step(now(ns));
            disk.0.tick();
        }
        store.close();
        drive(&mut store, &disk.0);
        assert_eq!(*store.state(), State::Closed, "after {steps} steps");
        let mut store = ready(prompt(&disk.0), 2);
        settle(&mut store);
        assert!(store.statistics().segments > 60, "after {steps} steps");
        shows(&mut store, &written);
    }
}

/// A header speaks of so many segments and no more.
#[test]
fn a_disk_that_outgrows_the_headers_is_used_as_far_as_they_go_and_that_is_told() {
    let disk = MemoryDisk::new(SMALL);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "k", b"v").expect("written");
    store.close();
    settle(&mut store);
    drop(store);
    let under = |len_bytes| {
        let geometry = disk.geometry().expect("memory has a shape");
        disk.under(Geometry {
            len_bytes,
            ..geometry
        })
    };
    let mut store = opened(under(64 << 30), options(2));
    settle(&mut store);
    let layout = store.layout();
    let unusable = store.statistics().unusable_bytes;
    assert_eq!(layout.grown(u64::MAX).segment_count, layout.segment_count);
    assert_eq!(unusable, (64 << 30) - layout.end());
    assert!(unusable > 1 << 30 && get(&mut store, "k") == Some(b"v".to_vec()));
    store.close();
    settle(&mut store);
    drop(store);
    let mut store = opened(under(layout.end() + layout.segment_bytes - 512), options(3));
    settle(&mut store);
    assert_eq!(store.statistics().unusable_bytes, 0);
}
