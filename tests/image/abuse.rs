//! Clients that behave badly, beside one that does not.

use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::data::Random;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// Times the well-behaved client asks while one misbehaves.
const ROUNDS: u64 = 20;

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn garbage_half_requests_and_endless_heads_hurt_nobody_else() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "abuse", DISK_BYTES);
    let guest = Guest::serving(&bed, "abuse", &Recipe::on_disk(&disk));
    let heap_before = guest.metric("lampion_heap_used_bytes");
    thread::scope(|scope| {
        scope.spawn(|| well_behaved(&guest));
        scope.spawn(|| garbage(&guest));
        scope.spawn(|| half_request(&guest));
        scope.spawn(|| endless_head(&guest));
    });
    well_behaved(&guest);
    let heap_after = guest.metric("lampion_heap_used_bytes");
    assert!(
        heap_after < heap_before + (1 << 20),
        "heap grew from {heap_before} to {heap_after}"
    );
}

fn well_behaved(guest: &Guest) {
    let mut client = guest.client();
    for round in 0..ROUNDS {
        let body = Random::new(round).bytes(500);
        let put = client
            .request("PUT", "/kv/good/key", &body)
            .expect("an answer to PUT");
        assert!(matches!(put.status, 201 | 204), "{}", put.text());
        let get = client
            .request("GET", "/kv/good/key", b"")
            .expect("an answer to GET");
        assert!(get.body == body, "round {round}");
    }
}

fn garbage(guest: &Guest) {
    for seed in 0..8 {
        let mut client = guest.client();
        // The connection may be closed before all of it is sent.
        let _ = client.send(&Random::new(seed).bytes(20_000));
        assert_refused(&mut client, "garbage");
    }
}

/// Ends after its time-out, without an answer or with 408.
fn half_request(guest: &Guest) {
    let mut client = guest.client();
    client
        .send(b"GET /kv/good/key HTTP/1.1\r\nHo")
        .expect("it is taken");
    client
        .set_timeout(Duration::from_secs(60))
        .expect("a time-out can be set");
    if let Ok(answer) = client.answer(false) {
        assert_eq!(answer.status, 408);
    }
    assert!(client.ends(), "half a request is not waited for for ever");
}

fn endless_head(guest: &Guest) {
    let mut client = guest.client();
    let line = vec![b'a'; 64 * 1024];
    let mut sent = client.send(b"GET / HTTP/1.1\r\nX-Long: ");
    for _ in 0..(10 << 20) / line.len() {
        if sent.is_err() {
            break;
        }
        sent = client.send(&line);
    }
    assert_refused(&mut client, "a head of 10 MiB");
}

/// A 4xx and the end of the connection, or only its end.
fn assert_refused(client: &mut tests::http::Client, what: &str) {
    if let Ok(answer) = client.answer(false) {
        assert!(
            (400..500).contains(&answer.status),
            "{what}: {}",
            answer.status
        );
    }
    assert!(client.ends(), "{what}: the connection is closed");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn ten_pipelined_requests_are_answered_in_order() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "pipeline", DISK_BYTES);
    let guest = Guest::serving(&bed, "pipeline", &Recipe::on_disk(&disk));
    let mut client = guest.client();
    let mut requests = Vec::new();
    for number in 0..10 {
        let head = format!("PUT /kv/p/{number} HTTP/1.1\r\nHost: l\r\nContent-Length: 1\r\n\r\n");
        requests.extend_from_slice(head.as_bytes());
        requests.push(b'0' + number);
        let head = format!("GET /kv/p/{number} HTTP/1.1\r\nHost: l\r\n\r\n");
        requests.extend_from_slice(head.as_bytes());
    }
    client.send(&requests).expect("it is taken");
    for number in 0..10 {
        assert_eq!(client.answer(false).expect("an answer to PUT").status, 201);
        let get = client.answer(false).expect("an answer to GET");
        assert_eq!(
            get.body,
            [b'0' + number],
            "a connection sees its own writes"
        );
    }
}
