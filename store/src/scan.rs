//! Looking for groups in a range of the device, through a sliding window.
//!
//! Recovery and compaction read segments with it. Nothing found is believed
//! before both of its checksums are right.

use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::checksum::Seeds;
use crate::format::group::{self, HEADER_BYTES, Header};
use alloc::vec::Vec;
use core::task::Poll;

/// Bytes of one read, doubled from the first on: most looks end soon. Halved while there is no
/// memory for it.
const READ_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES_MIN: usize = 16 * 1024;
/// The header of a group, TLVs included, must lie in this.
const HEADER_WINDOW: u64 = 512;
/// Bytes behind the cursor that are kept before the window is moved.
const SLACK_BYTES: usize = 32 * 1024;

/// A window on `..end`.
pub(crate) struct Scanner {
    end: u64,
    start: u64,
    buffer: Vec<u8>,
    fetch: Option<Fetch>,
    unreadable: Unreadable,
    /// Of the next read.
    ahead_bytes: usize,
    /// Bytes read so far, for budgets.
    pub(crate) read_bytes: u64,
}

impl Scanner {
    /// A window that never goes past `end`.
    pub(crate) fn new(end: u64, unreadable: Unreadable) -> Self {
        Scanner {
            end,
            start: 0,
            buffer: Vec::new(),
            fetch: None,
            unreadable,
            ahead_bytes: READ_BYTES_MIN,
            read_bytes: 0,
        }
    }

    /// Moves the window over `from..to`.
    fn ensure(&mut self, disk: &mut Disk, from: u64, to: u64) -> Poll<Result<(), FetchError>> {
        assert!(from <= to && to <= self.end);
        loop {
            let have = self.start + self.buffer.len() as u64;
            if let Some(mut fetch) = self.fetch.take() {
                match fetch.poll(disk) {
                    Poll::Pending => {
                        self.fetch = Some(fetch);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(run)) => {
                        if self.buffer.try_reserve(run.bytes().len()).is_err() {
                            return Poll::Ready(Err(FetchError::Memory));
                        }
                        self.read_bytes += run.bytes().len() as u64;
                        self.buffer.extend_from_slice(run.bytes());
                        continue;
                    }
                }
            }
            let sector = disk
                .known_geometry()
                .map_or(512, |geometry| geometry.sector_bytes);
            let aligned = from - from % u64::from(sector);
            if from < self.start || aligned > have {
                self.buffer.clear();
                self.start = aligned;
                continue;
            }
            if to <= have {
                return Poll::Ready(Ok(()));
            }
            let behind = (from - self.start) as usize / sector as usize * sector as usize;
            if behind > SLACK_BYTES {
                self.buffer.drain(..behind);
                self.start += behind as u64;
            }
            self.fetch = match self.begin_read(disk, have) {
                Ok(fetch) => Some(fetch),
                Err(FetchError::Memory) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            };
        }
    }

    fn begin_read(&mut self, disk: &mut Disk, at: u64) -> Result<Fetch, FetchError> {
        let mut bytes = self.ahead_bytes;
        self.ahead_bytes = (2 * bytes).min(READ_BYTES_MAX);
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        // The segment goes on after `end` with its footer, up to a whole sector.
        let end = self.end.next_multiple_of(u64::from(sector));
        loop {
            let len = (end - at).min(bytes as u64) as usize;
            match Fetch::begin(disk, (at, len), self.unreadable, None) {
                Err(FetchError::Memory) if bytes > READ_BYTES_MIN => bytes /= 2,
                other => return other,
            }
        }
    }

    /// The intact group of segment life `generation` that begins at `at`, if there is one.
    pub(crate) fn look(
        &mut self,
        disk: &mut Disk,
        seeds: Seeds,
        at: u64,
        fits: impl Fn(&Header) -> bool,
    ) -> Poll<Result<Option<Header>, FetchError>> {
        if at + HEADER_BYTES as u64 > self.end {
            return Poll::Ready(Ok(None));
        }
        let window_end = (at + HEADER_WINDOW).min(self.end);
        match self.ensure(disk, at, window_end) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let window = self.bytes(at, (window_end - at) as usize);
        let Some(header) = group::decode(window, at, seeds) else {
            return Poll::Ready(Ok(None));
        };
        if header.span > self.end - at || !fits(&header) {
            return Poll::Ready(Ok(None));
        }
        match self.ensure(disk, at, at + header.length as u64) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let intact = group::is_intact(&header, self.bytes(at, header.length), at, seeds);
        Poll::Ready(Ok(intact.then_some(header)))
    }

    /// Bytes of the window; only what `look` has just found.
    pub(crate) fn bytes(&self, at: u64, len: usize) -> &[u8] {
        let from = (at - self.start) as usize;
        &self.buffer[from..from + len]
    }
}
