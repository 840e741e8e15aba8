//! An alarm that tells when it would go off.

use kernel::machine::Alarm;
use std::cell::Cell;
use std::rc::Rc;

/// It counts no further than it was made for, and nobody is interrupted by it.
#[derive(Clone, Debug)]
pub struct SimulatedAlarm {
    longest_ns: u64,
    due_ns: Rc<Cell<Option<u64>>>,
}

impl SimulatedAlarm {
    /// One that can count so far.
    pub fn up_to(longest_ns: u64) -> SimulatedAlarm {
        SimulatedAlarm {
            longest_ns,
            due_ns: Rc::default(),
        }
    }

    /// When it goes off, if nothing happens before.
    pub fn due_ns(&self) -> Option<u64> {
        self.due_ns.get()
    }
}

impl Alarm for SimulatedAlarm {
    fn set(&self, now_ns: u64, after_ns: u64) -> bool {
        let can = after_ns <= self.longest_ns;
        self.due_ns.set(can.then_some(now_ns + after_ns));
        can
    }

    fn stop(&self) {
        self.due_ns.set(None);
    }
}
