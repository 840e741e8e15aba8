//! Parts of values: exact at every edge, and no chunk is read for nothing.

use super::bed::*;
use crate::block::{BlockDevice, Completion, Geometry, Request, RequestId, SubmitError};
use crate::format::layout::CHUNK_BYTES;
use crate::*;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

const DISK: u64 = 16 << 20;
const CHUNK: u64 = CHUNK_BYTES as u64;

/// A disk that notes the length of each read.
#[derive(Clone)]
struct Counting {
    disk: MemoryDisk,
    reads: Rc<RefCell<Vec<usize>>>,
}

impl BlockDevice for Counting {
    fn geometry(&self) -> Option<Geometry> {
        self.disk.geometry()
    }
    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        if let Request::Read { into, .. } = &request {
            self.reads.borrow_mut().push(into.bytes().len());
        }
        self.disk.submit(id, request)
    }
    fn poll(&mut self) -> Option<Completion> {
        self.disk.poll()
    }
}

fn part(store: &mut Store, k: &str, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
    let opened = store.open_value(At::NOW, &bucket("b"), &key(k));
    let (_, reader) = opened.expect("readable").expect("there");
    read_all(store, &mut reader.narrow(bytes))
}

#[test]
fn only_chunks_that_hold_a_byte_of_the_part_are_read() {
    let disk = Counting {
        disk: MemoryDisk::new(DISK),
        reads: Rc::default(),
    };
    let mut store = ready(disk.clone(), 1);
    let value = pattern(20 * CHUNK_BYTES + 7, 3);
    upload(&mut store, "k", &value).expect("committed");
    for (bytes, chunks) in [
        (0..0, 0),
        (5 * CHUNK..5 * CHUNK, 0),
        (0..1, 1),
        (7 * CHUNK..7 * CHUNK + 1, 1),
        (7 * CHUNK..8 * CHUNK, 1),
        (8 * CHUNK - 1..8 * CHUNK + 1, 2),
        (8 * CHUNK - 1..10 * CHUNK + 1, 4),
        (20 * CHUNK..20 * CHUNK + 7, 1),
        (20 * CHUNK - 1..20 * CHUNK + 7, 2),
        (0..20 * CHUNK + 7, 21),
    ] {
        disk.reads.borrow_mut().clear();
        let found = part(&mut store, "k", bytes.clone()).expect("intact");
        assert!(
            found == value[bytes.start as usize..bytes.end as usize],
            "{bytes:?}"
        );
        // The manifest, and each chunk in whole sectors.
        let reads = disk.reads.borrow();
        assert_eq!(reads.len(), 1 + chunks, "{bytes:?}");
        assert!(reads[0] <= 1024, "{bytes:?}");
        let longest = CHUNK_BYTES + 2 * 512;
        assert!(reads.iter().all(|len| *len <= longest), "{bytes:?}");
    }
}

#[test]
fn parts_of_values_of_any_length_are_exact() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let lens = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000];
    for len in lens {
        upload(&mut store, &alloc::format!("{len}"), &pattern(len, 5)).expect("committed");
    }
    // From the cache, and from the disk.
    for store in [&mut store, &mut ready(disk, 2)] {
        for len in lens {
            let value = pattern(len, 5);
            let mut places = vec![0, 1, len / 2, len.saturating_sub(1), len];
            let edges = [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1];
            places.extend(edges.iter().flat_map(|edge| [*edge, 2 * edge]));
            places.retain(|place| *place <= len);
            for start in &places {
                for end in places.iter().filter(|end| *end >= start) {
                    let bytes = *start as u64..*end as u64;
                    let found = part(store, &alloc::format!("{len}"), bytes);
                    assert!(found == Ok(value[*start..*end].to_vec()), "{start} {end}");
                }
            }
        }
    }
    assert_eq!(store.statistics().corruptions, 0);
}

#[test]
fn parts_of_one_value_are_read_one_after_the_other_in_any_order() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let lens = [100, 65_536, 200_000];
    for len in lens {
        upload(&mut store, &alloc::format!("{len}"), &pattern(len, 5)).expect("committed");
    }
    // From the cache, and from the disk.
    for store in [&mut store, &mut ready(disk, 2)] {
        for len in lens {
            let value = pattern(len, 5);
            let opened = store.open_value(At::NOW, &bucket("b"), &key(&alloc::format!("{len}")));
            let (_, reader) = opened.expect("readable").expect("there");
            let mut reader = reader.narrow(0..0);
            let far = len - 10..len;
            for bytes in [
                far.clone(),
                0..1,
                len / 2 - 9..len / 2 + 9,
                0..len,
                5..5,
                far,
            ] {
                reader.seek(bytes.start as u64..bytes.end as u64);
                let found = read_all(store, &mut reader);
                assert!(
                    found == Ok(value[bytes.clone()].to_vec()),
                    "{len} {bytes:?}"
                );
            }
        }
    }
    assert_eq!(store.statistics().corruptions, 0);
}

#[test]
fn damage_is_seen_by_the_parts_that_need_the_chunk_and_by_no_other() {
    let disk = MemoryDisk::new(DISK);
    let mut store = ready(disk.clone(), 1);
    let value = pattern(5 * CHUNK_BYTES, 2);
    upload(&mut store, "k", &value).expect("committed");
    let mut image = vec![0u8; DISK as usize];
    disk.peek(0, &mut image);
    let needle = &value[2 * CHUNK_BYTES + 99..][..16];
    let at = image.windows(16).position(|window| window == needle);
    disk.poke(at.expect("on the disk") as u64, &[needle[0] ^ 1]);
    for bytes in [0..2 * CHUNK, 3 * CHUNK..5 * CHUNK, 4 * CHUNK + 1..5 * CHUNK] {
        let found = part(&mut store, "k", bytes.clone()).expect("intact");
        assert!(found == value[bytes.start as usize..bytes.end as usize]);
    }
    assert_eq!(store.statistics().corruptions, 0);
    for bytes in [
        2 * CHUNK..2 * CHUNK + 1,
        0..5 * CHUNK,
        3 * CHUNK - 1..4 * CHUNK,
    ] {
        let found = part(&mut store, "k", bytes);
        assert!(matches!(found, Err(ReadError::Corrupt { .. })));
    }
    assert_eq!(store.statistics().corruptions, 3);
}
