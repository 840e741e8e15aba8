//! What the owner of the host may do to a domain at work: pause it, trigger it, look at it.

use crate::load::Load;
use crate::{held, on_blank_disk};
use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::guest::Guest;

/// Clients wait while it is paused; a trigger and a debug key are nothing to it.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn paused_triggered_and_looked_at_under_load() {
    let bed = Bed::from_environment();
    let guest = Guest::serving(&bed, "owned", &on_blank_disk(&bed, "owned").0);
    let load = Load::begin(&guest);
    load.wait_for_some();
    let before = held(&guest);
    for _ in 0..3 {
        bed.run("xl pause owned");
        thread::sleep(Duration::from_secs(3));
        bed.run("xl unpause owned");
        load.wait_for_some();
        bed.run("xl trigger owned nmi");
        load.wait_for_some();
        bed.run("xl debug-keys qeg");
        load.wait_for_some();
    }
    // A PVH guest has these two only if it asks for them: the toolstack may refuse.
    for event in ["power", "sleep"] {
        let _ = bed.try_run(&format!("xl trigger owned {event}"));
        load.wait_for_some();
    }
    assert_eq!(load.refused(), 0);
    println!("owned: {}", load.end(&guest));
    assert_eq!(held(&guest), before, "{}", guest.console());
    guest.shut_down(60);
}

/// A name in xenstore has no dots, so `auth.token` is `auth_token` there.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_setting_in_the_domains_directory_is_read() {
    let bed = Bed::from_environment();
    let (mut recipe, _) = on_blank_disk(&bed, "set");
    recipe.command_line = "ip=10.0.2.50/24 gw=10.0.2.2".into();
    recipe.paused = true;
    let guest = Guest::create(&bed, "set", &recipe);
    let directory = "/local/domain/$(xl domid set)/vm-data";
    let token = "0123456789abcdef0123456789abcdef";
    let dotted = bed.try_run(&format!("xenstore-write {directory}/auth.token {token}"));
    assert_ne!(dotted.code, 0, "Xen takes dots now");
    bed.run(&format!("xenstore-write {directory}/auth_token {token}"));
    guest.unpause();
    guest.wait_for("/readyz?for=write", 200);
    assert_eq!(guest.request("PUT", "/kv/b/k", b"v").status, 401);
    let bearer = format!("Bearer {token}");
    let lines = [("Authorization", &bearer[..])];
    let put = guest.client().request_with("PUT", "/kv/b/k", &lines, b"v");
    assert_eq!(put.expect("an answer").status, 201);
}

/// A watchdog leaves a guest at work alone, and ends one that does not run; it is not on
/// while the domain is saved.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_watchdog_starts_a_domain_again_that_stands_still() {
    let bed = Bed::from_environment();
    let (mut recipe, _) = on_blank_disk(&bed, "watched");
    recipe.disks.push("on_watchdog=restart".into());
    recipe.command_line = format!("{} watchdog=20", recipe.command_line);
    let guest = Guest::serving(&bed, "watched", &recipe);
    guest.wait_for_console("a loop that stands still for 20 s ends the domain");
    assert_eq!(guest.request("PUT", "/kv/w/k", b"kept").status, 201);
    thread::sleep(Duration::from_secs(45));
    bed.run("xl save watched /tmp/watched.save");
    thread::sleep(Duration::from_secs(25));
    bed.run("xl restore /tmp/watched.save && rm /tmp/watched.save");
    assert_eq!(guest.request("GET", "/kv/w/k", b"").body, b"kept");
    let boots = boots(&guest);
    assert_eq!(boots, 1, "nobody ended it:\n{}", guest.console());
    // Its alarm is due while it is paused, and finds it asleep; the hypervisor waits longer.
    bed.run("xl pause watched; sleep 23; xl unpause watched");
    assert_eq!(guest.request("GET", "/kv/w/k", b"").body, b"kept");
    assert_eq!(self::boots(&guest), 1, "{}", guest.console());
    bed.run("xl pause watched");
    guest.wait_for_boot(boots + 1);
    guest.wait_for("/readyz?for=write", 200);
    assert_eq!(guest.request("GET", "/kv/w/k", b"").body, b"kept");
    guest.shut_down(60);
}

fn boots(guest: &Guest) -> usize {
    let console = guest.console();
    let lines = console.lines().filter(|line| !line.starts_with("early: "));
    lines.filter(|line| line.contains("boot: ")).count()
}
