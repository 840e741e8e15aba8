//! The offline look at a disk: all that counts is read and judged, nothing is written.
//!
//! It believes what opening believes (`docs/data-layout.md`, "Torn or damaged"): which segments
//! and groups count is asked of the recovery itself. Then each of them is read again in the
//! order of the log, down to every record's and every value's checksum, and what that adds up
//! to is compared with what a store that opens the disk shows. A torn tail is a note, damage
//! is a finding.
//!
//! # Invariants
//!
//! - No request but a read reaches the device.
//! - A sector that cannot be read stands as zeros, and is told; the rest is looked at.
//! - Beside a copy of the index and four numbers for each chunk, memory is bounded.

mod audit;
mod combine;
mod content;
mod copies;
mod device;
mod ends;
mod finding;
mod item;
mod ledger;
mod look;
mod lost;
mod records;
mod report;
mod salvage;
mod segment;
mod shown;
mod summary;
mod sums;
mod verdict;

pub use content::{Content, OwnerOf, Record};
pub use finding::{About, Finding, Kind, Note};
pub use item::{
    Cause, CleanMark, Footer, Gap, Group, Identity, Item, Joint, Segment, Standing, Superblock,
    SuperblockCopy,
};
pub use report::{BucketUse, RecordSum, Report, SegmentUse, SnapshotUse, Tally};
pub use verdict::Verdict;

use crate::blob::Pages;
use crate::block::BlockDevice;
use crate::disk::Disk;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// A look under way.
///
/// It is a future that its owner polls, so that a walk of many reads is written as one.
pub struct Check {
    disk: Rc<RefCell<Disk>>,
    starved: Rc<Cell<bool>>,
    looking: Pin<Box<dyn Future<Output = Verdict>>>,
}

impl Check {
    /// Begins to look at `device`, with memory from `pages`; `see` is shown everything, in the
    /// order of the log.
    pub fn new(
        device: Box<dyn BlockDevice>,
        pages: Box<dyn Pages>,
        see: Box<dyn FnMut(&Item<'_>)>,
    ) -> Self {
        let starved = Rc::new(Cell::new(false));
        let pages = device::Watching::new(pages, Rc::clone(&starved));
        let watched = device::Watched::new(device);
        let own = device::Lane::new(Rc::clone(&watched), device::OWN);
        let disk = Disk::new(Box::new(own), Box::new(pages.clone()));
        let disk = Rc::new(RefCell::new(disk));
        let look = look::Look::new(Rc::clone(&disk), watched, pages, see);
        Check {
            disk,
            starved,
            looking: Box::pin(look.all()),
        }
    }

    /// Looks on as far as what has been read allows; the verdict comes once.
    ///
    /// # Panics
    /// If it is called again after the verdict.
    pub fn step(&mut self) -> Poll<Verdict> {
        self.disk.borrow_mut().pump();
        let polled = self
            .looking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() && self.starved.take() {
            let sentence = "there is not enough memory to look at this disk: use a larger machine";
            return Poll::Ready(Verdict::Unlooked(String::from(sentence)));
        }
        polled
    }
}
