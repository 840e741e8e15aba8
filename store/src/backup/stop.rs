//! Ending a backup or a restore from elsewhere.

use alloc::rc::Rc;
use core::cell::Cell;

/// A hand on a backup or a restore: whoever has one can end it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Rc<Cell<bool>>);

impl Stop {
    /// Ends it. What it holds is given back with the next step of the store, even if nobody goes
    /// on with it. A restore whose end is on its way to the disk is not ended any more.
    pub fn stop(&self) {
        self.0.set(true);
    }

    /// Whether that was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.get()
    }
}
