//! The changes that are told to who watches: all of them, in order, and no other.

use super::bed::*;
use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const DISK: u64 = 8 << 20;

/// One line for each event after `seq`; a batch's last ends with a full stop.
fn told(store: &Store, seq: u64) -> Result<Vec<String>, u64> {
    let events = store.changes_after(Seq(seq)).map_err(|floor| floor.0)?;
    let line = |event: &Event| {
        let bucket = event.bucket.as_ref().map_or("*", BucketName::as_str);
        let end = if event.ends_batch { "." } else { "" };
        let what = match &event.what {
            What::Put { key, len_bytes } => format!("put {} {len_bytes}", text(key)),
            What::Deleted { key } => format!("delete {}", text(key)),
            What::Reset => "reset".into(),
        };
        format!("{bucket} {what}{end}")
    };
    Ok(events.map(line).collect())
}

fn text(key: &Key) -> String {
    String::from_utf8_lossy(key.as_bytes()).into_owned()
}

#[test]
fn each_change_is_told_once_it_is_durable_in_order() {
    let mut store = ready(MemoryDisk::new(DISK), 1);
    let begin = store.durable_seq().0;
    assert_eq!(told(&store, begin), Ok(Vec::new()));
    let ticket = store.submit(one("b", "a", Condition::None, put_change(b"123")));
    let ticket = ticket.expect("accepted");
    assert_eq!(told(&store, begin), Ok(Vec::new()), "not durable yet");
    finish(&mut store, &ticket).expect("committed");
    let mut batch = one("b", "x", Condition::None, put_change(b""));
    batch
        .changes
        .push((bucket("c"), key("y"), Condition::None, put_change(b"4")));
    batch
        .changes
        .push((bucket("b"), key("a"), Condition::None, Change::Delete));
    run(&mut store, batch).expect("committed");
    upload(&mut store, "large", &pattern(200_000, 1)).expect("committed");
    delete(&mut store, "a").expect_err("nothing is there, so nothing changes");
    let all = [
        "b put a 3.",
        "b put x 0",
        "c put y 1",
        "b delete a.",
        "b put large 200000.",
    ];
    assert_eq!(told(&store, begin).expect("known"), all);
    let events = store.changes_after(Seq(begin)).expect("known");
    let seqs: Vec<u64> = events.map(|event| event.seq.0).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));
    assert_eq!(told(&store, seqs[1]).expect("known"), all[2..]);
    assert_eq!(told(&store, store.durable_seq().0), Ok(Vec::new()));
}

#[test]
fn who_asks_for_what_is_not_known_is_told_the_floor() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 2);
    put(&mut store, "a", b"1").expect("committed");
    let last = store.durable_seq().0;
    assert_eq!(told(&store, last + 1), Err(store.changes_floor().0));
    store.close();
    settle(&mut store);
    let mut store = ready(disk, 3);
    let floor = store.changes_floor().0;
    assert!(floor >= last, "changes of another boot are not known");
    assert_eq!(told(&store, floor - 1), Err(floor));
    assert_eq!(told(&store, floor), Ok(Vec::new()));
    put(&mut store, "b", b"1").expect("committed");
    assert_eq!(told(&store, floor).expect("known"), ["b put b 1."]);
}

#[test]
fn what_does_not_fit_goes_oldest_first() {
    let mut store = ready(MemoryDisk::new(DISK), 4);
    let begin = store.durable_seq().0;
    let budget = store.changes_budget();
    let long = "k".repeat(1000);
    let count = 2 * budget / 1000;
    for number in 0..count {
        let k = format!("{long}{number:08}");
        let batch = one("b", &k, Condition::None, put_change(b"v"));
        drop(store.submit(batch).expect("accepted"));
        settle(&mut store);
    }
    let floor = store.changes_floor().0;
    assert!(floor > begin);
    assert_eq!(told(&store, floor - 1), Err(floor));
    let kept = told(&store, floor).expect("known").len() as u64;
    assert_eq!(kept, store.durable_seq().0 - floor, "each after the floor");
    assert!(
        kept * 1000 <= budget && kept * 1300 > budget,
        "{kept} of {budget}"
    );
}

#[test]
fn a_rollback_and_an_emptied_bucket_reset_and_what_nobody_sees_is_not_told() {
    let mut store = ready(MemoryDisk::new(DISK), 5);
    put(&mut store, "a", b"1").expect("committed");
    let name = SnapshotName::new("s").expect("a name");
    let begin = store.durable_seq().0;
    let ticket = store.take_snapshot(name.clone()).expect("accepted");
    finish(&mut store, &ticket).expect("taken");
    let (ticket, _) = store
        .roll_back(&name, Some(&bucket("b")))
        .expect("accepted");
    finish(&mut store, &ticket).expect("rolled back");
    let (ticket, _) = store.roll_back(&name, None).expect("accepted");
    finish(&mut store, &ticket).expect("rolled back");
    let ticket = store.empty_bucket(&bucket("b")).expect("accepted");
    finish(&mut store, &ticket).expect("emptied");
    let own = (
        BucketName::system(),
        key("token"),
        Condition::None,
        put_change(b"secret"),
    );
    let own = Batch {
        changes: Vec::from([own]),
    };
    run(&mut store, own).expect("committed");
    let ticket = store
        .set_quota(bucket("b"), bytes(100_000))
        .expect("accepted");
    finish(&mut store, &ticket).expect("set");
    assert_eq!(
        told(&store, begin).expect("known"),
        ["b reset.", "* reset.", "b reset."]
    );
}
