//! Killed in the middle of writing, again and again: what was acknowledged is there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::data::{Random, value};
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

const ROUNDS: u64 = 10;
const WRITERS: u64 = 4;
const KEYS_EACH: u64 = 20;
/// Acknowledgements in each round before the kill may come.
const ACKNOWLEDGED_MIN: u64 = 30;

/// Per key: the last version that was acknowledged, and the last that was sent.
type Versions = BTreeMap<u64, (u64, u64)>;

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn every_acknowledged_value_survives_ten_kills() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "crash", DISK_BYTES);
    let recipe = Recipe::on_disk(&disk);
    let versions = Mutex::new(Versions::new());
    let mut random = Random::new(3);
    for round in 0..ROUNDS {
        let guest = Guest::serving(&bed, "crash", &recipe);
        check(
            &guest,
            &mut versions.lock().expect("no writer panicked"),
            round,
        );
        write_until_killed(guest, &versions, Duration::from_millis(random.below(400)));
    }
    let guest = Guest::serving(&bed, "crash", &recipe);
    check(
        &guest,
        &mut versions.lock().expect("no writer panicked"),
        ROUNDS,
    );
}

fn write_until_killed(guest: Guest, versions: &Mutex<Versions>, extra: Duration) {
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (guest, stop, acknowledged) = (&guest, &stop, &acknowledged);
            scope.spawn(move || write(guest, writer, versions, stop, acknowledged));
        }
        while acknowledged.load(Ordering::Relaxed) < ACKNOWLEDGED_MIN {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(extra);
        guest.kill();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Writes growing versions until the connection breaks.
fn write(
    guest: &Guest,
    writer: u64,
    versions: &Mutex<Versions>,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) {
    let mut client = guest.client();
    client
        .set_timeout(Duration::from_secs(10))
        .expect("a time-out can be set");
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = writer * KEYS_EACH + turn % KEYS_EACH;
        turn += 1;
        let version = {
            let mut versions = versions.lock().expect("no writer panicked");
            let entry = versions.entry(key).or_insert((0, 0));
            entry.1 += 1;
            entry.1
        };
        let body = value(key, version, body_len(key, version));
        match client.request("PUT", &format!("/kv/crash/{key}"), &body) {
            Ok(answer) => {
                assert!(
                    matches!(answer.status, 201 | 204),
                    "{}: {}",
                    answer.status,
                    answer.text()
                );
                versions
                    .lock()
                    .expect("no writer panicked")
                    .entry(key)
                    .or_default()
                    .0 = version;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => return,
        }
    }
}

/// Some values are larger than a record, so that chunks are cut off too.
fn body_len(key: u64, version: u64) -> usize {
    if (key + version).is_multiple_of(7) {
        150_000
    } else {
        10 + (key * 37 + version * 101) as usize % 3000
    }
}

/// Every key holds the version acknowledged last, or one sent later.
///
/// Version numbers are never used twice, and the forwarders between client and guest
/// may deliver an unacknowledged request late: it stays possible.
fn check(guest: &Guest, versions: &mut Versions, round: u64) {
    let mut client = guest.client();
    for (key, (acknowledged, sent)) in versions {
        let get = client
            .request("GET", &format!("/kv/crash/{key}"), b"")
            .expect("an answer");
        let found = (*acknowledged..=*sent).rev().find(|version| match version {
            0 => get.status == 404,
            _ => get.status == 200 && get.body == value(*key, *version, body_len(*key, *version)),
        });
        let Some(found) = found else {
            panic!(
                "round {round}, key {key}: neither the acknowledged version {acknowledged} nor one \
                 up to {sent}: status {}, {} bytes\nconsole:\n{}",
                get.status,
                get.body.len(),
                guest.console()
            );
        };
        // What was sent and not acknowledged may still be on its way: `sent` stays.
        *acknowledged = found;
    }
}
