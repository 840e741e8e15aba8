//! A guest that crashes says on its disk why, and the next one shows it until it is acknowledged.

use crate::load::Load;
use crate::on_blank_disk;
use tests::bed::Bed;
use tests::guest::Guest;
use tests::offline;

fn crashes(guest: &Guest, method: &str) -> String {
    guest.ask_admin(method, "/-/admin/crash", b"").text()
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_guest_that_crashes_under_load_starts_again_and_shows_why() {
    let bed = Bed::from_environment();
    let (mut recipe, disk) = on_blank_disk(&bed, "crashed");
    recipe.disks.push("on_crash=restart".into());
    let guest = Guest::serving(&bed, "crashed", &recipe);
    assert!(crashes(&guest, "GET").contains("{\"crashes\":[]}"));
    for number in 1..=2 {
        let load = Load::begin(&guest);
        load.wait_for_some();
        bed.run("xenstore-write /local/domain/$(xl domid crashed)/control/shutdown crash");
        guest.wait_for_console(&format!("crash {number} is on the disk"));
        guest.wait_for_boot(number + 1);
        guest.wait_for("/readyz?for=write", 200);
        load.wait_for_some();
        println!("crashed: {}", load.end(&guest));
        let told = crashes(&guest, "GET");
        assert_eq!(told.matches("\"number\"").count(), number, "{told}");
        for words in [
            "PANIC at kernel/src/",
            "a crash was asked for by the toolstack; backtrace 0x",
            "vbd ring: req_prod",
            "store: ready",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    guest.wait_for_console("not acknowledged, see /-/admin/crash");
    crashes(&guest, "DELETE");
    let is_erased = (0..100).any(|_| crashes(&guest, "GET").contains("[]"));
    assert!(is_erased, "{}", crashes(&guest, "GET"));
    guest.shut_down(60);
    drop(guest);
    offline::assert_in_order(offline::fetched(&bed, &disk));
}
