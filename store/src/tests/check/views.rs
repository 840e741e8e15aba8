//! Snapshots and rollbacks: what a look knows of them, and what damage to them costs.

use super::*;

fn name(name: &str) -> SnapshotName {
    SnapshotName::new(name).expect("a name")
}

fn snapshot(store: &mut Store, as_name: &str) {
    let ticket = store.take_snapshot(name(as_name)).expect("taken");
    finish(store, &ticket).expect("committed");
}

fn roll_back(store: &mut Store, to: &str) {
    let (ticket, _) = store.roll_back(&name(to), None).expect("taken");
    finish(store, &ticket).expect("committed");
}

/// Two snapshots and a rollback, closed.
fn sample_with_views(disk: &MemoryDisk) -> Vec<SnapshotStatus> {
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "page", b"the first").expect("committed");
    put(&mut store, "gone", b"only the snapshot has it").expect("committed");
    let own = alloc::vec![(
        BucketName::system(),
        key("token"),
        Condition::None,
        put_change(b"secret")
    )];
    run(&mut store, Batch { changes: own }).expect("committed");
    upload(&mut store, "film", &pattern(100_000, 1)).expect("committed");
    snapshot(&mut store, "monday");
    put(&mut store, "page", b"the second").expect("committed");
    delete(&mut store, "gone").expect("committed");
    delete(&mut store, "film").expect("committed");
    snapshot(&mut store, "tuesday");
    put(&mut store, "page", b"a mistake").expect("committed");
    put(&mut store, "more", b"mistakes").expect("committed");
    roll_back(&mut store, "tuesday");
    put(&mut store, "after", b"the rollback").expect("committed");
    let snapshots = store.snapshots().expect("readable");
    store.close();
    settle(&mut store);
    assert_eq!(*store.state(), State::Closed);
    snapshots
}

#[test]
fn snapshots_and_rollbacks_are_no_findings_and_counted() {
    let disk = MemoryDisk::new(8 << 20);
    let expected = sample_with_views(&disk);
    let seen = look(&disk);
    seen.assert_clean("good");
    assert_eq!(seen.report.snapshots.len(), 3);
    for (found, expected) in seen.report.snapshots.iter().zip(&expected) {
        assert_eq!(&*found.name, expected.name.as_str());
        assert_eq!((found.seq, found.keys), (expected.seq.0, expected.keys));
    }
    assert_eq!(seen.report.rollbacks, 1);
    assert_eq!(seen.report.buckets["b"].keys, 2, "page and after");
    assert!(seen.report.tally.views.count >= 3);
}

fn spoil(disk: &MemoryDisk, needle: &[u8]) -> u64 {
    let mut bytes = alloc::vec![0u8; 8 << 20];
    disk.peek(0, &mut bytes);
    let found = bytes.windows(needle.len()).position(|one| one == needle);
    let at = found.expect("on the disk") as u64;
    disk.poke(at, &[needle[0] ^ 1]);
    at
}

#[test]
fn what_only_a_snapshot_has_is_missed_in_its_name() {
    let disk = MemoryDisk::new(8 << 20);
    sample_with_views(&disk);
    spoil(&disk, b"only the snapshot has it");
    let seen = look(&disk);
    assert!(
        seen.says("the value of b/gone (seq 1048578) is damaged"),
        "{:#?}",
        seen.findings
    );
    let words = "b/gone (seq 1048578) is lost: the key is not shown by the snapshot monday";
    assert!(seen.says(words), "{:#?}", seen.findings);
}

#[test]
fn a_chunk_that_only_a_snapshot_has_is_missed() {
    let disk = MemoryDisk::new(8 << 20);
    sample_with_views(&disk);
    spoil(&disk, &pattern(100_000, 1)[40_000..40_020]);
    let seen = look(&disk);
    assert!(
        seen.says("the value of b/film (seq "),
        "{:#?}",
        seen.findings
    );
    assert!(seen.says("lacks chunk 0 of 2"), "{:#?}", seen.findings);
}

#[test]
fn what_no_view_sees_costs_nothing_but_its_group() {
    let disk = MemoryDisk::new(8 << 20);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "page", b"of no importance").expect("committed");
    put(&mut store, "page", b"the second").expect("committed");
    store.close();
    settle(&mut store);
    spoil(&disk, b"of no importance");
    let seen = look(&disk);
    assert!(
        seen.findings.iter().all(|one| one.kind != Kind::Lost),
        "{:#?}",
        seen.findings
    );
    assert!(seen.findings.iter().any(|one| one.kind == Kind::Value));
}

#[test]
fn a_list_of_snapshots_that_is_lost_is_missed() {
    let disk = MemoryDisk::new(8 << 20);
    sample_with_views(&disk);
    let before = look(&disk);
    let mut lists = before.records.iter().filter(|(_, _, name)| name == "views");
    let (last, ..) = lists.next_back().expect("a list");
    let group = before.groups.iter().rfind(|(at, _)| at < last);
    let (group, _) = *group.expect("its group");
    // The flags of the group: its record stays whole.
    let mut byte = [0u8];
    disk.peek(group + 18, &mut byte);
    disk.poke(group + 18, &[byte[0] ^ 1]);
    let seen = look(&disk);
    assert!(seen.has(Kind::Group, group), "{:#?}", seen.findings);
    assert!(seen.has(Kind::Lost, *last), "{:#?}", seen.findings);
    assert!(
        seen.says("the list of snapshots (seq "),
        "{:#?}",
        seen.findings
    );
}

#[test]
fn a_store_under_load_with_snapshots_has_no_findings() {
    let disk = MemoryDisk::new(8 << 20);
    let mut random = Random(11);
    let mut store = ready(disk.clone(), 1);
    let mut compactions = 0;
    for at in 0..500u64 {
        let k = format!("key-{}", random.below(25));
        match random.below(16) {
            0 => drop(delete(&mut store, &k)),
            1 => drop(upload(&mut store, &k, &pattern(90_000, at))),
            2 => {
                let taken = store.take_snapshot(name(&format!("s-{at}")));
                assert!(taken.is_ok() || at > 100, "{taken:?}");
            }
            3 => {
                let listed = store.snapshots().expect("readable");
                if let Some(one) = listed.first() {
                    drop(store.delete_snapshot(&one.name));
                }
            }
            4 => {
                let listed = store.snapshots().expect("readable");
                if let Some(one) = listed.last() {
                    drop(store.roll_back(&one.name, None));
                }
            }
            _ => drop(put(
                &mut store,
                &k,
                &pattern(random.below(40_000) as usize, at),
            )),
        }
        settle(&mut store);
        if at % 50 == 49 {
            look(&disk).assert_clean(&format!("after {at}"));
        }
        if at % 120 == 119 {
            compactions += store.statistics().compactions;
            drop(store);
            store = ready(disk.clone(), at as u8);
        }
    }
    assert!(compactions > 0);
    store.close();
    settle(&mut store);
    look(&disk).assert_clean("closed");
}
