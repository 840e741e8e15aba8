//! What a key holds once everything accepted is durable, and changes that change nothing.

use super::bed::*;
use crate::*;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

const DISK: u64 = 8 << 20;

fn accepted(store: &mut Store, k: &str) -> Accepted {
    store
        .accepted(&bucket("b"), &key(k))
        .expect("a store that takes changes")
}

/// The value that is in memory, and its version.
fn known(store: &mut Store, k: &str) -> (u64, Vec<u8>) {
    match accepted(store, k) {
        Accepted::Known { version, value, .. } => (version.seq.0, value),
        other => panic!("not in memory: {other:?}"),
    }
}

#[test]
fn each_change_goes_on_from_the_one_before_though_none_is_durable() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    assert!(matches!(accepted(&mut store, "n"), Accepted::Absent));
    put(&mut store, "n", b"0").expect("committed");
    let mut tickets = Vec::new();
    for expect in 0..50u64 {
        let (seq, value) = known(&mut store, "n");
        assert_eq!(value, expect.to_string().into_bytes());
        let condition = Condition::AnyOf(vec![Seq(seq)]);
        let next = put_change((expect + 1).to_string().as_bytes());
        tickets.push(
            store
                .submit(one("b", "n", condition, next))
                .expect("accepted"),
        );
        let seen = store
            .submit(one("b", "n", Condition::None, Change::Check))
            .expect("accepted");
        assert_eq!(store.outcome(&seen), Poll::Pending, "it is not durable yet");
    }
    for ticket in &tickets {
        finish(&mut store, ticket).expect("committed");
    }
    assert_eq!(get(&mut store, "n"), Some(b"50".to_vec()));
}

#[test]
fn headers_come_along_pending_and_durable() {
    let mut store = ready(MemoryDisk::new(DISK), 2);
    let headers = Headers {
        content_type: Some("text/plain".into()),
        expires_wall_ms: Some(1_800_000_000_000),
        ..Headers::default()
    };
    let change = Change::Put {
        value: b"7".to_vec(),
        headers: headers.clone(),
    };
    let ticket = store.submit(one("b", "k", Condition::None, change));
    for _ in 0..2 {
        let Accepted::Known {
            headers: found,
            version,
            ..
        } = accepted(&mut store, "k")
        else {
            panic!("it was just written");
        };
        assert_eq!(found, headers);
        assert_eq!(version.expires_wall_ms, headers.expires_wall_ms);
        settle(&mut store);
    }
    drop(ticket);
}

#[test]
fn what_is_not_in_memory_is_read_first() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 3);
    put(&mut store, "k", b"41").expect("committed");
    store.close();
    settle(&mut store);
    let mut store = ready(disk, 4);
    let Accepted::Unread {
        version,
        mut reader,
    } = accepted(&mut store, "k")
    else {
        panic!("nothing has read it yet");
    };
    assert_eq!(version.len_bytes, 2);
    assert_eq!(read_all(&mut store, &mut reader).expect("intact"), b"41");
    assert_eq!(
        known(&mut store, "k").1,
        b"41",
        "what was read is in memory"
    );
}

#[test]
fn what_cannot_be_told_yet_is_told_later() {
    let mut store = ready(MemoryDisk::new(DISK), 5);
    put(&mut store, "k", b"old").expect("committed");
    let name = SnapshotName::new("s").expect("a name");
    let ticket = store.take_snapshot(name.clone()).expect("accepted");
    finish(&mut store, &ticket).expect("taken");
    put(&mut store, "k", b"new").expect("committed");
    let (rolled_back, _) = store.roll_back(&name, None).expect("accepted");
    let Accepted::Later(ticket) = accepted(&mut store, "k") else {
        panic!("a rollback is pending");
    };
    assert_eq!(store.outcome(&ticket), Poll::Pending);
    finish(&mut store, &rolled_back).expect("rolled back");
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
    let read = match accepted(&mut store, "k") {
        Accepted::Known { value, .. } => value,
        Accepted::Unread { mut reader, .. } => read_all(&mut store, &mut reader).expect("intact"),
        other => panic!("{other:?}"),
    };
    assert_eq!(read, b"old");
}

#[test]
fn a_value_whose_time_is_over_is_none() {
    let mut store = ready(MemoryDisk::new(DISK), 6);
    let at_ns = now(0).wall_ns;
    let change = Change::Put {
        value: b"7".to_vec(),
        headers: Headers {
            expires_wall_ms: Some(at_ns / 1_000_000 + 1_000),
            ..Headers::default()
        },
    };
    run(&mut store, one("b", "k", Condition::None, change)).expect("committed");
    assert_eq!(known(&mut store, "k").1, b"7");
    store.step(now(2_000_000_000));
    assert!(matches!(accepted(&mut store, "k"), Accepted::Absent));
}

#[test]
fn a_check_changes_nothing_and_is_judged() {
    let mut store = ready(MemoryDisk::new(DISK), 7);
    let put_one = put(&mut store, "k", b"1").expect("committed");
    let seq = put_one.results[0].0.as_ref().expect("a version").seq;
    let before = store.durable_seq();
    let same = Condition::AnyOf(vec![seq]);
    let checked = run(&mut store, one("b", "k", same.clone(), Change::Check)).expect("it holds");
    assert_eq!(
        checked.results,
        put_one
            .results
            .iter()
            .map(|(v, _)| (v.clone(), true))
            .collect::<Vec<_>>()
    );
    let absent = run(
        &mut store,
        one("b", "new", Condition::Absent, Change::Check),
    );
    assert_eq!(absent.expect("it holds").results, [(None, false)]);
    assert_eq!(store.durable_seq(), before, "nothing was written");
    let mut batch = one(
        "b",
        "k",
        Condition::AnyOf(vec![Seq(seq.0 + 1)]),
        Change::Check,
    );
    batch
        .changes
        .push((bucket("b"), key("other"), Condition::None, put_change(b"x")));
    let refused = run(&mut store, batch);
    assert!(matches!(
        refused,
        Err(Refusal::Condition {
            index: 0,
            current: Some(_)
        })
    ));
    assert_eq!(get(&mut store, "other"), None, "all or nothing");
}
