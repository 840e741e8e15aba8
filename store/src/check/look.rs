//! One look: what it reads with, whom it tells, and what it has come to so far.

use super::device::{Watched, Watching};
use super::finding::{About, Finding, Kind, Note};
use super::item::Item;
use super::ledger::Ledger;
use super::report::Report;
use super::salvage::Salvaged;
use super::verdict::{Stop, Verdict};
use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::checksum::Seeds;
use crate::format::group::Header;
use crate::scan::Scanner;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;

/// A look under way.
pub(super) struct Look {
    pub(super) disk: Rc<RefCell<Disk>>,
    pub(super) watched: Rc<RefCell<Watched>>,
    pub(super) pages: Watching,
    see: Box<dyn FnMut(&Item<'_>)>,
    pub(super) report: Report,
    pub(super) ledger: Ledger,
    /// Offsets of findings, so that what two of us see is told once.
    pub(super) found_at: BTreeSet<u64>,
    /// What lies in damaged groups and segments.
    pub(super) salvaged: Salvaged,
    /// Ranges of the device in which every byte counts.
    pub(super) covered: Vec<(u64, u64)>,
    /// Highest sequence high-water so far.
    pub(super) high_water: u64,
}

impl Look {
    pub(super) fn new(
        disk: Rc<RefCell<Disk>>,
        watched: Rc<RefCell<Watched>>,
        pages: Watching,
        see: Box<dyn FnMut(&Item<'_>)>,
    ) -> Self {
        Look {
            disk,
            watched,
            pages,
            see,
            report: Report::default(),
            ledger: Ledger::default(),
            found_at: BTreeSet::new(),
            salvaged: Salvaged::default(),
            covered: Vec::new(),
            high_water: 0,
        }
    }

    /// Everything, from the first read to the verdict.
    pub(super) async fn all(mut self) -> Verdict {
        match self.look().await {
            Ok(()) | Err(Stop::Found) => Verdict::Looked(Box::new(self.report)),
            Err(Stop::Unlooked(sentence)) => Verdict::Unlooked(sentence),
        }
    }

    pub(super) fn show(&mut self, item: &Item<'_>) {
        (self.see)(item);
    }

    /// Tells something wrong.
    pub(super) fn find(
        &mut self,
        offset_bytes: u64,
        kind: Kind,
        about: Option<About>,
        meaning: String,
    ) {
        self.report.findings += 1;
        self.found_at.insert(offset_bytes);
        let finding = Finding {
            offset_bytes,
            kind,
            about,
            meaning,
        };
        self.show(&Item::Finding(&finding));
    }

    /// Tells something worth knowing.
    pub(super) fn note(&mut self, offset_bytes: u64, meaning: String) {
        self.report.notes += 1;
        let note = Note {
            offset_bytes,
            meaning,
        };
        self.show(&Item::Note(&note));
    }

    /// The bytes of `start..end`; those of sectors that cannot be read are zeros.
    pub(super) async fn read(&self, start: u64, end: u64) -> Result<Vec<u8>, Stop> {
        assert!(start < end, "an empty range is not read");
        let geometry = self.disk.borrow().known_geometry();
        let sector = geometry.map_or(512, |geometry| u64::from(geometry.sector_bytes));
        let from = start - start % sector;
        let len = (end.next_multiple_of(sector) - from) as usize;
        let begun = Fetch::begin(
            &mut self.disk.borrow_mut(),
            (from, len),
            Unreadable::Zeros,
            None,
        );
        let mut fetch = begun.map_err(stop)?;
        let run = poll_fn(|_| fetch.poll(&mut self.disk.borrow_mut())).await;
        let run = run.map_err(stop)?;
        let within = (start - from) as usize;
        Ok(run.bytes()[within..within + (end - start) as usize].to_vec())
    }

    /// The intact group of this life of a segment at `at`, and its bytes.
    pub(super) async fn group_at(
        &self,
        scanner: &mut Scanner,
        seeds: Seeds,
        (at, generation): (u64, u64),
    ) -> Result<Option<(Header, Vec<u8>)>, Stop> {
        let fits = |header: &Header| header.generation == generation;
        let found = poll_fn(|_| scanner.look(&mut self.disk.borrow_mut(), seeds, at, fits)).await;
        let found = found.map_err(stop)?;
        Ok(found.map(|header| (header, scanner.bytes(at, header.length).to_vec())))
    }
}

pub(super) fn stop(error: FetchError) -> Stop {
    Stop::Unlooked(match error {
        FetchError::Memory => String::from("there is not enough memory to look at this disk"),
        FetchError::Io(offset) => gone(offset),
    })
}

/// What a device that fails for good is told as.
pub(super) fn gone(offset: u64) -> String {
    format!("the disk went away while it was read at offset {offset}: attach it again")
}
