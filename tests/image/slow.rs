//! A thousand connections that are slow on purpose, beside a client that is not.
//!
//! slowhttptest makes them; each request of the client is answered.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::data::Random;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

const CONNECTIONS: &str = "1000";
const PER_SECOND: &str = "200";
/// How long each way of being slow goes on.
const SECONDS: &str = "10";
/// Far more than they make by themselves in that time.
const WAIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);
/// As much as a slow reader can have waiting for it, many times over.
const LARGE_BYTES: usize = 1 << 20;

/// Ways to be slow, each with slowhttptest's words for it. Slow reading is none of them: the
/// network between the host and the guest takes megabytes that nobody reads (`tests/sim/crowd.rs`
/// has it).
const WAYS: [(&str, &[&str]); 3] = [
    ("slow heads", &["-H", "-i", "2", "-t", "GET"]),
    (
        "slow bodies",
        &["-B", "-i", "2", "-s", "100000", "-t", "PUT"],
    ),
    (
        "many ranges",
        &["-R", "-t", "GET", "-a", "10", "-b", "3000"],
    ),
];

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_client_is_served_beside_a_thousand_slow_ones() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "slow", DISK_BYTES);
    let guest = Guest::serving(&bed, "slow", &Recipe::on_disk(&disk));
    let large = Random::new(1).bytes(LARGE_BYTES);
    assert_eq!(guest.request("PUT", "/kv/s/large", &large).status, 201);
    assert_eq!(guest.request("PUT", "/kv/s/small", b"small").status, 201);
    let mut kept = guest.client();
    let mut ended = 0;
    let heap_before = guest.metric("lampion_heap_used_bytes");
    for (name, words) in WAYS {
        let before = guest.metric("lampion_tcp_accepted_total");
        let begun = Instant::now();
        let mut slow = start(&guest, words);
        let mut rounds = 0;
        while slow.try_wait().expect("it is a child").is_none() {
            assert!(begun.elapsed() < WAIT, "{name}: it does not end");
            // A kept connection may be ended between two requests: then as curl does, once.
            let answer = match kept.request("GET", "/kv/s/small", b"") {
                Err(_) => {
                    ended += 1;
                    kept = guest.client();
                    kept.request("GET", "/kv/s/small", b"")
                }
                answer => answer,
            };
            let new = guest.client().request("GET", "/kv/s/small", b"");
            for answer in [answer, new] {
                let answer = answer.unwrap_or_else(|error| {
                    let crowd = guest.request("GET", "/metrics", b"").text();
                    panic!("{name}, round {rounds}: {error}\n{crowd}")
                });
                let found = (answer.status, answer.text());
                assert_eq!(found, (200, "small".to_owned()), "{name}");
            }
            rounds += 1;
            std::thread::sleep(PAUSE);
        }
        let came = guest.metric("lampion_tcp_accepted_total") - before - 2 * rounds;
        assert!(rounds > 10, "{name}: only {rounds} rounds");
        assert!(came > 900, "{name}: only {came} came");
    }
    assert!(ended < 5, "the kept connection was ended {ended} times");
    let heap_after = guest.metric("lampion_heap_used_bytes");
    assert!(
        heap_after < heap_before + (2 << 20),
        "heap grew from {heap_before} to {heap_after}"
    );
}

fn start(guest: &Guest, words: &[&str]) -> Child {
    let clients = std::env::var("LAMPION_CLIENTS").expect("set by `cargo xtask test`");
    let mut slow = Command::new(PathBuf::from(clients).join("slowhttptest"));
    slow.args([
        "-c",
        CONNECTIONS,
        "-r",
        PER_SECOND,
        "-l",
        SECONDS,
        "-p",
        "30",
    ]);
    slow.args(["-u", &format!("http://{}/kv/s/large", guest.address())]);
    slow.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    slow.spawn().expect("slowhttptest starts")
}
