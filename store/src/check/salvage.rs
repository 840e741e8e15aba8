//! What can be told of a range that was acknowledged and is not intact any more.
//!
//! Records have checksums of their own, seeded with their place: those that are intact in a
//! damaged group are known for certain, and one whose value alone is damaged still names its
//! key. Opening leaves all of them out; whether that costs anything is told once the whole log
//! has been read.
//!
//! # Invariants
//!
//! - The work is bounded whatever the bytes are: a window, and a budget of checksummed bytes.

use super::content::{Content, Record};
use super::finding::{About, Kind};
use super::item::{Group, Item, Standing};
use super::look::Look;
use super::records::{describe, whose};
use super::verdict::Stop;
use crate::format::checksum::{Seeds, crc32c};
use crate::format::group::{self, HEADER_BYTES, Joint};
use crate::format::layout::RECORD_BYTES_MAX;
use crate::format::record;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes looked at of one damaged range: no group is as long.
const WINDOW_BYTES: u64 = 4 << 20;
/// Bytes of checksums spent on finding the next record behind a damaged one.
const RESYNC_BYTES: usize = 8 << 20;
/// Versions remembered; more are only counted.
const VERSIONS_MAX: usize = 1 << 16;

/// A key by the name of its bucket and its bytes.
type BucketAndKey = (Box<str>, Box<[u8]>);

/// What was left out.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// Versions by key: where each lies, and whether it is a deletion.
    pub(super) versions: BTreeMap<BucketAndKey, Vec<Version>>,
    count: usize,
    /// The newest list of snapshots: its sequence, and where it lies.
    pub(super) views: Option<(u64, u64)>,
    /// Where chunks lie.
    pub(super) chunks: BTreeMap<(u64, u32), u64>,
    /// How many more there were.
    pub(super) more: u64,
}

/// A version that is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) seq: u64,
    pub(super) offset: u64,
    pub(super) deletes: bool,
}

impl Salvaged {
    fn add(&mut self, offset: u64, content: &Content<'_>) {
        if let Content::Chunk { upload, number, .. } = *content {
            if self.chunks.len() < VERSIONS_MAX {
                self.chunks.insert((upload, number), offset);
            }
            return;
        }
        if let Content::Views { seq, .. } = *content {
            self.views = self.views.max(Some((seq, offset)));
        }
        let Some(About { bucket, key, seq }) = whose(content) else {
            return;
        };
        if self.count >= VERSIONS_MAX {
            self.more += 1;
            return;
        }
        let version = Version {
            seq,
            offset,
            deletes: matches!(content, Content::Tombstone { .. }),
        };
        self.count += 1;
        self.versions
            .entry((bucket, key))
            .or_default()
            .push(version);
    }
}

/// A piece of the device, and what its checksums are seeded with.
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: u64,
    pub(super) generation: u64,
    pub(super) seeds: Seeds,
}

impl<'a> Piece<'a> {
    fn intact(&self, at: usize) -> Option<record::Found<'a>> {
        let seed = self.seeds.place(self.generation, self.offset + at as u64);
        record::decode(&self.bytes[at..], seed)
    }

    /// A record that says what it is, though its checksum is wrong.
    fn plausible(&self, at: usize) -> Option<record::Found<'a>> {
        let found = record::decode_proven(&self.bytes[at..])?;
        let known = !matches!(found.record, record::Record::Unknown { .. });
        let next = at + found.len;
        let goes_on = next == self.bytes.len()
            || self.intact(next).is_some()
            || self.bytes[next..].iter().all(|byte| *byte == 0);
        (known && goes_on).then_some(found)
    }

    /// The next record that is intact.
    fn resync(&self, from: usize) -> Option<usize> {
        let end = self.bytes.len().min(from + RECORD_BYTES_MAX as usize);
        let mut budget = RESYNC_BYTES;
        for at in from..end {
            let Some(found) = record::decode_proven(&self.bytes[at..]) else {
                continue;
            };
            budget = budget.checked_sub(found.len)?;
            if self.intact(at).is_some() {
                return Some(at);
            }
        }
        None
    }
}

impl Look {
    /// Groups and records of a range in which a group is damaged.
    pub(super) async fn salvage(
        &mut self,
        seeds: Seeds,
        (from, to): (u64, u64),
        generation: u64,
    ) -> Result<(), Stop> {
        let to = to.min(from + WINDOW_BYTES);
        self.covered.push((from, to));
        let window = self.read(from, to).await?;
        let mut at = 0;
        while at < window.len() {
            let offset = from + at as u64;
            let header = group::decode(&window[at..], offset, seeds);
            let header = header.filter(|header| header.generation == generation);
            let (first, end, step) = match header {
                Some(header) => {
                    self.show(&Item::Group(&Group::of(&header, offset, Standing::Damaged)));
                    let end = (at + header.length).min(window.len());
                    (at + header.header_len, end, header.span as usize)
                }
                // Only where a group was to begin, a header that is damaged itself is looked past.
                None if at == 0 => {
                    let first = first_record(&window, (offset, generation), seeds);
                    (first, window.len(), 512)
                }
                None => (window.len(), window.len(), 512),
            };
            if first < end {
                let piece = Piece {
                    bytes: &window[first..end],
                    offset: from + first as u64,
                    generation,
                    seeds,
                };
                self.salvage_records(&piece);
            }
            at += step.max(512);
        }
        Ok(())
    }

    pub(super) fn salvage_records(&mut self, piece: &Piece<'_>) {
        let mut at = 0;
        while at < piece.bytes.len() {
            let offset = piece.offset + at as u64;
            if let Some(found) = piece.intact(at) {
                self.left_out(offset, &found, Standing::LeftOut);
                at += found.len;
            } else if let Some(found) = piece.plausible(at) {
                self.left_out(offset, &found, Standing::Damaged);
                self.find_damaged(offset, &Content::of(&found.record));
                at += found.len;
            } else if piece.bytes[at..].iter().all(|byte| *byte == 0) {
                return;
            } else {
                let next = piece.resync(at + 1);
                let meaning = "a record in a damaged group cannot be made out";
                self.find(offset, Kind::Record, None, String::from(meaning));
                let Some(next) = next else {
                    return;
                };
                at = next;
            }
        }
    }

    fn left_out(&mut self, offset: u64, found: &record::Found<'_>, standing: Standing) {
        let content = Content::of(&found.record);
        self.salvaged.add(offset, &content);
        self.show(&Item::Record(&Record {
            offset_bytes: offset,
            len_bytes: found.len as u64,
            content,
            standing,
        }));
    }

    fn find_damaged(&mut self, offset: u64, content: &Content<'_>) {
        let name = describe(content);
        let about = whose(content);
        let (kind, meaning) = match (*content, &about) {
            (
                Content::Put {
                    value, value_crc, ..
                },
                Some(about),
            ) if crc32c(0, value) != value_crc => {
                (Kind::Value, format!("the value of {about} is damaged"))
            }
            (Content::Chunk { .. }, _) => (Kind::Chunk, format!("{name} is damaged")),
            (Content::Put { .. }, _) => (
                Kind::Record,
                format!("{name} is damaged, its value is whole"),
            ),
            _ => (Kind::Record, format!("{name} is damaged")),
        };
        self.find(offset, kind, about, meaning);
    }
}

/// Where records begin in a group whose header is damaged: behind one with or without a joint.
fn first_record(window: &[u8], (offset, generation): (u64, u64), seeds: Seeds) -> usize {
    let joint = Joint {
        generation: 0,
        offset: 0,
        chain: 0,
    };
    let starts = [HEADER_BYTES, group::header_len(Some(&joint))];
    let begins = |start: &usize| {
        let seed = seeds.place(generation, offset + *start as u64);
        window
            .get(*start..)
            .is_some_and(|bytes| record::decode(bytes, seed).is_some())
    };
    starts.into_iter().find(begins).unwrap_or(window.len())
}
