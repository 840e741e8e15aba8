//! Uploads side by side: who stands still keeps nobody out.

use super::bed::*;
use super::crash::{drive, open_on};
use super::sim_disk::*;
use crate::format::layout::CHUNK_BYTES;
use crate::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

const SECOND_NS: u64 = 1_000_000_000;
const BUSY: Refusal = Refusal::Unavailable(Unavailable::Busy);
const SLOW: Refusal = Refusal::Unavailable(Unavailable::Slow);
const DISK_BYTES: u64 = 64 << 20;
const WHOLE: u64 = 1_000_000;

fn begin_of(store: &mut Store, k: &str, len_bytes: u64) -> Result<Upload, Refusal> {
    let headers = Headers::default();
    let len_bytes = Some(len_bytes);
    store.begin_upload(bucket("b"), key(k), Condition::None, headers, len_bytes)
}

/// A value of three chunks and a part.
fn begin(store: &mut Store, k: &str) -> Upload {
    begin_of(store, k, 200_000).expect("begun")
}

/// Uploads that hold all memory there is for them, each one byte less than a chunk.
fn fill(store: &mut Store) -> Vec<Upload> {
    let mut uploads = Vec::new();
    loop {
        let mut upload = begin(store, &format!("k{}", uploads.len()));
        let taken = store.upload(&mut upload, &vec![1; CHUNK_BYTES - 1]);
        uploads.push(upload);
        let numbers = store.statistics();
        if numbers.upload_bytes >= numbers.upload_limit_bytes {
            assert!(taken.is_ok(), "{taken:?}");
            return uploads;
        }
        assert_eq!(taken, Ok(CHUNK_BYTES - 1));
    }
}

/// All of the value at once, as often as it wants to be called.
fn bring(store: &mut Store, upload: Upload, left: usize) {
    bring_in(store, upload, left, |store, _| settle(store));
}

/// The same; `pass` is called with the number of the round.
fn bring_in(
    store: &mut Store,
    mut upload: Upload,
    mut left: usize,
    mut pass: impl FnMut(&mut Store, u64),
) {
    for round in 0..100 {
        let taken = store.upload(&mut upload, &vec![2; left]);
        left -= taken.expect("no refusal");
        if left == 0 {
            let ticket = store.commit_upload(upload).expect("accepted");
            pass(store, round);
            assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
            return;
        }
        pass(store, round);
    }
    panic!("it does not go on, {left} bytes are left");
}

fn assert_nothing_is_held(store: &mut Store) {
    settle(store);
    let numbers = store.statistics();
    assert_eq!((numbers.upload_bytes, numbers.waiting), (0, 0));
    assert_eq!(store.queue.reserved, 0);
    let uploads = &store.uploads;
    assert_eq!(
        (uploads.waiting.len(), uploads.ready, uploads.ahead.len()),
        (0, 0, 0)
    );
}

/// Steps once a second; the store comes to rest each time.
fn pass(store: &mut Store, from_s: u64, end_s: u64) {
    for second in from_s..=end_s {
        let steps = (0..1_000).find(|ns| store.step(now(second * SECOND_NS + ns)) != Wake::Now);
        assert!(steps.is_some(), "the store never comes to rest");
    }
}

#[test]
fn who_has_brought_nothing_takes_no_place() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let idle: Vec<Upload> = (0..1_000)
        .map(|nth| begin_of(&mut store, &format!("idle{nth}"), 30_000).expect("begun"))
        .collect();
    for round in 0..20 {
        let upload = begin(&mut store, &format!("k{round}"));
        bring(&mut store, upload, 200_000);
    }
    assert_eq!(store.statistics().uploads_displaced, 0);
    drop(idle);
    assert_nothing_is_held(&mut store);
}

#[test]
fn some_go_ahead_where_all_room_is_held() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let uploads = fill(&mut store);
    let limit = store.statistics().upload_limit_bytes;
    // All are on time still, and what is small is taken from whoever comes.
    for round in 0..5 {
        let upload = begin_of(&mut store, &format!("small{round}"), 1_024).expect("begun");
        bring(&mut store, upload, 1_024);
    }
    for upload in uploads {
        bring(&mut store, upload, 200_000 - (CHUNK_BYTES - 1));
        assert!(store.statistics().upload_bytes <= limit + 8 * CHUNK_BYTES as u64);
    }
    assert_eq!(store.statistics().uploads_displaced, 0);
    assert_nothing_is_held(&mut store);
}

#[test]
fn fast_uploads_beside_each_other_fill_groups() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut uploads: Vec<(Upload, usize)> = (0..200)
        .map(|nth| (begin(&mut store, &format!("k{nth}")), 200_000))
        .collect();
    let groups = store.statistics().groups;
    for ns in 0..20_000 {
        for (upload, left) in &mut uploads {
            let offered = vec![3; *left];
            *left -= store.upload(upload, &offered).expect("no refusal");
        }
        let (done, rest): (Vec<_>, Vec<_>) = uploads.into_iter().partition(|(_, left)| *left == 0);
        for (upload, _) in done {
            store.commit_upload(upload).expect("accepted");
        }
        uploads = rest;
        if uploads.is_empty() {
            break;
        }
        store.step(now(ns));
    }
    assert!(uploads.is_empty(), "{} are left", uploads.len());
    let groups = store.statistics().groups - groups;
    assert!(groups <= 300, "{groups} groups for 600 whole chunks");
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 200);
}

/// The room is held, and as many have gone ahead as may.
fn crowded(store: &mut Store) -> Vec<Upload> {
    let mut uploads = fill(store);
    loop {
        let mut upload = begin(store, &format!("ahead{}", uploads.len()));
        match store.upload(&mut upload, &[1; 5_000]) {
            Ok(5_000) => uploads.push(upload),
            taken => {
                assert_eq!(taken, Ok(1_024));
                drop(upload);
                settle(store);
                return uploads;
            }
        }
    }
}

#[test]
fn who_waits_goes_on_when_others_have_given_way_and_they_are_told_so() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut late = begin(&mut store, "late");
    let mut uploads = crowded(&mut store);
    assert!(uploads.len() >= 8, "{}", uploads.len());
    assert_eq!(store.upload(&mut late, &[1; 5_000]), Ok(1_024));
    let Wake::At(Some(wake_ns)) = store.step(now(SECOND_NS)) else {
        panic!("it is known when there may be room");
    };
    assert!(wake_ns > SECOND_NS && wake_ns <= 4 * SECOND_NS, "{wake_ns}");
    assert_eq!(store.step(now(5 * SECOND_NS)), Wake::Now, "room is news");
    let gone = store.statistics().uploads_displaced as usize;
    assert!(gone >= 1);
    assert_eq!(store.upload(&mut late, &[1; 2_000]), Ok(2_000));
    let is_over = |upload: &mut Upload| store.upload(upload, b"").is_err();
    let told: Vec<Upload> = uploads.extract_if(.., is_over).collect();
    assert_eq!(told.len(), gone);
    for upload in told {
        assert_eq!(store.commit_upload(upload).map(drop), Err(SLOW));
    }
    drop((uploads, late));
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 0);
}

/// Offers all the rest of each until the store rests; those that gave way are taken out.
fn offer_all(store: &mut Store, uploads: &mut Vec<(Upload, usize)>, second: u64) {
    for ns in 0..5_000 {
        uploads.retain_mut(|(upload, left)| {
            loop {
                // As it comes in segments.
                let offered = (*left).min(1_460);
                match store.upload(upload, &vec![1; offered]) {
                    Ok(taken) if taken == offered && taken > 0 => *left -= taken,
                    Ok(taken) => {
                        *left -= taken;
                        return true;
                    }
                    refused => {
                        assert_eq!(refused, Err(SLOW));
                        return false;
                    }
                }
            }
        });
        if store.step(now(second * SECOND_NS + ns)) != Wake::Now {
            return;
        }
    }
    panic!("the store never comes to rest");
}

#[test]
fn a_crowd_that_brings_a_little_at_once_and_stops_keeps_nobody_out() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut uploads: Vec<(Upload, usize)> = (0..1_000)
        .map(|nth| (begin(&mut store, &format!("slow{nth}")), 5_000))
        .collect();
    offer_all(&mut store, &mut uploads, 1);
    let small = begin_of(&mut store, "small", 3).expect("there is a place");
    bring_in(&mut store, small, 3, |store, _| pass(store, 1, 1));
    // The last in each round, behind all of the crowd.
    uploads.push((begin(&mut store, "large"), 200_000));
    let seconds = (2..60).find(|second| {
        offer_all(&mut store, &mut uploads, *second);
        uploads.last().expect("it is there").1 == 0
    });
    assert!(seconds.is_some_and(|seconds| seconds < 15), "{seconds:?}");
    let (large, _) = uploads.pop().expect("it is there");
    store.commit_upload(large).expect("accepted");
    drop(uploads);
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 2);
}

#[test]
fn who_waits_for_the_store_does_not_fall_behind() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut waits = begin(&mut store, "waits");
    let uploads = crowded(&mut store);
    assert_eq!(store.upload(&mut waits, &[1; 5_000]), Ok(1_024));
    pass(&mut store, 1, 20);
    let mut left = 2_000;
    left -= store
        .upload(&mut waits, &vec![1; left])
        .expect("it is on time");
    assert_eq!(left, 0);
    drop((uploads, waits));
    assert_nothing_is_held(&mut store);
}

#[test]
fn what_is_whole_and_what_a_job_brings_never_gives_way() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut whole = begin_of(&mut store, "whole", 50_000).expect("begun");
    assert_eq!(store.upload(&mut whole, &[1; 50_000]), Ok(50_000));
    let mut kept = begin(&mut store, "kept");
    store.keep_upload(&kept);
    assert_eq!(store.upload(&mut kept, &[1; 50_000]), Ok(50_000));
    let uploads = crowded(&mut store);
    let mut late = begin(&mut store, "late");
    assert_eq!(store.upload(&mut late, &[1; 100_000]), Ok(1_024));
    for second in 1..=60 {
        store.upload(&mut late, &[1; 2_000]).expect("it is on time");
        pass(&mut store, second, second);
    }
    assert!(store.statistics().uploads_displaced > 0);
    bring(&mut store, kept, 150_000);
    bring(&mut store, whole, 0);
    drop((uploads, late));
    assert_nothing_is_held(&mut store);
}

#[test]
fn a_store_that_stops_to_write_ends_them_and_rests() {
    let disk = SimDisk::new(Image::default(), DISK_BYTES, 1);
    let mut store = open_on(&disk, 1);
    let mut uploads = crowded(&mut store);
    let mut late = begin(&mut store, "late");
    assert_eq!(store.upload(&mut late, &[1; 5_000]), Ok(1_024));
    let mut earned = begin(&mut store, "earned");
    store.keep_upload(&earned);
    assert_eq!(store.upload(&mut earned, &[1; 100_000]), Ok(CHUNK_BYTES));
    assert!(store.queue.reserved > 0);
    let flushes = disk.0.borrow().flushes;
    disk.0.borrow_mut().fail_flush_at = Some(flushes + 1);
    drive(&mut store, &disk);
    assert!(matches!(store.state(), State::ReadOnly(_)));
    assert!(matches!(store.step(now(90 * SECOND_NS)), Wake::At(_)));
    assert_nothing_is_held(&mut store);
    uploads.extend([late, earned]);
    for mut upload in uploads {
        let refusal = store.upload(&mut upload, b"more");
        assert!(
            matches!(refusal, Err(Refusal::Unavailable(Unavailable::ReadOnly(_)))),
            "{refusal:?}"
        );
        assert!(store.commit_upload(upload).is_err());
    }
}

#[test]
fn a_promised_length_holds_no_space() {
    let mut store = ready(MemoryDisk::new(8 << 20), 1);
    let promised: Vec<Upload> = (0..200)
        .map(|nth| begin_of(&mut store, &format!("promised{nth}"), WHOLE).expect("begun"))
        .collect();
    assert_eq!(store.queue.reserved, 0);
    let upload = begin_of(&mut store, "comes", WHOLE).expect("there is room");
    bring(&mut store, upload, WHOLE as usize);
    drop(promised);
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 1);
}

#[test]
fn space_is_kept_for_what_has_come_so_that_it_can_end() {
    let mut store = ready(MemoryDisk::new(8 << 20), 1);
    let mut held = Vec::new();
    let refused = loop {
        match begin_of(&mut store, &format!("k{}", held.len()), WHOLE) {
            Ok(mut upload) => {
                let mut left = WHOLE as usize / 3;
                while left > 0 {
                    left -= store.upload(&mut upload, &vec![1; left]).expect("reserved");
                    settle(&mut store);
                }
                held.push(upload);
            }
            Err(refusal) => break refusal,
        }
    };
    assert!(
        matches!(refused, Refusal::NoSpace(NoSpace::Disk { .. })),
        "{refused:?}"
    );
    let count = held.len() as u64;
    assert!(count >= 2, "{count}");
    for upload in held {
        bring(&mut store, upload, WHOLE as usize - WHOLE as usize / 3);
    }
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, count);
}

#[test]
fn what_is_on_its_way_to_the_disk_is_counted_in_what_is_reserved() {
    let disk = SimDisk::new(Image::default(), DISK_BYTES, 1);
    let mut store = open_on(&disk, 1);
    let headers = Headers::default();
    let upload = store.begin_upload(bucket("b"), key("k"), Condition::None, headers, None);
    let mut upload = upload.expect("begun");
    let a_chunk = [1; CHUNK_BYTES];
    for chunks in 1..=2 {
        assert_eq!(store.upload(&mut upload, &a_chunk), Ok(CHUNK_BYTES));
        assert_eq!(store.upload(&mut upload, &[]), Ok(0));
        store.step(now(chunks));
    }
    assert_eq!(store.upload(&mut upload, &[1]), Ok(1));
    assert!(
        store.queue.reserved >= 2 * CHUNK_BYTES as u64,
        "{}",
        store.queue.reserved
    );
    drop(upload);
    drive(&mut store, &disk);
    assert_nothing_is_held(&mut store);
}

#[test]
fn who_is_behind_gives_way_for_a_place_and_for_nothing_that_is_refused() {
    let mut options = options(1);
    options.memory_bytes = 1 << 20;
    let mut store = opened(MemoryDisk::new(64 << 20), options);
    let idle: Vec<Upload> = (0..256)
        .map(|nth| begin(&mut store, &format!("idle{nth}")))
        .collect();
    assert_eq!(begin_of(&mut store, "one more", 3).map(drop), Err(BUSY));
    // Somebody wants a place: the store says when there may be one, and then that there is.
    let Wake::At(Some(wake_ns)) = store.step(now(SECOND_NS)) else {
        panic!("it is known when there may be a place");
    };
    assert!(wake_ns > SECOND_NS && wake_ns < 3 * SECOND_NS, "{wake_ns}");
    assert_eq!(store.step(now(wake_ns)), Wake::Now);
    let another = begin_of(&mut store, "another", 3).expect("there is a place");
    assert_eq!(store.statistics().uploads_displaced, 1);
    let headers = Headers::default();
    let refused = store.begin_upload(bucket("b"), key("k"), Condition::Exists, headers, None);
    assert!(matches!(refused, Err(Refusal::Condition { .. })));
    assert_eq!(store.statistics().uploads_displaced, 1);
    drop((idle, another));
    assert_nothing_is_held(&mut store);
}

/// All of each is offered in each round, to the same ones first: nobody is left behind.
#[test]
fn who_waits_has_a_turn_beside_those_that_never_end() {
    let mut options = options(1);
    options.memory_bytes = 8 << 20;
    let mut store = opened(MemoryDisk::new(64 << 20), options);
    let mut uploads: Vec<(Upload, usize)> = (0..20)
        .map(|nth| {
            (
                begin_of(&mut store, &format!("k{nth}"), WHOLE).expect("begun"),
                0,
            )
        })
        .collect();
    for round in 0..50 {
        for (upload, taken) in &mut uploads {
            *taken += store.upload(upload, &[1; 200_000]).expect("no refusal");
        }
        store.step(now(round));
    }
    let taken: Vec<usize> = uploads.iter().map(|(_, taken)| *taken).collect();
    let least = taken.iter().min().expect("there are some");
    assert!(*least >= 3 * CHUNK_BYTES, "{taken:?}");
    drop(uploads);
    assert_nothing_is_held(&mut store);
}

#[test]
fn a_value_that_is_whole_is_written_before_all_others_but_one() {
    let disk = SimDisk::new(Image::default(), DISK_BYTES, 1);
    let mut store = open_on(&disk, 1);
    let mut uploads: Vec<Upload> = (0..8)
        .map(|nth| begin_of(&mut store, &format!("k{nth}"), WHOLE).expect("begun"))
        .collect();
    let mut last = begin_of(&mut store, "last", CHUNK_BYTES as u64 + 1).expect("begun");
    for upload in &mut uploads {
        let taken = store.upload(upload, &[1; CHUNK_BYTES + 1]);
        assert_eq!(taken, Ok(CHUNK_BYTES + 1));
    }
    assert_eq!(
        store.upload(&mut last, &[1; CHUNK_BYTES + 1]),
        Ok(CHUNK_BYTES + 1)
    );
    let id = last.id;
    store.commit_upload(last).expect("accepted");
    let order: Vec<u64> = store.uploads.in_order().map(|(id, _)| id).collect();
    assert_eq!(
        order.iter().position(|other| *other == id),
        Some(1),
        "{order:?}"
    );
    assert_eq!(order.len(), 9);
    drive(&mut store, &disk);
    drop(uploads);
    assert_nothing_is_held(&mut store);
}

#[test]
fn values_that_end_all_the_time_keep_no_long_one_back() {
    let disk = SimDisk::new(Image::default(), DISK_BYTES, 1);
    let mut store = open_on(&disk, 1);
    let mut long = begin_of(&mut store, "long", WHOLE).expect("begun");
    let mut taken = 0;
    let mut clients: Vec<Option<Ticket>> = (0..12).map(|_| None).collect();
    let len_bytes = CHUNK_BYTES + 1;
    for round in 0..500 {
        taken += store.upload(&mut long, &[1; 200_000]).expect("no refusal");
        for (nth, client) in clients.iter_mut().enumerate() {
            client.take_if(|ticket| store.outcome(ticket).is_ready());
            if client.is_none() {
                let name = format!("{round}-{nth}");
                let mut short = begin_of(&mut store, &name, len_bytes as u64).expect("begun");
                assert_eq!(store.upload(&mut short, &vec![1; len_bytes]), Ok(len_bytes));
                *client = Some(store.commit_upload(short).expect("accepted"));
            }
        }
        store.step(now(round));
        disk.tick();
    }
    assert!(taken >= 10 * CHUNK_BYTES, "{taken}");
    drop(long);
    drive(&mut store, &disk);
    assert_nothing_is_held(&mut store);
}
