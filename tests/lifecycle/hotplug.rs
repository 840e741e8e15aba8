//! Disk and network interface are detached and attached again.

use crate::load::Load;
use crate::{held, on_blank_disk, rounds, settles};
use std::thread;
use std::time::Duration;
use tests::bed::Bed;
use tests::data::value;
use tests::guest::Guest;
use tests::offline;

/// How often; `LAMPION_HOTPLUGS` says otherwise.
const ROUNDS: u64 = 2;
/// What clients do between two of them.
const BETWEEN: Duration = Duration::from_secs(1);
/// A guest tries every five seconds.
const ATTACHED: Duration = Duration::from_secs(40);

/// Has a device taken away and given back while clients are at work.
fn again_and_again(name: &str, act: impl Fn(&Bed, &Guest, &str)) {
    let bed = Bed::from_environment();
    let (recipe, disk) = on_blank_disk(&bed, name);
    let guest = Guest::serving(&bed, name, &recipe);
    let load = Load::begin(&guest);
    load.wait_for_some();
    let before = held(&guest);
    let all = rounds("LAMPION_HOTPLUGS", ROUNDS);
    for round in 1..=all {
        thread::sleep(BETWEEN);
        act(&bed, &guest, &disk);
        load.wait_for_some();
        let console = guest.console();
        assert!(
            settles(&guest, before),
            "round {round}: {before:?} became {:?}\n{console}",
            held(&guest)
        );
    }
    let told = load.end(&guest);
    println!("{name}: {all} times: {told}");
    guest.shut_down(60);
    drop(guest);
    offline::assert_in_order(offline::fetched(&bed, &disk));
}

fn wait_for(bed: &Bed, name: &str, metric: &str, guest: &Guest) {
    let until = std::time::Instant::now() + ATTACHED;
    while guest.metric(metric) != 1 {
        assert!(
            std::time::Instant::now() < until,
            "{name}: {metric} stays 0:\n{}\n{}",
            guest.console(),
            bed.run("xl list")
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_is_detached_and_attached_again_and_again() {
    again_and_again("unplugged", |bed, guest, disk| {
        bed.run("xl block-detach unplugged xvda");
        assert_eq!(guest.request("GET", "/readyz?for=write", b"").status, 503);
        let spec = "format=raw,vdev=xvda,access=rw,backendtype=phy,script=block";
        bed.run(&format!("xl block-attach unplugged '{spec},target={disk}'"));
        wait_for(bed, "unplugged", "lampion_blkfront_connected", guest);
        guest.wait_for("/readyz?for=write", 200);
    });
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_network_interface_is_detached_and_attached_again_and_again() {
    again_and_again("unwired", |bed, guest, _| {
        bed.run("xl network-detach unwired 0");
        bed.run(
            "xl network-attach unwired mac=00:16:3e:00:00:50 bridge=xenbr0 \
             script=/etc/xen/scripts/vif",
        );
        guest.wait_for("/readyz?for=write", 200);
    });
}

/// The backend's link goes down and up, and another one has a smaller MTU.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn the_link_goes_down_and_up_and_another_has_a_smaller_mtu() {
    let bed = Bed::from_environment();
    let (recipe, _) = on_blank_disk(&bed, "linked");
    let guest = Guest::serving(&bed, "linked", &recipe);
    let value = value(1, 1, 100_000);
    assert_eq!(guest.request("PUT", "/kv/l/k", &value).status, 201);
    let load = Load::begin(&guest);
    load.wait_for_some();
    for _ in 0..3 {
        bed.run("ip link set vif$(xl domid linked).0 down");
        thread::sleep(Duration::from_secs(2));
        bed.run("ip link set vif$(xl domid linked).0 up");
        load.wait_for_some();
    }
    bed.run("xl network-detach linked 0");
    bed.run(
        "xl network-attach linked mac=00:16:3e:00:00:51 bridge=xenbr0 mtu=1400 \
         script=/etc/xen/scripts/vif",
    );
    guest.wait_for("/readyz?for=write", 200);
    guest.wait_for_console("mac 00:16:3e:00:00:51, mtu 1400");
    load.wait_for_some();
    assert!(guest.request("GET", "/kv/l/k", b"").body == value);
    assert_eq!(load.refused(), 0);
    println!("linked: {}", load.end(&guest));
    guest.shut_down(60);
}
