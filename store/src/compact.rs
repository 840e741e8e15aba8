//! Compaction: what still counts of a segment is logged again, and it is freed.
//!
//! One segment at a time, a slice per group. Copies keep their sequence; the
//! Free record comes in a later group than the last copy.
//!
//! # Invariants
//!
//! - What is forgotten while a segment is read (put records that do not count)
//!   may drop a tombstone from the index; its record stays on the disk at least
//!   as long as this segment, because segments are freed in the order they are
//!   compacted.
//! - A segment is freed only when nothing in it counts.

use crate::disk::Moved;
use crate::draft::Draft;
use crate::fetch::{FetchError, Unreadable};
use crate::format::group::Header;
use crate::format::layout::{Layout, RESERVE_SEGMENTS};
use crate::format::record::{self, Owner, Record};
use crate::format::summary;
use crate::gather::{Contents, Copied};
use crate::name::BucketName;
use crate::scan::Scanner;
use crate::segments::{Segment, Use};
use crate::snapshots::views_bytes;
use crate::store::Store;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Poll;

/// Records copied out and not written yet, at most about this many bytes.
const AHEAD_BYTES: u64 = 128 * 1024;

/// What a record is about, as far as its place matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Version {
        bucket: BucketName,
        key: Box<[u8]>,
        seq: u64,
        is_put: bool,
    },
    Chunk {
        upload: u64,
        number: u32,
        data_len: usize,
    },
    Quota {
        bucket: BucketName,
    },
}

struct Copy {
    what: Subject,
    from: u64,
    bytes: Vec<u8>,
}

struct Victim {
    number: u32,
    generation: u64,
    extents: VecDeque<(u64, u64)>,
    scanner: Scanner,
}

/// How much compaction has to do.
pub(crate) struct Progress {
    pub(crate) dead_bytes: u64,
    pub(crate) debt_bytes: u64,
    pub(crate) left_bytes: u64,
}

/// Compaction under way.
#[derive(Default)]
pub(crate) struct Compaction {
    victim: Option<Victim>,
    copies: VecDeque<Copy>,
    copies_bytes: u64,
    in_flight: u32,
    /// Segments in which nothing counts, waiting for their Free record.
    pub(crate) freeable: Vec<u32>,
    /// Segments whose Free record is on its way.
    freeing: u32,
}

impl Compaction {
    /// Takes a segment whose Free record is being written.
    pub(crate) fn take_freeable(&mut self) -> Option<u32> {
        let number = self.freeable.pop()?;
        self.freeing += 1;
        Some(number)
    }

    /// Leaves off: what was copied is a copy, what was not is where it was.
    pub(crate) fn abandon(&mut self) {
        self.victim = None;
        self.copies.clear();
        self.copies_bytes = 0;
        self.freeable.clear();
    }

    /// A Free record is durable.
    pub(crate) fn note_freed(&mut self) {
        assert!(self.freeing > 0, "more segments freed than were to be");
        self.freeing -= 1;
    }

    /// A copy of this compaction is durable.
    pub(crate) fn note_applied(&mut self) {
        assert!(self.in_flight > 0, "more copies applied than written");
        self.in_flight -= 1;
    }

    /// Whether a segment is being emptied, or one waits to be freed.
    pub(crate) fn is_busy(&self) -> bool {
        self.victim.is_some() || self.in_flight > 0 || self.freeing > 0 || !self.freeable.is_empty()
    }
}

/// Free segments below which compaction begins before anybody has to wait.
fn low_water(layout: Layout) -> u32 {
    RESERVE_SEGMENTS + 2 + layout.segment_count / 16
}

impl Store {
    /// Reads on in the segment being emptied, or chooses one.
    pub(crate) fn advance_compaction(&mut self) -> Moved {
        if self.compaction.victim.is_none() {
            return self.choose_victim();
        }
        if self.compaction.copies_bytes >= AHEAD_BYTES {
            return Moved::No;
        }
        let Some(mut victim) = self.compaction.victim.take() else {
            return Moved::No;
        };
        let Some((at, end)) = victim.extents.front().copied() else {
            return self.finish_victim(victim);
        };
        let generation = victim.generation;
        let seeds = self.log().seeds;
        let fits = |header: &Header| header.generation == generation;
        match victim.scanner.look(&mut self.disk, seeds, at, fits) {
            Poll::Pending => {
                self.compaction.victim = Some(victim);
                Moved::No
            }
            Poll::Ready(Ok(Some(header))) => {
                let bytes = victim.scanner.bytes(at, header.length).to_vec();
                victim.extents.pop_front();
                if at + header.span < end {
                    victim.extents.push_front((at + header.span, end));
                }
                self.compaction.victim = Some(victim);
                self.sort_out(&header, &bytes, at);
                Moved::Yes
            }
            Poll::Ready(Err(FetchError::Memory)) => {
                self.compaction.victim = Some(victim);
                Moved::No
            }
            Poll::Ready(Ok(None) | Err(FetchError::Io(_))) => {
                self.damage_met(at);
                Moved::Yes
            }
        }
    }

    fn damage_met(&mut self, offset: u64) {
        self.counts.corruptions += 1;
        self.stop_writing(
            &alloc::format!("the log is damaged at offset {offset}"),
            "back up what can be read and restore it to a healthy disk",
        );
    }

    fn finish_victim(&mut self, victim: Victim) -> Moved {
        let drained = self.compaction.copies.is_empty() && self.compaction.in_flight == 0;
        if !drained {
            self.compaction.victim = Some(victim);
            return Moved::No;
        }
        if self.segments.get(victim.number).live > 0 {
            // What opening was told of it is not in its groups.
            self.damage_met(self.layout().start(victim.number));
            return Moved::Yes;
        }
        self.compaction.freeable.push(victim.number);
        self.counts.compactions += 1;
        Moved::Yes
    }

    /// Takes the records of one group that count, and forgets the others.
    fn sort_out(&mut self, header: &Header, bytes: &[u8], offset: u64) {
        let mut at = header.header_len;
        let seeds = self.log().seeds;
        while at < bytes.len() {
            let pos = offset + at as u64;
            let Some(found) = record::decode(&bytes[at..], seeds.place(header.generation, pos))
            else {
                self.damage_met(pos);
                return;
            };
            let record = &bytes[at..at + found.len];
            at += found.len;
            let Some(what) = subject(&found.record) else {
                continue;
            };
            if self.counts_at(&what, pos) {
                self.compaction.copies_bytes += record.len() as u64;
                self.compaction.copies.push_back(Copy {
                    what,
                    from: pos,
                    bytes: record.to_vec(),
                });
            } else {
                self.forget(&what);
            }
        }
    }

    /// Whether the record of `what` at `pos` is the one that counts.
    fn counts_at(&self, what: &Subject, pos: u64) -> bool {
        match what {
            Subject::Version {
                bucket, key, seq, ..
            } => self.index.is_at(bucket.as_str(), key, *seq, pos),
            Subject::Chunk { upload, number, .. } => {
                self.large.position(*upload, *number) == Some(pos)
            }
            Subject::Quota { bucket } => {
                let bucket = self.index.buckets.get(bucket);
                bucket
                    .and_then(|bucket| bucket.quota)
                    .is_some_and(|quota| quota.pos == pos)
            }
        }
    }

    fn forget(&mut self, what: &Subject) {
        if let Subject::Version {
            bucket,
            key,
            is_put: true,
            ..
        } = what
        {
            let retired = self.index.forget_put(bucket.as_str(), key);
            self.retire(&retired);
        }
    }

    /// Length of the next copy to be written; those that died meanwhile are forgotten.
    pub(crate) fn next_copy_len(&mut self) -> Option<u64> {
        loop {
            let copy = self.compaction.copies.front()?;
            if self.counts_at(&copy.what, copy.from) {
                return Some(copy.bytes.len() as u64);
            }
            let copy = self.compaction.copies.pop_front()?;
            self.compaction.copies_bytes -= copy.bytes.len() as u64;
            self.forget(&copy.what);
        }
    }

    /// Adds copies to a group: all that fit if space is short, else a share.
    pub(crate) fn fill_copies(&mut self, draft: &mut Draft, contents: &mut Contents) {
        let soft = self.layout().group_bytes_soft();
        let short = self.segments.available() <= RESERVE_SEGMENTS + 1;
        let share = if short { soft } else { soft / 2 };
        let mut taken = 0;
        while let Some(len) = self.next_copy_len() {
            if !draft.fits(len, summary::of_record(len)) || (taken > 0 && taken + len > share) {
                return;
            }
            let Some(copy) = self.compaction.copies.pop_front() else {
                return;
            };
            self.compaction.copies_bytes -= len;
            self.compaction.in_flight += 1;
            taken += len;
            let to = draft.push_copy(&copy.bytes);
            contents.copies.push(Copied {
                what: copy.what,
                from: copy.from,
                to,
                len,
            });
        }
    }

    /// The segment whose emptying gains most for its cost, if one is worth it.
    fn choose_victim(&mut self) -> Moved {
        let layout = self.layout();
        let available = self.segments.available();
        if available >= low_water(layout) || self.compaction.is_busy() {
            return Moved::No;
        }
        let short = available <= RESERVE_SEGMENTS;
        // Each segment begins with the list of snapshots: compaction does not make room of that.
        let payload = layout.payload().saturating_sub(views_bytes(self.views()));
        let gain_min = if short { payload / 32 } else { payload / 4 };
        let (head, newest) = (self.log().head, self.log().generation);
        // If space is short there are no summaries, and their room is gained, too. Else what is
        // copied gets one: what only that takes is no gain, and where there was none before, half
        // a segment must be dead so that the copies with theirs are sure to take less.
        let dead = |segment: &Segment| {
            let whole = payload.saturating_sub(segment.live);
            let written = segment.written().saturating_sub(segment.live);
            match segment.summary {
                _ if short => whole,
                0 if 2 * whole < payload => 0,
                0 => whole,
                _ => written,
            }
        };
        let candidates = self.segments.iter().filter(|(number, segment)| {
            *number != head && segment.usage == Use::Log && dead(segment) >= gain_min
        });
        let best = candidates.max_by_key(|(_, segment)| {
            let dead = dead(segment);
            // How many segments were begun since: the epoch stands above that count.
            let newer = (newest as u32).wrapping_sub(segment.generation as u32);
            let age = (u64::from(newer) + 1).min(1 << 16);
            if short {
                dead << 16
            } else {
                (dead << 12) / (payload + segment.live) * age
            }
        });
        let Some((number, segment)) = best else {
            return Moved::No;
        };
        let end = layout.footer(number);
        let victim = Victim {
            number,
            generation: segment.generation,
            extents: segment.extents.iter().copied().collect(),
            // Between groups that count there may be what a crash tore; a group is judged whole.
            scanner: Scanner::new(end, Unreadable::Zeros),
        };
        self.compaction.victim = Some(victim);
        Moved::Yes
    }

    /// How much there is to do.
    pub(crate) fn compaction_progress(&self) -> Progress {
        let layout = self.segments.layout();
        let used = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.usage == Use::Log);
        let written = used.flat_map(|(_, segment)| &segment.extents);
        let written_bytes: u64 = written.map(|(start, end)| end - start).sum();
        let missing = low_water(layout).saturating_sub(self.segments.free_count());
        let victim = self.compaction.victim.iter();
        let left = victim.flat_map(|victim| &victim.extents);
        let left_bytes: u64 = left.map(|(start, end)| end - start).sum();
        Progress {
            dead_bytes: written_bytes.saturating_sub(self.segments.live_total()),
            debt_bytes: u64::from(missing) * layout.segment_bytes,
            left_bytes: left_bytes + self.compaction.copies_bytes,
        }
    }

    /// Whether compaction could still make room for what waits.
    pub(crate) fn may_gain(&mut self) -> bool {
        self.compaction.is_busy() || !self.compaction.copies.is_empty()
    }
}

fn subject(record: &Record<'_>) -> Option<Subject> {
    let named = |bucket: &str| BucketName::stored(bucket);
    let version = |owner: Owner<'_>, is_put: bool| {
        let bucket = named(owner.bucket)?;
        Some(Subject::Version {
            bucket,
            key: owner.key.into(),
            seq: owner.seq,
            is_put,
        })
    };
    Some(match *record {
        Record::Put { owner, .. } | Record::Manifest { owner, .. } => version(owner, true)?,
        Record::Tombstone { owner } => version(owner, false)?,
        Record::Chunk {
            upload,
            number,
            data,
        } => Subject::Chunk {
            upload,
            number,
            data_len: data.len(),
        },
        Record::Quota { bucket, .. } => Subject::Quota {
            bucket: named(bucket)?,
        },
        Record::Free { .. } | Record::Views { .. } | Record::Unknown { .. } => return None,
    })
}
