//! Memory for a store, which may be refused.

use std::cell::Cell;
use std::rc::Rc;
use store::blob::{PageRun, Pages};

/// Which runs are refused, counted from when it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    None,
    /// That one alone.
    Nth(u64),
    /// That one and all that follow.
    From(u64),
}

/// A hand on the supply.
#[derive(Clone)]
pub(crate) struct Supply(Rc<Cell<(u64, Refuse)>>);

impl Supply {
    pub(crate) fn new() -> Supply {
        Supply(Rc::new(Cell::new((0, Refuse::None))))
    }

    /// Counts from now.
    pub(crate) fn refuse(&self, refuse: Refuse) {
        self.0.set((0, refuse));
    }

    /// Runs that were asked for since.
    pub(crate) fn asked(&self) -> u64 {
        self.0.get().0
    }
}

impl Pages for Supply {
    fn take(&self, len_bytes: usize) -> Option<Box<dyn PageRun>> {
        let (asked, refuse) = self.0.get();
        self.0.set((asked + 1, refuse));
        let refused = match refuse {
            Refuse::None => false,
            Refuse::Nth(n) => asked == n,
            Refuse::From(n) => asked >= n,
        };
        (!refused).then(|| Box::new(vec![0u8; len_bytes]) as Box<dyn PageRun>)
    }
}
