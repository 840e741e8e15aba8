//! Backups: what they hold, who is let in, and what they hold on to.

use super::bed::*;
use crate::backup::*;
use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

pub(super) const DISK: u64 = 8 << 20;
const IDLE_NS: u64 = 120_000_000_000;

/// The whole stream, read while `meanwhile` goes on.
pub(super) fn streamed(
    store: &mut Store,
    of: Option<&SnapshotName>,
    mut meanwhile: impl FnMut(&mut Store),
) -> Vec<u8> {
    let mut backup = store.begin_backup(of).expect("begun");
    let mut out = Vec::new();
    loop {
        match store.read_backup(&mut backup, &mut out) {
            Poll::Pending => settle(store),
            Poll::Ready(Ok(true)) => meanwhile(store),
            Poll::Ready(Ok(false)) => return out,
            Poll::Ready(Err(error)) => panic!("{error:?}"),
        }
    }
}

/// All items of a stream that comes in pieces of `piece` bytes.
fn items(stream: &[u8], piece: usize) -> Result<Vec<Item>, Broken> {
    let mut decoder = Decoder::default();
    let mut items = Vec::new();
    for mut input in stream.chunks(piece) {
        loop {
            let (used, item) = decoder.push(input)?;
            input = &input[used..];
            if used == 0 && item.is_none() {
                break;
            }
            items.extend(item);
        }
    }
    while let (_, Some(item)) = decoder.push(&[])? {
        items.push(item);
    }
    decoder.finish()?;
    Ok(items)
}

/// What the items add up to, and the names of what was lost.
fn gathered(items: &[Item]) -> (Contents, Vec<String>) {
    let (mut contents, mut lost) = (Contents::new(), Vec::new());
    let (mut name, mut entry, mut value) = (String::new(), None, Vec::new());
    for item in items {
        match item {
            Item::Bucket(head) => name = head.name.as_str().into(),
            Item::Entry(head) => (entry, value) = (Some(head.key.clone()), Vec::new()),
            Item::Data(bytes) => value.extend_from_slice(bytes),
            Item::Complete => {
                let key = entry.take().expect("an entry comes first");
                let key = (name.clone(), key.as_bytes().to_vec());
                contents.insert(key, core::mem::take(&mut value));
            }
            Item::Lost(_) => {
                let key = entry.take().expect("an entry comes first");
                lost.push(format!("{name}/{}", key.as_bytes().escape_ascii()));
            }
            Item::Header(_) | Item::End(_) => {}
        }
    }
    (contents, lost)
}

fn header(items: &[Item]) -> &Header {
    match items.first() {
        Some(Item::Header(header)) => header,
        other => panic!("{other:?}"),
    }
}

pub(super) fn filled(disk: &MemoryDisk) -> Store {
    let mut store = ready(disk.clone(), 1);
    for n in 0..50 {
        put(&mut store, &format!("k{n}"), &pattern(n * 7, n as u64)).expect("committed");
    }
    let ended = Headers {
        content_type: Some("text/plain".into()),
        expires_wall_ms: Some(1 << 47),
        ..Headers::default()
    };
    let value = b"with headers".to_vec();
    let change = Change::Put {
        value,
        headers: ended,
    };
    run(&mut store, one("c", "headed", Condition::None, change)).expect("committed");
    upload(&mut store, "large", &pattern(200_000, 3)).expect("committed");
    upload(&mut store, "chunk", &pattern(65_537, 4)).expect("committed");
    let limits = QuotaLimits {
        bytes: 1 << 20,
        keys: 7,
    };
    for name in ["c", "empty"] {
        let ticket = store.set_quota(bucket(name), limits).expect("taken");
        finish(&mut store, &ticket).expect("committed");
    }
    store
}

/// Flips a bit of these bytes where they lie first.
pub(super) fn damage(disk: &MemoryDisk, needle: &[u8]) {
    let mut bytes = alloc::vec![0; DISK as usize];
    disk.peek(0, &mut bytes);
    let at = bytes
        .windows(needle.len())
        .position(|found| found == needle);
    let at = at.expect("it is on the disk");
    disk.poke(at as u64, &[bytes[at] ^ 1]);
}

fn backups(store: &Store) -> usize {
    let snapshots = store.snapshots().expect("readable");
    snapshots
        .iter()
        .filter(|one| one.name.is_of_backup())
        .count()
}

#[test]
fn a_backup_is_of_one_state_whatever_goes_on_meanwhile() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    let before = contents(&mut store);
    let statistics = store.statistics();
    let mut round = 0;
    let stream = streamed(&mut store, None, |store| {
        round += 1;
        put(store, &format!("k{}", round % 50), &pattern(3_000, round)).expect("committed");
        delete(store, &format!("k{}", (round + 7) % 50)).ok();
        put(store, &format!("new{round}"), b"new").expect("committed");
        run(store, one("d", "k", Condition::None, put_change(b"new"))).expect("committed");
        upload(store, "large", &pattern(70_000, round)).expect("committed");
    });
    let items = items(&stream, 1000).expect("a whole backup");
    let (gathered, lost) = gathered(&items);
    assert!(gathered == before && lost.is_empty());
    let header = header(&items);
    assert_eq!((header.keys, header.buckets), (before.len() as u64, 3));
    assert_eq!(header.live_bytes, statistics.live_bytes);
    assert_eq!(header.device_bytes, DISK);
    let quotas = items.iter().filter_map(|item| match item {
        Item::Bucket(head) => Some((head.name.as_str(), head.quota.keys)),
        _ => None,
    });
    let quotas: Vec<(&str, u64)> = quotas.collect();
    assert_eq!(quotas, [("b", 0), ("c", 7), ("empty", 7)]);
    let headed = items.iter().find_map(|item| match item {
        Item::Entry(head) if head.key == key("headed") => Some(&head.headers),
        _ => None,
    });
    let headers = headed.expect("it is there");
    assert_eq!(headers.content_type.as_deref(), Some("text/plain"));
    assert_eq!(headers.expires_wall_ms, Some(1 << 47));
    settle(&mut store);
    assert_eq!(backups(&store), 0, "nothing is held any more");
}

#[test]
fn a_backup_of_a_snapshot_outlives_the_snapshot() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    let name = SnapshotName::new("one").expect("a name");
    let ticket = store.take_snapshot(name.clone()).expect("taken");
    finish(&mut store, &ticket).expect("committed");
    let before = contents(&mut store);
    for n in 0..60 {
        put(&mut store, &format!("k{n}"), b"later").expect("committed");
    }
    let mut gone = false;
    let stream = streamed(&mut store, Some(&name), |store| {
        if !core::mem::replace(&mut gone, true) {
            let ticket = store.delete_snapshot(&name).expect("taken");
            finish(store, &ticket).expect("committed");
        }
        put(store, "churn", &pattern(60_000, 1)).expect("committed");
    });
    let items = items(&stream, 70_000).expect("a whole backup");
    assert!(gathered(&items).0 == before);
    assert_eq!(header(&items).snapshot.as_deref(), Some("one"));
    let none = SnapshotName::new("none").expect("a name");
    assert!(matches!(
        store.begin_backup(Some(&none)),
        Err(Refusal::NoSuchSnapshot)
    ));
}

#[test]
fn a_stream_that_was_cut_or_changed_anywhere_is_refused_with_the_place() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk, 1);
    for n in 0..4 {
        put(&mut store, &format!("k{n}"), &pattern(n * 30, n as u64)).expect("committed");
    }
    run(&mut store, one("c", "k", Condition::None, put_change(b"1"))).expect("committed");
    let stream = streamed(&mut store, None, |_| ());
    items(&stream, 1).expect("a whole backup, byte by byte");
    let starts = blocks(&stream);
    for len in 0..stream.len() {
        let broken = items(&stream[..len], 4096).expect_err("cut off");
        let begins = starts.iter().rfind(|start| (9..=len).contains(*start));
        let begins = begins.map_or(0, |at| *at as u64);
        assert_eq!(broken.offset_bytes, begins, "{broken}");
    }
    for bit in 0..stream.len() * 8 {
        let mut changed = stream.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let broken = items(&changed, 4096).expect_err("a bit was flipped");
        assert!(broken.offset_bytes <= bit as u64 / 8, "{bit}: {broken}");
        assert!(!format!("{broken}").is_empty());
    }
    let more = [stream.as_slice(), b"x"].concat();
    let broken = items(&more, 4096).expect_err("something follows");
    assert_eq!(broken.offset_bytes, stream.len() as u64);
}

/// Where each block begins, behind the magic; and where the last one ends.
fn blocks(stream: &[u8]) -> Vec<usize> {
    let mut starts = Vec::from([8]);
    while let Some(start) = starts.last().copied().filter(|start| *start < stream.len()) {
        let len = u32::from_le_bytes(stream[start..start + 4].try_into().expect("4 bytes"));
        starts.push(start + 12 + len as usize);
    }
    starts
}

#[test]
fn a_block_that_is_missing_twice_or_of_another_backup_is_noticed() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk, 1);
    for n in 0..6 {
        put(&mut store, &format!("k{n}"), b"the same value").expect("committed");
    }
    let stream = streamed(&mut store, None, |_| ());
    let other = streamed(&mut store, None, |_| ());
    let starts = blocks(&stream);
    let block = |of: &[u8], n: usize| of[starts[n]..starts[n + 1]].to_vec();
    assert_eq!(blocks(&other), starts, "as long as the other one");
    for n in 0..starts.len() - 1 {
        let (head, rest) = (&stream[..starts[n]], &stream[starts[n + 1]..]);
        let offset = starts[n] as u64;
        let missing = [head, rest].concat();
        let twice = [head, &block(&stream, n), &block(&stream, n), rest].concat();
        let of_other = [head, &block(&other, n), rest].concat();
        let cases = [missing, twice, of_other];
        for (case, changed) in cases.iter().enumerate() {
            let broken = items(changed, 4096).expect_err("it was tampered with");
            assert!(broken.offset_bytes + 8 >= offset, "{case} {n}: {broken}");
        }
    }
}

#[test]
fn a_backup_nobody_reads_any_more_holds_nothing() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    let dropped = store.begin_backup(None).expect("begun");
    settle(&mut store);
    assert_eq!(backups(&store), 1, "it is seen while it is there");
    drop(dropped);
    settle(&mut store);
    assert_eq!(backups(&store), 0);
    // One that is not read for two minutes.
    let mut idle = store.begin_backup(None).expect("begun");
    let mut out = Vec::new();
    settle(&mut store);
    assert_eq!(
        store.read_backup(&mut idle, &mut out),
        Poll::Ready(Ok(true))
    );
    let wake = store.step(now(1));
    assert!(
        matches!(wake, Wake::At(Some(at_ns)) if (IDLE_NS..IDLE_NS + 1_000).contains(&at_ns)),
        "{wake:?}"
    );
    while store.step(now(2 * IDLE_NS)) == Wake::Now {}
    assert_eq!(backups(&store), 0);
    let cut = store.read_backup(&mut idle, &mut out);
    assert_eq!(cut, Poll::Ready(Err(BackupError::Cut)));
    // One that a crash has ended.
    let left = store.begin_backup(None).expect("begun");
    settle(&mut store);
    assert_eq!(backups(&store), 1);
    core::mem::forget(left);
    drop(store);
    let mut store = Store::opening(alloc::boxed::Box::new(disk), options(2));
    settle(&mut store);
    assert_eq!((store.state(), backups(&store)), (&State::Ready, 0));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_there() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let damaged = pattern(150_000, 9);
    put(&mut store, "good", b"good").expect("committed");
    put(&mut store, "bad", b"a value to be damaged").expect("committed");
    upload(&mut store, "large", &damaged).expect("committed");
    put(&mut store, "last", b"last").expect("committed");
    store.close();
    settle(&mut store);
    let mut store = ready(disk.clone(), 2);
    damage(&disk, b"a value to be damaged");
    damage(&disk, &damaged[140_000..140_020]);
    let stream = streamed(&mut store, None, |_| ());
    let items = items(&stream, 70_000).expect("a whole backup");
    let (contents, lost) = gathered(&items);
    assert_eq!(lost, ["b/bad", "b/large"]);
    let kept: Vec<&[u8]> = contents.keys().map(|(_, key)| key.as_slice()).collect();
    assert_eq!(kept, [&b"good"[..], b"last"]);
    let Some(Item::End(end)) = items.last() else {
        panic!("{:?}", items.last());
    };
    assert_eq!((end.entries, end.lost), (4, 2));
    // The next opening meets the damage first, and shows less: that is said, too.
    drop(store);
    let mut store = opened(disk, options(3));
    let State::ReadOnly(why) = store.state().clone() else {
        panic!("{:?}", store.state());
    };
    let stream = streamed(&mut store, None, |_| ());
    let items = self::items(&stream, 70_000).expect("a whole backup");
    assert_eq!(header(&items).trouble.as_ref(), Some(&why));
}

#[test]
fn a_damaged_value_of_no_bytes_is_named_too() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    put(&mut store, "a needle of a key", b"").expect("committed");
    put(&mut store, "empty", b"").expect("committed");
    put(&mut store, "last", b"last").expect("committed");
    damage(&disk, b"a needle of a key");
    let stream = streamed(&mut store, None, |_| ());
    let items = items(&stream, 70_000).expect("a whole backup");
    let (contents, lost) = gathered(&items);
    assert_eq!(
        (contents.len(), lost.as_slice()),
        (2, &["b/a needle of a key".into()][..])
    );
}

#[test]
fn a_store_that_stops_writing_does_not_wake_for_its_backups() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    let backup = store.begin_backup(None).expect("begun");
    settle(&mut store);
    store.stop_writing("the test says so", "nothing");
    assert_eq!(store.step(now(5 * IDLE_NS)), Wake::At(None));
    drop(backup);
    store = ready(disk, 2);
    store.close();
    assert!(store.begin_backup(None).is_err(), "it is about to close");
}
