//! Reading one range of the device into one run of memory.
//!
//! A range may be longer than one transfer, and a sector in it may be
//! unreadable: then the owner either wants an error, or zeros in its place (a
//! crash may leave a sector of an unfinished write unreadable, and recovery
//! must look past it). A sector counts as unreadable when it was asked for twice:
//! a request that fails once says nothing about what is on the disk.

use crate::blob::PageRun;
use crate::block::{Geometry, IoError};
use crate::disk::{Disk, Slot};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Poll;

/// What to make of a piece that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The fetch fails.
    Fails,
    /// The sector reads as zeros.
    Zeros,
}

/// Why a fetch gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// The disk failed at this offset.
    Io(u64),
    /// No memory now.
    Memory,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

struct Piece {
    at: usize,
    len: usize,
    attempt: Attempt,
    slot: Rc<Slot>,
}

/// A read under way.
pub(crate) struct Fetch {
    start: u64,
    len: usize,
    unreadable: Unreadable,
    sector: usize,
    pieces: Vec<Piece>,
    /// Sectors of failed pieces, to be read alone once there is memory.
    again: VecDeque<usize>,
    whole: Option<Box<dyn PageRun>>,
    hold: Option<Rc<()>>,
}

impl Fetch {
    /// Begins to read `len` bytes at `start`, both multiples of the sector.
    ///
    /// # Errors
    /// When there is no memory for it now.
    pub(crate) fn begin(
        disk: &mut Disk,
        (start, len): (u64, usize),
        unreadable: Unreadable,
        hold: Option<Rc<()>>,
    ) -> Result<Fetch, FetchError> {
        let geometry = disk
            .known_geometry()
            .expect("reading begins when the device is known");
        let sector = geometry.sector_bytes as usize;
        assert!(start.is_multiple_of(sector as u64) && len.is_multiple_of(sector) && len > 0);
        assert!(
            start + len as u64 <= geometry.len_bytes,
            "a read past the end of the device"
        );
        let transfer = transfer_bytes(geometry);
        let mut runs = Vec::new();
        let mut at = 0;
        while at < len {
            let piece = transfer.min(len - at);
            runs.push((at, disk.take_run(piece).ok_or(FetchError::Memory)?));
            at += piece;
        }
        let whole = match runs.len() {
            1 => None,
            _ => Some(disk.take_run(len).ok_or(FetchError::Memory)?),
        };
        let mut fetch = Fetch {
            start,
            len,
            unreadable,
            sector,
            pieces: Vec::new(),
            again: VecDeque::new(),
            whole,
            hold,
        };
        for (at, run) in runs {
            fetch.submit(disk, at, Attempt::First, run);
        }
        Ok(fetch)
    }

    fn submit(&mut self, disk: &mut Disk, at: usize, attempt: Attempt, run: Box<dyn PageRun>) {
        let len = run.bytes().len();
        let slot = disk.read(self.start + at as u64, run, self.hold.clone());
        self.pieces.push(Piece {
            at,
            len,
            attempt,
            slot,
        });
    }

    /// The bytes, once all are there; where memory is missing, that is later.
    pub(crate) fn poll(&mut self, disk: &mut Disk) -> Poll<Result<Box<dyn PageRun>, FetchError>> {
        let mut index = 0;
        while index < self.pieces.len() {
            let Some(ended) = self.pieces[index].slot.take() else {
                index += 1;
                continue;
            };
            let piece = self.pieces.swap_remove(index);
            // A device that is gone says nothing about its sectors.
            let hopeless =
                self.unreadable == Unreadable::Fails || ended.result == Err(IoError::Detached);
            let run = match (ended.result, ended.run) {
                (Ok(()), Some(run)) => Some(run),
                _ => None,
            };
            match run {
                Some(run) if piece.len == self.len => return Poll::Ready(Ok(run)),
                Some(run) => self.place(piece.at, run.bytes()),
                None if hopeless => {
                    return Poll::Ready(Err(FetchError::Io(self.start + piece.at as u64)));
                }
                None if piece.attempt == Attempt::Second => {
                    disk.unread_sectors += 1;
                    log::warn!("sector at {} cannot be read", self.start + piece.at as u64);
                }
                None => {
                    let sectors = (piece.at..piece.at + piece.len).step_by(self.sector);
                    self.again.extend(sectors);
                }
            }
        }
        self.read_again(disk);
        if !self.pieces.is_empty() || !self.again.is_empty() {
            return Poll::Pending;
        }
        let whole = self
            .whole
            .take()
            .expect("a fetch of many pieces gathers them in one run");
        Poll::Ready(Ok(whole))
    }

    fn place(&mut self, at: usize, bytes: &[u8]) {
        let whole = self
            .whole
            .as_mut()
            .expect("a fetch of many pieces gathers them in one run");
        whole.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Reads failed pieces again sector by sector, as far as there is memory; what fails again
    /// stays zeros.
    fn read_again(&mut self, disk: &mut Disk) {
        if !self.again.is_empty() && self.whole.is_none() {
            self.whole = disk.take_run(self.len);
        }
        while self.whole.is_some()
            && let Some(at) = self.again.front().copied()
            && let Some(run) = disk.take_run(self.sector)
        {
            self.again.pop_front();
            self.submit(disk, at, Attempt::Second, run);
        }
    }
}

/// Longest transfer, a multiple of the sector.
pub(crate) fn transfer_bytes(geometry: Geometry) -> usize {
    let sector = geometry.sector_bytes;
    (geometry.max_transfer_bytes / sector * sector).max(sector) as usize
}
