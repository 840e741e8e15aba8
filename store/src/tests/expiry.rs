//! Values whose time comes to an end: who sees what, when, and that it is decided once.

use super::bed::*;
use crate::block::*;
use crate::pace::HOLD_NS_MAX;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use core::cell::Cell;
use core::task::Poll;

const DISK: u64 = 8 << 20;
const SECOND_NS: u64 = 1_000_000_000;
/// The wall clock at the beginning, in milliseconds.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// So many seconds after the beginning.
fn at(seconds: u64) -> Now {
    now(seconds * SECOND_NS)
}

/// With a wall clock that says something else.
fn at_wall(seconds: u64, wall_seconds: u64) -> Now {
    Now {
        wall_ns: at(wall_seconds).wall_ns,
        ..at(seconds)
    }
}

/// Steps until nothing is left to do; the clock stands still, but for a group that is held.
fn rest(store: &mut Store, mut now: Now) {
    for _ in 0..20_000 {
        match store.step(now) {
            Wake::Now => {}
            Wake::At(Some(at_ns))
                if (1..=HOLD_NS_MAX).contains(&(at_ns.saturating_sub(now.monotonic_ns))) =>
            {
                now.monotonic_ns = at_ns;
            }
            Wake::At(_) => return,
        }
    }
    panic!("the store never comes to rest");
}

/// A store that knows what time it is.
fn store_at(disk: &MemoryDisk, seed: u8, now: Now) -> Store {
    let mut store = Store::opening(Box::new(disk.clone()), options(seed));
    rest(&mut store, now);
    store
}

fn lasting(value: &[u8], seconds: u64) -> Change {
    let headers = Headers {
        expires_wall_ms: Some(BEGIN_MS + seconds * 1_000),
        ..Headers::default()
    };
    let value = value.to_vec();
    Change::Put { value, headers }
}

fn put_lasting(store: &mut Store, k: &str, seconds: u64, now: Now) {
    let batch = one("b", k, Condition::None, lasting(b"value", seconds));
    let ticket = store.submit(batch).expect("taken");
    rest(store, now);
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
}

/// So many keys that last ten seconds, in batches.
fn put_many(store: &mut Store, count: usize) {
    for first in (0..count).step_by(200) {
        let change = |n: usize| {
            let k = key(&format!("{:05}", first + n));
            (bucket("b"), k, Condition::None, lasting(b"v", 10))
        };
        let changes = (0..200).map(change).collect();
        let ticket = store.submit(Batch { changes }).expect("taken");
        rest(store, at(0));
        assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    }
}

fn shows(store: &mut Store, k: &str) -> bool {
    let found = store.lookup(At::NOW, &bucket("b"), &key(k));
    found.expect("readable").is_some()
}

fn keys(store: &mut Store) -> usize {
    let query = KeyQuery {
        limit: usize::MAX,
        ..KeyQuery::default()
    };
    let page = store.keys(&bucket("b"), &query).expect("readable");
    page.keys.len()
}

#[test]
fn a_value_is_there_until_its_time_is_over() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    put(&mut store, "for ever", b"1").expect("committed");
    let metadata = store.lookup(At::NOW, &bucket("b"), &key("k"));
    let metadata = metadata.expect("readable").expect("there");
    assert_eq!(metadata.expires_wall_ms, Some(BEGIN_MS + 10_000));
    let millisecond = |ms: u64| now(ms * 1_000_000);
    rest(&mut store, millisecond(9_999));
    assert!(shows(&mut store, "k") && keys(&mut store) == 2);
    rest(&mut store, millisecond(10_000));
    assert!(!shows(&mut store, "k") && keys(&mut store) == 1);
    let statistics = store.statistics();
    assert_eq!((statistics.keys, statistics.expired), (1, 1));
    // The other way: a store that was away while the time went by.
    put_lasting(&mut store, "k", 20, millisecond(10_000));
    let mut store = store_at(&disk, 2, at(19));
    assert!(shows(&mut store, "k"));
    drop(store);
    let mut store = store_at(&disk, 3, at(21));
    assert!(!shows(&mut store, "k") && shows(&mut store, "for ever"));
}

#[test]
fn a_store_with_nothing_else_to_do_wakes_when_a_time_is_over() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    let wake = store.step(at(4));
    assert_eq!(wake, Wake::At(Some(at(10).monotonic_ns)));
}

#[test]
fn writing_a_value_again_forgets_its_time() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    put(&mut store, "k", b"for ever").expect("committed");
    rest(&mut store, at(11));
    assert!(shows(&mut store, "k"));
    let mut store = store_at(&disk, 2, at(12));
    assert!(shows(&mut store, "k"));
}

#[test]
fn what_was_seen_to_be_over_stays_so_when_the_clock_steps_back() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    rest(&mut store, at_wall(1, 11));
    assert!(!shows(&mut store, "k"));
    rest(&mut store, at_wall(2, 3));
    assert!(!shows(&mut store, "k"));
    drop(store);
    let mut store = store_at(&disk, 2, at(3));
    assert!(!shows(&mut store, "k"));
    // What nobody has seen yet is judged by the clock there is.
    put_lasting(&mut store, "k", 10, at(3));
    assert!(shows(&mut store, "k"));
}

/// A disk that tells of no completion as long as it is held.
struct Held(MemoryDisk, Rc<Cell<bool>>);

impl BlockDevice for Held {
    fn geometry(&self) -> Option<Geometry> {
        self.0.geometry()
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        self.0.submit(id, request)
    }

    fn poll(&mut self) -> Option<Completion> {
        if self.1.get() { None } else { self.0.poll() }
    }
}

#[test]
fn an_answer_that_saw_the_end_waits_until_it_is_durable() {
    let hold = Rc::new(Cell::new(false));
    let disk = Held(MemoryDisk::new(DISK), Rc::clone(&hold));
    let mut store = Store::opening(Box::new(disk), options(1));
    rest(&mut store, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    hold.set(true);
    let _ = store.step(at(11));
    assert!(!shows(&mut store, "k"), "nobody is shown it any more");
    let ticket = store.observed().expect("that is not durable yet");
    let _ = store.step(at_wall(11, 5));
    assert!(store.outcome(&ticket).is_pending());
    assert!(
        !shows(&mut store, "k"),
        "not even by a clock that stepped back"
    );
    assert_eq!(keys(&mut store), 0);
    let page = store.observed().expect("the page saw it, too");
    hold.set(false);
    rest(&mut store, at_wall(12, 5));
    assert!(store.outcome(&ticket).is_ready() && store.outcome(&page).is_ready());
    assert!(!shows(&mut store, "k"));
    assert_eq!(store.observed(), None, "now it is");
}

#[test]
fn conditions_and_quotas_count_what_is_there_now() {
    let hold = Rc::new(Cell::new(false));
    let disk = Held(MemoryDisk::new(DISK), Rc::clone(&hold));
    let mut store = Store::opening(Box::new(disk), options(1));
    rest(&mut store, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    let limits = QuotaLimits { bytes: 0, keys: 1 };
    let ticket = store.set_quota(bucket("b"), limits).expect("taken");
    rest(&mut store, at(0));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    let another = || one("b", "another", Condition::None, put_change(b"1"));
    assert!(matches!(
        store.submit(another()),
        Err(Refusal::NoSpace(NoSpace::QuotaKeys { .. }))
    ));
    hold.set(true);
    let _ = store.step(at(11));
    let ticket = store.submit(another()).expect("there is room again");
    let again = one("b", "k", Condition::Exists, put_change(b"1"));
    let refused = store.submit(again).expect("told when it is durable");
    let gone = one("b", "k", Condition::None, Change::Delete);
    let not_found = store.submit(gone).expect("told when it is durable");
    assert!(store.outcome(&refused).is_pending() && store.outcome(&not_found).is_pending());
    hold.set(false);
    rest(&mut store, at(11));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    let expected = Refusal::Condition {
        index: 0,
        current: None,
    };
    assert_eq!(store.outcome(&refused), Poll::Ready(Err(expected)));
    assert_eq!(
        store.outcome(&not_found),
        Poll::Ready(Err(Refusal::NotFound))
    );
}

#[test]
fn a_snapshot_keeps_what_was_there_then() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "long", 100, at(0));
    put_lasting(&mut store, "short", 10, at(0));
    let _ = store.step(at(11));
    let name = SnapshotName::new("one").expect("a name");
    let ticket = store.take_snapshot(name.clone()).expect("taken");
    rest(&mut store, at(11));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    rest(&mut store, at(101));
    assert_eq!(keys(&mut store), 0);
    for seed in 2..4 {
        let one = store.at(&name).expect("readable").expect("there");
        let shown = contents_at(&mut store, one, &[bucket("b")]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(store.snapshots().expect("readable")[0].keys, 1);
        store = store_at(&disk, seed, at(102));
    }
    // Rolling back does not turn the clock back.
    assert_eq!(store.expired_keys(&name, None), 1);
    assert_eq!(store.expired_keys(&name, Some(&bucket("b"))), 1);
    assert_eq!(store.expired_keys(&name, Some(&bucket("other"))), 0);
    let (ticket, _) = store.roll_back(&name, None).expect("taken");
    rest(&mut store, at(103));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    assert_eq!(keys(&mut store), 0);
    assert_eq!(store.statistics().keys, 0);
    assert_eq!(store.statistics().expired, 1, "the rollback cost it");
}

#[test]
fn many_ends_at_once_come_in_slices() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_many(&mut store, 4000);
    put(&mut store, "zzz", b"for ever").expect("committed");
    let _ = store.step(at(11));
    assert_eq!(keys(&mut store), 1);
    rest(&mut store, at(11));
    let statistics = store.statistics();
    assert_eq!((statistics.keys, statistics.expired), (1, 4_000));
    let mut store = store_at(&disk, 2, at(0));
    assert_eq!(keys(&mut store), 1, "durable, whatever the clock says");
}

#[test]
fn a_store_that_cannot_write_judges_by_the_clock() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_lasting(&mut store, "k", 10, at(0));
    store.stop_writing("the test says so", "nothing");
    rest(&mut store, at(9));
    assert!(shows(&mut store, "k"));
    rest(&mut store, at(11));
    assert!(!shows(&mut store, "k"));
    assert_eq!(store.observed(), None, "it would never be durable");
}

#[test]
fn steps_of_the_clock_are_counted() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    for now in [at(1_000), at_wall(1_001, 1_060), at_wall(1_002, 1_061)] {
        rest(&mut store, now);
        assert_eq!(store.statistics().clock_steps, 0);
    }
    for now in [at_wall(1_003, 5_000), at_wall(1_004, 30)] {
        rest(&mut store, now);
    }
    assert_eq!(store.statistics().clock_steps, 2);
}

#[test]
fn a_value_put_again_in_time_stays_whoever_looks_meanwhile() {
    for looks in [false, true] {
        let hold = Rc::new(Cell::new(false));
        let disk = Held(MemoryDisk::new(DISK), Rc::clone(&hold));
        let mut store = Store::opening(Box::new(disk), options(1));
        rest(&mut store, at(0));
        put_lasting(&mut store, "early", 10, at(0));
        put_lasting(&mut store, "late", 10, at(0));
        hold.set(true);
        let _ = store.step(at(9));
        let early = store.submit(one("b", "early", Condition::None, lasting(b"value", 100)));
        let early = early.expect("taken");
        let _ = store.step(at(11));
        // Its tombstone is on its way already.
        let late = store.submit(one("b", "late", Condition::Absent, put_change(b"new")));
        let late = late.expect("taken");
        if looks {
            assert!(!shows(&mut store, "early") && !shows(&mut store, "late"));
            assert_eq!(keys(&mut store), 0, "what is durable is over");
        }
        let _ = store.step(at(12));
        hold.set(false);
        rest(&mut store, at(12));
        for ticket in [early, late] {
            assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
        }
        assert_eq!(get(&mut store, "early").as_deref(), Some(&b"value"[..]));
        assert_eq!(get(&mut store, "late").as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn a_delete_of_what_is_over_is_told_when_that_is_durable() {
    let hold = Rc::new(Cell::new(false));
    let disk = Held(MemoryDisk::new(DISK), Rc::clone(&hold));
    let mut store = Store::opening(Box::new(disk), options(1));
    rest(&mut store, at(0));
    put_many(&mut store, 2000);
    hold.set(true);
    store.note_time(at(11));
    let gone = store.submit(one("b", "01999", Condition::None, Change::Delete));
    let gone = gone.expect("told later");
    assert!(store.outcome(&gone).is_pending());
    let _ = store.step(at(11));
    hold.set(false);
    rest(&mut store, at(11));
    assert_eq!(store.outcome(&gone), Poll::Ready(Err(Refusal::NotFound)));
}

#[test]
fn a_full_disk_hides_what_is_over_and_removes_it_when_there_is_room() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_many(&mut store, 8000);
    let name = SnapshotName::new("one").expect("a name");
    let ticket = store.take_snapshot(name.clone()).expect("taken");
    rest(&mut store, at(0));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    let fill = |store: &mut Store, n: u64, len: usize| {
        let change = put_change(&pattern(len, n));
        let ticket = store.submit(one("c", &format!("{n}"), Condition::None, change))?;
        rest(store, at(1));
        let Poll::Ready(outcome) = store.outcome(&ticket) else {
            panic!("the store rests and has no answer");
        };
        outcome
    };
    for len in [50_000, 1_000, 10] {
        let full = (0..10_000).find(|n| fill(&mut store, n + len as u64 * 10_000, len).is_err());
        full.expect("it becomes full");
    }
    rest(&mut store, at(11));
    assert_eq!(keys(&mut store), 0);
    assert_eq!(*store.state(), State::Ready);
    // An hour of it neither fills the disk for good nor makes the store busy.
    for seconds in [71, 140, 3_600] {
        rest(&mut store, at(seconds));
    }
    let ticket = store.delete_snapshot(&name).expect("always fits");
    rest(&mut store, at(3_601));
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    for seconds in [3_700, 3_800] {
        rest(&mut store, at(seconds));
    }
    let query = KeyQuery {
        limit: usize::MAX,
        ..KeyQuery::default()
    };
    let left = store.keys(&bucket("c"), &query).expect("readable");
    assert_eq!(
        store.statistics().keys,
        left.keys.len() as u64,
        "all others are gone"
    );
    assert_eq!(fill(&mut store, 1, 1_000).map(|_| ()), Ok(()));
}

#[test]
fn tombstones_that_came_to_nothing_are_not_waited_for() {
    let disk = MemoryDisk::new(DISK);
    let mut store = store_at(&disk, 1, at(0));
    put_many(&mut store, 4_000);
    store.note_time(at(11));
    assert!(store.expire_all().is_err(), "more than may wait at once");
    store.queue.fail_all(&Refusal::OutcomeUnknown);
    assert!(!store.is_removing(), "none of them will ever be durable");
    assert_eq!(
        store.expire_due_now(),
        crate::disk::Moved::Yes,
        "others are"
    );
    rest(&mut store, at(11));
    rest(&mut store, at(80));
    assert_eq!((keys(&mut store), store.statistics().keys), (0, 0));
}
