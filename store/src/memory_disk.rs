//! A disk made of ordinary memory: what `disk=none` runs on, and tests.
//!
//! It grows as it is written to, in pieces of 64 KiB. A clone is the same disk
//! in another hand, so that a store can be dropped and opened again. What is
//! written is "durable" as long as the memory is.

use crate::block::{
    BlockDevice, Completion, Durability, Geometry, IoError, Request, RequestId, SubmitError,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::Rc;
use alloc::vec;
use core::cell::RefCell;

const PIECE_BYTES: u64 = 64 * 1024;
const QUEUE_MAX: usize = 64;

/// A disk made of memory; see the module's documentation.
#[derive(Clone)]
pub struct MemoryDisk {
    geometry: Geometry,
    pieces: Rc<RefCell<BTreeMap<u64, Box<[u8]>>>>,
    ended: Rc<RefCell<VecDeque<Completion>>>,
}

impl MemoryDisk {
    /// A blank disk of `len_bytes` with sectors of 512 bytes; it allocates nothing yet.
    pub fn new(len_bytes: u64) -> Self {
        MemoryDisk::with_geometry(Geometry {
            len_bytes,
            sector_bytes: 512,
            physical_sector_bytes: 512,
            max_transfer_bytes: 1024 * 1024,
            durability: Durability::Flush,
            discard: true,
            read_only: false,
        })
    }

    /// A blank disk of any shape.
    pub fn with_geometry(geometry: Geometry) -> Self {
        let pieces = Rc::new(RefCell::new(BTreeMap::new()));
        MemoryDisk {
            geometry,
            pieces,
            ended: Rc::default(),
        }
    }

    /// The same bytes under another geometry: a disk moved to another backend.
    #[must_use]
    pub fn under(&self, geometry: Geometry) -> Self {
        MemoryDisk {
            geometry,
            pieces: Rc::clone(&self.pieces),
            ended: Rc::default(),
        }
    }

    /// Memory in use.
    pub fn held_bytes(&self) -> u64 {
        self.pieces.borrow().len() as u64 * PIECE_BYTES
    }

    /// Copies bytes out, from outside of the store.
    pub fn peek(&self, offset_bytes: u64, into: &mut [u8]) {
        let pieces = self.pieces.borrow();
        for_each_piece(offset_bytes, into.len(), |piece, within, at, count| {
            let target = &mut into[at..at + count];
            match pieces.get(&piece) {
                Some(bytes) => target.copy_from_slice(&bytes[within..within + count]),
                None => target.fill(0),
            }
        });
    }

    /// Overwrites bytes, from outside of the store: damage, for tests.
    pub fn poke(&self, offset_bytes: u64, bytes: &[u8]) {
        let mut pieces = self.pieces.borrow_mut();
        for_each_piece(offset_bytes, bytes.len(), |piece, within, at, count| {
            let held = pieces
                .entry(piece)
                .or_insert_with(|| vec![0u8; PIECE_BYTES as usize].into_boxed_slice());
            held[within..within + count].copy_from_slice(&bytes[at..at + count]);
        });
    }

    fn discard(&self, offset_bytes: u64, len_bytes: u64) {
        let first = offset_bytes.div_ceil(PIECE_BYTES);
        let end = (offset_bytes + len_bytes) / PIECE_BYTES;
        let mut pieces = self.pieces.borrow_mut();
        for piece in first..end {
            pieces.remove(&piece);
        }
    }

    fn fits(&self, offset_bytes: u64, len_bytes: u64) -> bool {
        let sector = u64::from(self.geometry.sector_bytes);
        offset_bytes.is_multiple_of(sector)
            && len_bytes.is_multiple_of(sector)
            && offset_bytes
                .checked_add(len_bytes)
                .is_some_and(|end| end <= self.geometry.len_bytes)
    }
}

/// Calls `visit(piece, offset within it, offset within the range, count)` for each part of a range.
fn for_each_piece(offset: u64, len: usize, mut visit: impl FnMut(u64, usize, usize, usize)) {
    let mut at = 0;
    while at < len {
        let position = offset + at as u64;
        let within = (position % PIECE_BYTES) as usize;
        let count = (PIECE_BYTES as usize - within).min(len - at);
        visit(position / PIECE_BYTES, within, at, count);
        at += count;
    }
}

impl BlockDevice for MemoryDisk {
    fn geometry(&self) -> Option<Geometry> {
        Some(self.geometry)
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        if self.ended.borrow().len() >= QUEUE_MAX {
            return Err(SubmitError::Busy(request));
        }
        let mut result = Ok(());
        let run = match request {
            Request::Read {
                offset_bytes,
                mut into,
            } => {
                assert!(
                    self.fits(offset_bytes, into.bytes().len() as u64),
                    "read outside the disk"
                );
                self.peek(offset_bytes, into.bytes_mut());
                Some(into)
            }
            Request::Write { offset_bytes, from } => {
                assert!(
                    self.fits(offset_bytes, from.bytes().len() as u64),
                    "write outside the disk"
                );
                if self.geometry.read_only {
                    result = Err(IoError::Failed);
                } else {
                    self.poke(offset_bytes, from.bytes());
                }
                Some(from)
            }
            Request::Flush => {
                if self.geometry.durability == Durability::Backend {
                    result = Err(IoError::Unsupported);
                }
                None
            }
            Request::Discard {
                offset_bytes,
                len_bytes,
            } => {
                assert!(
                    self.fits(offset_bytes, len_bytes),
                    "discard outside the disk"
                );
                self.discard(offset_bytes, len_bytes);
                None
            }
        };
        self.ended
            .borrow_mut()
            .push_back(Completion { id, run, result });
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        self.ended.borrow_mut().pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_written_and_nothing_else() {
        let mut disk = MemoryDisk::new(1 << 40);
        assert_eq!(disk.held_bytes(), 0);
        let from: Box<dyn crate::blob::PageRun> = Box::new(vec![7u8; 1024]);
        let offset_bytes = PIECE_BYTES - 512;
        assert!(
            disk.submit(RequestId(1), Request::Write { offset_bytes, from })
                .is_ok()
        );
        assert_eq!(disk.poll().map(|ended| ended.id), Some(RequestId(1)));
        assert_eq!(disk.held_bytes(), 2 * PIECE_BYTES);
        let mut read = [1u8; 2048];
        disk.clone().peek(offset_bytes - 512, &mut read);
        assert!(read[..512].iter().all(|byte| *byte == 0));
        assert!(read[512..1536].iter().all(|byte| *byte == 7));
        assert!(read[1536..].iter().all(|byte| *byte == 0));
        let len_bytes = 4 * PIECE_BYTES;
        assert!(
            disk.submit(
                RequestId(2),
                Request::Discard {
                    offset_bytes: 0,
                    len_bytes
                }
            )
            .is_ok()
        );
        assert_eq!(disk.held_bytes(), 0);
    }
}
