//! The only place where drivers meet the store: blkfront as its block device.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use drivers::Phase;
use drivers::blkfront::{self, Blkfront, Operation, TRANSFER_BYTES_MAX};
use store::blob::PageRun;
use store::block::{
    BlockDevice, Completion, Durability, Geometry, IoError, Presence, Request, RequestId,
    SubmitError,
};

const SECTOR_BYTES: u64 = 512;

/// A vbd as the store sees it. The frontend is shared with the main loop, which steps it.
pub(crate) struct Disk {
    front: Rc<RefCell<Blkfront>>,
    /// Memory of requests in flight.
    runs: BTreeMap<u64, Box<dyn PageRun>>,
}

impl Disk {
    /// A disk over `front`.
    pub(crate) fn new(front: Rc<RefCell<Blkfront>>) -> Disk {
        Disk {
            front,
            runs: BTreeMap::new(),
        }
    }
}

impl BlockDevice for Disk {
    fn geometry(&self) -> Option<Geometry> {
        let info = self.front.borrow().info()?;
        Some(Geometry {
            len_bytes: info.sectors.saturating_mul(SECTOR_BYTES),
            sector_bytes: info.sector_bytes,
            physical_sector_bytes: info.physical_sector_bytes,
            max_transfer_bytes: TRANSFER_BYTES_MAX as u32,
            durability: match (info.flush, info.barrier) {
                (true, _) => Durability::Flush,
                (false, true) => Durability::Barrier,
                (false, false) => Durability::Backend,
            },
            discard: info.discard && !info.read_only,
            read_only: info.read_only,
        })
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let operation = match &request {
            Request::Read { offset_bytes, into } => Operation::Read {
                sector: offset_bytes / SECTOR_BYTES,
                len_bytes: into.bytes().len(),
            },
            Request::Write { offset_bytes, from } => Operation::Write {
                sector: offset_bytes / SECTOR_BYTES,
                data: from.bytes(),
            },
            Request::Flush => Operation::Flush,
            Request::Discard {
                offset_bytes,
                len_bytes,
            } => Operation::Discard {
                sector: offset_bytes / SECTOR_BYTES,
                sectors: len_bytes / SECTOR_BYTES,
            },
        };
        match self.front.borrow_mut().submit(id.0, operation) {
            Ok(()) => {}
            Err(blkfront::SubmitError::Busy) => return Err(SubmitError::Busy(request)),
            Err(blkfront::SubmitError::Detached) => return Err(SubmitError::Detached(request)),
        }
        if let Request::Read { into: run, .. } | Request::Write { from: run, .. } = request {
            self.runs.insert(id.0, run);
        }
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        let mut completion = None;
        let runs = &mut self.runs;
        self.front.borrow_mut().poll(&mut |done| {
            let mut run = runs.remove(&done.tag);
            if let Some(run) = &mut run
                && done.result.is_ok()
            {
                done.copy_out(run.bytes_mut());
            }
            let result = done.result.map_err(|error| match error {
                blkfront::IoError::Failed => IoError::Failed,
                blkfront::IoError::Unsupported => IoError::Unsupported,
                blkfront::IoError::Detached => IoError::Detached,
            });
            completion = Some(Completion {
                id: RequestId(done.tag),
                run,
                result,
            });
        });
        completion
    }

    fn presence(&self) -> Presence {
        let front = self.front.borrow();
        match front.phase() {
            Phase::Connecting => Presence::Away,
            Phase::Connected => Presence::Here {
                connections: front.connections(),
            },
            Phase::Broken => Presence::Gone,
        }
    }
}
