//! Restores: all of a backup or nothing, and who may do what meanwhile.

use super::backup::{DISK, damage, filled, streamed};
use super::bed::*;
use crate::backup::*;
use crate::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

/// Takes all of it in, by pieces of so many bytes.
fn taken(store: &mut Store, restore: &mut Restore, stream: &[u8]) -> Result<(), RestoreError> {
    let mut rest = stream;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(1_000)];
        let count = store.take_backup(restore, piece)?;
        rest = &rest[count..];
        settle(store);
    }
    Ok(())
}

fn ended(store: &mut Store, restore: &mut Restore) -> Result<Restored, RestoreError> {
    for _ in 0..1_000 {
        if let Poll::Ready(result) = store.end_restore(restore) {
            return result;
        }
        settle(store);
    }
    panic!("a restore never ends");
}

fn restored(store: &mut Store, stream: &[u8]) -> Result<Restored, RestoreError> {
    let mut restore = store.begin_restore(false).map_err(RestoreError::Refused)?;
    taken(store, &mut restore, stream)?;
    ended(store, &mut restore)
}

/// A backup, and what is in it.
fn source() -> (Vec<u8>, Contents) {
    let mut store = filled(&MemoryDisk::new(DISK));
    let stream = streamed(&mut store, None, |_| ());
    (stream, contents(&mut store))
}

/// A store with other things in it than that: some keys are in both.
fn target(disk: &MemoryDisk) -> Store {
    let mut store = ready(disk.clone(), 9);
    for n in 0..30 {
        put(
            &mut store,
            &format!("k{n}"),
            format!("other {n}").as_bytes(),
        )
        .expect("committed");
    }
    run(
        &mut store,
        one("d", "only here", Condition::None, put_change(b"1")),
    )
    .expect("committed");
    upload(&mut store, "large", &pattern(90_000, 8)).expect("committed");
    for (name, limit) in [("c", 3), ("d", 5)] {
        let limits = QuotaLimits {
            bytes: 0,
            keys: limit,
        };
        let ticket = store.set_quota(bucket(name), limits).expect("taken");
        finish(&mut store, &ticket).expect("committed");
    }
    store
}

fn quotas(store: &Store) -> Vec<(&'static str, u64)> {
    let names = ["b", "c", "d", "empty"].into_iter();
    let limits = names.map(|name| (name, store.quota(&bucket(name)).0.keys));
    limits.filter(|(_, keys)| *keys > 0).collect()
}

fn check(disk: &MemoryDisk) {
    let seen = super::check::look(disk);
    assert!(seen.findings.is_empty(), "{:?}", seen.findings);
}

/// All is as it was before, and may be changed.
fn assert_untouched(store: &mut Store, before: &Contents) {
    settle(store);
    assert!(contents(store) == *before, "all is as it was");
    assert_eq!(quotas(store), [("c", 3), ("d", 5)]);
    assert!(store.snapshots().expect("readable").is_empty());
    put(store, "k1", b"other 1").expect("changes are taken again");
    assert!(contents(store) == *before);
}

#[test]
fn a_restore_puts_the_backup_in_the_place_of_all_there_was() {
    let (stream, wanted) = source();
    let disk = MemoryDisk::new(DISK);
    let mut store = target(&disk);
    let before = contents(&mut store);
    let done = restored(&mut store, &stream).expect("restored");
    assert_eq!((done.keys, done.lost), (wanted.len() as u64, 0));
    for _ in 0..2 {
        assert!(contents(&mut store) == wanted);
        assert_eq!(quotas(&store), [("c", 7), ("empty", 7)]);
        let statistics = store.statistics();
        assert_eq!(statistics.keys, wanted.len() as u64);
        let (_, mut headed) = store
            .open_value(At::NOW, &bucket("c"), &key("headed"))
            .expect("readable")
            .expect("there");
        read_all(&mut store, &mut headed).expect("intact");
        assert_eq!(headed.known_headers().expires_wall_ms, Some(1 << 47));
        let at = store.at(&done.before).expect("readable").expect("there");
        let names = [bucket("b"), bucket("c"), bucket("d")];
        assert!(contents_at(&mut store, at, &names) == before);
        store = ready(disk.clone(), 3);
    }
    drop(store);
    check(&disk);

    let mut store = ready(disk.clone(), 4);
    let (ticket, _) = store.roll_back(&done.before, None).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    assert!(contents(&mut store) == before, "a restore can be undone");
}

#[test]
fn while_a_restore_goes_on_what_was_there_is_read_and_nothing_changed() {
    let (stream, wanted) = source();
    let mut store = target(&MemoryDisk::new(DISK));
    let (before, known) = (contents(&mut store), store.known_buckets().expect("whole"));
    let (statistics, used) = (store.statistics(), store.quota(&bucket("b")));
    let name = SnapshotName::new("s").expect("a name");
    let ticket = store.take_snapshot(name.clone()).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    let mut upload = store
        .begin_upload(
            bucket("b"),
            key("u"),
            Condition::None,
            Headers::default(),
            None,
        )
        .expect("begun");

    let mut restore = store.begin_restore(false).expect("begun");
    let restoring = || Refusal::Unavailable(Unavailable::Restoring);
    let third = stream.len() / 3;
    for part in stream.chunks(third) {
        taken(&mut store, &mut restore, part).expect("taken");
        assert!(contents(&mut store) == before);
        assert_eq!(store.known_buckets().expect("whole"), known);
        let shown = store.statistics();
        assert_eq!(
            (shown.keys, shown.live_bytes),
            (statistics.keys, statistics.live_bytes)
        );
        assert_eq!(store.quota(&bucket("b")), used);
        assert_eq!(put(&mut store, "k", b"v"), Err(restoring()));
        assert_eq!(delete(&mut store, "k1"), Err(restoring()));
        assert_eq!(store.upload(&mut upload, b"more"), Err(restoring()));
        assert_eq!(store.set_quota(bucket("b"), bytes(1)), Err(restoring()));
        assert_eq!(store.delete_snapshot(&name), Err(restoring()));
        assert_eq!(store.roll_back(&name, None), Err(restoring()));
        assert_eq!(store.empty_bucket(&bucket("b")), Err(restoring()));
        assert_eq!(store.begin_backup(None).err(), Some(restoring()));
        assert_eq!(store.begin_restore(false).err(), Some(restoring()));
    }
    assert_eq!(restore.progress().keys_taken, wanted.len() as u64);
    ended(&mut store, &mut restore).expect("restored");
    assert!(contents(&mut store) == wanted);
    put(&mut store, "k", b"v").expect("changes are taken again");
}

/// A store that has taken so many eighths of a backup, and what it had before.
fn taken_in_part(disk: &MemoryDisk, stream: &[u8], eighths: usize) -> (Store, Restore, Contents) {
    let mut store = target(disk);
    let before = contents(&mut store);
    let mut restore = store.begin_restore(false).expect("begun");
    let some = &stream[..stream.len() * eighths / 8];
    taken(&mut store, &mut restore, some).expect("taken");
    (store, restore, before)
}

#[test]
fn a_restore_that_is_dropped_leaves_all_as_it_was() {
    let (stream, _) = source();
    for eighths in 1..8 {
        let disk = MemoryDisk::new(DISK);
        let (mut store, restore, before) = taken_in_part(&disk, &stream, eighths);
        drop(restore);
        assert_untouched(&mut store, &before);
        let live = store.statistics().live_bytes;
        let mut store = ready(disk.clone(), 3);
        assert_untouched(&mut store, &before);
        assert_eq!(store.statistics().live_bytes, live);
        drop(store);
        check(&disk);
    }
}

#[test]
fn a_crash_meanwhile_leaves_all_as_it_was() {
    let (stream, _) = source();
    for eighths in 1..8 {
        let disk = MemoryDisk::new(DISK);
        let (store, restore, before) = taken_in_part(&disk, &stream, eighths);
        drop((restore, store));
        check(&disk);
        let mut store = ready(disk.clone(), 3);
        assert_untouched(&mut store, &before);
    }
}

#[test]
fn a_stream_that_is_no_whole_backup_restores_nothing_and_is_named() {
    let (stream, _) = source();
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    let mut random = Random(5);
    for _ in 0..200 {
        let mut broken = stream.clone();
        let at = random.below(stream.len() as u64) as usize;
        match random.below(3) {
            0 => broken.truncate(at),
            1 => broken[at] ^= 1 << random.below(8),
            _ => broken.insert(at, random.below(256) as u8),
        }
        if broken == stream {
            continue;
        }
        let error = restored(&mut store, &broken).expect_err("it is not whole");
        let RestoreError::Broken(broken) = error else {
            panic!("{error:?}");
        };
        assert!(broken.offset_bytes <= at as u64, "{broken} from {at} on");
        settle(&mut store);
        assert!(contents(&mut store) == before);
    }
    assert_untouched(&mut store, &before);
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let (stream, wanted) = source();
    let mut source = ready(MemoryDisk::new(2 * DISK), 5);
    for n in 0..150 {
        upload(&mut source, &format!("{n}"), &pattern(50_000, n)).expect("committed");
    }
    let large = streamed(&mut source, None, |_| ());
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    let mut restore = store.begin_restore(false).expect("begun");
    let error = store.take_backup(&mut restore, &large[..1_000]);
    let Err(RestoreError::Refused(Refusal::NoSpace(NoSpace::Disk { limit_bytes, .. }))) = error
    else {
        panic!("{error:?}");
    };
    // Each segment would begin with a longer list of snapshots.
    let limit = store.statistics().limit_bytes;
    assert!(
        (limit - 4096..=limit).contains(&limit_bytes),
        "{limit_bytes}"
    );
    drop(restore);
    assert_untouched(&mut store, &before);
    // One that surely would fit alone, beside what snapshots hold, does not.
    while upload(&mut store, "more", &pattern(60_000, 1)).is_ok() {
        let number = store.durable_seq().0;
        let name = SnapshotName::new(&number.to_string()).expect("a name");
        if let Ok(ticket) = store.take_snapshot(name) {
            finish(&mut store, &ticket).expect("committed");
        }
    }
    let before = contents(&mut store);
    let error = restored(&mut store, &stream).expect_err("it does not fit");
    let refused = match &error {
        RestoreError::Refused(refusal) | RestoreError::Value { refusal, .. } => refusal,
        _ => panic!("{error:?}"),
    };
    assert!(matches!(refused, Refusal::NoSpace(_)), "{error:?}");
    settle(&mut store);
    assert!(contents(&mut store) == before && before != wanted);
}

#[test]
fn what_a_backup_lacks_is_left_out_only_if_that_is_wanted() {
    let disk = MemoryDisk::new(DISK);
    let wanted = contents(&mut filled(&disk));
    damage(&disk, &pattern(28, 4));
    let mut source = ready(disk.clone(), 2);
    let stream = streamed(&mut source, None, |_| ());
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    let error = restored(&mut store, &stream).expect_err("it lacks a value");
    let RestoreError::Lossy {
        bucket: of,
        key: lost,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((of, lost), (bucket("b"), key("k4")));
    assert_untouched(&mut store, &before);
    let mut restore = store.begin_restore(true).expect("begun");
    taken(&mut store, &mut restore, &stream).expect("taken");
    let done = ended(&mut store, &mut restore).expect("restored");
    assert_eq!(done.lost, 1);
    let mut left = wanted;
    left.remove(&("b".into(), b"k4".to_vec()));
    assert!(contents(&mut store) == left);
}

#[test]
fn a_restore_over_a_restore_and_its_undoing_give_their_room_back() {
    let (stream, wanted) = source();
    let disk = MemoryDisk::new(DISK);
    let mut store = target(&disk);
    for round in 0..30 {
        let mut restore = store.begin_restore(false).expect("begun");
        if round % 3 == 1 {
            let half = &stream[..stream.len() / 2];
            taken(&mut store, &mut restore, half).expect("taken");
            drop(restore);
            settle(&mut store);
            continue;
        }
        taken(&mut store, &mut restore, &stream).expect("taken");
        let done = ended(&mut store, &mut restore).expect("restored");
        assert!(contents(&mut store) == wanted);
        let ticket = store.delete_snapshot(&done.before).expect("taken");
        finish(&mut store, &ticket).expect("committed");
    }
    assert!(contents(&mut store) == wanted);
    let names: Vec<SnapshotName> = vec![];
    let left = store.snapshots().expect("readable");
    assert_eq!(
        left.into_iter().map(|one| one.name).collect::<Vec<_>>(),
        names
    );
    drop(store);
    check(&disk);
}

/// The limits see to it that this does not happen; if it does, nothing may be written unhidden.
#[test]
fn a_restore_whose_beginning_is_refused_writes_nothing() {
    let (stream, _) = source();
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    let mut restore = store.begin_restore(false).expect("begun");
    let taken = store.take_backup(&mut restore, &stream).expect("taken");
    assert!(
        taken < stream.len(),
        "nothing behind the header before that is durable"
    );
    store.queue.fail_all(&Refusal::OutcomeUnknown);
    let error = store.take_backup(&mut restore, &stream[taken..]);
    assert!(matches!(error, Err(RestoreError::Refused(_))), "{error:?}");
    assert_untouched(&mut store, &before);
}

#[test]
fn an_undoing_that_comes_to_nothing_is_handed_in_again_after_a_pause() {
    let (stream, _) = source();
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    let mut restore = store.begin_restore(false).expect("begun");
    taken(&mut store, &mut restore, &stream[..stream.len() / 2]).expect("taken");
    drop(restore);
    assert_eq!(store.sweep_staging(), crate::disk::Moved::Yes);
    store.queue.fail_all(&Refusal::OutcomeUnknown);
    for _ in 0..3 {
        assert_eq!(store.sweep_staging(), crate::disk::Moved::No);
    }
    assert!(store.next_undoing_ns().is_some());
    let later = now(2_000_000_000);
    while store.step(later) == Wake::Now {}
    assert!(contents_at(&mut store, At::NOW, &[bucket("b"), bucket("d")]) == before);
    let change = one("b", "k1", Condition::None, put_change(b"1"));
    let ticket = store.submit(change).expect("changes are taken again");
    while store.step(later) == Wake::Now {}
    assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
}

#[test]
fn a_store_closed_meanwhile_is_in_order_and_warns_by_what_is_shown() {
    let (stream, _) = source();
    let disk = MemoryDisk::new(DISK);
    let mut store = target(&disk);
    let limits = QuotaLimits { bytes: 0, keys: 38 };
    let ticket = store.set_quota(bucket("b"), limits).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    let warnings = store.warnings();
    assert_eq!(warnings.len(), 1, "31 of 38 keys: {warnings:?}");
    let mut restore = store.begin_restore(false).expect("begun");
    taken(&mut store, &mut restore, &stream).expect("taken");
    assert_eq!(store.warnings(), warnings, "52 keys wait to be shown");
    store.close();
    settle(&mut store);
    assert_eq!(*store.state(), State::Closed);
    drop((restore, store));
    check(&disk);
}

#[test]
fn a_header_that_promises_nonsense_is_refused() {
    let (stream, _) = source();
    let head = |keys: u64, buckets: u32| {
        let mut decoder = Decoder::default();
        let (_, item) = decoder.push(&stream).expect("a backup");
        let Some(Item::Header(header)) = item else {
            panic!("{item:?}");
        };
        Header {
            keys,
            buckets,
            ..header
        }
        .stream()
    };
    let mut store = target(&MemoryDisk::new(DISK));
    let before = contents(&mut store);
    for (keys, buckets) in [(u64::MAX, 1), (1, u32::MAX)] {
        let mut restore = store.begin_restore(false).expect("begun");
        let error = store.take_backup(&mut restore, &head(keys, buckets));
        assert!(matches!(error, Err(RestoreError::Refused(_))), "{error:?}");
    }
    assert_untouched(&mut store, &before);
}
