//! The life that the golden disks of version 1 have led, and the hand that led it.
//!
//! It has every kind of record of the version, several openings, and segments that were emptied
//! and used again. It stays as it is: see the crate's first lines.

use super::pack;
use std::path::Path;
use std::task::Poll;
use store::{
    Batch, BucketName, Change, Condition, Headers, Key, MemoryDisk, Now, Options, QuotaLimits,
    SnapshotName, State, Store, Ticket, Wake,
};

pub(crate) const DISK_BYTES: u64 = 8 << 20;
/// When the life begins: nanoseconds since 1970.
pub(crate) const BEGUN_NS: u64 = 1_700_000_000_000_000_000;
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Killed,
}

/// An open store, and seconds since the life began.
pub(crate) struct Hand {
    pub(crate) store: Store,
    pub(crate) seconds: u64,
}

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::new(name).expect("a bucket's name")
}

pub(crate) fn key(key: &[u8]) -> Key {
    Key::new(key).expect("a key")
}

pub(crate) fn snapshot(name: &str) -> SnapshotName {
    SnapshotName::new(name).expect("a snapshot's name")
}

/// A value in which each place within 251 bytes looks different.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

impl Hand {
    /// Opens a disk at this second of its life.
    pub(crate) fn open(disk: &MemoryDisk, seed: u8, seconds: u64) -> Self {
        let options = Options {
            format: store::FormatPermission::BlankOnly,
            unit_bytes: None,
            memory_bytes: 16 << 20,
            seed: std::array::from_fn(|at| seed.wrapping_mul(31).wrapping_add(at as u8)),
            pages: Box::new(store::blob::HeapPages),
        };
        let store = Store::opening(Box::new(disk.clone()), options);
        let mut hand = Hand { store, seconds };
        hand.settle();
        hand
    }

    /// Steps until nothing is left to do; all of it happens in the same second.
    pub(crate) fn settle(&mut self) {
        let now = Now {
            monotonic_ns: self.seconds * SECOND_NS,
            wall_ns: BEGUN_NS + self.seconds * SECOND_NS,
        };
        for _ in 0..20_000 {
            if self.store.step(now) != Wake::Now {
                return;
            }
        }
        panic!("the store never comes to rest");
    }

    /// A second later.
    fn tick(&mut self) {
        self.seconds += 1;
        self.settle();
    }

    fn finish(&mut self, ticket: &Ticket) {
        self.settle();
        let Poll::Ready(outcome) = self.store.outcome(ticket) else {
            panic!("no outcome although nothing is left to do");
        };
        outcome.expect("committed");
    }

    pub(crate) fn run(&mut self, changes: Vec<(&str, &[u8], Change)>) {
        self.tick();
        let changes = changes.into_iter().map(|(name, k, change)| {
            let place = (bucket(name), key(k));
            (place.0, place.1, Condition::None, change)
        });
        let batch = Batch {
            changes: changes.collect(),
        };
        let ticket = self.store.submit(batch).expect("taken");
        self.finish(&ticket);
    }

    pub(crate) fn put(&mut self, name: &str, k: &[u8], value: &[u8], headers: Headers) {
        let value = value.to_vec();
        self.run(vec![(name, k, Change::Put { value, headers })]);
    }

    pub(crate) fn delete(&mut self, name: &str, k: &[u8]) {
        self.run(vec![(name, k, Change::Delete)]);
    }

    /// Begins a value and hands in all of it; it is not there before it is finished.
    fn upload(&mut self, name: &str, k: &[u8], value: &[u8], headers: Headers) -> store::Upload {
        self.tick();
        let (len, place) = (Some(value.len() as u64), (bucket(name), key(k)));
        let upload = self
            .store
            .begin_upload(place.0, place.1, Condition::None, headers, len);
        let mut upload = upload.expect("begun");
        let mut at = 0;
        while at < value.len() {
            at += self.store.upload(&mut upload, &value[at..]).expect("taken");
            self.settle();
        }
        upload
    }

    pub(crate) fn put_large(&mut self, name: &str, k: &[u8], value: &[u8], headers: Headers) {
        let upload = self.upload(name, k, value, headers);
        let ticket = self.store.commit_upload(upload).expect("taken");
        self.finish(&ticket);
    }

    fn set_quota(&mut self, name: &str, limits: QuotaLimits) {
        self.tick();
        let ticket = self.store.set_quota(bucket(name), limits).expect("taken");
        self.finish(&ticket);
    }

    pub(crate) fn take_snapshot(&mut self, name: &str) {
        self.tick();
        let ticket = self.store.take_snapshot(snapshot(name)).expect("taken");
        self.finish(&ticket);
    }

    pub(crate) fn roll_back(&mut self, name: &str, only: Option<&str>) {
        self.tick();
        let only = only.map(bucket);
        let rolled = self.store.roll_back(&snapshot(name), only.as_ref());
        let (ticket, _before) = rolled.expect("taken");
        self.finish(&ticket);
    }

    pub(crate) fn close(mut self) {
        self.store.close();
        self.settle();
        assert_eq!(*self.store.state(), State::Closed);
    }
}

fn first_opening(disk: &MemoryDisk) {
    let mut hand = Hand::open(disk, 1, 0);
    let none = Headers::default;
    let (bytes, keys) = (1 << 20, 50);
    hand.set_quota("docs", QuotaLimits { bytes, keys });
    let (bytes, keys) = (0, 7);
    hand.set_quota("logs", QuotaLimits { bytes, keys });
    let page = Headers {
        content_type: Some("text/html; charset=utf-8".into()),
        cache_control: Some("max-age=60".into()),
        ..none()
    };
    hand.put("docs", b"index.html", b"<h1>one</h1>\n", page.clone());
    let feed = Headers {
        content_type: Some("application/atom+xml".into()),
        content_encoding: Some("gzip".into()),
        content_disposition: Some("attachment; filename=\"feed.xml\"".into()),
        ..none()
    };
    hand.put("docs", b"feed", b"\x1f\x8b\x08no more", feed);
    hand.put("docs", b"doomed", b"not for long", none());
    hand.put("docs", b"empty", b"", none());
    let all: Vec<u8> = (0..=255).collect();
    hand.put("logs", b"\x00\xff/\xc3\xbc", &all, none());
    hand.take_snapshot("first");
    hand.put("docs", b"index.html", b"<h1>two</h1>\n", page);
    hand.delete("docs", b"doomed");
    for (k, expires_wall_ms) in [(b"brief", 1_700_003_600_000), (b"later", 4_102_444_800_000)] {
        let headers = Headers {
            expires_wall_ms: Some(expires_wall_ms),
            ..none()
        };
        hand.put("docs", k, b"until then", headers);
    }
    // Until segments have been emptied, freed and used again.
    for _ in 0..40 {
        hand.put_large("churn", b"churn", &pattern(200_000), none());
    }
    hand.delete("churn", b"churn");
    assert!(hand.store.statistics().compactions > 2);
    hand.close();
}

fn second_opening(disk: &MemoryDisk) {
    let mut hand = Hand::open(disk, 2, 100);
    let none = Headers::default;
    let film = Headers {
        content_type: Some("video/webm".into()),
        ..none()
    };
    hand.put_large("docs", b"film", &pattern(150 << 10), film);
    let put = |value: &[u8]| Change::Put {
        value: value.to_vec(),
        headers: none(),
    };
    let both: Vec<(&str, &[u8], Change)> = vec![
        ("docs", b"pair", put(b"left")),
        ("logs", b"pair", put(b"right")),
    ];
    hand.run(both);
    hand.take_snapshot("second");
    hand.put("docs", b"index.html", b"<h1>wrong</h1>\n", none());
    hand.put("docs", b"stray", b"must not be there", none());
    hand.delete("docs", b"feed");
    hand.put("logs", b"kept", b"no part of the rollback", none());
    hand.roll_back("second", Some("docs"));
    // Killed.
}

fn third_opening(disk: &MemoryDisk, end: End) {
    let mut hand = Hand::open(disk, 3, 200);
    let none = Headers::default;
    hand.delete("docs", b"pair");
    hand.put("docs", b"last", b"the last one", none());
    match end {
        End::Closed => hand.close(),
        End::Killed => {
            let unfinished = hand.upload("docs", b"unfinished", &pattern(100_000), none());
            hand.put("logs", b"last", b"before the end", none());
            drop(unfinished);
        }
    }
}

/// A disk at the end of the life.
fn lived(end: End) -> Vec<u8> {
    let disk = MemoryDisk::new(DISK_BYTES);
    first_opening(&disk);
    second_opening(&disk);
    third_opening(&disk, end);
    let mut bytes = vec![0; DISK_BYTES as usize];
    disk.peek(0, &mut bytes);
    bytes
}

/// Has made the images of version 1, and leaves alone what is there.
///
/// A golden image is never regenerated for a version of the format that has one: the release
/// that made it is what later ones are held against. A new version of the format adds a life
/// and images of its own.
#[test]
#[ignore = "makes golden images, which is done once for each version of the format"]
fn the_images_of_a_new_version_are_made_once() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (end, name) in [
        (End::Closed, "disk-1-blocks-closed.txt"),
        (End::Killed, "disk-1-blocks-killed.txt"),
    ] {
        let path = here.join(name);
        assert!(!path.exists(), "{name} is there: it stays as it is");
        let bytes = lived(end);
        let text = pack::pack(&bytes);
        assert!(pack::unpack(&text) == bytes);
        std::fs::write(&path, text).expect("written");
    }
}
