//! A power cut at any flush: what was acknowledged before the next one is on the disk.
//!
//! The vbd is a disk of the outer machine with a volatile write cache, and every
//! write and flush that reaches it is recorded. The client notes how long the
//! record was at each acknowledgement. Cutting the power after a flush loses all
//! that came later, so the disk as of that flush must hold every key whose
//! acknowledgement came before the next flush was recorded: a store that
//! acknowledges before its flush fails here.

#![forbid(unsafe_code)]

mod log;

use log::Log;
use std::collections::BTreeMap;
use std::{env, fs};
use store::block::{Durability, Geometry};
use store::{At, BucketName, Key, MemoryDisk, Now, State, Store, Wake};
use tests::bed::Bed;
use tests::data::value;
use tests::guest::{Guest, Recipe};

const PUTS: u64 = 120;
const KEYS: u64 = 30;
const MARKS: usize = 20;

struct Acknowledged {
    key: u64,
    version: u64,
    /// Bytes of the record when the acknowledgement was read.
    log_len: u64,
}

#[test]
#[ignore = "needs a bed with a recorded disk: cargo xtask test"]
fn what_was_acknowledged_is_behind_a_flush() {
    let bed = Bed::from_environment();
    let log_path = env::var("LAMPION_BED_LOG").expect("the bed records its disk");
    let disk_path = env::var("LAMPION_BED_DISK").expect("the bed has a disk");
    let disk_len = fs::metadata(disk_path).expect("the disk is a file").len() as usize;
    let guest = Guest::serving(&bed, "powercut", &Recipe::on_disk("/disk/data"));
    let readiness = guest.request("GET", "/readyz", b"").text();
    assert!(
        readiness.contains("durability: flush"),
        "the backend offers flush: {readiness}"
    );

    let acknowledged = put_all(&guest, &log_path);
    guest.destroy();
    let log = Log::parse(fs::read(&log_path).expect("the record can be read"));
    let flushes: Vec<usize> = (0..log.entries.len())
        .filter(|index| log.entries[*index].flush)
        .collect();
    assert!(
        flushes.len() > MARKS,
        "{} flushes are recorded",
        flushes.len()
    );
    let first = flushes
        .iter()
        .position(|index| log.entries[*index].log_end >= acknowledged[0].log_len);
    let usable = &flushes[first.expect("a flush after the first acknowledgement")..];
    let mut checked = 0;
    let mut disk = vec![0; disk_len];
    let mut applied = 0;
    for mark in 0..MARKS {
        let place = mark * (usable.len() - 1) / MARKS;
        let (flush, next) = (usable[place], usable[place + 1]);
        for entry in &log.entries[applied..=flush] {
            log.apply(entry, &mut disk);
        }
        applied = flush + 1;
        checked += check(&disk, &acknowledged, log.entries[next].log_end, mark);
    }
    println!(
        "{MARKS} power cuts of {} flushes, {checked} acknowledged keys found",
        flushes.len()
    );
    assert!(checked > MARKS as u64, "there was something to check");
}

fn put_all(guest: &Guest, log_path: &str) -> Vec<Acknowledged> {
    let mut client = guest.client();
    let puts = (0..PUTS).map(|turn| {
        let (key, version) = (turn % KEYS, turn / KEYS);
        let body = value(key, version, body_len(key));
        let put = client
            .request("PUT", &format!("/kv/cut/{key}"), &body)
            .expect("an answer");
        assert!(matches!(put.status, 201 | 204), "{}", put.text());
        let log_len = fs::metadata(log_path).expect("the record is a file").len();
        Acknowledged {
            key,
            version,
            log_len,
        }
    });
    puts.collect()
}

fn body_len(key: u64) -> usize {
    if key.is_multiple_of(10) {
        100_000
    } else {
        50 + key as usize * 31
    }
}

/// Opens the store on a copy of `disk`; how many keys had to be there and were.
fn check(disk: &[u8], acknowledged: &[Acknowledged], next_flush: u64, mark: usize) -> u64 {
    let mut wanted = BTreeMap::new();
    for put in acknowledged.iter().filter(|put| put.log_len < next_flush) {
        wanted.insert(put.key, put.version);
    }
    let mut store = open(disk);
    for (key, version) in &wanted {
        let found = read(&mut store, *key);
        let newer = (*version..PUTS / KEYS)
            .any(|version| found.as_deref() == Some(&value(*key, version, body_len(*key))));
        assert!(
            newer,
            "power cut {mark}: key {key} was acknowledged as version {version} and is not there \
             ({:?} bytes found)",
            found.map(|found| found.len())
        );
    }
    wanted.len() as u64
}

const NOW: Now = Now {
    monotonic_ns: 1,
    wall_ns: 1_000_000_000_000_000_000,
};

fn open(disk: &[u8]) -> Store {
    let memory = MemoryDisk::with_geometry(Geometry {
        len_bytes: disk.len() as u64,
        sector_bytes: 512,
        physical_sector_bytes: 512,
        max_transfer_bytes: 44 * 1024,
        durability: Durability::Flush,
        discard: false,
        read_only: false,
    });
    for (index, piece) in disk.chunks(4096).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            memory.poke(index as u64 * 4096, piece);
        }
    }
    let options = store::Options {
        format: store::FormatPermission::BlankOnly,
        unit_bytes: None,
        memory_bytes: 8 << 20,
        seed: [7; 32],
        pages: Box::new(store::blob::HeapPages),
    };
    let mut store = Store::opening(Box::new(memory), options);
    while store.state() == &State::Opening {
        store.step(NOW);
    }
    assert_eq!(store.state(), &State::Ready);
    store
}

fn read(store: &mut Store, key: u64) -> Option<Vec<u8>> {
    let bucket = BucketName::new("cut").expect("a bucket's name");
    let key = Key::new(key.to_string().as_bytes()).expect("a key");
    let (_, mut reader) = store
        .open_value(At::NOW, &bucket, &key)
        .expect("the store is open")?;
    let mut bytes = Vec::new();
    loop {
        match store.read(&mut reader) {
            std::task::Poll::Pending => {
                let _: Wake = store.step(NOW);
            }
            std::task::Poll::Ready(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
            std::task::Poll::Ready(Ok(None)) => return Some(bytes),
            std::task::Poll::Ready(Err(error)) => panic!("key unreadable: {error:?}"),
        }
    }
}
