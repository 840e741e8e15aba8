//! Today's image on a disk of an older one, the older one on what today's has made of it, and back.
//!
//! The older image is built from an earlier commit: `docs/data-layout.md` says which, and why.

#![forbid(unsafe_code)]

mod book;

use book::{Book, Place};
use std::thread;
use std::time::{Duration, Instant};
use tests::bed::Bed;
use tests::guest::{Guest, Recipe, blank_disk};
use tests::offline;

/// As it is made, and as it is from the first upgrade on.
const DISK_BYTES: u64 = 8 << 20;
const GROWN_BYTES: u64 = 12 << 20;
/// What is written all the time while an image ends.
const LOAD: Place = ("load", 0);
const LOAD_BYTES: usize = 100_000;
/// Longest wait for compaction to begin.
const PATIENCE: Duration = Duration::from_secs(120);
/// The buckets that get a quota, one in each image's turn.
const LIMITED: [&str; 4] = ["few", "fewer", "fewest", "least"];
/// Fields that are kept with a value.
const FIELDS: (&str, &[(&str, &str)]) = (
    "",
    &[
        ("Content-Type", "text/x-lampion; charset=utf-8"),
        ("Cache-Control", "max-age=17"),
        ("Content-Disposition", "inline"),
    ],
);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Image {
    Older,
    Todays,
}

/// How an image leaves the disk, while it is written to and compacted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    Killed,
}

/// One disk, and what must be on it.
struct Life {
    bed: Bed,
    disk: String,
    book: Book,
    /// How the images before this one have ended.
    end: End,
    /// The version of [`LOAD`] that was sent last, and whether it has come to be is not known.
    sent: Option<u64>,
    /// How many values were given a second to live.
    brief: u64,
}

impl Life {
    fn begin(name: &str, end: End) -> Life {
        let bed = Bed::from_environment();
        let disk = blank_disk(&bed, name, DISK_BYTES);
        Life {
            bed,
            disk,
            book: Book::default(),
            end,
            sent: None,
            brief: 0,
        }
    }

    /// Boots an image, which must show all there is and take writes.
    fn boot(&mut self, image: Image) -> Guest {
        let kernel = match image {
            Image::Older => "/payload/older",
            Image::Todays => "/payload/lampion",
        };
        let recipe = Recipe {
            kernel: kernel.to_owned(),
            ..Recipe::on_disk(&self.disk)
        };
        let guest = Guest::serving(&self.bed, "upgrade", &recipe);
        assert_is(&guest, image);
        if let Some(sent) = self.sent {
            if self.end == End::InOrder {
                let console = guest.wait_for_console("store: ready");
                assert!(console.contains("clean"), "it was closed:\n{console}");
            }
            self.book.settle(&guest, LOAD, sent, LOAD_BYTES);
        }
        for key in 0..self.brief {
            guest.wait_for(&format!("/kv/brief/{key}"), 404);
        }
        self.book.check(&guest);
        guest
    }

    /// Ends an image in the midst of writes and compaction.
    fn leave(&mut self, guest: Guest) {
        let put = guest.request("PUT", &format!("/kv/brief/{}?ttl=1", self.brief), b"brief");
        assert_eq!(put.status, 201, "{}", put.text());
        self.brief += 1;
        self.book.check(&guest);
        let first = self.sent.map_or(1, |sent| sent + 1);
        let sent = thread::scope(|scope| {
            let client = guest.client();
            let writer = scope.spawn(move || book::write(client, LOAD, first, LOAD_BYTES));
            wait_for_compaction(&guest);
            wait_for_writes(&guest);
            match self.end {
                End::InOrder => guest.shut_down(60),
                End::Killed => guest.kill(),
            }
            writer.join().expect("a writer")
        });
        assert!(sent > first, "nothing was written");
        self.sent = Some(sent);
    }
}

/// Whether that image runs, by its own account of what it was built from.
fn assert_is(guest: &Guest, image: Image) {
    let older = std::env::var("LAMPION_BED_OLDER").expect("the older image's commit");
    let metrics = guest.request("GET", "/metrics", b"").text();
    let is_older = metrics.contains(&format!("commit=\"{older}\""));
    assert_eq!(is_older, image == Image::Older, "{metrics}");
}

/// Waits until a segment is being emptied.
fn wait_for_compaction(guest: &Guest) {
    let begin = Instant::now();
    while guest.metric("lampion_store_compaction_left_bytes") == 0 {
        assert!(begin.elapsed() < PATIENCE, "nothing is compacted");
    }
}

/// Waits until what is written all the time has become another version, and one more: the first of
/// them is acknowledged then.
fn wait_for_writes(guest: &Guest) {
    let shown = || guest.request("GET", "/kv/load/0", b"").body;
    let begin = Instant::now();
    for _ in 0..2 {
        let before = shown();
        while shown() == before {
            assert!(begin.elapsed() < PATIENCE, "nothing is written");
        }
    }
}

/// What the older image begins with: values of all kinds, some of them in a snapshot only.
fn fill(book: &mut Book, guest: &Guest) {
    for key in 0..12 {
        book.put(guest, ("small", key), 20 + 31 * key as usize);
    }
    for key in 0..3 {
        book.put(guest, ("large", key), 70_000 + 60_000 * key as usize);
    }
    book.put_with(guest, ("small", 20), 500, FIELDS);
    book.put_with(guest, ("large", 20), 150_000, FIELDS);
    book.put_with(guest, ("small", 21), 10, ("?ttl=1000000", &[]));
    book.check(guest);
    book.take_snapshot(guest, "monday");
    book.put(guest, ("small", 1), 33);
    book.put(guest, ("large", 1), 90_000);
    book.delete(guest, ("small", 2));
    book.delete(guest, ("large", 2));
    book.put(guest, (LIMITED[0], 0), 1);
    book.limit(guest, LIMITED[0]);
}

/// What any image does to what it finds: `turn` is not the same twice.
fn change(book: &mut Book, guest: &Guest, turn: u64) {
    let (new, after) = (30 + turn, format!("after-{turn}"));
    let limited = LIMITED[turn as usize];
    book.put(guest, ("small", 1), 40);
    book.put_with(guest, ("small", 3), 41, FIELDS);
    book.put(guest, ("large", 1), 100_000);
    book.put(guest, ("large", 20), 66_000);
    book.delete(guest, ("small", 3 + turn));
    book.put(guest, ("small", new), 100);
    book.put_with(guest, ("large", new), 80_000, FIELDS);
    book.put_with(guest, ("small", new + 10), 10, ("?ttl=1000000", &[]));
    book.take_snapshot(guest, &after);
    book.put(guest, ("small", 1), 42);
    book.delete(guest, ("large", 0));
    book.roll_back(guest, "monday", "large");
    book.roll_back(guest, &after, "small");
    book.put(guest, ("large", 0), 71_000);
    book.put(guest, (limited, 0), 1);
    book.limit(guest, limited);
}

/// What only today's image can do to a disk.
fn change_as_today(book: &mut Book, guest: &Guest) {
    let backup = guest.ask_admin("GET", "/-/admin/backup", b"");
    assert_eq!(backup.status, 200, "{}", backup.text());
    let then = book.clone();
    book.put(guest, ("small", 0), 300);
    book.delete(guest, ("small", 20));
    book.restore(guest, &backup.body, &then);
}

fn there_and_back(name: &str, end: End) {
    let mut life = Life::begin(name, end);
    let guest = life.boot(Image::Older);
    fill(&mut life.book, &guest);
    life.leave(guest);

    life.bed
        .run(&format!("vm disk {} {GROWN_BYTES}", life.disk));
    let guest = life.boot(Image::Todays);
    change(&mut life.book, &guest, 1);
    change_as_today(&mut life.book, &guest);
    life.leave(guest);

    let guest = life.boot(Image::Older);
    change(&mut life.book, &guest, 2);
    life.book.delete_snapshot(&guest, "after-1");
    life.leave(guest);

    let guest = life.boot(Image::Todays);
    change(&mut life.book, &guest, 3);
    life.book.check(&guest);
    guest.shut_down(60);
    offline::assert_in_order(offline::fetched(&life.bed, &life.disk));
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn an_upgrade_and_the_way_back_keep_everything() {
    there_and_back("upgrade", End::InOrder);
}

#[test]
#[ignore = "needs a bed: cargo xtask test"]
fn an_upgrade_and_the_way_back_keep_everything_though_each_image_is_killed() {
    there_and_back("upgrade-killed", End::Killed);
}
