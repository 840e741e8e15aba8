//! To rest before the domain is saved.
//!
//! Nothing is in flight then, and all that was written is durable.
//! A disk that does not come to rest is no reason to lose what it was given: the suspend is given
//! up, which the toolstack sees, and the domain goes on.

use core::cell::RefCell;
use drivers::blkfront::{Blkfront, Quiet};
use xen::task::Timers;

/// Longest wait for the disk: the toolstack waits for sixty seconds.
pub(crate) const REST_NS: u64 = 30_000_000_000;

/// How far a suspend is.
#[derive(Debug, Default)]
pub(crate) struct Suspension {
    /// The disk has to rest by then.
    until_ns: Option<u64>,
}

impl Suspension {
    /// A suspend was asked for.
    pub(crate) fn begin(&mut self, vbd: Option<&RefCell<Blkfront>>, now_ns: u64) {
        if self.until_ns.is_none() {
            self.until_ns = Some(now_ns.saturating_add(REST_NS));
            if let Some(vbd) = vbd {
                vbd.borrow_mut().hold();
            }
        }
    }

    /// It is over, or not to be.
    pub(crate) fn end(&mut self, vbd: Option<&RefCell<Blkfront>>) {
        if self.until_ns.take().is_some()
            && let Some(vbd) = vbd
        {
            vbd.borrow_mut().release();
        }
    }

    /// Whether all rests.
    pub(crate) fn is_ready(&mut self, vbd: Option<&RefCell<Blkfront>>, timers: &Timers) -> bool {
        let Some(until_ns) = self.until_ns else {
            return false;
        };
        let quiet = vbd.map_or(Quiet::Yes, |vbd| vbd.borrow().quiet());
        let why = match quiet {
            Quiet::Yes => return true,
            Quiet::NotYet if timers.now_ns() < until_ns => {
                timers.register(until_ns);
                return false;
            }
            Quiet::NotYet => "requests to the disk did not end in 30 s",
            Quiet::Never => "the disk could not be flushed",
        };
        log::error!(
            "lifecycle: the suspend is given up: {why}; the domain goes on, and xl save fails"
        );
        self.end(vbd);
        // What waited meanwhile goes on in a step of its own.
        timers.register(timers.now_ns());
        false
    }
}
