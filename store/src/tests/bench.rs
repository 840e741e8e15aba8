//! Figures by hand: `cargo test --release -p store bench -- --ignored --nocapture`.

use super::bed::*;
use crate::*;
use alloc::format;
use alloc::vec;
use std::time::Instant;

#[test]
#[ignore = "measures, asserts nothing"]
fn bench_puts_gets_and_opening() {
    let disk = MemoryDisk::new(1 << 30);
    let big = || Options {
        memory_bytes: 512 << 20,
        ..options(1)
    };
    let mut store = opened(disk.clone(), big());
    let count = 200_000u64;
    let begun = Instant::now();
    for n in 0..count {
        put(&mut store, &format!("key-{n:012}"), &[7; 64]).expect("committed");
    }
    let each = begun.elapsed().as_nanos() as u64 / count;
    std::println!("put, one at a time: {each} ns, {:?}", store.statistics());
    let begun = Instant::now();
    for n in 0..count / 50 {
        let changes = (0..50).map(|m| {
            let k = key(&format!("key-{:012}", n * 50 + m));
            (bucket("b"), k, Condition::None, put_change(&[8; 64]))
        });
        for change in changes.collect::<vec::Vec<_>>() {
            store
                .submit(Batch {
                    changes: vec![change],
                })
                .expect("taken");
        }
        settle(&mut store);
    }
    std::println!(
        "put, fifty at a time: {} ns",
        begun.elapsed().as_nanos() as u64 / count
    );
    let begun = Instant::now();
    for n in 0..count {
        assert!(get(&mut store, &format!("key-{n:012}")).is_some());
    }
    std::println!("get: {} ns", begun.elapsed().as_nanos() as u64 / count);
    std::println!(
        "index: {} bytes a key",
        store.statistics().index_bytes / count
    );
    drop(store);
    let begun = Instant::now();
    let store = opened(disk, big());
    assert_eq!(*store.state(), State::Ready);
    let each = begun.elapsed().as_nanos() as u64 / (2 * count);
    std::println!("opening: {:?}, {each} ns a record", begun.elapsed());
}
