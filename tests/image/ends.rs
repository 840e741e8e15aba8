//! A power-off that is asked for in each phase of a boot, and while the store is at work.

use crate::backup::wait_for_compaction;
use std::thread;
use tests::bed::Bed;
use tests::data::value;
use tests::guest::{Guest, Recipe, blank_disk};
use tests::http::Client;
use tests::offline;

const DISK_BYTES: u64 = 8 << 20;
const VALUE_BYTES: usize = 40_000;
const WRITERS: u64 = 2;
const KEYS: u64 = 6;
/// What the console says when each phase has begun; nothing, to ask at once.
const PHASES: [&str; 6] = [
    "",
    "boot: ",
    "disk: xvda is",
    "http: ready",
    "connected to domain",
    "store: ready",
];
/// A toolstack does not ask a domain that has not got so far that it would answer.
const ATTEMPTS: u32 = 5;

/// Asks for the power-off until it comes.
fn power_off(bed: &Bed, guest: Guest, name: &str) {
    let asked = (0..ATTEMPTS).any(|_| bed.try_run(&format!("vm shutdown {name} 20")).code == 0);
    let console = guest.console();
    assert!(asked, "it still runs:\n{console}");
    assert_eq!(guest.state().trim(), "gone poweroff", "{console}");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_power_off_in_each_phase_of_a_boot_comes_about() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "ended", DISK_BYTES);
    for is_blank in [true, false] {
        for phase in PHASES {
            if is_blank {
                blank_disk(&bed, "ended", DISK_BYTES);
            }
            let guest = Guest::create(&bed, "ended", &Recipe::on_disk(&disk));
            guest.wait_for_console(phase);
            power_off(&bed, guest, "ended");
        }
        let guest = Guest::serving(&bed, "ended", &Recipe::on_disk(&disk));
        let put = guest.request("PUT", "/kv/e/k", b"value");
        assert_eq!(put.status, if is_blank { 201 } else { 204 });
        power_off(&bed, guest, "ended");
    }
    offline::assert_in_order(offline::fetched(&bed, &disk));
}

/// Writes its keys again and again, until nobody takes that any more; of each key, which version
/// was acknowledged last.
fn overwrite(mut client: Client, writer: u64) -> Vec<u64> {
    let mut acknowledged = vec![0; KEYS as usize];
    for nth in 0.. {
        let (key, version) = (writer * KEYS + nth % KEYS, nth / KEYS + 1);
        let body = value(key, version, VALUE_BYTES);
        match client.request("PUT", &format!("/kv/w/{key}"), &body) {
            Ok(answer) if matches!(answer.status, 201 | 204) => {}
            // It says that it ends, or has ended.
            Ok(answer) if answer.status == 503 => break,
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => break,
        }
        acknowledged[(nth % KEYS) as usize] = version;
    }
    acknowledged
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_power_off_while_it_compacts_and_is_backed_up_loses_nothing() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "working", DISK_BYTES);
    let guest = Guest::serving(&bed, "working", &Recipe::on_disk(&disk));
    let acknowledged: Vec<Vec<u64>> = thread::scope(|scope| {
        let writers = (0..WRITERS).map(|writer| {
            let client = guest.client();
            scope.spawn(move || overwrite(client, writer))
        });
        let writers: Vec<_> = writers.collect();
        wait_for_compaction(&guest);
        let mut backup = Client::connect(&bed.admin).expect("the admin port");
        let head = b"GET /-/admin/backup HTTP/1.1\r\nHost: h\r\n\r\n";
        backup.send(head).expect("sent");
        power_off(&bed, guest, "working");
        let ended = writers.into_iter().map(|writer| writer.join());
        ended.map(|versions| versions.expect("a writer")).collect()
    });
    offline::assert_in_order(offline::fetched(&bed, &disk));

    let guest = Guest::serving(&bed, "working", &Recipe::on_disk(&disk));
    for (key, stands) in (0..).zip(acknowledged.into_iter().flatten()) {
        assert!(stands > 0, "{key} was written");
        let got = guest.request("GET", &format!("/kv/w/{key}"), b"").body;
        // The last acknowledged one, or the one that was under way.
        let is = |version: u64| got == value(key, version, VALUE_BYTES);
        assert!(is(stands) || is(stands + 1), "{key}: {stands} acknowledged");
    }
    guest.shut_down(60);
}
