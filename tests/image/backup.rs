//! An owner's week with others writing: backups, a crash in compaction, back and forth again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use store::backup::{Decoder, Item};
use tests::bed::Bed;
use tests::data::value;
use tests::guest::{Guest, Recipe, blank_disk};
use tests::http::Client;
use tests::offline;

const DISK_BYTES: u64 = 8 << 20;
const KEYS: u64 = 12;
const WRITERS: u64 = 2;
const VALUE_BYTES: usize = 40_000;
const BACKUPS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes one key again and again, until told to stop or until nobody answers any more; how often
/// that was acknowledged.
fn write(mut client: Client, writer: u64, stop: &AtomicBool) -> u64 {
    let target = format!("/kv/load/{writer}");
    for version in 0.. {
        let body = value(writer, version, VALUE_BYTES);
        if stop.load(Ordering::Relaxed) {
            return version;
        }
        match client.request("PUT", &target, &body) {
            Ok(answer) if matches!(answer.status, 201 | 204) => {}
            Ok(answer) => panic!("{target}: {} {}", answer.status, answer.text()),
            Err(_) => return version,
        }
    }
    unreachable!("there is no last version")
}

fn put_all(guest: &Guest, version: u64) {
    let mut client = guest.client();
    for key in 0..KEYS {
        let put = client.request(
            "PUT",
            &format!("/kv/b/{key}"),
            &value(key, version, VALUE_BYTES),
        );
        let put = put.expect("an answer");
        assert!(matches!(put.status, 201 | 204), "{}", put.text());
    }
}

fn shows(guest: &Guest, version: u64, query: &str) {
    for key in 0..KEYS {
        let got = guest.request("GET", &format!("/kv/b/{key}{query}"), b"");
        let expected = value(key, version, VALUE_BYTES);
        assert!(
            got.status == 200 && got.body == expected,
            "{key}{query}: {}",
            got.status
        );
    }
}

/// What a backup has of the bucket; panics if it is not whole.
fn of_bucket(mut stream: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut decoder = Decoder::default();
    let (mut found, mut bucket, mut key) = (BTreeMap::new(), String::new(), Vec::new());
    while let (used, Some(item)) = decoder.push(stream).expect("a backup") {
        stream = &stream[used..];
        match item {
            Item::Bucket(head) => bucket = head.name.as_str().to_owned(),
            Item::Entry(head) => key = head.key.as_bytes().to_vec(),
            Item::Data(bytes) if bucket == "b" => {
                found
                    .entry(key.clone())
                    .or_insert_with(Vec::new)
                    .extend(bytes);
            }
            Item::Lost(loss) => panic!("{loss:?}"),
            _ => {}
        }
    }
    decoder.finish().expect("a whole backup");
    found
}

/// Waits until a segment is being emptied.
pub(crate) fn wait_for_compaction(guest: &Guest) {
    let begin = Instant::now();
    while guest.metric("lampion_store_compaction_left_bytes") == 0 {
        assert!(begin.elapsed() < PATIENCE, "nothing is compacted");
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn backups_a_crash_and_rollbacks_under_load_leave_the_disk_in_order() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "backup", DISK_BYTES);
    let guest = Guest::serving(&bed, "backup", &Recipe::on_disk(&disk));
    put_all(&guest, 1);
    let stop = AtomicBool::new(false);
    let acknowledged: Vec<u64> = thread::scope(|scope| {
        let writers = (0..WRITERS).map(|writer| {
            let (client, stop) = (guest.client(), &stop);
            scope.spawn(move || write(client, writer, stop))
        });
        let writers: Vec<_> = writers.collect();
        for _ in 0..BACKUPS {
            let backup = guest.ask_admin("GET", "/-/admin/backup", b"");
            assert_eq!(backup.status, 200);
            let found = of_bucket(&backup.body);
            let expected = (0..KEYS).map(|key| {
                let name = key.to_string().into_bytes();
                (name, value(key, 1, VALUE_BYTES))
            });
            assert!(found == expected.collect::<BTreeMap<_, _>>());
        }
        let taken = guest.ask_admin("PUT", "/-/admin/snapshots/monday", b"");
        assert_eq!(taken.status, 201, "{}", taken.text());
        put_all(&guest, 2);
        wait_for_compaction(&guest);
        guest.kill();
        stop.store(true, Ordering::Relaxed);
        let ended = writers.into_iter().map(|writer| writer.join());
        ended.map(|count| count.expect("a writer")).collect()
    });
    drop(guest);

    let guest = Guest::serving(&bed, "backup", &Recipe::on_disk(&disk));
    for (writer, count) in acknowledged.iter().enumerate() {
        assert!(*count > 1, "writer {writer} wrote something");
        let got = guest
            .request("GET", &format!("/kv/load/{writer}"), b"")
            .body;
        // The last acknowledged one, or the one that was under way.
        let may_be = [count - 1, *count];
        let is = |version: &u64| got == value(writer as u64, *version, VALUE_BYTES);
        assert!(
            may_be.iter().any(is),
            "writer {writer}: {count} acknowledged"
        );
    }
    shows(&guest, 2, "");
    shows(&guest, 1, "?at=monday");
    let target = "/-/admin/snapshots/monday/rollback?bucket=b";
    let rolled = guest.ask_admin("POST", target, b"");
    assert_eq!(rolled.status, 200, "{}", rolled.text());
    shows(&guest, 1, "");
    let target = format!(
        "/-/admin/snapshots/{}/rollback?bucket=b",
        undo_of(&rolled.text())
    );
    let undone = guest.ask_admin("POST", &target, b"");
    assert_eq!(undone.status, 200, "{}", undone.text());
    shows(&guest, 2, "");
    guest.shut_down(30);
    offline::assert_in_order(offline::fetched(&bed, &disk));
}

/// A restore is cut off by a crash, and done again: nothing of the first one is to be seen.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_restore_is_all_or_nothing_over_a_crash_and_can_be_undone() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "restore", DISK_BYTES);
    let guest = Guest::serving(&bed, "restore", &Recipe::on_disk(&disk));
    put_all(&guest, 1);
    let backup = guest.ask_admin("GET", "/-/admin/backup", b"").body;
    put_all(&guest, 2);

    let mut client = Client::connect(&bed.admin).expect("the admin port");
    let head = format!(
        "PUT /-/admin/restore HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        backup.len()
    );
    client.send(head.as_bytes()).expect("sent");
    client.send(&backup[..backup.len() / 2]).expect("sent");
    wait_for_restore(&guest);
    shows(&guest, 2, "");
    let refused = guest.request("PUT", "/kv/b/0", b"x");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("store-restoring"));
    guest.kill();
    drop((client, guest));

    let guest = Guest::serving(&bed, "restore", &Recipe::on_disk(&disk));
    shows(&guest, 2, "");
    let done = guest.ask_admin("PUT", "/-/admin/restore", &backup);
    assert_eq!(done.status, 202, "{}", done.text());
    shows(&guest, 1, "");
    guest.kill();
    drop(guest);

    let guest = Guest::serving(&bed, "restore", &Recipe::on_disk(&disk));
    shows(&guest, 1, "");
    let target = format!("/-/admin/snapshots/{}/rollback", undo_of(&done.text()));
    let undone = guest.ask_admin("POST", &target, b"");
    assert_eq!(undone.status, 200, "{}", undone.text());
    shows(&guest, 2, "");
    guest.shut_down(30);
    offline::assert_in_order(offline::fetched(&bed, &disk));
}

/// Waits until a restore has begun to write.
fn wait_for_restore(guest: &Guest) {
    let begin = Instant::now();
    loop {
        let list = guest.ask_admin("GET", "/-/admin/snapshots", b"");
        if list.text().contains("!restore-") {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "no restore: {}", list.text());
    }
}

/// The snapshot that an answer says to roll back to.
fn undo_of(text: &str) -> &str {
    let (_, undo) = text.split_once("\"undo\":\"").expect("a name");
    undo.split('"').next().expect("a name")
}
