//! What the host does beneath a domain at work: its clock is set, its xenstore daemon replaced.

use crate::load::Load;
use crate::{held, on_blank_disk};
use std::thread;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::guest::Guest;

const SOON: Duration = Duration::from_secs(20);
const DAY_S: i64 = 86_400;

fn soon(what: &str, guest: &Guest, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}:\n{}", guest.console());
        thread::sleep(Duration::from_millis(300));
    }
}

/// Sets dom0's clock, which is the hypervisor's, so many seconds ahead or back.
fn step_clock(bed: &Bed, by_s: i64) {
    bed.run(&format!("date -s @$(($(date +%s) + {by_s}))"));
}

/// Back when the test ends, however it does: other tests have the same dom0.
struct Ahead<'b>(&'b Bed, i64);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        step_clock(self.0, -self.1);
    }
}

/// The guest's `Date` is dom0's, to the minute or to the next one.
fn is_dom0s_time(bed: &Bed, guest: &Guest) -> bool {
    let minutes = || bed.run("date -u '+%a, %d %b %Y %H:%M'").trim().to_owned();
    let before = minutes();
    let answer = guest.request("GET", "/healthz", b"");
    let date = answer.field("date").expect("a date").to_owned();
    date.starts_with(&before) || date.starts_with(&minutes())
}

/// A clock that is set ahead ends what is over by then, and one that is set back does not bring
/// it back; nobody waits for either.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn the_hosts_clock_is_set_ahead_and_back_under_load() {
    let bed = Bed::from_environment();
    let guest = Guest::serving(&bed, "clocked", &on_blank_disk(&bed, "clocked").0);
    let put = |target: &str| guest.request("PUT", target, b"value").status;
    let status = |key: &str| {
        guest
            .request("GET", &format!("/kv/clock/{key}"), b"")
            .status
    };
    let load = Load::begin(&guest);
    load.wait_for_some();
    assert_eq!(put("/kv/clock/day?ttl=86400"), 201);
    assert_eq!(put("/kv/clock/month?ttl=2592000"), 201);
    assert_eq!(put("/kv/clock/stays"), 201);
    soon("dom0's time", &guest, || is_dom0s_time(&bed, &guest));

    step_clock(&bed, 7 * DAY_S);
    let ahead = Ahead(&bed, 7 * DAY_S);
    soon("a week later", &guest, || is_dom0s_time(&bed, &guest));
    soon("over", &guest, || status("day") == 404);
    assert_eq!((status("month"), status("stays")), (200, 200));
    load.wait_for_some();

    drop(ahead);
    soon("back again", &guest, || is_dom0s_time(&bed, &guest));
    load.wait_for_some();
    assert_eq!(status("day"), 404, "what was over is over");
    assert_eq!((status("month"), status("stays")), (200, 200));
    assert_eq!(put("/kv/clock/new?ttl=3600"), 201);
    assert_eq!(status("new"), 200);
    assert_eq!(load.refused(), 0);
    println!("clocked: {}", load.end(&guest));
    guest.shut_down(60);
}

/// `xenstore-control live-update`: another process serves the same connections.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn the_xenstore_daemon_is_replaced_under_load() {
    let bed = Bed::from_environment();
    let guest = Guest::serving(&bed, "stored", &on_blank_disk(&bed, "stored").0);
    let load = Load::begin(&guest);
    load.wait_for_some();
    let before = held(&guest);
    for round in 1..=3 {
        let told = bed
            .run("xenstore-control live-update /usr/lib/xen/bin/$(cat /etc/xenstore-daemon) 2>&1");
        assert!(told.contains("OK") || told.trim().is_empty(), "{told}");
        load.wait_for_some();
        // The daemon of now tells the guest what changes, and takes what it writes.
        bed.run("xl sysrq stored s");
        soon("a sysrq", &guest, || {
            guest.console().matches("sysrq `s` asked").count() == round
        });
        let node = "/local/domain/$(xl domid stored)/control/sysrq";
        soon("acknowledged", &guest, || {
            bed.run(&format!("xenstore-read {node}")).trim().is_empty()
        });
    }
    assert_eq!(load.refused(), 0);
    println!("stored: {}", load.end(&guest));
    assert_eq!(held(&guest), before, "{}", guest.console());
    guest.shut_down(60);
}
