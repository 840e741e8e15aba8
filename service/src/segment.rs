//! The seam between a connection's state machine and whatever carries its bytes.

use alloc::vec::Vec;
use store::blob::Blob;

/// A piece of an answer; never copied again until the network takes it.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Made for this answer: status line, headers, JSON.
    Inline(Vec<u8>),
    /// A piece of a stored value.
    Blob(Blob),
    /// Part of the image.
    Static(&'static [u8]),
}

impl Segment {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Segment::Inline(bytes) => bytes,
            Segment::Blob(blob) => blob,
            Segment::Static(bytes) => bytes,
        }
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// This many bytes were taken.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer has finished sending.
    Finished,
    /// The connection is gone.
    Gone,
}

/// A connection's two directions, as the connection sees them.
pub trait Transport {
    /// Offers received bytes to `take`, which says how many it took.
    ///
    /// What lies in a ring comes in pieces: as long as `take` takes all, it may be called again.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input;
    /// How many bytes could be sent now.
    fn send_room(&self) -> usize;
    /// Queues as many bytes of `segments` as there is room for; returns how many.
    fn send(&mut self, segments: &[&[u8]]) -> usize;
}

/// What a connection wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// News from the peer, or the deadline (monotonic ns).
    Peer {
        /// When it must be stepped even without news.
        deadline_ns: u64,
    },
    /// Progress of the store (and news from the peer), or the deadline.
    Store {
        /// When it must be stepped even without news.
        deadline_ns: u64,
    },
    /// A change of the store that becomes durable (and news from the peer), or the deadline.
    Change {
        /// When it must be stepped even without news.
        deadline_ns: u64,
    },
    /// Room for another session of TLS ([`crate::Service::sessions`]), or the deadline.
    Session {
        /// When it must be stepped even without news.
        deadline_ns: u64,
    },
    /// It yielded with more to do.
    Again,
    /// All is sent: finish (FIN) after what is queued.
    Finish,
    /// End at once (RST).
    Abort,
}
