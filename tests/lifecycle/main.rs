//! What can happen to a running domain, on real Xen, while clients write and read all the time.

#![forbid(unsafe_code)]

mod crash;
mod driver_domain;
mod host;
mod hotplug;
mod load;
mod owners;
mod suspend;

use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};

/// So many clients can write at once.
const MEMORY_MIB: u32 = 64;
/// Its alarm may interrupt a loop at work, and has to leave it alone in all that happens here.
const WATCHDOG: &str = " watchdog=120";
/// What is held does not grow from life to life.
const STEADY: [&str; 4] = [
    "lampion_grants_in_use",
    "lampion_grants_quarantined",
    "lampion_shared_pages_lost",
    "lampion_xenstore_watches",
];

/// What it takes to create a guest of this name on a blank disk, which is the second.
fn on_blank_disk(bed: &Bed, name: &str) -> (Recipe, String) {
    let disk = blank_disk(bed, name, DISK_BYTES);
    let mut recipe = Recipe {
        memory: MEMORY_MIB,
        ..Recipe::on_disk(&disk)
    };
    recipe.command_line += WATCHDOG;
    (recipe, disk)
}

fn held(guest: &Guest) -> [u64; 4] {
    STEADY.map(|name| guest.metric(name))
}

/// What a backend keeps mapped for a while is taken back when it lets go.
fn settles(guest: &Guest, before: [u64; 4]) -> bool {
    (0..40).any(|_| {
        let is_settled = held(guest) == before;
        if !is_settled {
            thread::sleep(Duration::from_millis(500));
        }
        is_settled
    })
}

/// How often each is done; the variable says otherwise.
fn rounds(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}
