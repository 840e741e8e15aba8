//! What the head's groups hold, gathered while they are written: the summary of the segment.
//!
//! # Invariants
//!
//! - A summary lists every record of the groups that count, or there is none.
//! - It never becomes longer than [`Summary::len_bytes`] says while it is gathered.

use crate::format::checksum::Seeds;
use crate::format::codec::put_varint;
use crate::format::layout::UNIT_BYTES_MAX;
use crate::format::record::{self, Record};
use crate::format::summary::block::{PAD_BYTES, Reach, Shape, Widths};
use crate::format::summary::entry::{self, Base, Entry, Name};
use crate::format::summary::{self, HEAD_BYTES, Head};
use crate::recover::{Bounds, Run};
use crate::replay;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Most bytes that the list of extents takes: a segment of more is not summarised.
pub(crate) const EXTENTS_MAX: usize = 16;
/// Of one extent, and of what the numbers of entries are relative to.
const PAIR_BYTES_MAX: usize = 20;

/// What stands in front of the entries.
const LIST_BYTES_MAX: usize = PAIR_BYTES_MAX + Widths::BYTES;

/// Where an entry begins, and by what it is sorted with others.
const PLACE_BYTES: usize = size_of::<(u64, u32)>();

/// Of one segment, not sorted yet.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Where the segment begins.
    start: u64,
    /// More memory than this is not taken for it.
    memory_bytes: usize,
    /// Records of quotas, each behind its place.
    records: Vec<u8>,
    record_count: u32,
    /// The newest list of snapshots, behind its place.
    views: Vec<u8>,
    views_seq: u64,
    chunks: Vec<u8>,
    chunk_count: u32,
    /// Behind them are [`PAD_BYTES`].
    entries: Vec<u8>,
    /// Where each entry begins.
    places: Vec<u32>,
    name: Vec<u8>,
    /// Of the entries that are gathered: whatever fits any.
    shape: Shape,
    reach: Reach,
}

/// The segment holds what no summary can list, or more than there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unlisted;

impl Summary {
    /// Of a segment that begins at `start`, nothing of which is known yet.
    pub(crate) fn new(start: u64, memory_bytes: u64) -> Summary {
        Summary {
            start,
            memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            records: Vec::new(),
            record_count: 0,
            views: Vec::new(),
            views_seq: 0,
            chunks: Vec::new(),
            chunk_count: 0,
            entries: Vec::new(),
            places: Vec::new(),
            name: Vec::new(),
            shape: Shape::widest(),
            reach: Reach::new(),
        }
    }

    /// No summary of what is gathered is longer.
    pub(crate) fn len_bytes(&self) -> u64 {
        let lists = [&self.records, &self.views, &self.chunks, &self.entries];
        let lists: usize = lists.iter().map(|list| list.len()).sum();
        let lists = lists - PAD_BYTES.min(self.entries.len());
        (HEAD_BYTES + EXTENTS_MAX * PAIR_BYTES_MAX + LIST_BYTES_MAX + lists) as u64
    }

    /// Notes a record at `pos` of the device.
    pub(crate) fn note(
        &mut self,
        record: &Record<'_>,
        raw: &[u8],
        pos: u64,
    ) -> Result<(), Unlisted> {
        self.reserve(record, raw)?;
        match *record {
            Record::Put { .. } | Record::Manifest { .. } | Record::Tombstone { .. } => {
                self.note_entry(record, pos);
            }
            Record::Chunk {
                upload,
                number,
                data,
            } => {
                put_varint(&mut self.chunks, upload);
                put_varint(&mut self.chunks, u64::from(number));
                put_varint(&mut self.chunks, pos - self.start);
                put_varint(&mut self.chunks, data.len() as u64);
                self.chunk_count += 1;
            }
            Record::Quota { .. } => {
                put_varint(&mut self.records, pos - self.start);
                self.records.extend_from_slice(raw);
                self.record_count += 1;
            }
            Record::Views { seq, .. } => {
                if seq >= self.views_seq {
                    self.views_seq = seq;
                    self.views.clear();
                    put_varint(&mut self.views, pos - self.start);
                    self.views.extend_from_slice(raw);
                }
            }
            // It matters in the newest segment only, which has no summary.
            Record::Free { .. } => {}
            Record::Unknown { .. } => return Err(Unlisted),
        }
        Ok(())
    }

    /// Notes the records of a group, which begin at `pos`.
    pub(crate) fn note_all(&mut self, records: &[u8], pos: u64) -> Result<(), Unlisted> {
        let mut at = 0;
        while at < records.len() {
            let found = record::decode_proven(&records[at..]).ok_or(Unlisted)?;
            let raw = &records[at..at + found.len];
            self.note(&found.record, raw, pos + at as u64)?;
            at += found.len;
        }
        Ok(())
    }

    fn reserve(&mut self, record: &Record<'_>, raw: &[u8]) -> Result<(), Unlisted> {
        let used = self.len_bytes() as usize + self.places.len() * PLACE_BYTES;
        let numbers = summary::NUMBERS_BYTES_MAX as usize;
        let (list, more) = match record {
            Record::Put { owner, .. }
            | Record::Manifest { owner, .. }
            | Record::Tombstone { owner } => {
                let name = owner.bucket.len() + 1 + owner.key.len();
                (&mut self.entries, name + numbers + PAD_BYTES)
            }
            Record::Chunk { .. } => (&mut self.chunks, numbers),
            Record::Quota { .. } => (&mut self.records, raw.len() + numbers),
            Record::Views { .. } => (&mut self.views, raw.len() + numbers),
            Record::Free { .. } | Record::Unknown { .. } => return Ok(()),
        };
        if used + more + PLACE_BYTES > self.memory_bytes {
            return Err(Unlisted);
        }
        list.try_reserve(more).map_err(|_| Unlisted)?;
        self.places.try_reserve(1).map_err(|_| Unlisted)
    }

    fn note_entry(&mut self, record: &Record<'_>, pos: u64) {
        let Some((owner, version, upload)) = replay::version_of(record, pos) else {
            return;
        };
        entry::name_of(&mut self.name, owner.bucket, owner.key);
        let at = self.entries.len().saturating_sub(PAD_BYTES);
        self.places.push(at as u32);
        let entry = Entry { version, upload };
        self.reach.note(&entry.version);
        let by = (self.base(), &self.shape);
        self.entries.truncate(at);
        entry::put(&mut self.entries, (&self.name, 0), &entry, by);
        self.entries.extend_from_slice(&[0; PAD_BYTES]);
    }

    /// What it has gathered, as a run of the segment it is of, if that takes no more memory.
    pub(crate) fn run(&self, of: (u32, Bounds), memory_bytes: u64) -> Option<Run> {
        let list_bytes = self.entries.len() + LIST_BYTES_MAX + PAD_BYTES;
        let needed = list_bytes + self.places.len() * (PLACE_BYTES + size_of::<u32>());
        if needed as u64 > memory_bytes {
            return None;
        }
        let mut list = Vec::new();
        list.try_reserve_exact(list_bytes).ok()?;
        self.encode_entries(&mut list);
        Run::of_list(of, list, 0, self.places.len() as u32)
    }

    /// Tells each entry, in the order in which they came.
    pub(crate) fn tell(&self, mut each: impl FnMut(&Name, Entry)) {
        let mut name = Name::default();
        for place in &self.places {
            let at = (&self.entries[..], *place as usize);
            let came = name.come_to(at, self.by());
            let told = came.and_then(|_| entry::read(at, self.by()));
            each(&name, told.expect("what was put is read"));
        }
    }

    /// What the numbers of entries that are gathered are relative to.
    fn base(&self) -> Base {
        Base {
            start: self.start,
            ..Base::default()
        }
    }

    fn by(&self) -> (Base, &Shape) {
        (self.base(), &self.shape)
    }

    /// By what the entry at `place` is sorted: its name, and the newest first.
    fn order(&self, place: u32) -> (&[u8], Reverse<u64>) {
        let order = entry::order((&self.entries, place as usize), self.by());
        order.expect("what was put is read")
    }

    /// The bytes, of a segment whose groups that count lie in `extents`; `place` gives generation
    /// and offset of so many bytes.
    pub(crate) fn encode(
        self,
        mut head: Head,
        extents: &[(u64, u64)],
        place: impl Fn(u64) -> (u64, u64),
        seeds: Seeds,
    ) -> Option<Vec<u8>> {
        if extents.len() > EXTENTS_MAX {
            return None;
        }
        let mut out = summary::begin();
        let room = self.len_bytes() + u64::from(UNIT_BYTES_MAX);
        out.try_reserve_exact(room as usize).ok()?;
        let mut last = self.start;
        for (start, end) in extents {
            put_varint(&mut out, start - last);
            put_varint(&mut out, end - start);
            last = *end;
        }
        out.extend_from_slice(&self.records);
        out.extend_from_slice(&self.views);
        out.extend_from_slice(&self.chunks);
        self.encode_entries(&mut out);
        head.extents = extents.len() as u32;
        head.records = self.record_count + u32::from(!self.views.is_empty());
        head.chunks = self.chunk_count;
        head.entries = self.places.len() as u32;
        // Else it would reach into the groups: see the invariants.
        if out.len() as u64 > self.len_bytes() {
            return None;
        }
        let place = place(out.len() as u64);
        summary::seal(&mut out, &head, seeds, place);
        Some(out)
    }

    fn encode_entries(&self, out: &mut Vec<u8>) {
        let places = self.sorted();
        let base = self.reach.base(self.start);
        let widths = self.reach.widths(base);
        put_varint(out, base.seq);
        put_varint(out, base.modified_ms);
        out.extend_from_slice(&widths.bytes());
        let shape = Shape::new(widths).expect("no number takes more");
        let mut before: &[u8] = &[];
        for place in &places {
            let name = self.order(*place).0;
            let pairs = name.iter().zip(before);
            let shared = pairs.take_while(|(one, other)| one == other).count();
            let entry = self.entry(*place);
            // What was none before may take less as it is than as a block.
            match entry::is_block(&self.entries, *place as usize) {
                true => entry::put(out, (name, shared), &entry, (base, &shape)),
                false => entry::put_special(out, (shared, &name[shared..]), &entry, base),
            }
            before = name;
        }
    }

    fn entry(&self, place: u32) -> Entry {
        let entry = entry::read((&self.entries, place as usize), self.by());
        entry.expect("what was put is read")
    }

    /// The places of entries in their order; most are told apart by eight bytes of their names.
    fn sorted(&self) -> Vec<u32> {
        let name = |place: &u32| self.order(*place).0;
        let Some(first) = self.places.first().map(name) else {
            return Vec::new();
        };
        let shared = |other: &[u8]| first.iter().zip(other).take_while(|(a, b)| a == b).count();
        let common = self.places.iter().map(|place| shared(name(place))).min();
        let digits = |place: &u32| {
            let mut digits = [0; 8];
            let rest = &name(place)[common.unwrap_or(0)..];
            let len = rest.len().min(8);
            digits[..len].copy_from_slice(&rest[..len]);
            (u64::from_be_bytes(digits), *place)
        };
        let mut sorted: Vec<(u64, u32)> = self.places.iter().map(digits).collect();
        sorted.sort_unstable_by(|one, other| {
            let by_digits = one.0.cmp(&other.0);
            by_digits.then_with(|| self.order(one.1).cmp(&self.order(other.1)))
        });
        sorted.into_iter().map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::Owner;
    use crate::tests::bed::Random;
    use alloc::format;
    use alloc::string::String;

    /// Any number of at most so many bits, small ones as often as large ones.
    fn number(random: &mut Random, bits: u64) -> u64 {
        let bits = 1 + random.below(bits);
        random.below(1 << bits)
    }

    /// Keys as long as a name can be told in a byte, and a little shorter and longer; times and
    /// sequences that take few bytes alone, and more as those of a block.
    #[test]
    fn no_summary_is_longer_than_it_is_said_to_be() {
        let mut random = Random(23);
        for round in 0..60 {
            let mut summary = Summary::new(1 << 20, u64::MAX);
            let small = 4 + 2 * (round % 4);
            for at in 0..400 {
                let any = [3, 16, 250, 253, 255, 300][random.below(6) as usize];
                let key_len = if random.below(20) > 0 { 254 } else { any };
                let mut key: String = format!("{:016x}", random.below(u64::MAX));
                key.push_str(&"k".repeat(300));
                let is_usual = random.below(100) > 0;
                let bits = if is_usual { small } else { 41 };
                let owner = Owner {
                    seq: 1 + number(&mut random, small + 6),
                    bucket: "b",
                    key: &key.as_bytes()[..key_len],
                    modified_wall_ns: 1_000_000 * number(&mut random, bits),
                };
                let value = [0; 300];
                let len = if is_usual { 0 } else { 300 };
                let record = Record::Put {
                    owner,
                    metadata: &value[..len / 2],
                    value_crc: 7,
                    value: &value[..len],
                };
                let pos = (1 << 20) + 128 * at;
                summary.note(&record, &[], pos).expect("there is memory");
            }
            let said = summary.len_bytes();
            let mut out = Vec::new();
            summary.encode_entries(&mut out);
            let most = said - (HEAD_BYTES + EXTENTS_MAX * PAIR_BYTES_MAX) as u64;
            assert!(
                out.len() as u64 <= most,
                "{} bytes, and not {most}",
                out.len()
            );
        }
    }
}
