//! An alarm that is a timer of the simulated domain.

use super::machine;
use kernel::machine::{Alarm, AlarmState};
use std::cell::Cell;
use std::rc::Rc;

/// As the image's, it is on from the second time that it is set; nobody is interrupted by it.
#[derive(Clone, Debug)]
pub struct SimulatedAlarm {
    longest_ns: u64,
    has_measured: Rc<Cell<bool>>,
}

impl SimulatedAlarm {
    /// One that can count so far.
    pub fn up_to(longest_ns: u64) -> SimulatedAlarm {
        SimulatedAlarm {
            longest_ns,
            has_measured: Rc::default(),
        }
    }
}

impl Alarm for SimulatedAlarm {
    fn set(&self, after_ns: u64) -> AlarmState {
        let state = match self.has_measured.replace(true) {
            false => AlarmState::Measuring,
            true if after_ns > self.longest_ns => AlarmState::Unable,
            true => AlarmState::On,
        };
        let is_on = state == AlarmState::On;
        machine().with(|world| {
            let domain = &mut world.domain;
            domain.apic_timer_ns = is_on.then_some(domain.now_ns + after_ns);
        });
        state
    }

    fn stop(&self) {
        self.has_measured.set(false);
        machine().with(|world| world.domain.apic_timer_ns = None);
    }
}
