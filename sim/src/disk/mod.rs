//! A disk that loses, tears, misplaces, rots and fails, by a seed.
//!
//! # What this disk may do to us
//!
//! - **Forget.** A write lies in a volatile cache until a flush that began after
//!   it has ended well. At a power cut each 512-byte sector in the cache is old,
//!   any of the versions written since, or unreadable: independently of the
//!   others, and of the order they were written in. Sectors nobody wrote stay.
//! - **Keep unasked.** A version may reach the medium without a flush.
//! - **Lie.** A flush may end well and have made nothing durable.
//! - **Refuse.** A flush may not be offered at all. The cache is then still volatile:
//!   a backend that does not offer it has not promised to write through.
//! - **Fail.** Any request may fail. A failed read leaves anything in the buffer;
//!   a failed write or discard has reached any of its sectors; a failed flush has
//!   made nothing durable that we may rely on.
//! - **Fail and forget.** After a failed flush the cache may count as clean: reads
//!   still see it, and later flushes end well without it. That is what a host's
//!   page cache does under a backend that serves a file.
//! - **Lose a write.** It ends well and was never written.
//! - **Misplace.** A write ends well elsewhere on the disk, and a read is answered
//!   with the content of elsewhere.
//! - **Rot.** A bit flips on the way from the cache to the medium. Reads see it
//!   only when the cache no longer hides it.
//! - **Wear out.** A sector becomes unreadable until it is written again.
//! - **Ignore a discard**, for any of its sectors. The others are zeros, and like
//!   any write in the cache.
//! - **Be slow.** Each request takes any time of a range.
//!
//! All of it is off in [`Faults::default`], but for the first two: without faults a
//! disk still forgets what was not flushed. What is not modelled is a physical
//! sector above 512 bytes that takes durable neighbours with it, and the order in
//! which requests end: a request is done when its call returns, and whoever owns
//! the queue reorders.
//!
//! The process of a backend may also die and leave the host's cache alone
//! ([`Disk::kill`]): nothing is lost then, and nothing becomes durable.
//!
//! Source: the fault model of `docs/data-layout.md`; for misplaced and lost writes,
//! Bairavasundaram et al., "An Analysis of Data Corruption in the Storage Stack",
//! FAST 2008; for sectors that wear out, the same, "An Analysis of Latent Sector Errors
//! in Disk Drives", SIGMETRICS 2007; for failed flushes, Rebello et al., "Can
//! Applications Recover from fsync Failures?", ATC 2020.

mod cache;
mod crash;
mod faults;
mod log;
mod pages;
mod requests;
mod states;
#[cfg(test)]
mod tests;

pub use crash::Choice;
pub use faults::{FailNth, Faults, Flush, IoError, Latency};
pub use log::Event;
pub use states::{Medium, Replay, crash_states};

use crate::random::Random;
use cache::{Cache, Version};
use faults::Chances;
use log::Log;
use pages::Pages;
use std::collections::BTreeSet;

/// What is written, lost or unreadable as a whole.
pub const SECTOR_BYTES: u64 = 512;

/// [`SECTOR_BYTES`], for slices.
pub const SECTOR: usize = SECTOR_BYTES as usize;

/// A disk; what it does is a function of its seed and of what is asked of it.
///
/// # Invariants
///
/// No cached and no unreadable sector lies at or beyond `len_bytes`, and `durable`
/// is zero there.
#[derive(Clone)]
pub struct Disk {
    len_bytes: u64,
    durable: Pages,
    unreadable: BTreeSet<u64>,
    cache: Cache,
    faults: Faults,
    chances: Chances,
    log: Log,
}

impl Disk {
    /// A disk of zeros. Its length is whole sectors.
    pub fn new(len_bytes: u64, mut random: Random) -> Disk {
        assert_whole(len_bytes);
        Disk {
            len_bytes,
            durable: Pages::default(),
            unreadable: BTreeSet::new(),
            cache: Cache::default(),
            faults: Faults::default(),
            chances: Chances::new(&mut random),
            log: Log::default(),
        }
    }

    /// A disk with all of `image` durable and readable.
    pub fn from_image(image: Vec<u8>, random: Random) -> Disk {
        let mut disk = Disk::new(image.len() as u64, random);
        disk.durable.write(0, &image);
        disk
    }

    /// The length, in whole sectors.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Cuts the end off, or adds zeros.
    ///
    /// A log that is being recorded does not know of it: record anew.
    pub fn resize(&mut self, len_bytes: u64) {
        assert_whole(len_bytes);
        let end = len_bytes / SECTOR_BYTES;
        self.durable.truncate(len_bytes);
        self.cache.truncate(end);
        self.unreadable.split_off(&end);
        self.len_bytes = len_bytes;
    }

    /// What may go wrong from now on.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// How long one request takes: drawn from [`Faults::slow`], for each anew.
    pub fn latency_ns(&mut self) -> u64 {
        self.chances.latency_ns(self.faults.slow)
    }

    /// Fails the `n`-th request from now (0 is the next), in place of what was armed before.
    ///
    /// It lasts until a [`Disk::crash`] or a [`Disk::kill`].
    pub fn fail_nth(&mut self, n: u64, how: FailNth) {
        self.chances.arm(n, how);
    }

    /// Requests so far; those that were refused as unaligned, out of range or not offered do
    /// not count.
    pub fn io_count(&self) -> u64 {
        self.chances.io_count()
    }

    /// What a reader sees: durable content under the cache.
    ///
    /// An unreadable sector is what it was before it became so.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0; self.len_bytes as usize];
        self.visible(0, &mut image);
        image
    }

    /// What is left if the whole cache is lost.
    ///
    /// An unreadable sector is what it was before it became so.
    pub fn durable_image(&self) -> Vec<u8> {
        let mut image = vec![0; self.len_bytes as usize];
        self.durable.read(0, &mut image);
        image
    }

    /// The sectors whose durable content cannot be read, in order.
    pub fn unreadable_sectors(&self) -> impl Iterator<Item = u64> + '_ {
        self.unreadable.iter().copied()
    }

    fn visible(&self, offset: u64, into: &mut [u8]) {
        self.durable.read(offset, into);
        self.cache.overlay(offset, into);
    }

    fn settle(&mut self, sector: u64, version: &Version) {
        self.unreadable.remove(&sector);
        self.durable
            .write(sector * SECTOR_BYTES, &version.on_medium());
    }
}

fn assert_whole(len_bytes: u64) {
    assert!(
        len_bytes.is_multiple_of(SECTOR_BYTES),
        "a disk is whole sectors"
    );
}
