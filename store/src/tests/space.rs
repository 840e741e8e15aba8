//! Full is not broken: disk, memory, quota, and coming back from each.

use super::bed::*;
use crate::*;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const DISK: u64 = 8 << 20;

fn fill(store: &mut Store, len: usize, salt: u64) -> (Vec<String>, Refusal) {
    let mut keys = Vec::new();
    for n in 0..100_000u64 {
        let k = format!("key-{n}");
        match put(store, &k, &pattern(len, salt + n)) {
            Ok(_) => keys.push(k),
            Err(refusal) => return (keys, refusal),
        }
    }
    panic!("the disk never gets full");
}

fn fill_and_empty(len: usize, rounds: u64) {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let mut first = None;
    for round in 0..rounds {
        let (keys, refusal) = fill(&mut store, len, round);
        let Refusal::NoSpace(NoSpace::Disk {
            limit_bytes,
            used_bytes,
            ..
        }) = refusal
        else {
            panic!("{refusal:?}");
        };
        assert!(used_bytes <= limit_bytes && used_bytes + len as u64 + 100 > limit_bytes);
        let count = *first.get_or_insert(keys.len());
        assert!(
            keys.len() + 2 >= count,
            "round {round}: {} of {count}",
            keys.len()
        );
        for (n, k) in keys.iter().enumerate() {
            if n % 7 == 0 {
                assert!(get(&mut store, k) == Some(pattern(len, round + n as u64)));
            }
        }
        // An overwrite of the same size fits although the disk is full.
        put(&mut store, &keys[0], &pattern(len, 9)).expect("an overwrite fits");
        if round % 2 == 1 {
            store = ready(disk.clone(), round as u8 + 2);
        }
        for k in &keys {
            delete(&mut store, k).expect("a delete always fits");
        }
        assert_eq!(store.statistics().keys, 0);
    }
}

#[test]
fn a_full_disk_is_emptied_and_filled_again_with_large_records() {
    fill_and_empty(60_000, 100);
}

#[test]
fn a_full_disk_is_emptied_and_filled_again_with_small_records() {
    fill_and_empty(3000, 3);
}

#[test]
fn tombstones_go_when_nothing_older_is_left() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    for round in 0..400u64 {
        for n in 0..10 {
            put(&mut store, &format!("k-{round}-{n}"), &pattern(2000, n)).expect("committed");
        }
        for n in 0..10 {
            delete(&mut store, &format!("k-{round}-{n}")).expect("committed");
        }
    }
    let numbers = store.statistics();
    assert_eq!(numbers.keys, 0);
    assert!(numbers.compactions > 10, "{numbers:?}");
    // 4,000 keys were deleted; the tombstones of most are gone.
    assert!(numbers.index_bytes < 4000 * 112 / 2, "{numbers:?}");
    drop(store);
    let mut store = ready(disk, 2);
    assert_eq!(contents(&mut store), Contents::new());
}

#[test]
fn large_values_fill_and_free_the_disk() {
    let disk = MemoryDisk::new(16 << 20);
    let mut store = ready(disk.clone(), 1);
    for round in 0..5u64 {
        let mut keys = Vec::new();
        let refusal = loop {
            let k = format!("large-{}", keys.len());
            match upload(&mut store, &k, &pattern(700_000, round + keys.len() as u64)) {
                Ok(_) => keys.push(k),
                Err(refusal) => break refusal,
            }
        };
        assert!(
            matches!(refusal, Refusal::NoSpace(NoSpace::Disk { .. })),
            "{refusal:?}"
        );
        assert!(keys.len() > 5, "{}", keys.len());
        store = ready(disk.clone(), round as u8 + 2);
        for (n, k) in keys.iter().enumerate() {
            assert!(get(&mut store, k) == Some(pattern(700_000, round + n as u64)));
            delete(&mut store, k).expect("a delete always fits");
        }
    }
}

#[test]
fn an_abandoned_upload_leaves_nothing_behind() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    for round in 0..40u64 {
        let headers = Headers::default();
        let len = (round % 2 == 0).then_some(1_000_000);
        let mut upload = store
            .begin_upload(bucket("b"), key("k"), Condition::None, headers, len)
            .expect("begun");
        let bytes = pattern(300_000, round);
        let mut at = 0;
        while at < bytes.len() {
            at += store.upload(&mut upload, &bytes[at..]).expect("taken");
            settle(&mut store);
        }
        drop(upload);
        settle(&mut store);
    }
    let numbers = store.statistics();
    assert_eq!(
        (numbers.keys, numbers.waiting, numbers.live_bytes),
        (0, 0, 0)
    );
    upload(&mut store, "k", &pattern(1_000_000, 1)).expect("committed");
    assert!(get(&mut store, "k") == Some(pattern(1_000_000, 1)));
}

#[test]
fn uploads_are_limited_and_judged_twice() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let begin = |store: &mut Store, condition, len| {
        store.begin_upload(bucket("b"), key("k"), condition, Headers::default(), len)
    };
    let limit = match begin(&mut store, Condition::None, Some(1 << 30)) {
        Err(Refusal::TooLarge { limit_bytes }) => limit_bytes,
        other => panic!("{other:?}"),
    };
    assert!(limit >= 1 << 20);
    let mut unknown = begin(&mut store, Condition::None, None).expect("begun");
    let refusal = loop {
        match store.upload(&mut unknown, &[0; 50_000]) {
            Ok(_) => settle(&mut store),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Refusal::TooLarge { limit_bytes: limit });
    let mut late = begin(&mut store, Condition::Absent, None).expect("begun");
    let mut at = 0;
    while at < 100_000 {
        at += store
            .upload(&mut late, &vec![1; 100_000 - at])
            .expect("taken");
        settle(&mut store);
    }
    put(&mut store, "k", b"first").expect("committed");
    let refused = store.commit_upload(late);
    assert!(
        matches!(refused, Err(Refusal::Condition { .. })),
        "{refused:?}"
    );
    let early = begin(&mut store, Condition::Absent, None);
    assert!(matches!(early, Err(Refusal::Condition { .. })));
    assert_eq!(get(&mut store, "k"), Some(b"first".to_vec()));
}

#[test]
fn a_reader_keeps_what_it_reads_while_the_disk_is_rewritten() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    upload(&mut store, "large", &pattern(500_000, 1)).expect("committed");
    put(&mut store, "small", &pattern(60_000, 2)).expect("committed");
    let open = |store: &mut Store, k| {
        store
            .open_value(At::NOW, &bucket("b"), &key(k))
            .expect("readable")
            .expect("there")
            .1
    };
    let mut large = open(&mut store, "large");
    for round in 0..300u64 {
        put(
            &mut store,
            &format!("k{}", round % 20),
            &pattern(50_000, round),
        )
        .expect("committed");
    }
    let mut moved = open(&mut store, "large");
    delete(&mut store, "large").expect("committed");
    for round in 0..300u64 {
        put(
            &mut store,
            &format!("k{}", round % 20),
            &pattern(50_000, round),
        )
        .expect("committed");
    }
    for reader in [&mut large, &mut moved] {
        let found = read_all(&mut store, reader).map(|value| value == pattern(500_000, 1));
        assert_eq!(found, Ok(true));
    }
    assert!(get(&mut store, "small") == Some(pattern(60_000, 2)));
}

#[test]
fn a_quota_is_counted_to_the_byte_and_survives() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let ticket = store.set_quota(bucket("b"), bytes(1000)).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    put(&mut store, "abcd", &[0; 496]).expect("committed");
    for store in [&mut store, &mut ready(disk.clone(), 2)] {
        let refused = put(store, "efgh", &[0; 497]);
        let expected = NoSpace::Quota {
            limit_bytes: 1000,
            used_bytes: 500,
        };
        assert_eq!(refused, Err(Refusal::NoSpace(expected)));
    }
    let mut store = ready(disk, 3);
    let first = store.submit(one("b", "efgh", Condition::None, put_change(&[0; 496])));
    let second = store.submit(one("b", "i", Condition::None, put_change(b"")));
    assert!(first.is_ok() && matches!(second, Err(Refusal::NoSpace(NoSpace::Quota { .. }))));
    settle(&mut store);
    put(&mut store, "abcd", &[0; 100]).expect("smaller fits");
    run(
        &mut store,
        one("c", "x", Condition::None, put_change(&[0; 5000])),
    )
    .expect("another bucket");
    for round in 0..600u64 {
        run(
            &mut store,
            one(
                "c",
                "x",
                Condition::None,
                put_change(&pattern(50_000, round)),
            ),
        )
        .expect("committed");
    }
    let refused = put(&mut store, "j", &[0; 900]);
    assert!(
        matches!(refused, Err(Refusal::NoSpace(NoSpace::Quota { .. }))),
        "{refused:?}"
    );
    let ticket = store.set_quota(bucket("b"), bytes(0)).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    put(&mut store, "j", &[0; 900]).expect("no quota any more");
}

#[test]
fn a_quota_counts_keys_too() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let limits = QuotaLimits { bytes: 0, keys: 2 };
    let ticket = store.set_quota(bucket("b"), limits).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    put(&mut store, "a", b"1").expect("the first");
    put(&mut store, "b", b"1").expect("the second");
    put(&mut store, "a", b"2").expect("no further key");
    for store in [&mut store, &mut ready(disk.clone(), 2)] {
        let refused = put(store, "c", b"1");
        let expected = NoSpace::QuotaKeys { limit: 2, used: 2 };
        assert_eq!(refused, Err(Refusal::NoSpace(expected)));
    }
    let mut store = ready(disk, 3);
    let both = Batch {
        changes: vec![
            (bucket("b"), key("a"), Condition::None, Change::Delete),
            (bucket("b"), key("c"), Condition::None, put_change(b"1")),
        ],
    };
    run(&mut store, both).expect("as many as before");
    let used = QuotaLimits { bytes: 4, keys: 2 };
    assert_eq!(store.quota(&bucket("b")), (limits, used));
}

#[test]
fn a_quota_is_known_as_soon_as_it_is_accepted_and_so_is_its_bucket() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let limits = |bytes, keys| QuotaLimits { bytes, keys };
    let first = store.set_quota(bucket("b"), limits(9, 0)).expect("taken");
    let second = store.set_quota(bucket("b"), limits(9, 3)).expect("taken");
    assert_eq!(store.accepted_quota(&bucket("b")), limits(9, 3));
    assert_eq!(store.quota(&bucket("b")).0, limits(0, 0), "not durable yet");
    assert_eq!(store.accepted_quota(&bucket("c")), limits(0, 0));
    finish(&mut store, &first).expect("committed");
    finish(&mut store, &second).expect("committed");
    assert_eq!(store.accepted_quota(&bucket("b")), limits(9, 3));
    assert_eq!(store.known_buckets().expect("whole"), [bucket("b")]);
    assert_eq!(store.buckets().expect("whole"), []);
    let none = store.set_quota(bucket("b"), limits(0, 0)).expect("taken");
    finish(&mut store, &none).expect("committed");
    assert_eq!(store.known_buckets().expect("whole"), []);
}

#[test]
fn limits_are_said() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let too_long = put(&mut store, "k", &vec![0; 65_537]);
    assert_eq!(
        too_long,
        Err(Refusal::TooLarge {
            limit_bytes: 65_536
        })
    );
    let changes = (0..6).map(|n| {
        (
            bucket("b"),
            key(&format!("k{n}")),
            Condition::None,
            put_change(&vec![0; 65_536]),
        )
    });
    let too_much = run(
        &mut store,
        Batch {
            changes: changes.collect(),
        },
    );
    assert!(
        matches!(too_much, Err(Refusal::TooLarge { .. })),
        "{too_much:?}"
    );
    for n in 0..1024 {
        run(
            &mut store,
            one(&format!("b{n}"), "k", Condition::None, put_change(b"")),
        )
        .expect("committed");
    }
    let one_more = run(
        &mut store,
        one("onemore", "k", Condition::None, put_change(b"")),
    );
    assert_eq!(one_more, Err(Refusal::TooManyBuckets { limit: 1024 }));
    run(&mut store, one("b7", "k", Condition::None, Change::Delete)).expect("committed");
    assert_eq!(store.buckets().expect("whole").len(), 1023);
}

#[test]
fn statistics_add_up() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let mut model: BTreeMap<String, usize> = BTreeMap::new();
    let mut random = Random(3);
    for _ in 0..500 {
        let k = format!("{}", random.below(50));
        let len = random.below(500) as usize;
        put(&mut store, &k, &vec![1; len]).expect("committed");
        model.insert(k, len);
    }
    let numbers = store.statistics();
    let live: usize = model.iter().map(|(k, len)| k.len() + len).sum();
    assert_eq!(
        (numbers.keys, numbers.live_bytes),
        (model.len() as u64, live as u64)
    );
    assert_eq!(
        (numbers.changes, numbers.corruptions, numbers.waiting),
        (500, 0, 0)
    );
    assert!(numbers.cache_bytes > 0 && numbers.flushes >= 500);
}

#[test]
fn deferred_answers_follow_what_they_saw() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let put_if =
        |store: &mut Store, condition| store.submit(one("b", "k", condition, put_change(b"v")));
    let first = put_if(&mut store, Condition::None).expect("taken");
    settle(&mut store);
    let core::task::Poll::Ready(Ok(done)) = store.outcome(&first) else {
        panic!("not done")
    };
    let seq = done.results[0].0.as_ref().expect("a version").seq;
    let at_once = put_if(&mut store, Condition::Absent);
    assert!(
        matches!(at_once, Err(Refusal::Condition { .. })),
        "{at_once:?}"
    );
    assert!(put_if(&mut store, Condition::NoneOf(vec![seq])).is_err());
    let second = put_if(&mut store, Condition::AnyOf(vec![seq])).expect("taken");
    let stale = put_if(&mut store, Condition::AnyOf(vec![seq])).expect("held back");
    assert_eq!(store.outcome(&stale), core::task::Poll::Pending);
    settle(&mut store);
    assert!(matches!(
        store.outcome(&second),
        core::task::Poll::Ready(Ok(_))
    ));
    let refused = store.outcome(&stale);
    assert!(matches!(
        refused,
        core::task::Poll::Ready(Err(Refusal::Condition { .. }))
    ));
    let old = Condition::UnmodifiedSince(1_600_000_000);
    assert!(matches!(
        put_if(&mut store, old),
        Err(Refusal::Condition { .. })
    ));
    assert!(put_if(&mut store, Condition::UnmodifiedSince(1_800_000_000)).is_ok());
}

#[test]
fn limits_that_come_near_are_said_before_they_are_reached() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let limits = QuotaLimits {
        bytes: 1000,
        keys: 5,
    };
    let ticket = store.set_quota(bucket("b"), limits).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    put(&mut store, "a", &[0; 798]).expect("committed");
    assert_eq!(store.warnings(), []);
    put(&mut store, "a", &[0; 799]).expect("committed");
    let warning = |resource, level, used, limit| Warning {
        resource,
        level,
        used,
        limit,
    };
    let of_bytes = Resource::Quota(bucket("b"));
    let high = warning(of_bytes.clone(), Level::High, 800, 1000);
    assert_eq!(store.warnings(), vec![high.clone()]);
    assert_eq!(
        ready(disk.clone(), 2).warnings(),
        vec![high.clone()],
        "opening says it again"
    );
    let mut store = ready(disk, 3);
    for k in ["b", "c", "d", "e"] {
        put(&mut store, k, &[]).expect("committed");
    }
    let of_keys = warning(Resource::QuotaKeys(bucket("b")), Level::Critical, 5, 5);
    let high = warning(of_bytes, Level::High, 804, 1000);
    assert_eq!(store.warnings(), vec![high, of_keys]);
    delete(&mut store, "a").expect("committed");
    let of_keys = warning(Resource::QuotaKeys(bucket("b")), Level::High, 4, 5);
    assert_eq!(store.warnings(), vec![of_keys.clone()]);
    let (_, _) = fill_bucket(&mut store, "c");
    let of_disk = store
        .warnings()
        .into_iter()
        .next()
        .expect("the disk is full");
    assert_eq!(
        (of_disk.resource, of_disk.level),
        (Resource::Disk, Level::Critical)
    );
    assert!(of_disk.used * 100 >= of_disk.limit * 95 && of_disk.used <= of_disk.limit);
}

/// Fills the disk from a bucket without a quota.
fn fill_bucket(store: &mut Store, name: &str) -> (u64, Refusal) {
    for n in 0..10_000u64 {
        let batch = one(
            name,
            &format!("key-{n}"),
            Condition::None,
            put_change(&pattern(30_000, n)),
        );
        if let Err(refusal) = run(store, batch) {
            return (n, refusal);
        }
    }
    panic!("the disk never gets full");
}

#[test]
fn what_compaction_has_to_do_is_told() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let (mut left_most, mut debt_most) = (0, 0);
    let mut random = Random(1);
    for round in 0..600u64 {
        let k = format!("{}", random.below(55));
        let change = put_change(&pattern(50_000, round));
        let ticket = store.submit(one("b", &k, Condition::None, change));
        let ticket = ticket.expect("taken");
        while store.step(now(round)) == Wake::Now {
            let statistics = store.statistics();
            left_most = left_most.max(statistics.compaction_left_bytes);
            debt_most = debt_most.max(statistics.compaction_debt_bytes);
        }
        finish(&mut store, &ticket).expect("committed");
    }
    let statistics = store.statistics();
    assert!(left_most > 0 && debt_most > 0, "{left_most} {debt_most}");
    assert_eq!(statistics.compaction_left_bytes, 0, "it rests");
    let live = statistics.live_bytes;
    assert!(
        statistics.dead_bytes + live <= statistics.used_bytes,
        "{statistics:?}"
    );
    assert!(statistics.dead_bytes > 0, "{statistics:?}");
}
