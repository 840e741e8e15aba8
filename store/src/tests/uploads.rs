//! Uploads side by side: who stands still keeps nobody out.

use super::bed::*;
use crate::format::layout::CHUNK_BYTES;
use crate::{Condition, Headers, MemoryDisk, NoSpace, Refusal, Store, Unavailable, Upload, Wake};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

const SECOND_NS: u64 = 1_000_000_000;
const BUSY: Refusal = Refusal::Unavailable(Unavailable::Busy);
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
fn bring(store: &mut Store, mut upload: Upload, mut left: usize) {
    for _ in 0..100 {
        let taken = store.upload(&mut upload, &vec![2; left]);
        left -= taken.expect("no refusal");
        if left == 0 {
            let ticket = store.commit_upload(upload).expect("accepted");
            settle(store);
            assert!(matches!(store.outcome(&ticket), Poll::Ready(Ok(_))));
            return;
        }
        settle(store);
    }
    panic!("it does not go on, {left} bytes are left");
}

fn assert_nothing_is_held(store: &mut Store) {
    settle(store);
    let numbers = store.statistics();
    assert_eq!((numbers.upload_bytes, numbers.waiting), (0, 0));
    assert_eq!(store.queue.reserved, 0);
    assert_eq!((store.uploads.wanting, store.uploads.ahead), (0, None));
}

#[test]
fn who_has_brought_nothing_takes_no_place() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let idle: Vec<Upload> = (0..500)
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
fn one_goes_ahead_where_all_memory_is_held() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let uploads = fill(&mut store);
    let limit = store.statistics().upload_limit_bytes;
    // All are on time still, and what is small is taken from whoever comes.
    for round in 0..5 {
        let upload = begin_of(&mut store, &format!("small{round}"), 4_096).expect("begun");
        bring(&mut store, upload, 4_096);
    }
    // The one that was to go ahead does not, and ends.
    let mut uploads = uploads.into_iter();
    let first = uploads.next().expect("there is one");
    drop(uploads.next_back());
    settle(&mut store);
    let left = 200_000 - (CHUNK_BYTES - 1);
    bring(&mut store, first, left);
    assert!(store.statistics().upload_bytes <= limit + 2 * CHUNK_BYTES as u64);
    assert_eq!(store.statistics().uploads_displaced, 0);
    drop(uploads);
    assert_nothing_is_held(&mut store);
}

#[test]
fn who_waits_goes_on_when_others_have_given_way_and_they_are_told_so() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut late = begin(&mut store, "late");
    let mut uploads = fill(&mut store);
    assert!(uploads.len() >= 4, "{}", uploads.len());
    // The last one goes ahead, and what is not small waits.
    assert_eq!(store.upload(&mut late, &[1; 5_000]), Ok(4_096));
    let Wake::At(Some(wake_ns)) = store.step(now(SECOND_NS)) else {
        panic!("it is known when there may be room");
    };
    assert!(wake_ns > SECOND_NS && wake_ns <= 4 * SECOND_NS, "{wake_ns}");
    store.step(now(5 * SECOND_NS));
    let gone = store.statistics().uploads_displaced as usize;
    assert!(gone >= 1);
    assert_eq!(store.upload(&mut late, &[1; 2_000]), Ok(2_000));
    let is_over = |upload: &mut Upload| store.upload(upload, b"").is_err();
    let told: Vec<Upload> = uploads.extract_if(.., is_over).collect();
    assert_eq!(told.len(), gone);
    for upload in told {
        assert_eq!(store.commit_upload(upload).map(drop), Err(BUSY));
    }
    drop((uploads, late));
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 0);
}

#[test]
fn who_waits_for_the_store_does_not_fall_behind() {
    let mut store = ready(MemoryDisk::new(64 << 20), 1);
    let mut waits = begin(&mut store, "waits");
    let uploads = fill(&mut store);
    assert_eq!(store.upload(&mut waits, &[1; 5_000]), Ok(4_096));
    for second in 1..=20 {
        store.step(now(second * SECOND_NS));
    }
    assert_eq!(store.upload(&mut waits, &[1; 2_000]), Ok(2_000));
    drop((uploads, waits));
    assert_nothing_is_held(&mut store);
}

#[test]
fn a_promised_length_holds_no_space() {
    let mut store = ready(MemoryDisk::new(8 << 20), 1);
    let promised: Vec<Upload> = (0..20)
        .map(|nth| begin_of(&mut store, &format!("promised{nth}"), WHOLE).expect("begun"))
        .collect();
    let upload = begin_of(&mut store, "comes", WHOLE).expect("there is room");
    bring(&mut store, upload, WHOLE as usize);
    drop(promised);
    assert_nothing_is_held(&mut store);
    assert_eq!(store.statistics().keys, 1);
}

#[test]
fn what_came_is_kept_space_for_until_it_stands_still() {
    let mut store = ready(MemoryDisk::new(8 << 20), 1);
    let mut held = Vec::new();
    let refused = loop {
        match begin_of(&mut store, &format!("k{}", held.len()), WHOLE) {
            Ok(mut upload) => {
                let mut left = WHOLE as usize * 2 / 3;
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
    assert!(held.len() >= 2, "{}", held.len());
    store.step(now(60 * SECOND_NS));
    let upload = begin_of(&mut store, "fresh", WHOLE).expect("somebody gives way");
    settle(&mut store);
    bring(&mut store, upload, WHOLE as usize);
    drop(held);
    assert_nothing_is_held(&mut store);
}
