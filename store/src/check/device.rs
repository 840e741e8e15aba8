//! A device that is only read, by the look and by the store it opens, and what it failed to read.

use crate::blob::{PageRun, Pages};
use crate::block::{
    BlockDevice, Completion, Geometry, IoError, Presence, Request, RequestId, SubmitError,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// The look's own requests.
pub(super) const OWN: usize = 0;
/// Those of the store that is opened for comparison.
pub(super) const STORES: usize = 1;
const LANES: usize = 2;
/// Unreadable sectors remembered; a disk with more needs no list of them.
const UNREAD_MAX: usize = 1 << 16;

/// The device, and which of its sectors could not be read.
pub(super) struct Watched {
    device: Box<dyn BlockDevice>,
    reads: BTreeMap<u64, (u64, u64)>,
    unread: BTreeSet<u64>,
    /// By lane: what has ended, and requests other than reads, which are refused here.
    ended: [VecDeque<Completion>; LANES],
}

impl Watched {
    pub(super) fn new(device: Box<dyn BlockDevice>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Watched {
            device,
            reads: BTreeMap::new(),
            unread: BTreeSet::new(),
            ended: [VecDeque::new(), VecDeque::new()],
        }))
    }

    /// Offsets of sectors whose last read failed.
    pub(super) fn take_unread(&mut self) -> BTreeSet<u64> {
        core::mem::take(&mut self.unread)
    }

    fn note(&mut self, id: u64, result: Result<(), IoError>) {
        let Some((offset, len)) = self.reads.remove(&id) else {
            return;
        };
        let sector = self
            .device
            .geometry()
            .map_or(512, |geometry| u64::from(geometry.sector_bytes));
        match result {
            Ok(()) => self
                .unread
                .retain(|at| !(offset..offset + len).contains(at)),
            Err(_) if len <= sector && self.unread.len() < UNREAD_MAX => {
                self.unread.insert(offset);
            }
            Err(_) => {}
        }
    }
}

/// One user's hand on the device.
pub(super) struct Lane {
    shared: Rc<RefCell<Watched>>,
    number: usize,
}

impl Lane {
    pub(super) fn new(shared: Rc<RefCell<Watched>>, number: usize) -> Self {
        Lane { shared, number }
    }
}

impl BlockDevice for Lane {
    fn geometry(&self) -> Option<Geometry> {
        let geometry = self.shared.borrow().device.geometry()?;
        let sector = u64::from(geometry.sector_bytes.max(1));
        Some(Geometry {
            len_bytes: geometry.len_bytes / sector * sector,
            discard: false,
            read_only: true,
            ..geometry
        })
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let mut shared = self.shared.borrow_mut();
        let run = match request {
            Request::Read { offset_bytes, into } => {
                let range = (offset_bytes, into.bytes().len() as u64);
                let read = Request::Read { offset_bytes, into };
                let id = RequestId(id.0 * LANES as u64 + self.number as u64);
                shared.device.submit(id, read)?;
                shared.reads.insert(id.0, range);
                return Ok(());
            }
            Request::Write { from, .. } => Some(from),
            Request::Flush | Request::Discard { .. } => None,
        };
        let result = Err(IoError::Failed);
        shared.ended[self.number].push_back(Completion { id, run, result });
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        let mut shared = self.shared.borrow_mut();
        while let Some(completion) = shared.device.poll() {
            let id = completion.id.0;
            shared.note(id, completion.result);
            let completion = Completion {
                id: RequestId(id / LANES as u64),
                ..completion
            };
            shared.ended[(id % LANES as u64) as usize].push_back(completion);
        }
        shared.ended[self.number].pop_front()
    }

    fn presence(&self) -> Presence {
        self.shared.borrow().device.presence()
    }
}

/// Memory, and a word when there is none.
#[derive(Clone)]
pub(super) struct Watching {
    pages: Rc<dyn Pages>,
    starved: Rc<Cell<bool>>,
}

impl Watching {
    pub(super) fn new(pages: Box<dyn Pages>, starved: Rc<Cell<bool>>) -> Self {
        Watching {
            pages: Rc::from(pages),
            starved,
        }
    }
}

impl Pages for Watching {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        let run = self.pages.take(len_bytes);
        if run.is_none() {
            self.starved.set(true);
        }
        run
    }
}
