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

/// Per key, what is known of its versions. No number is used twice.
type Versions = BTreeMap<u64, Known>;

/// One key's versions: `stands..=sent` may be found.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Acknowledged last, or found after a kill: nothing before it may be found.
    stands: u64,
    /// Sent last.
    sent: u64,
    /// All above `stands` up to here were sent to a guest that was killed, and not found after.
    lost: u64,
}

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
        let writers = (0..WRITERS).map(|writer| {
            let (guest, stop, acknowledged) = (&guest, &stop, &acknowledged);
            scope.spawn(move || write(guest, writer, versions, stop, acknowledged))
        });
        let writers: Vec<_> = writers.collect();
        while acknowledged.load(Ordering::Relaxed) < ACKNOWLEDGED_MIN {
            let all_ended = writers.iter().all(thread::ScopedJoinHandle::is_finished);
            assert!(
                !all_ended,
                "no connection lived:\nconsole:\n{}\n{}",
                guest.console(),
                guest.circumstances()
            );
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
    // Only now is the connection this guest's: a request sent before might wait on its way, and
    // be delivered to the next guest at this address, long after everybody has given it up.
    if client.request("GET", "/healthz", b"").is_err() {
        return;
    }
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = writer * KEYS_EACH + turn % KEYS_EACH;
        let version = known(versions, key, |known| {
            known.sent += 1;
            known.sent
        });
        let body = value(key, version, body_len(key, version));
        let Ok(answer) = client.request("PUT", &format!("/kv/crash/{key}"), &body) else {
            return;
        };
        assert!(
            matches!(answer.status, 201 | 204),
            "request {turn} on its connection, {} bytes: {}: {}",
            body.len(),
            answer.status,
            answer.text()
        );
        known(versions, key, |known| known.stands = version);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

fn known<T>(versions: &Mutex<Versions>, key: u64, change: impl FnOnce(&mut Known) -> T) -> T {
    let mut versions = versions.lock().expect("no writer panicked");
    change(versions.entry(key).or_default())
}

/// Some values are larger than a record, so that chunks are cut off too.
fn body_len(key: u64, version: u64) -> usize {
    if (key + version).is_multiple_of(7) {
        150_000
    } else {
        10 + (key * 37 + version * 101) as usize % 3000
    }
}

/// Every key holds the version acknowledged last, or one sent to the guest just killed;
/// what a kill has taken away stays away.
fn check(guest: &Guest, versions: &mut Versions, round: u64) {
    let mut client = guest.client();
    for (&key, known) in versions {
        let get = client
            .request("GET", &format!("/kv/crash/{key}"), b"")
            .unwrap_or_else(|error| {
                panic!("{error}:\n{}\n{}", guest.console(), guest.circumstances())
            });
        let is_found = |version: &u64| match version {
            0 => get.status == 404,
            _ => get.status == 200 && get.body == value(key, *version, body_len(key, *version)),
        };
        let found = (0..=known.sent).rev().find(is_found);
        let is_right = |version| version == known.stands || version > known.lost.max(known.stands);
        assert!(
            found.is_some_and(is_right),
            "round {round}, key {key}: version {found:?} where {known:?}: status {}, {} bytes, \
             tag {:?}\nconsole:\n{}",
            get.status,
            get.body.len(),
            get.field("etag"),
            guest.console()
        );
        known.stands = found.unwrap_or_default();
        known.lost = known.sent;
    }
}
