//! A domain of its own is the backend of disk and network, crashes, and comes back as another one.
//!
//! It is a Linux with dom0's kernel, in which `xl devd` does what libxl does in dom0.

use crate::load::Load;
use crate::{MEMORY_MIB, WATCHDOG, held, settles};
use std::thread;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::guest::{DISK_BYTES, Guest, Recipe, blank_disk};
use tests::offline;

/// How long it may take to boot, beside other machines.
const BOOT: Duration = Duration::from_secs(300);
/// What its first process says last.
const READY: &str = "bed: xl devd begins";
/// What the guest says each time, once.
const SAID: [&str; 3] = [
    "device/vbd/51712: the backend went away",
    "device/vif/0: the backend went away",
    "the disk has been away for 10 s: changes are refused",
];

/// The driver domain; its disk is handed on to the guest.
struct Drivers<'b> {
    bed: &'b Bed,
    disk: String,
}

impl<'b> Drivers<'b> {
    /// One that is up. `xl` starts it again when it crashes.
    fn up(bed: &'b Bed, disk: &str) -> Drivers<'b> {
        let drivers = Drivers {
            bed,
            disk: disk.to_owned(),
        };
        drivers.create();
        drivers
    }

    /// Linux can grant a page that another domain has granted to it to nobody else: for a dom0
    /// that is not trusted it copies each frame into a page of its own. Its blkfront copies anyhow.
    fn create(&self) {
        let vif = "mac=00:16:3e:5e:00:d0,bridge=xenbr0,script=/etc/xen/scripts/vif,untrusted";
        self.bed.run(&format!(
            "vm create drivers memory=128 vifs=0 kernel=/payload/dom0-linux \
             ramdisk=/payload/dom0.cpio driver_domain=1 on_crash=restart \
             disk={},vdev=xvda 'vif=[\"{vif}\"]' \
             -- rdinit=/init-driver-domain console=hvc0 loglevel=4 sysrq_always_enabled",
            self.disk
        ));
        self.wait_for_boot(1);
    }

    fn wait_for_boot(&self, count: usize) {
        let begun = Instant::now();
        while self.bed.run("vm console drivers").matches(READY).count() < count {
            assert!(
                begun.elapsed() < BOOT,
                "boot {count} of the driver domain:\n{}",
                self.bed.run("xl list; vm console drivers")
            );
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Its kernel panics.
    fn crash(&self) {
        self.bed.run("xl sysrq drivers c");
        self.wait_for_boot(2);
    }

    /// It is gone at once, and another one created by hand.
    fn replace(&self) {
        self.bed.run("vm destroy drivers");
        self.create();
    }

    fn attach(&self, name: &str) {
        let vbd = "format=raw,vdev=xvda,access=rw,backendtype=phy,script=block,backend=drivers";
        self.bed.run(&format!(
            "xl block-attach {name} '{vbd},target=/dev/xvda' && xl network-attach {name} \
             mac=00:16:3e:5e:00:d1 bridge=xenbr0 backend=drivers script=/etc/xen/scripts/vif"
        ));
    }

    /// libxl finds the backends gone, and removes what is left of the devices.
    fn detach(&self, name: &str) {
        self.bed.run(&format!(
            "xl block-detach {name} xvda && xl network-detach {name} 0"
        ));
    }
}

impl Drop for Drivers<'_> {
    fn drop(&mut self) {
        let _ = self.bed.ask("vm destroy drivers");
    }
}

/// The guest keeps what it has acknowledged and goes on by itself when its devices are attached
/// to the new domain; until then it says what it waits for.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_driver_domain_crashes_and_comes_back_under_load() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "handed-on", DISK_BYTES);
    let drivers = Drivers::up(&bed, &disk);
    let mut recipe = Recipe {
        memory: MEMORY_MIB,
        vifs: 0,
        paused: true,
        ..Recipe::default()
    };
    recipe.command_line += WATCHDOG;
    let guest = Guest::create(&bed, "driven", &recipe);
    drivers.attach("driven");
    guest.unpause();
    guest.wait_for("/readyz?for=write", 200);
    assert_eq!(guest.request("PUT", "/kv/driven/k", b"kept").status, 201);
    let load = Load::through_outages(&guest);
    load.wait_for_some();
    let before = held(&guest);

    for (round, end) in [Drivers::crash, Drivers::replace].iter().enumerate() {
        let begun = Instant::now();
        end(&drivers);
        println!("up again after {:?}", begun.elapsed());
        // Longer than ten seconds later.
        let console = guest.console();
        for words in SAID {
            assert_eq!(console.matches(words).count(), round + 1, "{console}");
        }
        drivers.detach("driven");
        drivers.attach("driven");
        println!("attached after {:?}", begun.elapsed());
        load.wait_for_some();
        println!("at work after {:?}", begun.elapsed());
        guest.wait_for("/readyz?for=write", 200);
        assert_eq!(guest.request("GET", "/kv/driven/k", b"").body, b"kept");
        assert!(
            settles(&guest, before),
            "{before:?} became {:?}\n{}",
            held(&guest),
            guest.console()
        );
    }
    println!("driven: {}", load.end(&guest));
    guest.shut_down(60);
    drop((guest, drivers));
    offline::assert_in_order(offline::fetched(&bed, &disk));
}
