//! A count of things that exist now, lowered by their drop.
//!
//! A connection may be dropped by the roof at any moment and cannot reach the
//! service then; so what it counts as is a guard it holds.

use alloc::rc::Rc;
use core::cell::Cell;

/// How many [`Counted`] of it there are.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gauge(Rc<Cell<u32>>);

/// One of the counted things.
#[derive(Debug)]
pub(crate) struct Counted(Rc<Cell<u32>>);

impl Gauge {
    /// One more, until the guard is dropped.
    pub(crate) fn enter(&self) -> Counted {
        self.0.set(self.0.get() + 1);
        Counted(Rc::clone(&self.0))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.0.get()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(
            self.0.get() > 0,
            "a guard is counted once and uncounted once"
        );
        self.0.set(self.0.get() - 1);
    }
}
