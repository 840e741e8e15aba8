//! Memory that requests may take together for what they bring, given back by their drop.

use alloc::rc::Rc;
use core::cell::Cell;

/// What is taken of it now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Rc<Cell<u64>>);

/// A part of it.
#[derive(Debug)]
pub(crate) struct Held {
    taken: Rc<Cell<u64>>,
    bytes: u64,
}

impl Allowance {
    /// Nothing of it yet.
    pub(crate) fn hold(&self) -> Held {
        Held {
            taken: Rc::clone(&self.0),
            bytes: 0,
        }
    }

    /// How much is taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

impl Held {
    /// Takes so much more, if all that is taken stays within `limit_bytes`.
    pub(crate) fn grow(&mut self, more_bytes: u64, limit_bytes: u64) -> bool {
        let after = self.taken.get().saturating_add(more_bytes);
        let fits = after <= limit_bytes;
        if fits {
            self.taken.set(after);
            self.bytes += more_bytes;
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        assert!(self.taken.get() >= self.bytes, "it is given back once");
        self.taken.set(self.taken.get() - self.bytes);
    }
}
