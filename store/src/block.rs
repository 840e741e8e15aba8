//! What the store asks of a disk: submit, and poll.
//!
//! # Contract
//!
//! - Many requests may be in flight; they complete in any order.
//! - A flush covers the writes that had *completed* before it was submitted.
//! - Offsets and lengths are multiples of [`Geometry::sector_bytes`], lengths
//!   at most [`Geometry::max_transfer_bytes`]; anything else is the caller's bug.
//! - A device that goes away ends what is in flight with [`IoError::Detached`], and forgets what
//!   has completed and no flush has covered; it may come back, as the same disk or as another
//!   one, and tells by [`Presence`] that it did.
//! - A device that is gone for good says so, asked or not: nobody waits for it.

use crate::blob::PageRun;
use alloc::boxed::Box;

/// What the disk is and can do, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of the device.
    pub len_bytes: u64,
    /// Smallest addressable piece.
    pub sector_bytes: u32,
    /// The piece a crash can lose as a whole.
    pub physical_sector_bytes: u32,
    /// Longest read or write of one request.
    pub max_transfer_bytes: u32,
    /// What the device promises about completed writes.
    pub durability: Durability,
    /// Whether discard is offered.
    pub discard: bool,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a backend promises about writes that have completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A flush makes completed writes durable.
    Flush,
    /// No flush, but a barrier write is durable with all before it; a flush is made one.
    Barrier,
    /// Neither is offered: durability is up to the backend, and the store says so.
    Backend,
}

/// A number the caller chose; it comes back in the [`Completion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One request; memory travels with it and comes back with its completion.
pub enum Request {
    /// Fill the whole run from the disk at `offset_bytes`.
    Read {
        /// Where on the device.
        offset_bytes: u64,
        /// Filled on success.
        into: Box<dyn PageRun>,
    },
    /// Write the whole run to the disk at `offset_bytes`.
    Write {
        /// Where on the device.
        offset_bytes: u64,
        /// The bytes.
        from: Box<dyn PageRun>,
    },
    /// Make every write that has completed durable.
    Flush,
    /// The contents of this range are no longer needed.
    Discard {
        /// Where on the device.
        offset_bytes: u64,
        /// How much.
        len_bytes: u64,
    },
}

/// Why a request was not taken; the request is handed back.
pub enum SubmitError {
    /// The queue is full: poll first.
    Busy(Request),
    /// The device is away, and nobody knows for how long.
    Detached(Request),
}

/// Why a request that was taken did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The backend said so.
    Failed,
    /// The backend does not know this operation although it may have offered it.
    Unsupported,
    /// The device went away with the request in flight: outcome unknown.
    Detached,
}

/// The end of one request.
pub struct Completion {
    /// As submitted.
    pub id: RequestId,
    /// The run of a read or write comes back, also on failure (then of undefined content).
    pub run: Option<Box<dyn PageRun>>,
    /// How it ended.
    pub result: Result<(), IoError>,
}

/// Whether the device can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It can.
    Here {
        /// How often it has come (back): what was before is another connection.
        connections: u32,
    },
    /// Not now; it may come back.
    Away,
    /// It does not come back in this life.
    Gone,
}

/// A disk.
pub trait BlockDevice {
    /// What the disk is; `None` until it has been connected once.
    fn geometry(&self) -> Option<Geometry>;
    /// Hands one request to the disk.
    ///
    /// # Errors
    /// Gives the request back when it cannot be taken now.
    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError>;
    /// One ended request, if any.
    fn poll(&mut self) -> Option<Completion>;
    /// Whether it can be asked. What it has forgotten since is told by the number of connections,
    /// and not before all that was in flight has been polled.
    fn presence(&self) -> Presence {
        Presence::Here { connections: 0 }
    }
}
