//! The block frontend: reads, writes, flushes and discards over one ring.
//!
//! Each request owns eleven pages that were granted once, when connecting;
//! data is copied in when a write is submitted and out when a read completes.
//! Requests are named by a slot and its life, so an answer that comes twice or
//! to a request of long ago is noticed.
//!
//! A flush covers the writes that had completed before it was submitted. What
//! completed is durable only after it (`blkif.h`).
//!
//! Source: `xen/include/public/io/blkif.h`, Xen 4.17.

mod config;
mod hold;
mod last;
mod queue;

use crate::fault::BackendFault;
use crate::resources::{Handles, OwnedPort};
use crate::session::{Phase, Session};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use config::Handshake;
use core::cell::Cell;
pub use hold::Quiet;
use hold::{Hold, OWN_TAG};
pub use last::{LAST_BYTES_MAX, LastError, LastWrite};
use queue::Queue;
use xen::event::Port;
use xen::io::blkif::BLKIF_MAX_SEGMENTS_PER_REQUEST;
use xen::page::PAGE_BYTES;
use xen::{Attachment, Xen};

/// Longest read or write of one request.
pub const TRANSFER_BYTES_MAX: usize = BLKIF_MAX_SEGMENTS_PER_REQUEST * PAGE_BYTES;

/// What the disk is and can do, as published by its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// Size in units of 512 bytes.
    pub sectors: u64,
    /// Smallest addressable piece.
    pub sector_bytes: u32,
    /// The piece the medium writes as a whole.
    pub physical_sector_bytes: u32,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether flushes are offered.
    pub flush: bool,
    /// Whether barrier writes are offered.
    pub barrier: bool,
    /// Whether discards are offered.
    pub discard: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// Read this many bytes (a multiple of 512, at most [`TRANSFER_BYTES_MAX`]).
    Read {
        /// First sector of 512 bytes.
        sector: u64,
        /// How much.
        len_bytes: usize,
    },
    /// Write these bytes (as long as for a read).
    Write {
        /// First sector of 512 bytes.
        sector: u64,
        /// The data, copied at once.
        data: &'a [u8],
    },
    /// Make completed writes durable, by a flush or a barrier.
    Flush,
    /// Say that nobody needs these sectors' content; what they read as afterwards is not said.
    Discard {
        /// First sector of 512 bytes.
        sector: u64,
        /// How many of 512 bytes.
        sectors: u64,
    },
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// All slots are in use.
    Busy,
    /// There is no connection.
    Detached,
}

/// Why a request that was taken failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The backend said so.
    Failed,
    /// The backend does not know the operation.
    Unsupported,
    /// The connection was lost with the request in flight.
    Detached,
}

/// The end of one request.
pub struct Completed<'a> {
    /// As submitted.
    pub tag: u64,
    /// How it ended.
    pub result: Result<(), IoError>,
    data: Option<queue::Data<'a>>,
}

impl Completed<'_> {
    /// Copies what was read into `into`, which is as long as was asked for.
    pub fn copy_out(&self, into: &mut [u8]) {
        if let Some(data) = &self.data {
            data.copy_out(into);
        }
    }
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads completed.
    pub reads: u64,
    /// Writes completed.
    pub writes: u64,
    /// Flushes completed.
    pub flushes: u64,
    /// Discards completed.
    pub discards: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Notifications sent.
    pub notifies: u64,
}

/// One connection to a backend.
pub(crate) struct Link {
    /// Its size may change while connected.
    info: Rc<Cell<DiskInfo>>,
    port: OwnedPort,
    queue: Queue,
}

/// A block device.
pub struct Blkfront {
    session: Session<Handshake>,
    info: Option<DiskInfo>,
    /// Tags of requests that were in flight when the connection was lost.
    lost: alloc::vec::Vec<u64>,
    counters: Counters,
    hold: Hold,
}

impl Blkfront {
    /// Begins to connect `device/vbd/NUMBER`. `None` without xenstore.
    pub fn new(attachment: &Attachment, number: u32, requests: u32) -> Option<Blkfront> {
        let handles = Handles::of(attachment)?;
        let path: String = format!("device/vbd/{number}");
        let session = Session::new(Handshake { number, requests }, handles, path);
        let lost = alloc::vec::Vec::new();
        Some(Blkfront {
            session,
            info: None,
            lost,
            counters: Counters::default(),
            hold: Hold::default(),
        })
    }

    /// Advances the connection.
    pub fn step(&mut self) {
        let in_flight = self.session.link_ref().map(|link| link.queue.tags());
        if self.session.step() {
            self.lost.extend(in_flight.unwrap_or_default());
        }
        if let Some(link) = self.session.link_ref() {
            self.info = Some(link.info.get());
        }
        self.flush_held();
    }

    /// Where the device stands.
    pub fn phase(&self) -> Phase {
        self.session.phase()
    }

    /// How many connections have come about. What an earlier one had completed and not flushed
    /// may be lost.
    pub fn connections(&self) -> u32 {
        self.session.connections()
    }

    /// What the disk is; `None` until it was connected once.
    pub fn info(&self) -> Option<DiskInfo> {
        self.info
    }

    /// The event channel in use.
    pub fn port(&self) -> Option<Port> {
        self.session.link_ref().map(|link| link.port.port())
    }

    /// What writes to the disk when nothing else of this guest runs any more; of this connection.
    pub fn last_write(&self, xen: Xen) -> Option<LastWrite> {
        let link = self.session.link_ref()?;
        Some(
            link.queue
                .last_write(xen, link.port.port(), link.info.get()),
        )
    }

    /// Counts.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Requests whose end the backend has not told yet.
    pub fn in_flight(&self) -> usize {
        let link = self.session.link_ref();
        link.map_or(0, |link| link.queue.tags().len())
    }

    /// Queues one request under a tag of the caller's.
    ///
    /// # Errors
    /// [`SubmitError`].
    ///
    /// # Panics
    /// When a length is not as [`Operation`] says: that is the caller's bug.
    pub fn submit(&mut self, tag: u64, operation: Operation<'_>) -> Result<(), SubmitError> {
        assert!(tag != OWN_TAG, "a tag of the frontend's own");
        match self.hold.is_held() {
            true => Err(SubmitError::Busy),
            false => self.send(tag, operation),
        }
    }

    fn send(&mut self, tag: u64, operation: Operation<'_>) -> Result<(), SubmitError> {
        let Some(link) = self.session.link() else {
            return Err(SubmitError::Detached);
        };
        let info = link.info.get();
        let barrier = !info.flush && info.barrier;
        if link.queue.submit(tag, operation, barrier) {
            Ok(())
        } else {
            Err(SubmitError::Busy)
        }
    }

    /// Hands the next ended request to `take`; `false` when there is none.
    pub fn poll(&mut self, take: &mut dyn FnMut(Completed<'_>)) -> bool {
        if let Some(tag) = self.lost.pop() {
            self.counters.errors += 1;
            if tag == OWN_TAG {
                self.hold.ended(Err(IoError::Detached));
                return self.poll(take);
            }
            take(Completed {
                tag,
                result: Err(IoError::Detached),
                data: None,
            });
            return true;
        }
        let Some(link) = self.session.link() else {
            return false;
        };
        match link.queue.pop(&mut self.counters) {
            Ok(None) => false,
            Ok(Some(slot)) => {
                let ended = link.queue.completed(slot);
                match ended.tag {
                    OWN_TAG => self.hold.ended(ended.result),
                    _ => take(ended),
                }
                link.queue.release(slot);
                true
            }
            Err(fault) => self.break_off(fault, take),
        }
    }

    fn break_off(&mut self, fault: BackendFault, take: &mut dyn FnMut(Completed<'_>)) -> bool {
        if let Some(link) = self.session.link_ref() {
            self.lost = link.queue.tags();
        }
        self.session.break_off(fault);
        !self.lost.is_empty() && self.poll(take)
    }

    /// Shows the backend all that was queued, with at most one notification.
    /// `true` when an answer is there already.
    pub fn flush(&mut self) -> bool {
        let Some(link) = self.session.link() else {
            return !self.lost.is_empty();
        };
        if link.queue.publish() {
            link.port.notify();
            self.counters.notifies += 1;
        }
        link.queue.wait()
    }
}
