//! Ends and restarts that the toolstack asks for.

use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

const REBOOTS: u64 = 50;
/// How often, and how far apart, it is looked whether something held has been given back.
const SETTLE_LOOKS: u32 = 40;
const SETTLE: Duration = Duration::from_millis(500);
/// What may differ between two boots of the same image: nothing that grows.
const STEADY: [&str; 4] = [
    "lampion_grants_in_use",
    "lampion_grants_quarantined",
    "lampion_shared_pages_lost",
    "lampion_xenstore_watches",
];

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_shutdown_is_answered_and_leaves_the_store_clean() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "end", DISK_BYTES);
    let guest = Guest::serving(&bed, "end", &Recipe::on_disk(&disk));
    for key in 0..50 {
        assert_eq!(
            guest
                .request("PUT", &format!("/kv/e/{key}"), b"value")
                .status,
            201
        );
    }
    // An idle keep-alive connection does not hold the end up.
    let mut idle = guest.client();
    assert_eq!(
        idle.request("GET", "/healthz", b"")
            .expect("an answer")
            .status,
        200
    );
    guest.shut_down(60);
    assert!(guest.state().starts_with("gone"), "{}", guest.state());
    let console = guest.console();
    assert!(console.contains("Poweroff now"), "{console}");
    drop(guest);

    let guest = Guest::serving(&bed, "end", &Recipe::on_disk(&disk));
    let console = guest.wait_for_console("store: ready");
    // The certificate that was made is one.
    assert!(console.contains("51 keys"), "{console}");
    assert!(
        console.contains("clean"),
        "the store was closed cleanly:\n{console}"
    );
    assert_eq!(guest.request("GET", "/kv/e/49", b"").body, b"value");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn fifty_reboots_leak_nothing() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "reboot", DISK_BYTES);
    let guest = Guest::serving(&bed, "reboot", &Recipe::on_disk(&disk));
    assert_eq!(guest.request("PUT", "/kv/r/constant", b"here").status, 201);
    let mut first = None;
    for round in 0..REBOOTS {
        assert_eq!(
            guest
                .request("PUT", "/kv/r/round", round.to_string().as_bytes())
                .status
                / 100,
            2
        );
        let boots = boots(&guest.console());
        guest.reboot();
        guest.wait_for_boot(boots + 1);
        guest.wait_for("/readyz?for=write", 200);
        assert_eq!(
            guest.request("GET", "/kv/r/round", b"").body,
            round.to_string().as_bytes()
        );
        let first: &Held = first.get_or_insert_with(|| {
            thread::sleep(SETTLE * 4);
            Held::of(&guest, &bed)
        });
        // What answers and the toolstack still hold goes; what leaks stays.
        let mut last = None;
        let returns = (0..SETTLE_LOOKS).any(|_| {
            let held = Held::of(&guest, &bed);
            let fits = held.fits(first);
            last = Some(held);
            if !fits {
                thread::sleep(SETTLE);
            }
            fits
        });
        assert!(returns, "round {round}: {first:?} became {last:?}");
    }
    assert_eq!(guest.request("GET", "/kv/r/constant", b"").body, b"here");
}

/// Only real Xen has a toolstack that asks.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_sysrq_and_another_memory_target_are_answered_on_the_console() {
    let bed = Bed::from_environment();
    let guest = Guest::serving(&bed, "owners", &Recipe::default());
    if !bed.is_xen {
        guest.type_line("status");
        guest.wait_for_console("bytes of heap in use");
        return;
    }
    bed.run("xl sysrq owners t");
    let console = guest.wait_for_console("bytes of heap in use");
    for words in [
        "sysrq `t` asked",
        "status: store ready",
        "status: vif Connected",
    ] {
        assert!(console.contains(words), "{words}:\n{console}");
    }
    bed.run("xl mem-set owners 12m");
    guest.wait_for_console("asks for 12288 KiB; there is no balloon");
    assert_eq!(guest.request("PUT", "/kv/o/k", b"value").status, 201);
    assert_eq!(guest.request("GET", "/kv/o/k", b"").body, b"value");
}

/// What must not grow from boot to boot.
#[derive(Debug)]
struct Held {
    /// In the order of [`STEADY`].
    steady: Vec<u64>,
    xenstore_nodes: usize,
    heap_bytes: u64,
}

impl Held {
    fn of(guest: &Guest, bed: &Bed) -> Held {
        Held {
            steady: STEADY.iter().map(|name| guest.metric(name)).collect(),
            xenstore_nodes: xenstore_nodes(bed),
            heap_bytes: guest.metric("lampion_heap_used_bytes"),
        }
    }

    fn fits(&self, first: &Held) -> bool {
        self.steady == first.steady
            && self.xenstore_nodes == first.xenstore_nodes
            && self.heap_bytes < first.heap_bytes + 64 * 1024
    }
}

/// How often the console saw the image begin.
fn boots(console: &str) -> usize {
    console
        .lines()
        .filter(|line| line.contains("boot: ") && !line.starts_with("early: "))
        .count()
}

/// Nodes below all domains, where there is a dom0 to count them.
fn xenstore_nodes(bed: &Bed) -> usize {
    if !bed.is_xen {
        return 0;
    }
    bed.run("vm xenstore ls /local/domain").lines().count()
}
