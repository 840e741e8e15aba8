//! Two VMs on one disk: noticed before a segment is sealed and before closing.
//!
//! Each opening writes its epoch and a number of its own into the superblock.
//! If they are found changed, somebody else opened the store: writing stops.
//! This detects; it does not lock.

use crate::disk::Disk;
use crate::fetch::{Fetch, FetchError, Unreadable};
use crate::format::layout::{SUPERBLOCK_BYTES, SUPERBLOCK_OFFSETS};
use crate::format::superblock::{Found, Superblock};
use crate::store::Store;
use alloc::vec::Vec;
use core::task::Poll;

/// A check under way, or one that just passed.
#[derive(Default)]
pub(crate) struct Guard {
    reads: Vec<CopyRead>,
    found: Vec<Found>,
}

impl Guard {
    /// Whether a check is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.reads.is_empty()
    }
}

/// One copy being read.
///
/// The sector that matters is read alone: what a crash made of the others must not hide it.
/// If it did, a later write there could bring it back under a log that is no longer its own.
pub(crate) struct CopyRead {
    first: Fetch,
    others: Option<Fetch>,
    bytes: Vec<u8>,
}

impl CopyRead {
    fn begin(disk: &mut Disk, offset: u64) -> Result<CopyRead, FetchError> {
        let sector = disk
            .known_geometry()
            .map_or(512, |geometry| geometry.sector_bytes);
        let others_len = SUPERBLOCK_BYTES.saturating_sub(sector) as usize;
        let first = Fetch::begin(disk, (offset, sector as usize), Unreadable::Fails, None)?;
        let range = (offset + u64::from(sector), others_len);
        let others = match others_len {
            0 => None,
            _ => Some(Fetch::begin(disk, range, Unreadable::Zeros, None)?),
        };
        Ok(CopyRead {
            first,
            others,
            bytes: Vec::new(),
        })
    }

    /// What the copy is, once it has been read.
    pub(crate) fn poll(&mut self, disk: &mut Disk) -> Poll<Found> {
        if self.bytes.is_empty() {
            match self.first.poll(disk) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(run)) => self.bytes.extend_from_slice(run.bytes()),
                Poll::Ready(Err(_)) => return Poll::Ready(Found::Unreadable),
            }
        }
        if let Some(others) = &mut self.others {
            match others.poll(disk) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(run)) => self.bytes.extend_from_slice(run.bytes()),
                Poll::Ready(Err(_)) => return Poll::Ready(Found::Unreadable),
            }
        }
        Poll::Ready(Superblock::decode(&self.bytes))
    }
}

/// Begins to read both superblock copies.
pub(crate) fn read_copies(disk: &mut Disk) -> Result<Vec<CopyRead>, FetchError> {
    let begin = |offset: &u64| CopyRead::begin(disk, *offset);
    SUPERBLOCK_OFFSETS.iter().map(begin).collect()
}

/// The intact copy that counts.
pub(crate) fn newest(found: &[Found]) -> Option<&Superblock> {
    let intact = found.iter().filter_map(|found| match found {
        Found::Intact(superblock) => Some(superblock),
        _ => None,
    });
    intact.max_by_key(|superblock| superblock.counter)
}

impl Store {
    /// Ready when both copies were read again; writing was stopped if they are not ours.
    pub(crate) fn epoch_check(&mut self) -> Poll<()> {
        if self.guard.reads.is_empty() && self.guard.found.is_empty() {
            match read_copies(&mut self.disk) {
                Ok(reads) => self.guard.reads = reads,
                Err(_) => return Poll::Pending,
            }
        }
        while let Some(read) = self.guard.reads.first_mut() {
            match read.poll(&mut self.disk) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(found) => self.guard.found.push(found),
            }
            self.guard.reads.remove(0);
        }
        let found = core::mem::take(&mut self.guard.found);
        let ours = self
            .superblock
            .as_ref()
            .expect("a store that writes has a superblock");
        let fine = newest(&found).is_some_and(|found| {
            found.store_id == ours.store_id
                && (found.epoch < ours.epoch
                    || (found.epoch == ours.epoch && found.opener == ours.opener))
        });
        if !fine {
            let sentence = match newest(&found) {
                Some(_) => "two VMs on one disk: another one opened this store",
                None => "both superblocks are damaged",
            };
            self.stop_writing(sentence, "let only one VM use the disk and restart it");
        }
        Poll::Ready(())
    }
}
