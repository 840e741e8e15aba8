//! A disk that loses, tears, reorders and fails, by a seed.
//!
//! # What this disk may do
//!
//! - It ends requests in any order.
//! - A write that was submitted may be on the platter or not, sector by sector
//!   of 512 bytes, until a flush that was submitted after its completion ends.
//! - At a crash each dirty sector is independently any of its versions.
//! - The n-th flush may fail.
//! - A sector may be unreadable until it is written.
//! - It may go away, and lose what no flush has covered, and come back.

use super::bed::Random;
use crate::block::*;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

pub(crate) const SECTOR: u64 = 512;
const PIECE: u64 = 16 * 1024;

/// Bytes of a disk; cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pieces: BTreeMap<u64, Rc<Vec<u8>>>,
    pub(crate) unreadable: BTreeSet<u64>,
}

impl Image {
    pub(crate) fn sector(&self, number: u64) -> [u8; 512] {
        let at = number * SECTOR;
        let mut out = [0u8; 512];
        if let Some(piece) = self.pieces.get(&(at / PIECE)) {
            let within = (at % PIECE) as usize;
            out.copy_from_slice(&piece[within..within + 512]);
        }
        out
    }

    pub(crate) fn set_sector(&mut self, number: u64, bytes: &[u8]) {
        let at = number * SECTOR;
        let piece = self
            .pieces
            .entry(at / PIECE)
            .or_insert_with(|| Rc::new(vec![0; PIECE as usize]));
        let within = (at % PIECE) as usize;
        Rc::make_mut(piece)[within..within + 512].copy_from_slice(bytes);
        self.unreadable.remove(&number);
    }

    /// Sectors that hold anything.
    pub(crate) fn written(&self) -> Vec<u64> {
        let mut sectors = Vec::new();
        for piece in self.pieces.keys() {
            for number in piece * (PIECE / SECTOR)..(piece + 1) * (PIECE / SECTOR) {
                if self.sector(number) != [0; 512] {
                    sectors.push(number);
                }
            }
        }
        sectors
    }
}

struct Waiting {
    id: RequestId,
    request: Request,
    /// For a flush: how many dirty entries it covers.
    covers: Vec<u64>,
}

struct Dirty {
    number: u64,
    sector: u64,
    bytes: [u8; 512],
}

/// The state of a disk.
pub(crate) struct Sim {
    pub(crate) geometry: Geometry,
    /// What a crash cannot take away.
    pub(crate) durable: Image,
    /// What reads see.
    pub(crate) current: Image,
    dirty: Vec<Dirty>,
    waiting: Vec<Waiting>,
    ended: Vec<Completion>,
    random: Random,
    next_dirty: u64,
    /// Writes and flushes ended so far.
    pub(crate) events: u64,
    pub(crate) fail_flush_at: Option<u64>,
    pub(crate) flush_result: Result<(), IoError>,
    pub(crate) flushes: u64,
    pub(crate) queue_max: usize,
    pub(crate) presence: Presence,
    connections: u32,
    /// Each write's first sector, and what its sectors were before it; if somebody asks for it.
    pub(crate) replaced: Option<Vec<(u64, Vec<[u8; 512]>)>>,
}

/// A hand on a [`Sim`].
#[derive(Clone)]
pub(crate) struct SimDisk(pub(crate) Rc<RefCell<Sim>>);

impl SimDisk {
    pub(crate) fn new(image: Image, len_bytes: u64, seed: u64) -> Self {
        let geometry = Geometry {
            len_bytes,
            sector_bytes: 512,
            physical_sector_bytes: 512,
            max_transfer_bytes: 44 * 1024,
            durability: Durability::Flush,
            discard: false,
            read_only: false,
        };
        SimDisk(Rc::new(RefCell::new(Sim {
            geometry,
            durable: image.clone(),
            current: image,
            dirty: vec![],
            waiting: vec![],
            ended: vec![],
            random: Random(seed),
            next_dirty: 0,
            events: 0,
            fail_flush_at: None,
            flush_result: Ok(()),
            flushes: 0,
            queue_max: 24,
            presence: Presence::Here { connections: 0 },
            connections: 0,
            replaced: None,
        })))
    }

    /// Ends one waiting request; whether there was one.
    pub(crate) fn tick(&self) -> bool {
        self.0.borrow_mut().tick()
    }

    /// Its backend goes: of what is not durable some stays, and all that waits ends so.
    pub(crate) fn go_away(&self) {
        let image = self.crash_point().sample(&mut self.0.borrow_mut().random);
        let mut sim = self.0.borrow_mut();
        sim.presence = Presence::Away;
        (sim.durable, sim.current) = (image.clone(), image);
        sim.dirty.clear();
        for Waiting { id, request, .. } in core::mem::take(&mut sim.waiting) {
            let run = match request {
                Request::Read { into: run, .. } | Request::Write { from: run, .. } => Some(run),
                Request::Flush | Request::Discard { .. } => None,
            };
            let result = Err(IoError::Detached);
            sim.ended.push(Completion { id, run, result });
        }
    }

    /// It is back.
    pub(crate) fn come_back(&self) {
        let mut sim = self.0.borrow_mut();
        sim.connections += 1;
        sim.presence = Presence::Here {
            connections: sim.connections,
        };
    }

    /// What a crash now may leave: the durable image, and each dirty sector's later versions.
    pub(crate) fn crash_point(&self) -> CrashPoint {
        self.0.borrow().crash_point()
    }

    pub(crate) fn events(&self) -> u64 {
        self.0.borrow().events
    }
}

/// What a crash may leave.
#[derive(Clone)]
pub(crate) struct CrashPoint {
    pub(crate) durable: Image,
    pub(crate) versions: Vec<(u64, Vec<[u8; 512]>)>,
}

impl CrashPoint {
    /// Number of different outcomes, as far as it fits.
    pub(crate) fn outcomes(&self) -> u64 {
        self.versions.iter().fold(1u64, |product, (_, versions)| {
            product.saturating_mul(versions.len() as u64 + 1)
        })
    }

    /// Outcome number `n` of [`CrashPoint::outcomes`].
    pub(crate) fn nth(&self, mut n: u64) -> Image {
        let mut image = self.durable.clone();
        for (sector, versions) in &self.versions {
            let count = versions.len() as u64 + 1;
            let choice = n % count;
            n /= count;
            if choice > 0 {
                image.set_sector(*sector, &versions[choice as usize - 1]);
            }
        }
        image
    }

    /// One outcome by chance: all old, all new, a prefix, or any mixture; seldom unreadable ones.
    pub(crate) fn sample(&self, random: &mut Random) -> Image {
        let mut image = self.durable.clone();
        let style = random.below(6);
        let cut = random.below(self.versions.len() as u64 + 1) as usize;
        for (index, (sector, versions)) in self.versions.iter().enumerate() {
            let choice = match style {
                0 => 0,
                1 => versions.len(),
                2 => {
                    if index < cut {
                        versions.len()
                    } else {
                        0
                    }
                }
                3 => {
                    if index == cut {
                        0
                    } else {
                        versions.len()
                    }
                }
                _ => random.below(versions.len() as u64 + 1) as usize,
            };
            if choice > 0 {
                image.set_sector(*sector, &versions[choice - 1]);
            }
            if style == 5 && random.one_in(8) {
                image.unreadable.insert(*sector);
            }
        }
        image
    }
}

impl Sim {
    fn crash_point(&self) -> CrashPoint {
        let mut versions: BTreeMap<u64, Vec<[u8; 512]>> = BTreeMap::new();
        for dirty in &self.dirty {
            versions.entry(dirty.sector).or_default().push(dirty.bytes);
        }
        for waiting in &self.waiting {
            if let Request::Write { offset_bytes, from } = &waiting.request {
                for (index, bytes) in from.bytes().chunks(512).enumerate() {
                    let sector = offset_bytes / SECTOR + index as u64;
                    versions
                        .entry(sector)
                        .or_default()
                        .push(bytes.try_into().expect("a sector"));
                }
            }
        }
        CrashPoint {
            durable: self.durable.clone(),
            versions: versions.into_iter().collect(),
        }
    }

    fn write(&mut self, offset_bytes: u64, from: &[u8]) {
        self.events += 1;
        if let Some(replaced) = &mut self.replaced {
            let first = offset_bytes / SECTOR;
            let sectors = first..first + from.len() as u64 / SECTOR;
            let before = sectors.map(|sector| self.current.sector(sector));
            replaced.push((first, before.collect()));
        }
        for (index, bytes) in from.chunks(512).enumerate() {
            let sector = offset_bytes / SECTOR + index as u64;
            self.current.set_sector(sector, bytes);
            let bytes = bytes.try_into().expect("a sector");
            let number = self.next_dirty;
            self.next_dirty += 1;
            self.dirty.push(Dirty {
                number,
                sector,
                bytes,
            });
        }
    }

    fn flush(&mut self, covers: Vec<u64>) -> Result<(), IoError> {
        self.events += 1;
        self.flushes += 1;
        if self.fail_flush_at == Some(self.flushes) {
            return Err(IoError::Failed);
        }
        self.flush_result?;
        let covers: BTreeSet<u64> = covers.into_iter().collect();
        let dirty = core::mem::take(&mut self.dirty).into_iter();
        let (done, left): (Vec<Dirty>, Vec<Dirty>) =
            dirty.partition(|dirty| covers.contains(&dirty.number));
        for dirty in done {
            self.durable.set_sector(dirty.sector, &dirty.bytes);
        }
        self.dirty = left;
        Ok(())
    }

    fn tick(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let index = self.random.below(self.waiting.len() as u64) as usize;
        let Waiting {
            id,
            request,
            covers,
        } = self.waiting.swap_remove(index);
        let completion = match request {
            Request::Read {
                offset_bytes,
                mut into,
            } => {
                let mut result = Ok(());
                for (index, bytes) in into.bytes_mut().chunks_mut(512).enumerate() {
                    let sector = offset_bytes / SECTOR + index as u64;
                    if self.current.unreadable.contains(&sector) {
                        result = Err(IoError::Failed);
                    }
                    bytes.copy_from_slice(&self.current.sector(sector));
                }
                Completion {
                    id,
                    run: Some(into),
                    result,
                }
            }
            Request::Write { offset_bytes, from } => {
                self.write(offset_bytes, from.bytes());
                Completion {
                    id,
                    run: Some(from),
                    result: Ok(()),
                }
            }
            Request::Flush => Completion {
                id,
                run: None,
                result: self.flush(covers),
            },
            Request::Discard { .. } => Completion {
                id,
                run: None,
                result: Ok(()),
            },
        };
        self.ended.push(completion);
        true
    }
}

impl BlockDevice for SimDisk {
    fn geometry(&self) -> Option<Geometry> {
        Some(self.0.borrow().geometry)
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let mut sim = self.0.borrow_mut();
        if !matches!(sim.presence, Presence::Here { .. }) {
            return Err(SubmitError::Detached(request));
        }
        if sim.waiting.len() >= sim.queue_max {
            return Err(SubmitError::Busy(request));
        }
        let limit = sim.geometry.len_bytes;
        let transfer = sim.geometry.max_transfer_bytes as usize;
        let check = |offset: u64, len: usize| {
            assert!(offset.is_multiple_of(512) && len.is_multiple_of(512) && len > 0);
            assert!(offset + len as u64 <= limit && len <= transfer);
        };
        match &request {
            Request::Read { offset_bytes, into } => check(*offset_bytes, into.bytes().len()),
            Request::Write { offset_bytes, from } => {
                assert!(!sim.geometry.read_only, "a write to a read-only disk");
                check(*offset_bytes, from.bytes().len());
            }
            Request::Flush | Request::Discard { .. } => {}
        }
        let covers = match &request {
            Request::Flush => sim.dirty.iter().map(|dirty| dirty.number).collect(),
            _ => vec![],
        };
        sim.waiting.push(Waiting {
            id,
            request,
            covers,
        });
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.borrow_mut().ended.pop()
    }

    fn presence(&self) -> Presence {
        self.0.borrow().presence
    }
}
