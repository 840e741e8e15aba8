//! Snapshots, and rollback to them: what they show, what they cost, what they survive.

use super::bed::*;
use crate::*;
use alloc::format;
use alloc::vec::Vec;
use core::task::Poll;

const DISK: u64 = 8 << 20;

fn snapshot(name: &str) -> SnapshotName {
    SnapshotName::new(name).expect("a snapshot's name")
}

fn take(store: &mut Store, name: &str) -> Result<Committed, Refusal> {
    let ticket = store.take_snapshot(snapshot(name))?;
    finish(store, &ticket)
}

fn forget(store: &mut Store, name: &str) -> Result<Committed, Refusal> {
    let ticket = store.delete_snapshot(&snapshot(name))?;
    finish(store, &ticket)
}

fn roll_back(
    store: &mut Store,
    name: &str,
    only: Option<&BucketName>,
) -> Result<SnapshotName, Refusal> {
    let (ticket, before) = store.roll_back(&snapshot(name), only)?;
    finish(store, &ticket).map(|_| before)
}

fn shown(store: &mut Store, name: &str) -> Contents {
    let at = store.at(&snapshot(name)).expect("readable");
    contents_at(store, at.expect("it is there"), &[bucket("b"), bucket("c")])
}

fn put_in(store: &mut Store, name: &str, k: &str, value: &[u8]) {
    run(store, one(name, k, Condition::None, put_change(value))).expect("committed");
}

/// Overwrites until every segment has been compacted more than once.
fn churn(store: &mut Store) {
    for round in 0..400u64 {
        put_in(store, "c", "churn", &pattern(50_000, round));
    }
    run(store, one("c", "churn", Condition::None, Change::Delete)).expect("committed");
}

#[test]
fn a_snapshot_shows_what_there_was_whatever_comes_after() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "kept", b"1").expect("committed");
    put(&mut store, "changed", b"1").expect("committed");
    put(&mut store, "gone", b"1").expect("committed");
    upload(&mut store, "large", &pattern(200_000, 1)).expect("committed");
    let before = contents(&mut store);
    take(&mut store, "one").expect("taken");
    put(&mut store, "changed", b"2").expect("committed");
    delete(&mut store, "gone").expect("committed");
    upload(&mut store, "large", &pattern(150_000, 2)).expect("committed");
    put(&mut store, "new", b"2").expect("committed");
    let after = contents(&mut store);
    churn(&mut store);
    for seed in 2..4 {
        assert!(shown(&mut store, "one") == before && contents(&mut store) == after);
        let status = store.snapshots().expect("readable");
        let names: Vec<&str> = status.iter().map(|one| one.name.as_str()).collect();
        let bytes: usize = before.iter().map(|((_, k), v)| k.len() + v.len()).sum();
        assert_eq!((names, status[0].keys), (alloc::vec!["one"], 4));
        assert_eq!(status[0].live_bytes, bytes as u64);
        store = ready(disk.clone(), seed);
    }
    forget(&mut store, "one").expect("forgotten");
    assert_eq!(store.at(&snapshot("one")), Ok(None));
    churn(&mut store);
    let mut store = ready(disk, 9);
    assert!(contents(&mut store) == after);
    assert_eq!(store.snapshots(), Ok(Vec::new()));
}

#[test]
fn a_rollback_brings_it_back_and_can_be_undone() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    for (name, k) in [("b", "x"), ("b", "y"), ("c", "x")] {
        put_in(&mut store, name, k, b"then");
    }
    let then = contents(&mut store);
    take(&mut store, "then").expect("taken");
    put_in(&mut store, "b", "x", b"now");
    run(&mut store, one("b", "y", Condition::None, Change::Delete)).expect("committed");
    put_in(&mut store, "b", "z", b"now");
    put_in(&mut store, "c", "x", b"now");
    let now = contents(&mut store);
    let only_b = roll_back(&mut store, "then", Some(&bucket("b"))).expect("rolled back");
    let mut expected = then.clone();
    expected.insert(("c".into(), b"x".to_vec()), b"now".to_vec());
    assert!(contents(&mut store) == expected);
    let all = roll_back(&mut store, "then", None).expect("rolled back");
    assert!(contents(&mut store) == then);
    churn(&mut store);
    let mut store = ready(disk.clone(), 2);
    assert!(contents(&mut store) == then);
    roll_back(&mut store, all.as_str(), None).expect("undone");
    assert!(contents(&mut store) == expected);
    roll_back(&mut store, only_b.as_str(), None).expect("undone");
    assert!(contents(&mut store) == now);
    churn(&mut store);
    let mut store = ready(disk, 3);
    assert!(contents(&mut store) == now && shown(&mut store, "then") == then);
    assert_eq!(store.snapshots().expect("readable").len(), 5);
}

#[test]
fn what_only_a_snapshot_held_is_free_when_it_is_gone() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let fill = |store: &mut Store, round: u64| -> u64 {
        let write = |n: &u64| put(store, &format!("k{n}"), &pattern(60_000, round)).is_ok();
        (0..40).take_while(write).count() as u64
    };
    assert_eq!(fill(&mut store, 1), 40);
    take(&mut store, "held").expect("taken");
    let fitted = fill(&mut store, 2);
    assert!(fitted < 40, "both do not fit");
    let refused = put(&mut store, "k39", &pattern(60_000, 3));
    let Err(Refusal::NoSpace(full)) = refused else {
        panic!("{refused:?}");
    };
    let held = store.statistics().held_bytes.expect("it is counted");
    assert!(
        held >= fitted * 60_000 && format!("{full}").contains(&format!(", {held} of them")),
        "{full}, {held}"
    );
    let then = roll_back(&mut store, "held", None).expect("a rollback fits a full disk");
    for n in 0..40 {
        assert!(get(&mut store, &format!("k{n}")) == Some(pattern(60_000, 1)));
    }
    forget(&mut store, then.as_str()).expect("so does forgetting");
    forget(&mut store, "held").expect("so does forgetting");
    settle(&mut store);
    assert_eq!(fill(&mut store, 4), 40, "all of it is free again");
}

#[test]
fn a_quota_counts_what_is_shown_after_a_rollback() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let ticket = store.set_quota(bucket("b"), bytes(1000)).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    put(&mut store, "a", &[0; 899]).expect("committed");
    take(&mut store, "full").expect("taken");
    delete(&mut store, "a").expect("committed");
    // All in one step: the second is judged by what the first will have done.
    let (ticket, _) = store.roll_back(&snapshot("full"), None).expect("accepted");
    let batch = |len: usize| one("b", "b", Condition::None, put_change(&alloc::vec![0; len]));
    let refused = store.submit(batch(100));
    let expected = NoSpace::Quota {
        limit_bytes: 1000,
        used_bytes: 900,
    };
    assert_eq!(refused, Err(Refusal::NoSpace(expected)));
    let fits = store.submit(batch(99)).expect("accepted");
    settle(&mut store);
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    assert!(matches!(store.outcome(&fits), Poll::Ready(Ok(_))));
    assert_eq!(store.statistics().live_bytes, 1000);
    assert_eq!(ready(disk, 2).statistics().live_bytes, 1000);
}

#[test]
fn conditions_are_judged_by_a_rollback_that_is_not_durable_yet() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    put(&mut store, "k", b"then").expect("committed");
    take(&mut store, "then").expect("taken");
    delete(&mut store, "k").expect("committed");
    let (_, _) = store.roll_back(&snapshot("then"), None).expect("accepted");
    let absent = store
        .submit(one("b", "k", Condition::Absent, put_change(b"new")))
        .expect("its answer is deferred");
    assert_eq!(
        store.outcome(&absent),
        Poll::Pending,
        "the rollback is not durable"
    );
    settle(&mut store);
    let refused = store.outcome(&absent);
    assert!(
        matches!(refused, Poll::Ready(Err(Refusal::Condition { .. }))),
        "{refused:?}"
    );
    assert_eq!(get(&mut store, "k"), Some(b"then".to_vec()));
}

#[test]
fn a_snapshot_covers_what_was_accepted_before_it() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let submit = |store: &mut Store, value: &[u8]| {
        let batch = one("b", "k", Condition::None, put_change(value));
        store.submit(batch).expect("accepted")
    };
    submit(&mut store, b"before");
    let ticket = store.take_snapshot(snapshot("s")).expect("accepted");
    submit(&mut store, b"after");
    finish(&mut store, &ticket).expect("committed");
    let expected = Contents::from([(("b".into(), b"k".to_vec()), b"before".to_vec())]);
    assert!(shown(&mut store, "s") == expected);
    assert_eq!(get(&mut store, "k"), Some(b"after".to_vec()));
}

#[test]
fn a_bucket_is_emptied_at_once_and_its_space_is_free() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put_in(&mut store, "c", "other", b"1");
    for n in 0..40u64 {
        put_in(&mut store, "b", &format!("k{n}"), &pattern(60_000, n));
    }
    take(&mut store, "before").expect("taken");
    let before = contents(&mut store);
    let empty = |store: &mut Store| {
        let ticket = store.empty_bucket(&bucket("b"))?;
        finish(store, &ticket)
    };
    empty(&mut store).expect("emptied");
    assert_eq!(
        (store.statistics().keys, store.buckets().expect("whole")),
        (1, alloc::vec![bucket("c")])
    );
    assert_eq!(empty(&mut store), Err(Refusal::NotFound));
    put_in(&mut store, "b", "k1", b"again");
    let expected = Contents::from([
        (("b".into(), b"k1".to_vec()), b"again".to_vec()),
        (("c".into(), b"other".to_vec()), b"1".to_vec()),
    ]);
    let mut store = ready(disk.clone(), 2);
    assert!(contents(&mut store) == expected && shown(&mut store, "before") == before);
    forget(&mut store, "before").expect("forgotten");
    churn(&mut store);
    for n in 0..40u64 {
        put_in(&mut store, "b", &format!("n{n}"), &pattern(60_000, n));
    }
    empty(&mut store).expect("emptied");
    churn(&mut store);
    let mut store = ready(disk, 3);
    let expected = [(("c".into(), b"other".to_vec()), b"1".to_vec())];
    assert!(contents(&mut store) == Contents::from(expected));
}

#[test]
fn a_long_list_leaves_a_full_disk_in_peace() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    for n in 0..350 {
        take(&mut store, &format!("{n:064}")).expect("taken");
    }
    let write = |store: &mut Store, n: u64, round: u64| {
        put(store, &format!("k{n}"), &pattern(30_000, round + n)).is_ok()
    };
    let count = (0..1_000).take_while(|n| write(&mut store, *n, 0)).count() as u64;
    assert!(count > 50, "{count}");
    for round in 1..=4 {
        assert!((0..count).all(|n| write(&mut store, n, round)));
    }
    // Each segment has a long list in it, which no compaction makes room of.
    let before = store.statistics();
    for _ in 0..100 {
        put(&mut store, "k0", b"small").expect("committed");
        settle(&mut store);
    }
    let after = store.statistics();
    let compacted = after.compactions - before.compactions;
    assert!(compacted <= 4, "{compacted} segments compacted for nothing");
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    assert_eq!(forget(&mut store, "none"), Err(Refusal::NoSuchSnapshot));
    assert_eq!(
        roll_back(&mut store, "none", None),
        Err(Refusal::NoSuchSnapshot)
    );
    take(&mut store, "s").expect("taken");
    assert_eq!(take(&mut store, "s"), Err(Refusal::SnapshotExists));
    let mut count = 1;
    let refused = loop {
        match take(&mut store, &format!("{count:064}")) {
            Ok(_) => count += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refusal::TooManySnapshots { count });
    assert!(count > 300, "{count}");
    forget(&mut store, "s").expect("forgotten");
    take(&mut store, "t").expect("there is room again");
    for name in ["", "A", "a/b", &"x".repeat(65)] {
        assert_eq!(SnapshotName::new(name), Err(NameError::Snapshot));
    }
}

#[test]
fn a_snapshot_is_found_by_its_sequence_too() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let hidden = BucketName::system();
    let put_own = Batch {
        changes: alloc::vec![(hidden, key("own"), Condition::None, put_change(b"1"))],
    };
    run(&mut store, put_own).expect("committed");
    put(&mut store, "k", b"then").expect("committed");
    take(&mut store, "s").expect("taken");
    put(&mut store, "k", b"now").expect("committed");
    let status = store.snapshots().expect("readable").remove(0);
    assert_eq!(
        (status.keys, status.live_bytes),
        (1, 5),
        "what the appliance keeps for itself is not counted"
    );
    let at = store.at_seq(status.seq).expect("readable").expect("there");
    assert_eq!(store.at(&status.name), Ok(Some(at)));
    assert_eq!(store.at_seq(Seq(status.seq.0 + 1)), Ok(None));
    let query = KeyQuery {
        limit: 9,
        at,
        ..KeyQuery::default()
    };
    let page = store.keys(&bucket("b"), &query).expect("readable");
    assert_eq!(page.seq, status.seq, "a page of the past knows no more");
}

#[test]
fn the_appliances_own_bucket_is_not_rolled_back() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let own = |value: &[u8]| Batch {
        changes: alloc::vec![(
            BucketName::system(),
            key("token"),
            Condition::None,
            put_change(value)
        )],
    };
    run(&mut store, own(b"old")).expect("committed");
    put(&mut store, "k", b"old").expect("committed");
    take(&mut store, "one").expect("taken");
    run(&mut store, own(b"new")).expect("committed");
    put(&mut store, "k", b"new").expect("committed");
    let (ticket, _) = store.roll_back(&snapshot("one"), None).expect("taken");
    // Judged while the rollback is pending, too.
    let batch = Batch {
        changes: alloc::vec![(
            BucketName::system(),
            key("other"),
            Condition::Absent,
            put_change(b"other")
        )],
    };
    let other = store.submit(batch).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    assert!(matches!(store.outcome(&other), Poll::Ready(Ok(_))));
    for seed in 2..4 {
        assert_eq!(get(&mut store, "k"), Some(b"old".to_vec()));
        let token = get_in(&mut store, &BucketName::system(), &key("token"));
        assert_eq!(token, Some(b"new".to_vec()));
        assert_eq!(store.statistics().keys, 3);
        store = ready(disk.clone(), seed);
    }
}

/// All of it in the newest segment, whose records an opening takes in their order.
#[test]
fn a_snapshot_that_came_and_went_leaves_nothing_to_be_counted() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "twice", b"one").expect("written");
    put(&mut store, "gone", b"one").expect("written");
    put(&mut store, "back", b"one").expect("written");
    delete(&mut store, "back").expect("written");
    take(&mut store, "s").expect("taken");
    put(&mut store, "twice", b"other").expect("written");
    delete(&mut store, "gone").expect("written");
    put(&mut store, "back", b"other").expect("written");
    forget(&mut store, "s").expect("forgotten");
    let before = (store.statistics().keys, store.statistics().live_bytes);
    assert_eq!(before.0, 2);
    drop(store);
    let mut store = ready(disk.clone(), 2);
    let after = (store.statistics().keys, store.statistics().live_bytes);
    assert_eq!(after, before);
    let (_, used) = store.quota(&bucket("b"));
    assert_eq!((used.keys, used.bytes), before);
    settle(&mut store);
    // Every segment is emptied: what it counts as live has to be just that.
    for round in 0..400 {
        put(
            &mut store,
            &format!("k{}", round % 5),
            &pattern(60_000, round),
        )
        .expect("written");
    }
    assert!(store.statistics().compactions > 0);
    assert_eq!(get(&mut store, "twice"), Some(b"other".to_vec()));
    assert_eq!(store.statistics().keys, before.0 + 5);
}
