//! Coming to rest before the domain is saved, and going on after it.
//!
//! A backend dies with the domain it served, and what it had not made durable may die with it. So
//! no request is in flight then, and all that was written is flushed.

use super::{Blkfront, DiskInfo, IoError, Operation};

/// The tag of the frontend's own flush.
pub(super) const OWN_TAG: u64 = u64::MAX;

/// Whether requests are taken, and how far the rest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    Open,
    /// Requests in flight end.
    Waiting,
    /// The own flush is in flight.
    Flushing,
    Quiet,
    /// The backend would not flush.
    Failed,
}

/// How far coming to rest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Requests are in flight.
    NotYet,
    /// Nothing is in flight, and all that was written is durable.
    Yes,
    /// The backend failed to flush.
    Never,
}

impl Hold {
    pub(super) fn is_held(self) -> bool {
        self != Hold::Open
    }

    /// The own flush has ended.
    pub(super) fn ended(&mut self, result: Result<(), IoError>) {
        // What knows no flush has none to wait for.
        let is_quiet = matches!(result, Ok(()) | Err(IoError::Unsupported));
        *self = match *self {
            Hold::Flushing if is_quiet => Hold::Quiet,
            Hold::Flushing => Hold::Failed,
            other => other,
        };
    }
}

impl Blkfront {
    /// Takes no more requests, and comes to rest.
    pub fn hold(&mut self) {
        if self.hold == Hold::Open {
            self.hold = Hold::Waiting;
        }
    }

    /// Takes requests again.
    pub fn release(&mut self) {
        self.hold = Hold::Open;
    }

    /// How far that is. A device that is not connected rests.
    pub fn quiet(&self) -> Quiet {
        match self.hold {
            Hold::Failed => Quiet::Never,
            Hold::Quiet => Quiet::Yes,
            _ if self.session.link_ref().is_none() && self.lost.is_empty() => Quiet::Yes,
            Hold::Open | Hold::Waiting | Hold::Flushing => Quiet::NotYet,
        }
    }

    /// The domain goes on in another one: connects anew, and takes requests again.
    pub fn renew(&mut self) {
        self.release();
        if let Some(link) = self.session.link_ref() {
            self.lost.extend(link.queue.tags());
        }
        self.session.renew();
    }

    /// Once nothing is in flight any more, what was written is made durable.
    pub(super) fn flush_held(&mut self) {
        if self.hold != Hold::Waiting || self.in_flight() > 0 {
            return;
        }
        let is_offered = |info: DiskInfo| (info.flush || info.barrier) && !info.read_only;
        if !self.info.is_some_and(is_offered) {
            self.hold = Hold::Quiet;
        } else if self.send(OWN_TAG, Operation::Flush).is_ok() {
            self.hold = Hold::Flushing;
        }
    }
}
