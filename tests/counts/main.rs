//! Instructions, counted.
//!
//! The bed runs with one instruction as one nanosecond, so the hypervisor's
//! account of the vCPU's time counts what the guest executed.

#![forbid(unsafe_code)]

mod first_answer;

use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// From the acknowledgement of `xl shutdown` to `SCHEDOP_shutdown`.
const SHUTDOWN_INSTRUCTIONS_MAX: u64 = 50_000_000;

#[test]
#[ignore = "needs a counting bed: cargo xtask test"]
fn a_shutdown_takes_few_instructions() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "count", DISK_BYTES);
    let guest = Guest::serving(&bed, "count", &Recipe::on_disk(&disk));
    let boot = guest.metric("lampion_vcpu_running_ns_total");
    println!("guest instructions from the first to an answered /metrics: {boot}");
    for key in 0..20 {
        assert_eq!(
            guest
                .request("PUT", &format!("/kv/c/{key}"), b"value")
                .status,
            201
        );
    }
    guest.shut_down(120);
    let console = guest.console();
    let (_, rest) = console
        .rsplit_once("Poweroff now, after ")
        .expect("the console says it");
    let spent: u64 = rest
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    println!("guest instructions from the acknowledged shutdown to its end: {spent}");
    assert!(spent > 0, "the hypervisor counts");
    assert!(spent <= SHUTDOWN_INSTRUCTIONS_MAX, "{spent} instructions");
}
