//! Saved, restored and migrated.
//!
//! QEMU's emulation has no suspend: there `control/feature-suspend` is 0, which nobody can read.

use crate::load::Load;
use crate::{held, on_blank_disk};
use std::time::Duration;
use tests::bed::Bed;
use tests::guest::Guest;
use tests::offline;

/// How often each is done; `LAMPION_SUSPENDS` says otherwise.
const ROUNDS: u64 = 3;
/// What clients do between two suspends.
const BETWEEN: Duration = Duration::from_secs(1);
fn rounds() -> u64 {
    crate::rounds("LAMPION_SUSPENDS", ROUNDS)
}

/// Does something to the domain again and again while clients are at work; each time the console
/// says these words once more.
fn again_and_again(name: &str, words: &str, act: impl Fn(&Bed)) {
    let bed = Bed::from_environment();
    let (recipe, disk) = on_blank_disk(&bed, name);
    let guest = Guest::serving(&bed, name, &recipe);
    let load = Load::begin(&guest);
    load.wait_for_some();
    let before = held(&guest);
    for round in 1..=rounds() {
        std::thread::sleep(BETWEEN);
        act(&bed);
        load.wait_for_some();
        let console = guest.console();
        let said = console.matches(words).count() as u64;
        assert_eq!(said, round, "`{words}` in round {round}:\n{console}");
        assert_eq!(held(&guest), before, "round {round}:\n{console}");
    }
    assert_eq!(load.refused(), 0, "requests wait meanwhile");
    let told = load.end(&guest);
    println!("{name}: {} times: {told}", rounds());
    end(&bed, &guest, name);
    drop(guest);
    offline::assert_in_order(offline::fetched(&bed, &disk));
}

/// The `xl` that looks after a domain leaves when that is suspended, and does not come back when
/// the suspend is cancelled: then the ended domain stays until somebody destroys it.
fn end(bed: &Bed, guest: &Guest, name: &str) {
    bed.run(&format!("xl shutdown {name}"));
    guest.wait_for_console("Poweroff now");
    if bed.try_run(&format!("vm wait {name} 10")).code != 0 {
        let state = guest.state();
        assert!(state.starts_with("shutdown"), "{state}");
        bed.run(&format!("xl destroy {name}"));
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn saved_and_restored_again_and_again() {
    again_and_again("restored", "resumed in another domain", |bed| {
        bed.run("xl save restored /tmp/restored.save && xl restore /tmp/restored.save");
        bed.run("rm /tmp/restored.save");
    });
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn migrated_again_and_again() {
    again_and_again("migrated", "resumed in another domain", |bed| {
        bed.run("xl migrate -s '' migrated 'xl migrate-receive'");
    });
}

/// There is no room for what is saved: the toolstack lets the domain go on.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_save_that_fails_half_way_is_cancelled_and_nothing_is_lost() {
    let full = "mkdir -p /tmp/full && mount -t tmpfs -o size=4m none /tmp/full";
    Bed::from_environment().run(full);
    again_and_again("cancelled", "the suspend was cancelled", |bed| {
        let saved = bed.try_run("xl save cancelled /tmp/full/save");
        assert_ne!(saved.code, 0, "there was room for it");
        bed.run("rm -f /tmp/full/save");
    });
    Bed::from_environment().run("umount /tmp/full");
}
