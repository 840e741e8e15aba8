//! A small disk that is in order, and where on it there is anything to change.
//!
//! Source: `docs/data-layout.md`.

use super::{Written, bucket, open, put, settle, submit};
use std::sync::OnceLock;
use store::{Change, Condition, Headers, Key, MemoryDisk, Refusal, Store};

/// Bytes that a spot has at most.
pub(super) const SPOT_BYTES_MAX: usize = 512;

const DISK_BYTES: u64 = 8 << 20;
const SEGMENTS_AT: u64 = 2 << 20;
/// Of a disk of this size.
pub(super) const SEGMENT_BYTES: u64 = 256 << 10;
/// What the log uses of it.
const SEGMENTS: u64 = 2;
const SUPERBLOCK_BYTES: usize = 4096;
const SUPERBLOCK_B_AT: u64 = 1 << 20;
const UNIT_BYTES: u64 = 512;
/// No group and no summary reaches into the last bytes of a segment.
const LAST_BYTES: u64 = 4096;
const BLANK_BYTES: usize = 4096;

/// A piece of the disk that means something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Superblock,
    SegmentHeader { number: u32 },
    Footer { number: u32 },
    Summary { generation: u64, len: usize },
    Group { generation: u64 },
    Record { generation: u64, len: usize },
}

/// The disk's bytes, by where they lie.
#[derive(Clone)]
pub(super) struct Image {
    extents: Vec<(u64, Vec<u8>)>,
    pieces: Vec<(u64, Piece)>,
    written: &'static Written,
}

/// A disk whose guest was killed after its second start.
pub(super) fn killed() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make(End::Killed))
}

/// The same, closed cleanly.
pub(super) fn closed() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make(End::Closed))
}

/// A disk with the keys `a` and `b`, closed cleanly after its first start: quick to open.
pub(super) fn small() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| make(End::First))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Killed,
    Closed,
}

fn make(end: End) -> Image {
    let disk = MemoryDisk::new(DISK_BYTES);
    let mut written = Written::new();
    first_life(&disk, &mut written);
    if end != End::First {
        second_life(&disk, &mut written, end);
    }
    let mut extents = Vec::new();
    for (at, len) in [
        (0, SUPERBLOCK_BYTES as u64),
        (SUPERBLOCK_B_AT, SUPERBLOCK_BYTES as u64),
        (SEGMENTS_AT, SEGMENTS * SEGMENT_BYTES),
    ] {
        let mut bytes = vec![0; len as usize];
        disk.peek(at, &mut bytes);
        extents.push((at, bytes));
    }
    let mut image = Image {
        extents,
        pieces: vec![(0, Piece::Superblock), (SUPERBLOCK_B_AT, Piece::Superblock)],
        written: Box::leak(Box::new(written)),
    };
    for number in 0..SEGMENTS {
        image.find(number);
    }
    image
}

fn note<'a>(written: &mut Written, key: &str, value: &'a [u8]) -> &'a [u8] {
    let values = written.entry(key.as_bytes().to_vec()).or_default();
    values.push(value.to_vec());
    value
}

fn first_life(disk: &MemoryDisk, written: &mut Written) {
    let mut store = open(disk, 1);
    for (key, value) in [("a", "1"), ("b", "22"), ("a", "333"), ("gone", "4")] {
        let value = note(written, key, value.as_bytes());
        put(&mut store, key.as_bytes(), value).expect("room");
    }
    store.close();
    settle(&mut store);
}

/// Fills the first segment, so that there is a second one.
fn second_life(disk: &MemoryDisk, written: &mut Written, end: End) {
    let mut store = open(disk, 1);
    submit(&mut store, b"gone", Change::Delete).expect("it is there");
    let large = vec![5; 140_000];
    upload(&mut store, b"large", note(written, "large", &large)).expect("room");
    for round in 0..3 {
        let value = vec![round; 50_000];
        put(&mut store, b"wide", note(written, "wide", &value)).expect("room");
    }
    put(&mut store, b"b", note(written, "b", b"last")).expect("room");
    if end == End::Closed {
        store.close();
        settle(&mut store);
    }
}

fn upload(store: &mut Store, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
    let key = Key::new(key).expect("a key");
    let len = Some(value.len() as u64);
    let mut upload = store.begin_upload(bucket(), key, Condition::None, Headers::default(), len)?;
    let mut at = 0;
    while at < value.len() {
        at += store.upload(&mut upload, &value[at..])?;
        settle(store);
    }
    store.commit_upload(upload)?;
    settle(store);
    Ok(())
}

impl Image {
    pub(super) fn written(&self) -> &'static Written {
        self.written
    }

    /// A disk with these bytes.
    pub(super) fn disk(&self) -> MemoryDisk {
        let disk = MemoryDisk::new(DISK_BYTES);
        for (at, bytes) in &self.extents {
            // What is blank is blank there already.
            for (index, piece) in (0_u64..).zip(bytes.chunks(BLANK_BYTES)) {
                if piece.iter().any(|byte| *byte != 0) {
                    disk.poke(at + index * BLANK_BYTES as u64, piece);
                }
            }
        }
        disk
    }

    /// All that means something, in the order of the log.
    pub(super) fn pieces(&self) -> Vec<(u64, Piece)> {
        self.pieces.clone()
    }

    /// A place of the disk: near the beginning of a piece.
    pub(super) fn spot(&self, piece: u8, offset: u8) -> u64 {
        let (at, _) = self.pieces[usize::from(piece) % self.pieces.len()];
        at + u64::from(offset)
    }

    fn extent(&self, at: u64) -> Option<(usize, usize)> {
        let inside =
            |(begin, bytes): &(u64, Vec<u8>)| (*begin..*begin + bytes.len() as u64).contains(&at);
        let index = self.extents.iter().position(inside)?;
        Some((index, (at - self.extents[index].0) as usize))
    }

    /// Bytes from there on; fewer at the end of what is used.
    pub(super) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let Some((index, from)) = self.extent(at) else {
            return Vec::new();
        };
        let bytes = &self.extents[index].1[from..];
        bytes[..len.min(bytes.len())].to_vec()
    }

    /// Overwrites bytes; what is beyond what is used stays as it is.
    pub(super) fn write(&mut self, at: u64, from: &[u8]) {
        let Some((index, begin)) = self.extent(at) else {
            return;
        };
        for (byte, new) in self.extents[index].1[begin..].iter_mut().zip(from) {
            *byte = *new;
        }
    }

    pub(super) fn u32(&self, at: u64) -> u32 {
        self.read(at, 4).try_into().map_or(0, u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: u64) -> u64 {
        self.read(at, 8).try_into().map_or(0, u64::from_le_bytes)
    }

    /// Finds the pieces of a segment.
    fn find(&mut self, number: u64) {
        let at = SEGMENTS_AT + number * SEGMENT_BYTES;
        if self.read(at + 8, 8) != b"LAMPSEG\0" {
            return;
        }
        let number = number as u32;
        self.pieces.push((at, Piece::SegmentHeader { number }));
        let generation = self.u64(at + 24);
        let mut group = at + u64::from(self.u32(at + 64));
        while self.read(group + 8, 4) == b"LGRP" && self.u64(group + 40) == generation {
            self.pieces.push((group, Piece::Group { generation }));
            self.find_records(group, generation);
            group += u64::from(self.u32(group + 24));
        }
        let footer = at + SEGMENT_BYTES - UNIT_BYTES;
        if self.read(footer, 8) == b"LAMPEND\0" {
            self.pieces.push((footer, Piece::Footer { number }));
            let (len, span) = (self.u32(footer + 40) as usize, self.u32(footer + 44));
            if len > 0 {
                let summary = Piece::Summary { generation, len };
                let end = at + SEGMENT_BYTES - LAST_BYTES;
                self.pieces.push((end - u64::from(span), summary));
            }
        }
    }

    fn find_records(&mut self, group: u64, generation: u64) {
        let header = u64::from(self.u32(group + 16) & 0xffff);
        let mut at = group + header;
        for _ in 0..self.u32(group + 28) {
            let (body, varint) = self.varint(at + 1);
            let len = 1 + varint + body as usize + 4;
            self.pieces.push((at, Piece::Record { generation, len }));
            at += len as u64;
        }
    }

    /// A number of the LEB128 kind and its length.
    fn varint(&self, at: u64) -> (u64, usize) {
        let mut number = 0;
        for (index, byte) in self.read(at, 9).iter().enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return (number, index + 1);
            }
        }
        (number, 9)
    }
}
