//! All that a crash can leave at a point of a recorded log.
//!
//! Source: for replaying a log of block writes up to each point, CrashMonkey (Mohan et
//! al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018).

use super::crash::Style;
use super::log::Event;
use super::{SECTOR, SECTOR_BYTES};
use crate::random::Random;
use std::collections::BTreeMap;

/// The writes of one unflushed sector, the newest last.
#[derive(Default)]
struct Unflushed<'a> {
    orders: Vec<u64>,
    versions: Vec<&'a [u8]>,
}

/// Where images are shown: sectors that change in place.
///
/// A run of bytes is one; whoever wants to know what changed brings another.
pub trait Medium {
    /// What is in a sector.
    fn sector(&self, sector: u64) -> [u8; SECTOR];
    /// Puts other bytes, as many as a sector has, into it.
    fn set_sector(&mut self, sector: u64, bytes: &[u8]);
}

impl Medium for Vec<u8> {
    fn sector(&self, sector: u64) -> [u8; SECTOR] {
        let at = sector as usize * SECTOR;
        let bytes = self.get(at..at + SECTOR);
        let bytes = bytes.expect("the log was recorded on this disk");
        bytes.try_into().expect("a sector")
    }

    fn set_sector(&mut self, sector: u64, bytes: &[u8]) {
        let at = sector as usize * SECTOR;
        self[at..at + SECTOR].copy_from_slice(bytes);
    }
}

/// A recorded log, replayed step by step, with a look at the crashes between two steps.
///
/// It holds one image, which it changes in place: a look at each point of a long log
/// on a large disk costs the sectors that differ, not the disk.
///
/// # Invariants
///
/// Between calls `image` is the durable content.
pub struct Replay<'a, M = Vec<u8>> {
    image: M,
    unflushed: BTreeMap<u64, Unflushed<'a>>,
    order_first: u64,
    order_next: u64,
}

/// A sector that a crash decides about: where it is, and what may be there, the durable one first.
struct Open<'a> {
    sector: u64,
    versions: Vec<&'a [u8]>,
}

impl<'a, M: Medium> Replay<'a, M> {
    /// At the beginning of a log that was recorded on this durable content.
    pub fn new(base: M) -> Replay<'a, M> {
        Replay {
            image: base,
            unflushed: BTreeMap::new(),
            order_first: 0,
            order_next: 0,
        }
    }

    /// One event further.
    pub fn apply(&mut self, event: &'a Event) {
        match event {
            Event::Write { offset, bytes } => {
                let first = offset / SECTOR_BYTES;
                for (sector, bytes) in (first..).zip(bytes.chunks_exact(SECTOR)) {
                    let unflushed = self.unflushed.entry(sector).or_default();
                    unflushed.orders.push(self.order_next);
                    unflushed.versions.push(bytes);
                    self.order_next += 1;
                }
            }
            Event::Flush => {
                for (sector, unflushed) in std::mem::take(&mut self.unflushed) {
                    let newest = unflushed.versions.last();
                    let newest = newest.expect("an unflushed sector was written");
                    self.image.set_sector(sector, newest);
                }
                self.order_first = self.order_next;
            }
        }
    }

    /// How many sectors a crash now decides about.
    pub fn unflushed_sectors(&self) -> usize {
        self.unflushed.len()
    }

    /// The sectors a crash now decides about, in order.
    pub fn unflushed(&self) -> impl Iterator<Item = u64> + '_ {
        self.unflushed.keys().copied()
    }

    /// Shows `each` what a crash now can leave; returns how many images that were.
    ///
    /// All of them, each once, when they are at most 2 to the power of `exhaustive_max`;
    /// that is one sector for each of `exhaustive_max`, or fewer that were written more
    /// than once. Otherwise `samples` of them, the first two being all lost and all kept,
    /// and the others not always different.
    ///
    /// Unreadable sectors are not among them: an image cannot say that.
    pub fn states(
        &mut self,
        exhaustive_max: usize,
        samples: usize,
        random: &mut Random,
        each: &mut dyn FnMut(&M),
    ) -> usize {
        let durable: Vec<[u8; SECTOR]> = self.durable_sectors();
        let distinct = self.distinct(&durable);
        let radices = distinct.iter().map(|open| open.versions.len() as u64);
        let outcomes = radices.fold(1, u64::saturating_mul);
        let outcomes_max = u32::try_from(exhaustive_max)
            .ok()
            .and_then(|shift| 1u64.checked_shl(shift));
        let shown = if outcomes_max.is_none_or(|max| outcomes <= max) {
            show_all(&mut self.image, &distinct, each)
        } else {
            self.show_samples(&durable, samples, random, each)
        };
        self.restore(&durable);
        shown
    }

    fn durable_sectors(&self) -> Vec<[u8; SECTOR]> {
        let sectors = self.unflushed.keys();
        sectors.map(|sector| self.image.sector(*sector)).collect()
    }

    fn restore(&mut self, durable: &[[u8; SECTOR]]) {
        for (sector, bytes) in self.unflushed.keys().zip(durable) {
            self.image.set_sector(*sector, bytes);
        }
    }

    /// The sectors with what differs there: a sector written as it was decides nothing.
    fn distinct<'d>(&self, durable: &'d [[u8; SECTOR]]) -> Vec<Open<'d>>
    where
        'a: 'd,
    {
        let mut opens = Vec::new();
        for ((sector, unflushed), durable) in self.unflushed.iter().zip(durable) {
            let mut versions: Vec<&'d [u8]> = vec![durable];
            for version in &unflushed.versions {
                if !versions.contains(version) {
                    versions.push(version);
                }
            }
            let sector = *sector;
            opens.extend((versions.len() > 1).then_some(Open { sector, versions }));
        }
        opens
    }

    fn show_samples(
        &mut self,
        durable: &[[u8; SECTOR]],
        samples: usize,
        random: &mut Random,
        each: &mut dyn FnMut(&M),
    ) -> usize {
        for sample in 0..samples {
            let orders = (self.order_first, self.order_next);
            let style = match sample {
                0 => Style::AllLost,
                1 => Style::AllKept,
                _ => Style::draw(random, self.unflushed.len(), orders),
            };
            let sectors = self.unflushed.iter().zip(durable).enumerate();
            for (index, ((sector, unflushed), durable)) in sectors {
                let bytes = match style.version(random, index, &unflushed.orders) {
                    0 => durable.as_slice(),
                    nth => unflushed.versions[nth - 1],
                };
                self.image.set_sector(*sector, bytes);
            }
            each(&self.image);
        }
        samples
    }
}

/// Counts through all combinations, a digit for each sector: less than two sectors change from
/// one to the next on average.
fn show_all<M: Medium>(image: &mut M, opens: &[Open<'_>], each: &mut dyn FnMut(&M)) -> usize {
    let mut digits = vec![0; opens.len()];
    let mut shown = 0;
    loop {
        each(image);
        shown += 1;
        let mut carry = true;
        for (open, digit) in opens.iter().zip(&mut digits) {
            *digit = (*digit + 1) % open.versions.len();
            image.set_sector(open.sector, open.versions[*digit]);
            carry = *digit == 0;
            if !carry {
                break;
            }
        }
        if carry {
            return shown;
        }
    }
}

/// All that a crash can leave after the first `prefix` events of a log recorded on `base`.
///
/// It is [`Replay::states`] at one point, and copies `base`; for each point of a log in turn, a
/// [`Replay`] does it with one copy.
pub fn crash_states(
    base: &[u8],
    events: &[Event],
    prefix: usize,
    exhaustive_max: usize,
    samples: usize,
    random: &mut Random,
    each: &mut dyn FnMut(&[u8]),
) -> usize {
    let mut replay = Replay::new(base.to_vec());
    for event in &events[..prefix] {
        replay.apply(event);
    }
    replay.states(exhaustive_max, samples, random, &mut |image: &Vec<u8>| {
        each(image);
    })
}
