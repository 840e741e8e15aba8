//! Clients that put values and get them back, each on one connection, and know what they are owed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tests::data::value;
use tests::guest::Guest;
use tests::http::Client;

const CLIENTS: u64 = 16;
const KEYS_EACH: u64 = 8;
const VALUE_BYTES: usize = 3_000;
/// Answers after which the clients count as at work again.
const SOME: u64 = 64;
/// The problem of a write that was sent to the disk and not heard of again.
const UNKNOWN: &str = "write-outcome-unknown";
/// How long an answer is waited for where none may come: another connection is sooner heard than
/// one that repeats what it has sent, later each time.
const IN_AN_OUTAGE: Duration = Duration::from_secs(5);
/// Between a refusal and the next request.
const PAUSE: Duration = Duration::from_millis(100);
/// How long that may take, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Known>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicU64,
    resets: AtomicU64,
    /// Answers that say that it cannot be done now.
    refused: AtomicU64,
    /// Whether nobody may answer for a while, and a write be answered with [`UNKNOWN`].
    has_outages: bool,
    /// Answers that were that.
    unknown: AtomicU64,
    /// Longest time in which one client got no answer.
    silence_ms: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// What one key may hold: what was acknowledged last, and what was sent last.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    stands: u64,
    sent: u64,
}

impl Load {
    pub(crate) fn begin(guest: &Guest) -> Load {
        Load::with(guest, Shared::default())
    }

    /// Disk and network may be away for longer than anybody waits for them.
    pub(crate) fn through_outages(guest: &Guest) -> Load {
        let shared = Shared {
            has_outages: true,
            ..Shared::default()
        };
        Load::with(guest, shared)
    }

    fn with(guest: &Guest, shared: Shared) -> Load {
        let shared = Arc::new(shared);
        let clients = (0..CLIENTS).map(|number| {
            let (shared, address) = (Arc::clone(&shared), guest.address().to_owned());
            thread::spawn(move || work(number, &address, &shared))
        });
        Load {
            clients: clients.collect(),
            shared,
        }
    }

    /// Waits until clients have had some answers more, and nothing was wrong.
    pub(crate) fn wait_for_some(&self) {
        let begin = self.shared.answers.load(Ordering::Relaxed);
        let until = Instant::now() + PATIENCE;
        while self.shared.answers.load(Ordering::Relaxed) < begin + SOME {
            self.assert_right();
            assert!(Instant::now() < until, "the clients get no answers");
            thread::sleep(Duration::from_millis(20));
        }
        self.assert_right();
    }

    /// Answers with 503 so far.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn assert_right(&self) {
        let wrong = self
            .shared
            .wrong
            .lock()
            .expect("no client panicked")
            .clone();
        assert_eq!(wrong, [""; 0]);
    }

    /// Ends the clients, and holds each key against what they know; what there is to tell.
    pub(crate) fn end(mut self, guest: &Guest) -> String {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut client = guest.client();
        for (number, known) in (0..).zip(self.clients.drain(..)) {
            let known = known.join().expect("no client panicked");
            for (nth, known) in (0..).zip(known) {
                let key = key(number, nth);
                let answer = client.request("GET", &target(key), b"").expect("an answer");
                let may_be = |version| answer.body == value(key, version, VALUE_BYTES);
                let is_known = (known.stands..=known.sent).any(may_be);
                assert!(known.stands == 0 || is_known, "key {key}: {known:?}");
            }
        }
        let shared = &self.shared;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        assert_eq!(*shared.wrong.lock().expect("no client panicked"), [""; 0]);
        format!(
            "{} answers, {} refused, {} unknown, {} connections cut off, at most {} ms without an answer",
            count(&shared.answers),
            count(&shared.refused),
            count(&shared.unknown),
            count(&shared.resets),
            count(&shared.silence_ms)
        )
    }
}

/// A test that fails leaves nobody behind who would write to the next one's guest.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

fn target(key: u64) -> String {
    format!("/kv/load/{key}")
}

fn key(client: u64, nth: u64) -> u64 {
    nth * CLIENTS + client
}

/// Puts and gets until it is over; what is known then, key by key.
///
/// What was sent on a connection that is cut off may still arrive, and be written: keys are left
/// as they are then, and others taken.
fn work(number: u64, address: &str, shared: &Shared) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    let mut first = 0;
    let mut connection = None;
    for turn in 0.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let nth = first + turn % KEYS_EACH as usize;
        known.resize(known.len().max(nth + 1), Known::default());
        let client = match connection
            .take()
            .map_or_else(|| Client::connect(address), Ok)
        {
            Ok(client) => client,
            Err(_) => continue,
        };
        if shared.has_outages {
            client.set_timeout(IN_AN_OUTAGE).expect("a time-out");
        }
        let begun = Instant::now();
        match turn_of(client, key(number, nth as u64), &mut known[nth], shared) {
            After::Same(client) => connection = Some(client),
            After::Another => {}
            After::Lost => {
                first = known.len();
                shared.resets.fetch_add(1, Ordering::Relaxed);
            }
        }
        let silence_ms = begun.elapsed().as_millis() as u64;
        shared.silence_ms.fetch_max(silence_ms, Ordering::Relaxed);
    }
    known
}

/// What follows a turn.
enum After {
    /// The next one, on this connection.
    Same(Client),
    /// The next one, on another.
    Another,
    /// What was sent may still arrive.
    Lost,
}

/// One put, and the same value back.
fn turn_of(client: Client, key: u64, known: &mut Known, shared: &Shared) -> After {
    exchange(client, key, known, shared).unwrap_or(After::Lost)
}

fn exchange(mut client: Client, key: u64, known: &mut Known, shared: &Shared) -> Option<After> {
    known.sent += 1;
    let body = value(key, known.sent, VALUE_BYTES);
    let put = client.request("PUT", &target(key), &body).ok()?;
    let wrong = |what: String| {
        let mut wrong = shared.wrong.lock().expect("no client panicked");
        wrong.push(what);
    };
    if put.status == 503 {
        // It is not asked again at once.
        thread::sleep(PAUSE);
        shared.refused.fetch_add(1, Ordering::Relaxed);
        // libslirp empties its send buffer at a repeated SYN|ACK: of a body that was refused before
        // it was there the rest may be lost, and the next request be taken for it.
        return Some(match shared.has_outages {
            true => After::Another,
            false => After::Same(client),
        });
    }
    if shared.has_outages && put.text().contains(UNKNOWN) {
        shared.unknown.fetch_add(1, Ordering::Relaxed);
        return Some(After::Same(client));
    }
    if !matches!(put.status, 201 | 204) {
        wrong(format!("PUT of key {key}: {}: {}", put.status, put.text()));
    }
    known.stands = known.sent;
    let got = client.request("GET", &target(key), b"").ok()?;
    if got.status == 503 {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return Some(After::Same(client));
    }
    if got.status != 200 || got.body != body {
        wrong(format!("GET of key {key}: {} with other bytes", got.status));
    }
    shared.answers.fetch_add(2, Ordering::Relaxed);
    Some(After::Same(client))
}
