//! A thousand connections that are slow on purpose, beside a client that is not.
//!
//! slowhttptest makes them; each request of the client is answered.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::data::Random;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};
use tests::http::{Answer, Client};

const CONNECTIONS: &str = "1000";
/// Clients that bring parts of bodies: as many as find a place without giving way for each other.
const PARTS: usize = 120;
/// With so many of them, more than there is room for.
const PART_BYTES: usize = 20_000;
const PART_ROUNDS: u64 = 10;
const PART_WAIT: Duration = Duration::from_secs(2);
const PER_SECOND: &str = "200";
/// How long each way of being slow goes on; then it begins again, until as many rounds were served
/// beside it and as many connections came as are asked for. How long that takes is the bed's.
const SECONDS: &str = "10";
const ROUNDS: u64 = 10;
const CAME: u64 = 900;
/// Far more than any bed takes for them.
const WAIT: Duration = Duration::from_secs(240);
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
    let mut beside = Beside::new(&guest);
    let heap_before = guest.metric("lampion_heap_used_bytes");
    for way in WAYS {
        beside.is_served_while(way);
    }
    let before = guest.metric("lampion_tcp_accepted_total");
    let displaced = guest.metric("lampion_store_uploads_displaced_total");
    let crowd = bring_parts(&guest);
    for round in 0..PART_ROUNDS {
        beside.is_served(&format!("parts of bodies, round {round}"));
    }
    let came = guest.metric("lampion_tcp_accepted_total") - before - 2 * PART_ROUNDS;
    assert!(came > 100, "parts of bodies: only {came} came");
    assert!(guest.metric("lampion_store_uploads_displaced_total") > displaced);
    drop(crowd);
    let (ended, asked) = (beside.ended, beside.asked);
    assert!(ended * 10 < asked, "{ended} of {asked} were ended first");
    let heap_after = guest.metric("lampion_heap_used_bytes");
    assert!(
        heap_after < heap_before + (2 << 20),
        "heap grew from {heap_before} to {heap_after}"
    );
}

/// The client that is not slow: a connection that it keeps, and new ones.
struct Beside<'a> {
    guest: &'a Guest,
    kept: Option<Client>,
    asked: u64,
    /// How often a connection was ended.
    ended: u64,
    large: Vec<u8>,
}

impl<'a> Beside<'a> {
    fn new(guest: &'a Guest) -> Self {
        let large = Random::new(1).bytes(LARGE_BYTES);
        assert_eq!(guest.request("PUT", "/kv/s/large", &large).status, 201);
        assert_eq!(guest.request("PUT", "/kv/s/small", b"small").status, 201);
        Beside {
            guest,
            kept: None,
            asked: 0,
            ended: 0,
            large,
        }
    }

    /// A request, which may find its connection ended: one that says nothing gives way, also where
    /// the bed is too slow to bring in time what it says. Then as people do, once more.
    fn ask(&mut self, client: &mut Client, (method, target): (&str, &str), body: &[u8]) -> Answer {
        self.asked += 1;
        let answer = client.request(method, target, body).or_else(|_| {
            self.ended += 1;
            *client = self.guest.client();
            client.request(method, target, body)
        });
        answer.unwrap_or_else(|error| {
            let crowd = self.guest.request("GET", "/metrics", b"").text();
            panic!("{method} {target}: {error}\n{crowd}")
        })
    }

    /// Connections that the guest has accepted so far.
    fn accepted(&mut self) -> u64 {
        let mut another = self.guest.client();
        let answer = self.ask(&mut another, ("GET", "/metrics"), b"");
        answer.metric("lampion_tcp_accepted_total")
    }

    /// Round after round, beside connections that are slow in this way.
    fn is_served_while(&mut self, (name, words): (&str, &[&str])) {
        let (before, ended) = (self.accepted(), self.ended);
        let begun = Instant::now();
        let mut slow = start(self.guest, words);
        let (mut rounds, mut came) = (0, 0);
        while rounds < ROUNDS || came < CAME {
            let waits = begun.elapsed() < WAIT;
            assert!(waits, "{name}: {came} came in {rounds} rounds");
            if slow.try_wait().expect("it is a child").is_some() {
                slow = start(self.guest, words);
            }
            self.is_served(&format!("{name}, round {rounds}"));
            rounds += 1;
            // One connection in a round is this client's, one asks for the number.
            let own = 2 * rounds + self.ended - ended;
            came = (self.accepted() - before).saturating_sub(own);
            std::thread::sleep(PAUSE);
        }
        // It may have ended by itself.
        let _ = slow.kill();
        slow.wait().expect("it is a child");
    }

    /// Gets a value on both connections, and puts a small one and a large one.
    fn is_served(&mut self, when: &str) {
        let mut kept = self.kept.take().unwrap_or_else(|| self.guest.client());
        let mut another = self.guest.client();
        for client in [&mut kept, &mut another] {
            let answer = self.ask(client, ("GET", "/kv/s/small"), b"");
            let found = (answer.status, answer.text());
            assert_eq!(found, (200, "small".to_owned()), "{when}");
        }
        self.kept = Some(kept);
        for bytes in [3, 300_000] {
            let (target, value) = (format!("/kv/s/put{bytes}"), self.large[..bytes].to_vec());
            let put = self.ask(&mut another, ("PUT", &target), &value);
            let (status, text) = (put.status, put.text());
            assert!(matches!(status, 201 | 204), "{when}: {bytes} bytes: {text}");
        }
    }
}

/// Clients that bring the first bytes of a body at once, and then nothing.
fn bring_parts(guest: &Guest) -> Vec<TcpStream> {
    let part = [1; PART_BYTES];
    let address = guest.address().parse().expect("an address");
    let bring = |nth: usize| {
        let mut stream = TcpStream::connect_timeout(&address, PART_WAIT).ok()?;
        let head =
            format!("PUT /kv/s/part{nth} HTTP/1.1\r\nHost: slow\r\nContent-Length: 200000\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&part).ok()?;
        Some(stream)
    };
    (0..PARTS).filter_map(bring).collect()
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
