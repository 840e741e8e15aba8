//! A disk that somebody wrote over: opened, read, written, closed, opened again.
//!
//! The input is a list of changes to a small disk that was in order. Sums made
//! right again afterwards let them through to what is behind the sums; without
//! that the store may show nothing that was never written.

mod image;
mod sums;

use crate::script::Script;
use image::{Image, SPOT_BYTES_MAX};
use std::collections::BTreeMap;
use std::task::Poll;
use store::blob::HeapPages;
use store::check::{Check, Item};
use store::{
    At, Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, KeyQuery, MemoryDisk,
    Now, Options, Reader, Refusal, State, Store, Wake,
};

/// Steps in which a store on a disk that answers at once comes to rest.
const STEPS_MAX: u64 = 20_000;
const MEMORY_BYTES: u64 = 4 << 20;
const BUCKET: &str = "b";

/// A disk in order, quick to open, with the keys `a` and `b` in the bucket `b`.
pub(crate) fn in_order() -> MemoryDisk {
    image::small().disk()
}

/// What was ever written under a key.
type Written = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Changes the disk as the input says, and uses it.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mode = script.byte();
    let pristine = if mode & 4 == 0 {
        image::killed()
    } else {
        image::closed()
    };
    let mut image = pristine.clone();
    while let Some(operation) = script.next() {
        change(&mut image, operation, &mut script);
    }
    if mode & 1 != 0 {
        sums::mend(&mut image, mode & 2 != 0);
    }
    let disk = image.disk();
    look(&disk);
    let mut store = open(&disk, 2);
    let honest = (mode & 1 == 0).then(|| image.written());
    read(&mut store, honest);
    let is_written = *store.state() == State::Ready && put(&mut store, b"new", b"value").is_ok();
    store.close();
    settle(&mut store);
    let is_closed = *store.state() == State::Closed;
    drop(store);
    let mut store = open(&disk, 3);
    read(&mut store, None);
    if honest.is_some() && is_written && is_closed {
        assert_eq!(get(&mut store, b"new").as_deref(), Some(&b"value"[..]));
    }
}

/// The offline look comes to an end, whatever is on the disk.
fn look(disk: &MemoryDisk) {
    let see = Box::new(|_: &Item<'_>| {});
    let mut check = Check::new(Box::new(disk.clone()), Box::new(HeapPages), see);
    let ended = (0..STEPS_MAX).any(|_| check.step().is_ready());
    assert!(ended, "the look never ends");
}

fn change(image: &mut Image, operation: u8, script: &mut Script<'_>) {
    let at = image.spot(script.byte(), script.byte());
    match operation % 8 {
        0 => {
            let zeros = vec![0; 1 << (script.byte() % 10)];
            image.write(at, &zeros);
        }
        1 => {
            let from = image.spot(script.byte(), 0);
            let len = 1 + usize::from(script.byte()) * 2;
            let piece = image.read(from, len.min(SPOT_BYTES_MAX));
            image.write(at, &piece);
        }
        2 => {
            let by = script.byte().cast_signed();
            let word = image.read(at, 4);
            let word = word.try_into().map_or(0, u32::from_le_bytes);
            let new = word.wrapping_add_signed(by.into());
            image.write(at, &new.to_le_bytes());
        }
        other => image.write(at, script.bytes(usize::from(other) - 2)),
    }
}

fn now(ns: u64) -> Now {
    Now {
        monotonic_ns: ns,
        wall_ns: 1_700_000_000_000_000_000 + ns,
    }
}

fn settle(store: &mut Store) {
    for ns in 0..STEPS_MAX {
        if store.step(now(ns)) != Wake::Now {
            return;
        }
    }
    panic!("the store never comes to rest: {:?}", store.state());
}

fn open(disk: &MemoryDisk, seed: u8) -> Store {
    let options = Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: MEMORY_BYTES,
        seed: [seed; 32],
        pages: Box::new(HeapPages),
    };
    let mut store = Store::opening(Box::new(disk.clone()), options);
    settle(&mut store);
    assert_ne!(*store.state(), State::Opening, "it opens or says why not");
    store
}

fn bucket() -> BucketName {
    BucketName::new(BUCKET).expect("a name")
}

fn put(store: &mut Store, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
    let change = Change::Put {
        value: value.to_vec(),
        headers: Headers::default(),
    };
    submit(store, key, change)
}

fn submit(store: &mut Store, key: &[u8], change: Change) -> Result<(), Refusal> {
    let key = Key::new(key).expect("a key");
    let batch = Batch {
        changes: vec![(bucket(), key, Condition::None, change)],
    };
    let ticket = store.submit(batch)?;
    settle(store);
    match store.outcome(&ticket) {
        Poll::Ready(result) => result.map(drop),
        Poll::Pending => panic!("no outcome although nothing is left to do"),
    }
}

/// The value, if it is there and intact.
fn value(store: &mut Store, reader: &mut Reader) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    loop {
        match store.read(reader) {
            Poll::Pending => settle(store),
            Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return Some(value),
            Poll::Ready(Err(_)) => return None,
        }
    }
}

fn get(store: &mut Store, key: &[u8]) -> Option<Vec<u8>> {
    let key = Key::new(key).expect("a key");
    let (_, mut reader) = store.open_value(At::NOW, &bucket(), &key).ok()??;
    value(store, &mut reader)
}

/// Reads all there is; what was never written under a key may not be there.
fn read(store: &mut Store, honest: Option<&Written>) {
    for name in store.buckets().unwrap_or_default() {
        let query = KeyQuery {
            limit: 1000,
            ..KeyQuery::default()
        };
        let Ok(page) = store.keys(&name, &query) else {
            return;
        };
        for (key, metadata) in page.keys {
            let Ok(Some((_, mut reader))) = store.open_value(At::NOW, &name, &key) else {
                continue;
            };
            let _ = store.headers(&mut reader);
            settle(store);
            // A length that lies is not read to its end: it may be any number.
            if metadata.len_bytes > 1 << 20 && honest.is_none() {
                continue;
            }
            let found = value(store, &mut reader);
            if let (Some(honest), Some(found)) = (honest, found) {
                let written = honest.get(key.as_bytes());
                let known = written.is_some_and(|values| values.contains(&found));
                assert!(known, "{key:?} is {found:02x?}, which was never written");
            }
        }
    }
    settle(store);
}
