//! Putting, getting, deleting, listing, reopening.

use super::bed::*;
use crate::*;
use alloc::format;
use alloc::vec;
use core::task::Poll;

const DISK: u64 = 8 << 20;

#[test]
fn a_blank_disk_becomes_a_store_and_keeps_what_it_was_given() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    assert!(store.id().is_some());
    let committed = put(&mut store, "k", b"value").expect("committed");
    let (metadata, before) = &committed.results[0];
    assert!(!before && metadata.as_ref().is_some_and(|found| found.len_bytes == 5));
    assert_eq!(get(&mut store, "k"), Some(b"value".to_vec()));
    put(&mut store, "k", b"").expect("committed");
    assert_eq!(get(&mut store, "k"), Some(vec![]));
    put(&mut store, "l", &pattern(65_536, 1)).expect("committed");
    let id = store.id();
    for _ in 0..3 {
        drop(store);
        store = ready(disk.clone(), 2);
        assert_eq!(store.id(), id);
        assert_eq!(get(&mut store, "k"), Some(vec![]));
        assert!(get(&mut store, "l") == Some(pattern(65_536, 1)));
    }
    assert!(delete(&mut store, "k").is_ok());
    assert_eq!(delete(&mut store, "k"), Err(Refusal::NotFound));
    drop(store);
    let mut store = ready(disk, 3);
    assert_eq!(get(&mut store, "k"), None);
    assert_eq!(store.statistics().keys, 1);
}

#[test]
fn closing_marks_the_disk_clean_and_reopening_goes_on() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let first = put(&mut store, "k", b"1").expect("committed").results[0]
        .0
        .clone();
    store.close();
    settle(&mut store);
    assert_eq!(*store.state(), State::Closed);
    assert!(matches!(
        put(&mut store, "k", b"2"),
        Err(Refusal::Unavailable(_))
    ));
    let mut store = ready(disk, 2);
    assert_eq!(get(&mut store, "k"), Some(b"1".to_vec()));
    let second = put(&mut store, "k", b"2").expect("committed").results[0]
        .0
        .clone();
    let (first, second) = (
        first.expect("a version").seq,
        second.expect("a version").seq,
    );
    assert!(
        second > first && second.0 < first.0 + 1000,
        "{first:?} {second:?}"
    );
}

#[test]
fn headers_come_back_with_the_value() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let headers = Headers {
        content_type: Some("text/plain".into()),
        ..Headers::default()
    };
    let change = Change::Put {
        value: b"v".to_vec(),
        headers: headers.clone(),
    };
    run(&mut store, one("b", "k", Condition::None, change)).expect("committed");
    for store in [&mut store, &mut ready(disk, 2)] {
        let (_, mut reader) = store
            .open_value(At::NOW, &bucket("b"), &key("k"))
            .expect("readable")
            .expect("there");
        let found = loop {
            match store.headers(&mut reader) {
                Poll::Ready(found) => break found,
                Poll::Pending => settle(store),
            }
        };
        assert_eq!(found, Ok(headers.clone()));
    }
}

#[test]
fn a_batch_is_judged_in_order_and_is_all_or_nothing() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let mut batch = one("b", "k", Condition::Absent, put_change(b"1"));
    batch
        .changes
        .extend(one("b", "k", Condition::Exists, put_change(b"2")).changes);
    batch
        .changes
        .extend(one("c", "l", Condition::None, put_change(b"3")).changes);
    batch
        .changes
        .extend(one("c", "m", Condition::None, Change::Delete).changes);
    let committed = run(&mut store, batch).expect("committed");
    let befores: alloc::vec::Vec<bool> = committed.results.iter().map(|result| result.1).collect();
    assert_eq!(befores, [false, true, false, false]);
    assert_eq!(get(&mut store, "k"), Some(b"2".to_vec()));

    let mut batch = one("b", "k", Condition::None, put_change(b"4"));
    batch
        .changes
        .extend(one("c", "l", Condition::Absent, put_change(b"5")).changes);
    let refused = run(&mut store, batch);
    assert!(
        matches!(
            refused,
            Err(Refusal::Condition {
                index: 1,
                current: Some(_)
            })
        ),
        "{refused:?}"
    );
    assert_eq!(get(&mut store, "k"), Some(b"2".to_vec()));
}

#[test]
fn nothing_is_seen_before_it_is_durable_and_refusals_wait_for_what_they_saw() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let first = store
        .submit(one("b", "k", Condition::Absent, put_change(b"1")))
        .expect("taken");
    let second = store
        .submit(one("b", "k", Condition::Absent, put_change(b"2")))
        .expect("taken");
    let third = store.submit(one("b", "l", Condition::None, Change::Delete));
    assert_eq!(third, Err(Refusal::NotFound));
    assert_eq!(store.lookup(At::NOW, &bucket("b"), &key("k")), Ok(None));
    assert_eq!(store.outcome(&first), Poll::Pending);
    assert_eq!(store.outcome(&second), Poll::Pending);
    let delete = store
        .submit(one("b", "k", Condition::Exists, Change::Delete))
        .expect("taken");
    let again = store
        .submit(one("b", "k", Condition::None, Change::Delete))
        .expect("taken");
    settle(&mut store);
    assert!(matches!(store.outcome(&first), Poll::Ready(Ok(_))));
    assert!(matches!(
        store.outcome(&second),
        Poll::Ready(Err(Refusal::Condition { .. }))
    ));
    assert!(matches!(store.outcome(&delete), Poll::Ready(Ok(_))));
    assert_eq!(store.outcome(&again), Poll::Ready(Err(Refusal::NotFound)));
    assert_eq!(get(&mut store, "k"), None);
}

#[test]
fn keys_are_listed_in_order_over_buckets() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    for n in 0..50 {
        let name = if n % 2 == 0 { "even" } else { "odd" };
        let batch = one(name, &format!("{n:03}"), Condition::None, put_change(b"v"));
        run(&mut store, batch).expect("committed");
    }
    assert_eq!(
        store.buckets().expect("whole"),
        [bucket("even"), bucket("odd")]
    );
    let query = KeyQuery {
        limit: 10,
        start: Some(b"010".to_vec()),
        ..KeyQuery::default()
    };
    let page = store.keys(&bucket("even"), &query).expect("readable");
    assert_eq!((page.keys.len(), page.more), (10, true));
    assert_eq!(page.keys[0].0, key("010"));
    assert_eq!(page.seq, store.durable_seq());
}

#[test]
fn a_disk_overwritten_many_times_goes_on_working() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let mut model = alloc::collections::BTreeMap::new();
    let mut random = Random(5);
    for round in 0..4000u64 {
        let k = format!("k{}", random.below(60));
        let len = random.below(40_000) as usize;
        let value = pattern(len, round);
        put(&mut store, &k, &value).expect("committed");
        model.insert(k, value);
    }
    let numbers = store.statistics();
    assert!(numbers.written_bytes > 9 * DISK, "{numbers:?}");
    assert!(numbers.compactions > 100, "{numbers:?}");
    drop(store);
    let mut store = ready(disk, 2);
    for (k, value) in &model {
        assert!(get(&mut store, k).as_ref() == Some(value), "{k}");
    }
    assert_eq!(store.statistics().keys, model.len() as u64);
}

#[test]
fn large_values_go_in_chunks_and_come_back() {
    let disk = MemoryDisk::new(64 << 20);
    let mut store = ready(disk.clone(), 1);
    for (n, len) in [0, 1, 65_536, 65_537, 131_072, 1_000_000, 8_000_000]
        .into_iter()
        .enumerate()
    {
        upload(&mut store, &format!("k{n}"), &pattern(len, n as u64)).expect("committed");
    }
    for store in [&mut store, &mut ready(disk, 2)] {
        for (n, len) in [0, 1, 65_536, 65_537, 131_072, 1_000_000, 8_000_000]
            .into_iter()
            .enumerate()
        {
            assert!(
                get(store, &format!("k{n}")) == Some(pattern(len, n as u64)),
                "{len}"
            );
        }
    }
}
