//! What the store's index takes of the RAM, measured at the allocator.

use store::blob::HeapPages;
use store::{
    Batch, BucketName, Change, Condition, FormatPermission, Headers, Key, MemoryDisk, Now, Options,
    SnapshotName, State, Store, Wake,
};
use tests::data::Random;
use tests::simulated::held_by;

const DISK_BYTES: u64 = 96 << 20;
const KEYS: u64 = 200_000;
const OVERWRITTEN: u64 = 20_000;
const PER_BATCH: u64 = 1_000;
/// Of a version of a 16-byte key, all that the store holds included.
const BYTES_MAX: u64 = 72;

fn options() -> Options {
    Options {
        format: FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: 64 << 20,
        seed: [7; 32],
        pages: Box::new(HeapPages),
    }
}

fn settle(store: &mut Store) {
    let now = |ns| Now {
        monotonic_ns: ns,
        wall_ns: 1_800_000_000_000_000_000 + ns,
    };
    let rests = (0..1_000_000).any(|ns| store.step(now(ns)) != Wake::Now);
    assert!(rests, "the store never comes to rest");
}

fn opened(disk: &MemoryDisk) -> Store {
    let mut store = Store::opening(Box::new(disk.clone()), options());
    settle(&mut store);
    assert_eq!(*store.state(), State::Ready);
    store
}

/// Keys like no others, in no order.
fn key(number: u64) -> Key {
    Key::new(&Random::new(number).bytes(16)).expect("a key")
}

fn write(store: &mut Store, numbers: &[u64]) {
    let bucket = BucketName::new("b").expect("a name");
    for numbers in numbers.chunks(PER_BATCH as usize) {
        let change = |number: &u64| {
            let value = vec![*number as u8; 100];
            let headers = Headers::default();
            let put = Change::Put { value, headers };
            (bucket.clone(), key(*number), Condition::None, put)
        };
        let changes = numbers.iter().map(change).collect();
        store.submit(Batch { changes }).expect("accepted");
        settle(store);
    }
}

#[test]
fn a_version_of_a_16_byte_key_takes_at_most_72_bytes() {
    let disk = MemoryDisk::new(DISK_BYTES);
    let mut store = opened(&disk);
    write(&mut store, &(0..KEYS).collect::<Vec<_>>());
    let name = SnapshotName::new("before").expect("a name");
    store.take_snapshot(name).expect("accepted");
    let mut random = Random::new(1);
    let again: Vec<u64> = (0..OVERWRITTEN).map(|_| random.below(KEYS)).collect();
    write(&mut store, &again);
    let keys = store.statistics().keys;
    drop(store);
    let (store, held_bytes) = held_by(|| opened(&disk));
    let statistics = store.statistics();
    assert_eq!((keys, statistics.keys), (KEYS, KEYS));
    let kept = store.snapshots().expect("readable");
    assert_eq!(kept[0].keys, KEYS);
    // A key that was drawn twice has no third version: no view sees the second.
    let versions = KEYS
        + again
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len() as u64;
    println!(
        "{versions} versions: {held_bytes} bytes held, {} a version; the index counts {}",
        held_bytes / versions,
        statistics.index_bytes
    );
    assert!(held_bytes <= versions * BYTES_MAX);
    assert!(
        statistics.index_bytes * 20 >= held_bytes * 19,
        "it counts what it takes"
    );
}
