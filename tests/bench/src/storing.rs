//! The store alone: keys of 16 bytes with values of 100, on a disk in memory.

use std::hint::black_box;
use std::task::Poll;
use store::blob::HeapPages;
use store::{
    At, Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, MemoryDisk, Now,
    Options, State, Store, Wake,
};

/// Holds a million records, and what is copied of them.
const DISK_BYTES: u64 = 1 << 30;
const MEMORY_BYTES: u64 = 256 << 20;
/// Changes that go to the disk together while a store is filled.
const TOGETHER: usize = 500;

/// Long after the last one.
pub(crate) const NOW: Now = Now {
    monotonic_ns: 1_000_000_000,
    wall_ns: 1_795_054_400_000_000_000,
};

pub(crate) fn disk() -> MemoryDisk {
    MemoryDisk::new(DISK_BYTES)
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new("b").expect("a name")
}

/// The keys come in no order.
pub(crate) fn key(number: usize) -> String {
    format!(
        "{:016x}",
        (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

pub(crate) fn value(number: usize) -> Vec<u8> {
    (0..100).map(|at| (number + at * 7) as u8).collect()
}

/// A store that is being opened.
pub(crate) fn opening(disk: &MemoryDisk) -> Store {
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed: [7; 32],
        pages: Box::new(HeapPages),
    };
    Store::opening(Box::new(disk.clone()), options)
}

/// Until there is nothing left to do.
pub(crate) fn settle(store: &mut Store) {
    while store.step(NOW) == Wake::Now {}
}

fn submit(store: &mut Store, number: usize) {
    let change = Change::Put {
        value: value(number),
        headers: Headers::default(),
    };
    let key = Key::new(key(number).as_bytes()).expect("a key");
    let batch = Batch {
        changes: vec![(bucket(), key, Condition::None, change)],
    };
    drop(store.submit(batch).expect("room"));
}

/// Keys `from` and up, `count` of them.
pub(crate) fn fill(store: &mut Store, from: usize, count: usize) {
    for number in from..from + count {
        submit(store, number);
        if number % TOGETHER == 0 {
            settle(store);
        }
    }
    settle(store);
}

/// A store with `size` keys.
pub(crate) fn filled(disk: &MemoryDisk, size: usize) -> Store {
    let mut store = opening(disk);
    settle(&mut store);
    assert_eq!(*store.state(), State::Ready, "a blank disk is formatted");
    fill(&mut store, 0, size);
    store
}

/// A value that was read before, found and read again.
pub(crate) fn get(size: usize, times: usize) {
    let disk = disk();
    let mut store = filled(&disk, size);
    let (bucket, key) = (bucket(), key(size / 2));
    let key = Key::new(key.as_bytes()).expect("a key");
    let mut get = || {
        let found = store.open_value(At::NOW, &bucket, &key).expect("ready");
        let (_, mut reader) = found.expect("it was written");
        loop {
            match store.read(&mut reader) {
                Poll::Pending => settle(&mut store),
                Poll::Ready(piece) => match piece.expect("it can be read") {
                    Some(piece) => drop(black_box(piece)),
                    None => return,
                },
            }
        }
    };
    for _ in 0..=times {
        get();
    }
}

/// New keys beside `size` others, 500 to a flush.
pub(crate) fn put(size: usize, times: usize) {
    let disk = disk();
    let mut store = filled(&disk, size);
    fill(&mut store, size, times);
}
