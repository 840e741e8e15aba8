//! Flight records: what a guest that crashed could still write, shown until it is acknowledged.
//!
//! The area has room for four. The first three are kept, for the first crash often is the cause
//! of the others; the fourth is the newest one. A record is written by whoever dies, past the
//! store and without it, so nothing here is needed for that but a [`Slot`].
//!
//! Layout: `docs/data-layout.md`, "Flight records".

use crate::disk::{Disk, Moved};
use crate::draft::Writes;
use crate::fetch::{Fetch, Unreadable};
use crate::format::checksum::{Seeds, crc32c};
use crate::format::codec::Cursor;
use crate::format::layout::{FLIGHT, SUPERBLOCK_OFFSETS, UNIT_BYTES_MAX};
use crate::format::superblock::Superblock;
use crate::guard;
use crate::request::Refusal;
use crate::shutdown::RESTART;
use crate::store::Store;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::task::Poll;

/// A record with its header.
pub const RECORD_BYTES: usize = 16 * 1024;
/// Its header; text follows.
pub const HEADER_BYTES: usize = 64;
/// How many there is room for.
const RECORDS: usize = ((FLIGHT.end - FLIGHT.start) / RECORD_BYTES as u64) as usize;
const MAGIC: [u8; 8] = *b"LAMPFLGT";

/// What one guest left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Counts those that were not acknowledged when it was written, from 1.
    pub number: u64,
    /// When, in ns since 1970, as far as that guest knew.
    pub wall_ns: u64,
    /// How long the guest had run, in ns.
    pub uptime_ns: u64,
    /// Its last words and what came before them, in lines.
    pub text: String,
}

/// Where the next record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where on the device, in units of 512 bytes.
    pub sector: u64,
    number: u64,
    seed: u32,
}

impl Slot {
    /// Which crash it will be.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Makes a record of `record`, whose text stands behind the header already: `text_len` bytes
    /// that are written by [`RECORD_BYTES`] whole.
    pub fn seal(
        &self,
        record: &mut [u8; RECORD_BYTES],
        text_len: usize,
        (wall_ns, uptime_ns): (u64, u64),
    ) {
        let text_len = text_len.min(RECORD_BYTES - HEADER_BYTES);
        record[HEADER_BYTES + text_len..].fill(0);
        record[..HEADER_BYTES].fill(0);
        record[..8].copy_from_slice(&MAGIC);
        record[12..16].copy_from_slice(&(text_len as u32).to_le_bytes());
        record[16..24].copy_from_slice(&self.number.to_le_bytes());
        record[24..32].copy_from_slice(&wall_ns.to_le_bytes());
        record[32..40].copy_from_slice(&uptime_ns.to_le_bytes());
        let crc = crc32c(self.seed, &record[12..HEADER_BYTES + text_len]);
        record[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The records of a store, and what becomes of them.
#[derive(Default)]
pub(crate) struct Flight {
    seeds: Option<Seeds>,
    /// By their places.
    records: [Option<Crash>; RECORDS],
    next: Option<Slot>,
    /// They are being erased.
    erasing: Option<Writes>,
}

impl Flight {
    /// What is in the area.
    fn read(seeds: Seeds, area: &[u8]) -> Flight {
        let mut flight = Flight {
            seeds: Some(seeds),
            ..Flight::default()
        };
        for (place, bytes) in area.chunks_exact(RECORD_BYTES).take(RECORDS).enumerate() {
            flight.records[place] = decode(bytes, seed(seeds, place));
        }
        flight.next = flight.slot();
        flight
    }

    fn crashes(&self) -> Vec<&Crash> {
        let mut crashes: Vec<&Crash> = self.records.iter().flatten().collect();
        crashes.sort_by_key(|crash| crash.number);
        crashes
    }

    fn slot(&self) -> Option<Slot> {
        let number = |crash: &Option<Crash>| crash.as_ref().map_or(0, |crash| crash.number);
        let newest = self.records.iter().map(number).max().unwrap_or(0);
        let free = self.records.iter().position(Option::is_none);
        // The newest of four makes room.
        let place = free.or_else(|| {
            self.records
                .iter()
                .position(|crash| number(crash) == newest)
        })?;
        Some(Slot {
            sector: offset(place) / 512,
            number: newest.saturating_add(1),
            seed: seed(self.seeds?, place),
        })
    }
}

fn offset(place: usize) -> u64 {
    FLIGHT.start + (place * RECORD_BYTES) as u64
}

fn seed(seeds: Seeds, place: usize) -> u32 {
    seeds.place(u64::MAX - 1, offset(place))
}

fn decode(bytes: &[u8], seed: u32) -> Option<Crash> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array::<8>()? != MAGIC {
        return None;
    }
    let (crc, text_len) = (cursor.u32()?, cursor.u32()? as usize);
    let (number, wall_ns, uptime_ns) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
    let end = HEADER_BYTES.checked_add(text_len)?;
    let sealed = bytes.get(12..end)?;
    let is_intact = crc32c(seed, sealed) == crc;
    is_intact.then(|| Crash {
        number,
        wall_ns,
        uptime_ns,
        text: String::from_utf8_lossy(&bytes[HEADER_BYTES..end]).into_owned(),
    })
}

/// The records on a disk, of which `read` reads what lies at an offset; `None` if neither
/// superblock is a store's. For tools that look at an image.
///
/// # Errors
/// What `read` says of the area. A superblock that cannot be read is one that is none.
pub fn find<E>(
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Option<Vec<Crash>>, E> {
    let mut copy = |offset_bytes| {
        let mut bytes = vec![0; UNIT_BYTES_MAX as usize];
        let is_read = read(offset_bytes, &mut bytes).is_ok();
        Superblock::decode(if is_read { &bytes } else { &[] })
    };
    let found = SUPERBLOCK_OFFSETS.map(&mut copy);
    let Some(superblock) = guard::newest(&found) else {
        return Ok(None);
    };
    let mut area = vec![0; (FLIGHT.end - FLIGHT.start) as usize];
    read(FLIGHT.start, &mut area)?;
    let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
    let flight = Flight::read(seeds, &area);
    Ok(Some(flight.crashes().into_iter().cloned().collect()))
}

/// The area as it is read when a store is opened.
pub(crate) struct Reading(Fetch, Seeds);

impl Reading {
    /// Begins; without memory there is nothing to be read.
    pub(crate) fn begin(disk: &mut Disk, superblock: &Superblock) -> Option<Reading> {
        let range = (FLIGHT.start, (FLIGHT.end - FLIGHT.start) as usize);
        let fetch = Fetch::begin(disk, range, Unreadable::Fails, None).ok()?;
        let seeds = Seeds::new(&superblock.store_id, superblock.checksum_seed);
        Some(Reading(fetch, seeds))
    }

    /// What is there. An area that cannot be read is no reason not to open the store.
    pub(crate) fn poll(&mut self, disk: &mut Disk) -> Poll<Flight> {
        self.0.poll(disk).map(|read| match read {
            Ok(run) => Flight::read(self.1, run.bytes()),
            Err(_) => {
                log::warn!("store: the room for flight records cannot be read: none is shown");
                Flight::default()
            }
        })
    }
}

impl Store {
    /// Where a guest that crashes may write its record; `None` as long as it is not known whose
    /// disk it is, or whether that may be written.
    pub fn flight_slot(&self) -> Option<Slot> {
        let is_ours = self.disk.away_since_ns().is_none() && self.flight.erasing.is_none();
        let geometry = self.disk.known_geometry()?;
        self.flight.next.filter(|_| is_ours && !geometry.read_only)
    }

    /// Crashes that nobody has acknowledged, the oldest first.
    pub fn crashes(&self) -> Vec<&Crash> {
        self.flight.crashes()
    }

    /// They are known now: their records are erased. Until that is durable they are shown.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn acknowledge_crashes(&mut self) -> Result<(), Refusal> {
        self.changeable()?;
        if self.flight.erasing.is_none() && self.flight.records.iter().any(Option::is_some) {
            let unit = self.layout().working_unit as usize;
            let there = self.flight.records.iter().enumerate();
            let there = there.filter(|(_, crash)| crash.is_some());
            let ranges = there.map(|(place, _)| (offset(place), vec![0; unit]));
            self.flight.erasing = Some(Writes::new(ranges.collect()));
        }
        Ok(())
    }

    pub(crate) fn advance_flight(&mut self) -> Moved {
        let Some(writes) = &mut self.flight.erasing else {
            return Moved::No;
        };
        match writes.step(&mut self.disk) {
            Poll::Pending => return Moved::No,
            Poll::Ready(Ok(())) => {
                self.flight.records = Default::default();
                self.flight.next = self.flight.slot();
            }
            Poll::Ready(Err(_)) => {
                self.stop_writing("the disk failed to erase the flight records", RESTART);
            }
        }
        self.flight.erasing = None;
        Moved::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area() -> Vec<u8> {
        vec![0; RECORDS * RECORD_BYTES]
    }

    fn write(area: &mut [u8], slot: Slot, text: &str) {
        let mut record = [0xee; RECORD_BYTES];
        record[HEADER_BYTES..HEADER_BYTES + text.len()].copy_from_slice(text.as_bytes());
        slot.seal(&mut record, text.len(), (7, 8));
        let at = (slot.sector * 512 - FLIGHT.start) as usize;
        area[at..at + RECORD_BYTES].copy_from_slice(&record);
    }

    #[test]
    fn the_first_three_and_the_newest_are_kept() {
        let (seeds, mut area) = (Seeds::new(&[7; 16], 1), area());
        for number in 1..=9 {
            let slot = Flight::read(seeds, &area).slot().expect("a place");
            assert_eq!(slot.number(), number);
            write(&mut area, slot, &alloc::format!("PANIC {number}"));
        }
        let flight = Flight::read(seeds, &area);
        let numbers: Vec<u64> = flight.crashes().iter().map(|crash| crash.number).collect();
        assert_eq!(numbers, [1, 2, 3, 9]);
        let last = flight.crashes()[3];
        assert_eq!(
            (last.text.as_str(), last.wall_ns, last.uptime_ns),
            ("PANIC 9", 7, 8)
        );
    }

    #[test]
    fn what_another_store_left_or_rot_has_touched_is_none() {
        let (seeds, mut area) = (Seeds::new(&[7; 16], 1), area());
        let slot = Flight::read(seeds, &area).slot().expect("a place");
        write(&mut area, slot, "PANIC at src/a.rs:1:1");
        assert_eq!(Flight::read(seeds, &area).crashes().len(), 1);
        assert_eq!(
            Flight::read(Seeds::new(&[8; 16], 1), &area).crashes().len(),
            0
        );
        for bit in 0..(HEADER_BYTES + 21) * 8 {
            area[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Flight::read(seeds, &area).crashes().len(), 0, "bit {bit}");
            area[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
