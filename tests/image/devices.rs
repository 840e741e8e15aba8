//! Too few devices, too many, odd ones, and disks that are not ours.

use tests::bed::Bed;
use tests::data::value;
use tests::guest::{ADDRESS, DISK_BYTES, Guest, Recipe, blank_disk};

/// Fills a disk with text that is nobody's format.
fn foreign_disk(bed: &Bed, name: &str) -> String {
    let path = blank_disk(bed, name, DISK_BYTES);
    bed.run(&format!("yes holiday-photos | head -c 67108864 > {path}"));
    path
}

fn checksum(bed: &Bed, path: &str) -> String {
    bed.run(&format!("sync; md5sum {path}"))
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn without_a_vif_it_says_so_and_ends_in_order() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "novif", DISK_BYTES);
    let guest = Guest::create(
        &bed,
        "novif",
        &Recipe {
            vifs: 0,
            ..Recipe::on_disk(&disk)
        },
    );
    guest.wait_for_console("no vif is attached");
    guest.wait_for_console("store: ready");
    guest.shut_down(60);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn without_a_vbd_it_serves_from_memory_and_says_so() {
    let bed = Bed::from_environment();
    let guest = Guest::serving(&bed, "novbd", &Recipe::default());
    guest.wait_for_console("memory only");
    assert!(
        guest
            .request("GET", "/readyz", b"")
            .text()
            .contains("memory only")
    );
    assert_eq!(guest.request("PUT", "/kv/m/a", b"1").status, 201);
    assert_eq!(guest.request("GET", "/kv/m/a", b"").body, b"1");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn of_two_vbds_the_first_or_the_named_one_is_used() {
    let bed = Bed::from_environment();
    let (a, b) = (
        blank_disk(&bed, "two-a", DISK_BYTES),
        blank_disk(&bed, "two-b", DISK_BYTES),
    );
    let disks = vec![format!("disk={a},vdev=xvda"), format!("disk={b},vdev=xvdb")];
    let untouched = checksum(&bed, &b);
    let first = Recipe {
        disks,
        ..Recipe::default()
    };
    let guest = Guest::serving(&bed, "two", &first);
    assert_eq!(guest.request("PUT", "/kv/d/where", b"xvda").status, 201);
    guest.shut_down(60);
    assert_eq!(
        checksum(&bed, &b),
        untouched,
        "the second disk is left alone"
    );

    let named = Recipe {
        command_line: format!("{ADDRESS} disk=xvdb"),
        ..first.clone()
    };
    let guest = Guest::serving(&bed, "two", &named);
    assert_eq!(guest.request("GET", "/kv/d/where", b"").status, 404);
    guest.destroy();

    let missing = Recipe {
        command_line: format!("{ADDRESS} disk=xvdc"),
        ..first
    };
    let guest = Guest::create(&bed, "two", &missing);
    let console = guest.wait_for_console("disk=xvdc is not attached");
    assert!(console.contains("xvda, xvdb"), "{console}");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_of_odd_size_is_used_as_far_as_it_goes() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "odd", DISK_BYTES + 512 * 3);
    let guest = Guest::serving(&bed, "odd", &Recipe::on_disk(&disk));
    assert_eq!(guest.request("PUT", "/kv/o/a", b"1").status, 201);
    guest.destroy();
    let guest = Guest::serving(&bed, "odd", &Recipe::on_disk(&disk));
    assert_eq!(guest.request("GET", "/kv/o/a", b"").body, b"1");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_too_small_is_refused_with_the_numbers() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "tiny", 1 << 20);
    let guest = Guest::create(&bed, "tiny", &Recipe::on_disk(&disk));
    guest.wait_for("/readyz", 503);
    let console = guest.wait_for_console("store: refused");
    assert!(
        console.contains("1048576"),
        "the numbers are said:\n{console}"
    );
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_read_only_disk_is_served_for_reading() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "ro", DISK_BYTES);
    let guest = Guest::serving(&bed, "ro", &Recipe::on_disk(&disk));
    assert_eq!(guest.request("PUT", "/kv/r/a", b"kept").status, 201);
    guest.shut_down(60);
    let before = checksum(&bed, &disk);

    let disks = vec![format!("disk={disk},ro,vdev=xvda")];
    let guest = Guest::create(
        &bed,
        "ro",
        &Recipe {
            disks,
            ..Recipe::default()
        },
    );
    guest.wait_for("/readyz", 200);
    assert_eq!(guest.request("GET", "/kv/r/a", b"").body, b"kept");
    let put = guest.request("PUT", "/kv/r/b", b"2");
    assert_eq!(put.status, 503, "{}", put.text());
    assert!(put.text().contains("read"), "{}", put.text());
    assert_eq!(guest.request("GET", "/readyz?for=write", b"").status, 503);
    guest.destroy();
    assert_eq!(checksum(&bed, &disk), before, "nothing was written");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_foreign_disk_is_refused_until_formatting_is_asked_for() {
    let bed = Bed::from_environment();
    let disk = foreign_disk(&bed, "foreign");
    let before = checksum(&bed, &disk);
    let guest = Guest::create(&bed, "foreign", &Recipe::on_disk(&disk));
    let ready = guest.wait_for("/readyz", 503);
    let console = guest.wait_for_console("disk.format=yes");
    assert!(console.contains("store: refused"), "{console}");
    guest.wait_for_console("disk.format=yes");
    assert_eq!(
        guest.request("PUT", "/kv/f/a", b"1").status,
        503,
        "{}",
        ready.text()
    );
    guest.destroy();
    assert_eq!(checksum(&bed, &disk), before, "nothing was written");

    let command_line = format!("{ADDRESS} disk.format=yes");
    let guest = Guest::serving(
        &bed,
        "foreign",
        &Recipe {
            command_line,
            ..Recipe::on_disk(&disk)
        },
    );
    assert_eq!(guest.request("PUT", "/kv/f/a", b"1").status, 201);
    guest.destroy();

    // The key may stay on the command line: what is a store now is not formatted again.
    let command_line = format!("{ADDRESS} disk.format=yes");
    let guest = Guest::serving(
        &bed,
        "foreign",
        &Recipe {
            command_line,
            ..Recipe::on_disk(&disk)
        },
    );
    assert_eq!(guest.request("GET", "/kv/f/a", b"").body, b"1");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_corrupt_store_is_said_and_never_formatted_over() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "corrupt", DISK_BYTES);
    let guest = Guest::serving(&bed, "corrupt", &Recipe::on_disk(&disk));
    for key in 0..200 {
        let body = vec![b'v'; 2000];
        assert_eq!(
            guest.request("PUT", &format!("/kv/c/{key}"), &body).status,
            201
        );
    }
    guest.shut_down(60);
    // A hole in the middle of the log, which begins at 2 MiB.
    bed.run(&format!(
        "dd if=/dev/zero of={disk} bs=4096 seek=540 count=4 conv=notrunc 2>/dev/null; sync"
    ));
    let before = checksum(&bed, &disk);
    let command_line = format!("{ADDRESS} disk.format=yes");
    let guest = Guest::create(
        &bed,
        "corrupt",
        &Recipe {
            command_line,
            ..Recipe::on_disk(&disk)
        },
    );
    guest.wait_for_console("damage");
    let writable = guest.request("GET", "/readyz?for=write", b"");
    assert_eq!(writable.status, 503, "{}", writable.text());
    guest.destroy();
    assert_eq!(checksum(&bed, &disk), before, "nothing was written");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn with_too_little_memory_it_says_how_much_it_needs() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "small", DISK_BYTES);
    let guest = Guest::create(
        &bed,
        "small",
        &Recipe {
            // With less, xl itself finds no room for the image.
            memory: 6,
            ..Recipe::on_disk(&disk)
        },
    );
    let console = guest.wait_for_console("write memory=");
    assert!(console.contains("too little memory"), "{console}");
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn an_address_by_dhcp_is_enough() {
    let bed = Bed::from_environment();
    let command_line = "ip=dhcp auth=open metrics=open nonsense=1".to_owned();
    let guest = Guest::create(
        &bed,
        "dhcp",
        &Recipe {
            command_line,
            ..Recipe::default()
        },
    );
    let console = guest.wait_for_console("by dhcp");
    assert!(console.contains("`nonsense=` is ignored"), "{console}");
}

/// Bytes that a disk takes in the bed.
fn allocated_bytes(bed: &Bed, path: &str) -> u64 {
    let said = bed.run(&format!("sync; stat -c '%b %B' {path}"));
    let numbers = said.split_whitespace().map(|word| word.parse::<u64>());
    numbers.map(|number| number.expect("a number")).product()
}

/// The host gets back what compaction frees.
#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn what_is_overwritten_is_given_back_where_the_disk_takes_discards() {
    const LEN_BYTES: u64 = 8 << 20;
    let bed = Bed::from_environment();
    // A file system that can give back the middle of a file.
    bed.run("mkdir -p /tmp/holes; mount -t tmpfs tmpfs /tmp/holes");
    let disk = blank_disk(&bed, "holes/discard", LEN_BYTES);
    let recipe = Recipe {
        disks: vec![format!("disk={disk},discard,vdev=xvda")],
        ..Recipe::default()
    };
    let guest = Guest::serving(&bed, "discard", &recipe);
    guest.wait_for_console("discard offered");
    let mut client = guest.client();
    for round in 0..400 {
        let put = client.request("PUT", "/kv/b/a", &value(0, round, 50_000));
        assert!(matches!(put.expect("an answer").status, 201 | 204));
    }
    let discards = guest.metric("lampion_blkfront_discards_total");
    assert!(discards > 0, "nothing was discarded");
    let allocated = allocated_bytes(&bed, &disk);
    assert!(allocated < LEN_BYTES - (512 << 10), "{allocated} bytes");
    assert!(guest.request("GET", "/kv/b/a", b"").body == value(0, 399, 50_000));
    guest.kill();
    drop(guest);
    let guest = Guest::serving(&bed, "discard", &recipe);
    assert!(guest.request("GET", "/kv/b/a", b"").body == value(0, 399, 50_000));
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn a_disk_that_grows_has_room_again_without_a_restart() {
    let bed = Bed::from_environment();
    let disk = blank_disk(&bed, "grows", 8 << 20);
    let guest = Guest::serving(&bed, "grows", &Recipe::on_disk(&disk));
    let mut client = guest.client();
    let mut fill = |from: u64| {
        for key in from.. {
            let body = value(key, 0, 60_000);
            let put = client.request("PUT", &format!("/kv/b/{key}"), &body);
            match put.expect("an answer").status {
                201 => {}
                507 => return key,
                other => panic!("key {key}: {other}"),
            }
        }
        unreachable!("there is no last key")
    };
    let before = fill(0);
    guest.grow_disk(&disk, 24 << 20);
    // A backend may look at the size only when something is asked of it.
    for round in 0.. {
        if guest.console().contains("the disk has grown") {
            break;
        }
        assert!(round < 100, "never told:\n{}", guest.console());
        assert_eq!(guest.request("DELETE", "/kv/b/0", b"").status, 204);
        assert!(guest.request("PUT", "/kv/b/0", &value(0, 0, 60_000)).status < 300);
    }
    let after = fill(before);
    assert!(after > 2 * before, "{before} keys, then {after}");
    guest.kill();
    drop(guest);
    let guest = Guest::serving(&bed, "grows", &Recipe::on_disk(&disk));
    for key in 0..after {
        let got = guest.request("GET", &format!("/kv/b/{key}"), b"");
        assert!(
            got.body == value(key, 0, 60_000),
            "key {key}: {}",
            got.status
        );
    }
}
