//! A disk of which one crash is left: what a store reads of it, and what it writes on top.
//!
//! Reads come from the shared [`Image`]; writes lie in this disk's own cache and in
//! a log, so that the next crash can be taken from there.

use crate::image::{Image, hash_of, mix};
use crate::shape::Shape;
use sim::disk::{Event, SECTOR, SECTOR_BYTES};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use store::block::{BlockDevice, Completion, Geometry, IoError, Request, RequestId, SubmitError};

struct Inner {
    image: Image,
    geometry: Geometry,
    written: BTreeMap<u64, [u8; SECTOR]>,
    log: Vec<Event>,
    ended: VecDeque<Completion>,
    reads: u64,
}

/// A hand on the disk.
#[derive(Clone)]
pub(crate) struct Look(Rc<RefCell<Inner>>);

impl Look {
    pub(crate) fn at(image: &Image, shape: &Shape) -> Look {
        Look(Rc::new(RefCell::new(Inner {
            image: image.clone(),
            geometry: shape.geometry(),
            written: BTreeMap::new(),
            log: Vec::new(),
            ended: VecDeque::new(),
            reads: 0,
        })))
    }

    /// A hash of all that was read so far, and where.
    pub(crate) fn reads(&self) -> u64 {
        self.0.borrow().reads
    }

    /// Writes and flushes so far.
    pub(crate) fn log_len(&self) -> usize {
        self.0.borrow().log.len()
    }

    /// The writes and flushes, taken out.
    pub(crate) fn take_log(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }
}

impl Inner {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), IoError> {
        self.reads = self.image.fold(self.reads, offset, into.len());
        let written = &self.written;
        let result = self
            .image
            .read(offset, into, |sector| written.contains_key(&sector));
        let first = offset / SECTOR_BYTES;
        let end = first + (into.len() / SECTOR) as u64;
        for (sector, bytes) in written.range(first..end) {
            let at = (sector - first) as usize * SECTOR;
            into[at..at + SECTOR].copy_from_slice(bytes);
            self.reads = mix(mix(self.reads, *sector), hash_of(bytes));
        }
        result.map_err(|()| IoError::Failed)
    }

    fn write(&mut self, offset: u64, bytes: Vec<u8>) {
        for (sector, bytes) in (offset / SECTOR_BYTES..).zip(bytes.chunks_exact(SECTOR)) {
            let bytes = bytes.try_into().expect("a sector");
            self.written.insert(sector, bytes);
        }
        self.log.push(Event::Write { offset, bytes });
    }
}

impl BlockDevice for Look {
    fn geometry(&self) -> Option<Geometry> {
        Some(self.0.borrow().geometry)
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let mut inner = self.0.borrow_mut();
        let (run, result) = match request {
            Request::Read {
                offset_bytes,
                mut into,
            } => {
                let result = inner.read(offset_bytes, into.bytes_mut());
                (Some(into), result)
            }
            Request::Write { offset_bytes, from } => {
                inner.write(offset_bytes, from.bytes().to_vec());
                (Some(from), Ok(()))
            }
            Request::Flush => {
                inner.log.push(Event::Flush);
                (None, Ok(()))
            }
            Request::Discard {
                offset_bytes,
                len_bytes,
            } => {
                inner.write(offset_bytes, vec![0; len_bytes as usize]);
                (None, Ok(()))
            }
        };
        inner.ended.push_back(Completion { id, run, result });
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.borrow_mut().ended.pop_front()
    }
}
