//! A disk with a queue, on which workloads run: requests end one by one, in any order.
//!
//! It is as late as the contract of `store::block` allows. A write reaches the disk when
//! it ends, and a flush covers what had ended when it was submitted, and nothing more:
//! while one waits, no write goes past it.

use crate::shape::Shape;
use sim::disk::{Disk, Event};
use sim::random::Random;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use store::block::{BlockDevice, Completion, Geometry, IoError, Request, RequestId, SubmitError};

/// Requests that may wait; a real ring has as many.
const QUEUE_MAX: usize = 32;

struct Inner {
    disk: Disk,
    geometry: Geometry,
    waiting: Vec<(RequestId, Request)>,
    ended: VecDeque<Completion>,
    random: Random,
    flushes: u64,
    failed_flushes: u64,
}

/// A hand on the disk.
#[derive(Clone)]
pub(crate) struct Rig(Rc<RefCell<Inner>>);

impl Rig {
    pub(crate) fn new(disk: Disk, shape: &Shape, random: Random) -> Rig {
        Rig(Rc::new(RefCell::new(Inner {
            disk,
            geometry: shape.geometry(),
            waiting: Vec::new(),
            ended: VecDeque::new(),
            random,
            flushes: 0,
            failed_flushes: 0,
        })))
    }

    /// The disk itself, for its faults and crashes.
    pub(crate) fn disk<T>(&self, with: impl FnOnce(&mut Disk) -> T) -> T {
        with(&mut self.0.borrow_mut().disk)
    }

    /// What was written and flushed since recording began.
    pub(crate) fn recorded(&self) -> Vec<Event> {
        self.0.borrow().disk.recorded().to_vec()
    }

    pub(crate) fn log_len(&self) -> usize {
        self.0.borrow().disk.recorded().len()
    }

    /// Flushes that ended so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.0.borrow().flushes
    }

    /// Flushes that failed so far.
    pub(crate) fn failed_flushes(&self) -> u64 {
        self.0.borrow().failed_flushes
    }

    /// The store is gone: what it asked for is, too.
    pub(crate) fn forget_requests(&self) {
        let mut inner = self.0.borrow_mut();
        inner.waiting.clear();
        inner.ended.clear();
    }

    /// Ends one request; whether there was one.
    pub(crate) fn tick(&self) -> bool {
        self.0.borrow_mut().tick()
    }
}

impl Inner {
    /// Which request ends next: no write passes a flush.
    fn draw(&mut self) -> Option<(RequestId, Request)> {
        let is_flush = |(_, request): &(RequestId, Request)| matches!(request, Request::Flush);
        let is_read = |(_, request): &(RequestId, Request)| matches!(request, Request::Read { .. });
        let flush = self.waiting.iter().position(is_flush);
        let may_end: Vec<usize> = (0..self.waiting.len())
            .filter(|at| flush.is_none_or(|flush| *at == flush || is_read(&self.waiting[*at])))
            .collect();
        if may_end.is_empty() {
            return None;
        }
        let drawn = may_end[self.random.below(may_end.len() as u64) as usize];
        Some(self.waiting.swap_remove(drawn))
    }

    fn tick(&mut self) -> bool {
        let Some((id, request)) = self.draw() else {
            return false;
        };
        let disk = &mut self.disk;
        let (run, result) = match request {
            Request::Read {
                offset_bytes,
                mut into,
            } => {
                let result = disk.read(offset_bytes, into.bytes_mut());
                (Some(into), result)
            }
            Request::Write { offset_bytes, from } => {
                let result = disk.write(offset_bytes, from.bytes());
                (Some(from), result)
            }
            Request::Flush => {
                let result = disk.flush();
                self.flushes += 1;
                self.failed_flushes += u64::from(result.is_err());
                (None, result)
            }
            Request::Discard {
                offset_bytes,
                len_bytes,
            } => (None, disk.discard(offset_bytes, len_bytes)),
        };
        let result = result.map_err(|error| match error {
            sim::disk::IoError::Failed => IoError::Failed,
            sim::disk::IoError::NotOffered => IoError::Unsupported,
            wrong => panic!("a request no store may make: {wrong}"),
        });
        self.ended.push_back(Completion { id, run, result });
        true
    }
}

impl BlockDevice for Rig {
    fn geometry(&self) -> Option<Geometry> {
        Some(self.0.borrow().geometry)
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let mut inner = self.0.borrow_mut();
        if inner.waiting.len() >= QUEUE_MAX {
            return Err(SubmitError::Busy(request));
        }
        let len_bytes = match &request {
            Request::Read { into, .. } => into.bytes().len(),
            Request::Write { from, .. } => from.bytes().len(),
            Request::Flush | Request::Discard { .. } => 0,
        };
        let limit = inner.geometry.max_transfer_bytes as usize;
        assert!(len_bytes <= limit, "a transfer longer than the disk takes");
        inner.waiting.push((id, request));
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        self.0.borrow_mut().ended.pop_front()
    }
}
