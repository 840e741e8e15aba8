//! Scrub: what it finds, and that it lets the others work.

use super::bed::*;
use crate::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

const DISK: u64 = 8 << 20;
const SECOND_NS: u64 = 1_000_000_000;

/// Lets it go on for as long as it takes, and a little longer.
fn finish_scrub(store: &mut Store) -> ScrubStatus {
    let mut ns = 0;
    while store.scrub_status().is_running {
        ns += SECOND_NS / 10;
        assert!(ns < 100 * SECOND_NS, "{:?}", store.scrub_status());
        while store.step(now(ns)) == Wake::Now {}
    }
    store.scrub_status()
}

fn filled(disk: &MemoryDisk) -> Store {
    let mut store = ready(disk.clone(), 1);
    for n in 0..30u64 {
        put(&mut store, &format!("k{n}"), &pattern(9_000, n)).expect("committed");
    }
    upload(&mut store, "large", &pattern(150_000, 77)).expect("committed");
    store
}

#[test]
fn a_healthy_disk_is_read_whole_and_nothing_is_found() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    assert_eq!(store.scrub_status(), ScrubStatus::default());
    store.begin_scrub().expect("begun");
    assert_eq!(
        store.begin_scrub(),
        Err(Refusal::Unavailable(Unavailable::Busy)),
        "one at a time"
    );
    let status = store.scrub_status();
    assert!(
        status.is_running && status.all_bytes > 400_000,
        "{status:?}"
    );
    // Others go on meanwhile.
    let _ = store.step(now(1));
    put(&mut store, "k1", b"meanwhile").expect("committed");
    let status = finish_scrub(&mut store);
    assert_eq!(status.checked_bytes, status.all_bytes);
    assert_eq!((status.findings, store.statistics().corruptions), (0, 0));
    assert!(status.is_complete);
    assert!(status.ended_wall_ns > status.begun_wall_ns);
    store.begin_scrub().expect("another one");
}

#[test]
fn each_damaged_place_is_found_wherever_it_is() {
    let disk = MemoryDisk::new(DISK);
    let mut store = filled(&disk);
    store.close();
    settle(&mut store);
    drop(store);
    let mut bytes = vec![0; DISK as usize];
    disk.peek(0, &mut bytes);
    // What was logged again at an opening lies there twice.
    let place = |needle: &[u8]| {
        bytes
            .windows(needle.len())
            .rposition(|found| found == needle)
    };
    let large = pattern(150_000, 77);
    let small = |n: u64| pattern(9_000, n)[4_000..4_040].to_vec();
    let needles = [
        vec![small(0)],
        vec![small(29)],
        vec![large[140_000..140_040].to_vec()],
        vec![small(3), small(10), small(17)],
    ];
    for (case, needles) in needles.iter().enumerate() {
        let mut store = ready(disk.clone(), 2 + case as u8);
        let places = needles
            .iter()
            .map(|needle| place(needle).expect("on the disk"));
        let places: Vec<u64> = places.map(|at| at as u64).collect();
        let flip = || {
            for at in &places {
                let mut byte = [0];
                disk.peek(*at, &mut byte);
                disk.poke(*at, &[byte[0] ^ 1]);
            }
        };
        flip();
        store.begin_scrub().expect("begun");
        let status = finish_scrub(&mut store);
        assert_eq!(status.findings, places.len() as u64, "{case}");
        assert_eq!(store.statistics().corruptions, status.findings);
        assert_eq!(*store.state(), State::Ready, "the others go on");
        put(&mut store, "new", b"new").expect("committed");
        flip();
        drop(store);
    }
}

#[test]
fn it_keeps_to_its_rate() {
    let disk = MemoryDisk::new(64 << 20);
    let mut store = ready(disk, 1);
    for n in 0..40u64 {
        upload(&mut store, &format!("k{n}"), &pattern(500_000, n)).expect("committed");
    }
    store.begin_scrub().expect("begun");
    let all_bytes = store.scrub_status().all_bytes;
    let mut wakes = 0;
    let mut ns = 1;
    while store.scrub_status().is_running {
        match store.step(now(ns)) {
            Wake::Now => {}
            Wake::At(Some(at_ns)) => (ns, wakes) = (at_ns.max(ns + 1), wakes + 1),
            // The disk has an answer.
            Wake::At(None) => ns += 1,
        }
    }
    // 32 MiB a second, but for what one read has ahead.
    let least_ns = (all_bytes - (1 << 20)) * SECOND_NS / (32 << 20);
    assert!(
        ns > least_ns && ns < 2 * least_ns,
        "{ns} for {all_bytes}, {wakes} wakes"
    );
}
