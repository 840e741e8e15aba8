//! The disks of version 1: what they show, that nothing is wrong with them, and that they go on.

use super::life::{DISK_BYTES, End, Hand, bucket, pattern, snapshot};
use super::look::{Shown, assert_shown, checked};
use super::pack;
use store::{At, Headers, MemoryDisk, QuotaLimits, State};

/// As they were first written, and as since summaries have blocks.
const IMAGES: [(End, &str); 4] = [
    (End::Closed, include_str!("disk-1-closed.txt")),
    (End::Killed, include_str!("disk-1-killed.txt")),
    (End::Closed, include_str!("disk-1-blocks-closed.txt")),
    (End::Killed, include_str!("disk-1-blocks-killed.txt")),
];
const BUCKETS: [&str; 3] = ["churn", "docs", "logs"];
/// When the disks are opened, in seconds since the life began; "docs/brief" ends at 3600.
const SOON: u64 = 1000;
const AFTER_BRIEF: u64 = 3600;
/// Sequences passed over by an opening of what was not closed, the first of all among them.
const JUMP: u64 = 1 << 20;

/// Each image, and how the life that made it ended.
fn images() -> impl Iterator<Item = (End, MemoryDisk)> {
    IMAGES.into_iter().map(|(end, text)| {
        let disk = MemoryDisk::new(DISK_BYTES);
        let bytes = pack::unpack(text);
        assert_eq!(bytes.len() as u64, DISK_BYTES);
        disk.poke(0, &bytes);
        (end, disk)
    })
}

fn docs(key: &'static [u8], value: &[u8], seq: u64, modified_seconds: u64) -> Shown {
    Shown {
        bucket: "docs",
        key,
        value: value.to_vec(),
        seq,
        modified_seconds,
        headers: Headers::default(),
    }
}

fn logs(key: &'static [u8], value: &[u8], seq: u64, modified_seconds: u64) -> Shown {
    Shown {
        bucket: "logs",
        ..docs(key, value, seq, modified_seconds)
    }
}

fn page(value: &[u8], seq: u64, modified_seconds: u64) -> Shown {
    let headers = Headers {
        content_type: Some("text/html; charset=utf-8".into()),
        cache_control: Some("max-age=60".into()),
        ..Headers::default()
    };
    Shown {
        headers,
        ..docs(b"index.html", value, seq, modified_seconds)
    }
}

fn feed() -> Shown {
    let headers = Headers {
        content_type: Some("application/atom+xml".into()),
        content_encoding: Some("gzip".into()),
        content_disposition: Some("attachment; filename=\"feed.xml\"".into()),
        ..Headers::default()
    };
    Shown {
        headers,
        ..docs(b"feed", b"\x1f\x8b\x08no more", JUMP + 4, 4)
    }
}

fn film() -> Shown {
    let headers = Headers {
        content_type: Some("video/webm".into()),
        ..Headers::default()
    };
    Shown {
        headers,
        ..docs(b"film", &pattern(153_600), JUMP + 95, 101)
    }
}

fn until(key: &'static [u8], expires_wall_ms: u64, seq: u64, modified_seconds: u64) -> Shown {
    let headers = Headers {
        expires_wall_ms: Some(expires_wall_ms),
        ..Headers::default()
    };
    Shown {
        headers,
        ..docs(key, b"until then", seq, modified_seconds)
    }
}

fn bytes_of_all_kinds() -> Shown {
    let all: Vec<u8> = (0..=255).collect();
    logs(b"\x00\xff/\xc3\xbc", &all, JUMP + 7, 7)
}

/// What there is at the end of the life.
fn now(end: End) -> Vec<Shown> {
    let mut wanted = vec![
        until(b"brief", 1_700_003_600_000, JUMP + 11, 11),
        docs(b"empty", b"", JUMP + 6, 6),
        feed(),
        film(),
        page(b"<h1>two</h1>\n", JUMP + 9, 9),
        docs(b"last", b"the last one", 2 * JUMP + 105, 202),
        until(b"later", 4_102_444_800_000, JUMP + 12, 12),
        bytes_of_all_kinds(),
        logs(b"kept", b"no part of the rollback", JUMP + 102, 107),
    ];
    if end == End::Killed {
        wanted.push(logs(b"last", b"before the end", 2 * JUMP + 107, 204));
    }
    wanted.push(logs(b"pair", b"right", JUMP + 97, 102));
    wanted
}

/// What the snapshot "first" shows.
fn first() -> Vec<Shown> {
    vec![
        docs(b"doomed", b"not for long", JUMP + 5, 5),
        docs(b"empty", b"", JUMP + 6, 6),
        feed(),
        page(b"<h1>one</h1>\n", JUMP + 3, 3),
        bytes_of_all_kinds(),
    ]
}

/// What the snapshot "second" shows.
fn second() -> Vec<Shown> {
    vec![
        until(b"brief", 1_700_003_600_000, JUMP + 11, 11),
        docs(b"empty", b"", JUMP + 6, 6),
        feed(),
        film(),
        page(b"<h1>two</h1>\n", JUMP + 9, 9),
        until(b"later", 4_102_444_800_000, JUMP + 12, 12),
        docs(b"pair", b"left", JUMP + 96, 102),
        bytes_of_all_kinds(),
        logs(b"pair", b"right", JUMP + 97, 102),
    ]
}

/// What the snapshot that the rollback has taken shows.
fn before_rollback() -> Vec<Shown> {
    vec![
        until(b"brief", 1_700_003_600_000, JUMP + 11, 11),
        docs(b"empty", b"", JUMP + 6, 6),
        film(),
        docs(b"index.html", b"<h1>wrong</h1>\n", JUMP + 99, 104),
        until(b"later", 4_102_444_800_000, JUMP + 12, 12),
        docs(b"pair", b"left", JUMP + 96, 102),
        docs(b"stray", b"must not be there", JUMP + 100, 105),
        bytes_of_all_kinds(),
        logs(b"kept", b"no part of the rollback", JUMP + 102, 107),
        logs(b"pair", b"right", JUMP + 97, 102),
    ]
}

/// Snapshots: name, sequence, seconds since the life began.
const SNAPSHOTS: [(&str, u64, u64); 3] = [
    ("first", JUMP + 8, 8),
    ("second", JUMP + 98, 103),
    ("before-rollback-1048679", JUMP + 103, 108),
];

fn assert_snapshots(hand: &mut Hand) {
    let status = hand.store.snapshots().expect("readable");
    let begun_ms = 1_700_000_000_000;
    let found: Vec<(&str, u64, u64)> = status
        .iter()
        .map(|one| {
            let seconds = (one.taken_wall_ms - begun_ms) / 1000;
            (one.name.as_str(), one.seq.0, seconds)
        })
        .collect();
    assert_eq!(found, SNAPSHOTS);
    let shown = [first(), second(), before_rollback()];
    for ((name, _, _), wanted) in SNAPSHOTS.iter().zip(shown) {
        let at = hand.store.at(&snapshot(name)).expect("readable");
        assert_shown(hand, at.expect("it is there"), &BUCKETS, &wanted);
    }
}

fn assert_quotas(hand: &Hand) {
    for (name, bytes, keys) in [("docs", 1 << 20, 50), ("logs", 0, 7), ("churn", 0, 0)] {
        let (limits, _) = hand.store.quota(&bucket(name));
        assert_eq!(limits, QuotaLimits { bytes, keys }, "{name}");
    }
}

fn opened(disk: &MemoryDisk, seed: u8, seconds: u64) -> Hand {
    let hand = Hand::open(disk, seed, seconds);
    assert_eq!(*hand.store.state(), State::Ready);
    hand
}

#[test]
fn a_disk_of_version_1_shows_all_that_was_put_there() {
    for (end, disk) in images() {
        // The second opening finds what the first has made of it, and that one was killed.
        for (seed, seconds) in [(4, SOON), (5, SOON + 1)] {
            let mut hand = opened(&disk, seed, seconds);
            assert_shown(&mut hand, At::NOW, &BUCKETS, &now(end));
            assert_snapshots(&mut hand);
            assert_quotas(&hand);
            assert_eq!(
                hand.store.buckets().expect("whole"),
                [bucket("docs"), bucket("logs")]
            );
        }
        checked(&disk);
    }
}

#[test]
fn a_value_of_version_1_whose_time_is_over_is_gone() {
    for (end, disk) in images() {
        let mut hand = opened(&disk, 4, AFTER_BRIEF);
        let mut wanted = now(end);
        wanted.remove(0);
        assert_shown(&mut hand, At::NOW, &BUCKETS, &wanted);
        assert_snapshots(&mut hand);
    }
}

#[test]
fn a_look_at_a_disk_of_version_1_finds_nothing_and_every_kind_of_record() {
    for (end, disk) in images() {
        let report = checked(&disk);
        assert_eq!(report.closed, end == End::Closed);
        for (name, sum) in report.tally.by_name() {
            assert_eq!(sum.count > 0, name != "unknown", "{name}");
        }
        assert_eq!((report.rollbacks, report.snapshots.len()), (1, 3));
        assert!(report.segments.len() > 3, "{:?}", report.segments);
    }
}

#[test]
fn a_disk_of_version_1_goes_on_as_if_it_were_new() {
    for (end, disk) in images() {
        let mut hand = opened(&disk, 4, SOON);
        hand.put("docs", b"new", b"written now", Headers::default());
        hand.delete("docs", b"last");
        hand.take_snapshot("third");
        // Until every segment of the image has been emptied.
        for _ in 0..60 {
            hand.put_large("churn", b"churn", &pattern(150_000), Headers::default());
        }
        hand.delete("churn", b"churn");
        hand.roll_back("first", None);
        hand.close();
        checked(&disk);
        let mut hand = opened(&disk, 5, SOON + 500);
        assert_shown(&mut hand, At::NOW, &BUCKETS, &first());
        let third = hand.store.at(&snapshot("third")).expect("readable");
        let third = third.expect("it is there");
        let mut wanted = now(end);
        wanted.retain(|one| (one.bucket, one.key) != ("docs", b"last"));
        let seq = match end {
            End::Closed => 2 * JUMP + 106,
            End::Killed => 3 * JUMP + 108,
        };
        let new = docs(b"new", b"written now", seq, SOON + 1);
        let at = wanted.iter().position(|one| one.bucket == "logs");
        wanted.insert(at.expect("one"), new);
        assert_shown(&mut hand, third, &BUCKETS, &wanted);
        assert_quotas(&hand);
    }
}
