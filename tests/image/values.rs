//! Many values of all sizes, and many clients at once.

use std::thread;
use tests::bed::Bed;
use tests::data::{Random, log_uniform, value};
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

const KEYS: u64 = 1000;
const LARGEST_EXPONENT: u32 = 20;
const TOTAL_BYTES_MAX: usize = 24 << 20;
const CLIENTS: u64 = 64;

/// Lengths of all values: log-uniform from 1 byte to 1 MiB, as many as fit the total.
fn lengths() -> Vec<usize> {
    let mut random = Random::new(2);
    let mut left = TOTAL_BYTES_MAX;
    let mut lengths: Vec<usize> = (0..KEYS)
        .map(|key| {
            let reserved = (KEYS - key) as usize;
            let len = log_uniform(&mut random, LARGEST_EXPONENT).min(left.saturating_sub(reserved));
            left -= len;
            len.max(1)
        })
        .collect();
    // The extremes are always there.
    lengths[0] = 1;
    lengths[1] = 1 << LARGEST_EXPONENT;
    lengths
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_thousand_values_of_all_sizes_come_back_byte_for_byte() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "values", DISK_BYTES);
    let guest = Guest::serving(&bed, "values", &Recipe::on_disk(&disk));
    let lengths = lengths();
    assert!(lengths.iter().sum::<usize>() <= TOTAL_BYTES_MAX + (1 << LARGEST_EXPONENT));
    let mut client = guest.client();
    for (key, len) in (0..).zip(&lengths) {
        let put = client.request("PUT", &format!("/kv/values/{key}"), &value(key, 0, *len));
        let put = put.unwrap_or_else(|error| panic!("PUT {key}, {len} bytes: {error}"));
        assert_eq!(put.status, 201, "key {key}, {len} bytes: {}", put.text());
    }
    check_all(&guest, &lengths);
    guest.destroy();

    let guest = Guest::serving(&bed, "values", &Recipe::on_disk(&disk));
    check_all(&guest, &lengths);
    // The certificate that was made is one more.
    assert_eq!(guest.metric("lampion_store_keys"), KEYS + 1);
    assert_eq!(guest.metric("lampion_store_corruptions_total"), 0);
}

fn check_all(guest: &Guest, lengths: &[usize]) {
    let mut client = guest.client();
    for (key, len) in (0..).zip(lengths) {
        let get = client.request("GET", &format!("/kv/values/{key}"), b"");
        let get = get.unwrap_or_else(|error| panic!("GET {key}, {len} bytes: {error}"));
        assert_eq!(get.status, 200, "key {key}");
        assert!(
            get.body == value(key, 0, *len),
            "key {key}: {len} bytes differ"
        );
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn sixty_four_keep_alive_clients_at_once() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "clients", DISK_BYTES);
    let guest = Guest::serving(&bed, "clients", &Recipe::on_disk(&disk));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| guest.client()).collect();
    // All are open and have been served before the first is used again.
    for client in &mut clients {
        assert_eq!(
            client
                .request("GET", "/healthz", b"")
                .expect("an answer")
                .status,
            200
        );
    }
    let open = guest.metric("lampion_http_connections");
    assert!(open > CLIENTS, "{open} connections are open at once");
    thread::scope(|scope| {
        for (number, mut client) in (0..).zip(clients) {
            scope.spawn(move || {
                for round in 0..8 {
                    let target = format!("/kv/clients/{number}");
                    let body = value(number, round, 200);
                    let put = client
                        .request("PUT", &target, &body)
                        .expect("an answer to PUT");
                    assert_eq!(put.status, if round == 0 { 201 } else { 204 });
                    let get = client
                        .request("GET", &target, b"")
                        .expect("an answer to GET");
                    assert!(get.body == body, "client {number}, round {round}");
                }
            });
        }
    });
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_overwritten_ten_times_over_keeps_working() {
    const DISK: u64 = 8 << 20;
    const KEYS: u64 = 16;
    const LEN: usize = 100_000;
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "overwrite", DISK);
    let guest = Guest::serving(&bed, "overwrite", &Recipe::on_disk(&disk));
    let rounds = 10 * DISK / (KEYS * LEN as u64) + 1;
    let mut client = guest.client();
    for round in 0..rounds {
        for key in 0..KEYS {
            let put = client.request("PUT", &format!("/kv/o/{key}"), &value(key, round, LEN));
            let put = put.expect("an answer");
            assert!(
                matches!(put.status, 201 | 204),
                "round {round}: {}",
                put.text()
            );
        }
    }
    for key in 0..KEYS {
        let get = client
            .request("GET", &format!("/kv/o/{key}"), b"")
            .expect("an answer");
        assert!(get.body == value(key, rounds - 1, LEN), "key {key}");
    }
}
