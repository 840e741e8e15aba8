//! The power cut: which version of each unflushed sector is left.

use super::cache::Cached;
use super::{Disk, faults};
use crate::random::Random;

/// What a power cut leaves of one unflushed sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// 0 is the durable version, 1 the first write since, and so on.
    Version(usize),
    /// Nothing that can be read, until something else is durable there.
    Unreadable,
}

/// How one power cut goes about it.
///
/// Drawing each sector alone would make the ends rare: with 100 sectors, one that is lost
/// alone would never be seen.
#[derive(Clone, Copy)]
pub(super) enum Style {
    AllLost,
    AllKept,
    /// The disk had written in order, and came to this version; a write may be torn by it.
    Before(u64),
    /// By the sector's index among the unflushed.
    OneLost(usize),
    /// By the sector's index among the unflushed.
    OneKept(usize),
    Mixture,
}

impl Style {
    /// For this many unflushed sectors, with versions of these orders.
    pub(super) fn draw(random: &mut Random, sectors: usize, orders: (u64, u64)) -> Style {
        let index = |random: &mut Random| random.below(sectors.max(1) as u64) as usize;
        let (first, end) = orders;
        match random.below(8) {
            0 => Style::AllLost,
            1 => Style::AllKept,
            2 | 3 => Style::Before(first + random.below((end - first).max(1))),
            4 => Style::OneLost(index(random)),
            5 => Style::OneKept(index(random)),
            _ => Style::Mixture,
        }
    }

    /// Which version of the `index`-th sector is left, whose writes have these orders.
    pub(super) fn version(self, random: &mut Random, index: usize, orders: &[u64]) -> usize {
        let newest = orders.len();
        match self {
            Style::AllLost => 0,
            Style::AllKept => newest,
            Style::Before(end) => orders.partition_point(|order| *order < end),
            Style::OneLost(lost) if lost == index => random.below(newest as u64) as usize,
            Style::OneLost(_) => newest,
            Style::OneKept(kept) if kept == index => 1 + random.below(newest as u64) as usize,
            Style::OneKept(_) => 0,
            Style::Mixture => random.below(newest as u64 + 1) as usize,
        }
    }
}

impl Disk {
    /// How many sectors a power cut now decides about.
    pub fn unflushed_sectors(&self) -> usize {
        self.cache.len()
    }

    /// A power cut, by the seed.
    pub fn crash(&mut self) {
        let mut random = self.chances.crash();
        let torn = self.faults.unreadable_at_crash;
        let end = self.cache.order_next();
        let first = self.cache.order_first().unwrap_or(end);
        let style = Style::draw(&mut random, self.cache.len(), (first, end));
        let mut index = 0;
        self.cut(&mut |_, cached| {
            let orders: Vec<u64> = cached.versions.iter().map(|v| v.order).collect();
            let version = style.version(&mut random, index, &orders);
            index += 1;
            if faults::is_torn(&mut random, torn) {
                return Choice::Unreadable;
            }
            Choice::Version(version)
        });
    }

    /// A power cut that leaves what is chosen.
    ///
    /// `choice` is asked for each unflushed sector in order, with the sector and the
    /// number of its versions: the durable one, which is 0, and each write since.
    pub fn crash_with(&mut self, choice: &mut dyn FnMut(u64, usize) -> Choice) {
        self.cut(&mut |sector, cached| choice(sector, cached.versions.len() + 1));
    }

    /// The death of the backend's process: the cache survives, and is no more durable than before.
    ///
    /// What [`Disk::fail_nth`] armed dies with it.
    pub fn kill(&mut self) {
        self.chances.disarm();
    }

    fn cut(&mut self, choice: &mut dyn FnMut(u64, &Cached) -> Choice) {
        for (sector, cached) in self.cache.take() {
            match choice(sector, &cached) {
                Choice::Version(0) => {}
                Choice::Version(nth) => {
                    let version = cached.versions.get(nth - 1);
                    self.settle(sector, version.expect("a version that was offered"));
                }
                Choice::Unreadable => {
                    self.unreadable.insert(sector);
                }
            }
        }
        self.chances.disarm();
        self.log.stop();
    }
}
