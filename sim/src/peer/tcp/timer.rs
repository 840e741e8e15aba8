//! When a retransmission or a probe is due, and when there is no more hope.
//!
//! Source: RFC 6298, 5, with a fixed first timeout; RFC 9293, 3.8.3 and 3.8.6.1.

const RETRANSMIT_MIN_NS: u64 = 200_000_000;
const RETRANSMIT_MAX_NS: u64 = 5_000_000_000;
pub(crate) const GIVE_UP_NS: u64 = 60_000_000_000;

/// Runs while something is unacknowledged, or waits for a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    interval_ns: u64,
    expires_ns: Option<u64>,
    give_up_ns: Option<u64>,
}

impl Timer {
    /// Nothing is sent yet, but hope ends already.
    pub(crate) fn of_a_new_connection(now_ns: u64) -> Timer {
        Timer {
            give_up_ns: Some(now_ns + GIVE_UP_NS),
            ..Timer::idle()
        }
    }

    pub(crate) fn idle() -> Timer {
        Timer {
            interval_ns: RETRANSMIT_MIN_NS,
            expires_ns: None,
            give_up_ns: None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.expires_ns.is_some()
    }

    /// Does nothing if it runs.
    pub(crate) fn start(&mut self, now_ns: u64) {
        self.expires_ns.get_or_insert(now_ns + self.interval_ns);
        self.give_up_ns.get_or_insert(now_ns + GIVE_UP_NS);
    }

    pub(crate) fn restart(&mut self, now_ns: u64) {
        *self = Timer::idle();
        self.start(now_ns);
    }

    /// A closed window that is acknowledged may stay closed for ever.
    pub(crate) fn hope(&mut self, now_ns: u64) {
        if let Some(give_up_ns) = &mut self.give_up_ns {
            *give_up_ns = now_ns + GIVE_UP_NS;
        }
    }

    /// Whether it went off; if so, it runs again and for longer.
    pub(crate) fn went_off(&mut self, now_ns: u64) -> bool {
        let went_off = self.expires_ns.is_some_and(|expires| expires <= now_ns);
        if went_off {
            self.interval_ns = (self.interval_ns * 2).min(RETRANSMIT_MAX_NS);
            self.expires_ns = Some(now_ns + self.interval_ns);
        }
        went_off
    }

    pub(crate) fn is_hopeless(&self, now_ns: u64) -> bool {
        self.give_up_ns.is_some_and(|give_up| give_up <= now_ns)
    }

    pub(crate) fn give_up_ns(&self) -> Option<u64> {
        self.give_up_ns
    }

    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.expires_ns.into_iter().chain(self.give_up_ns).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_doubles_to_its_limit() {
        let mut timer = Timer::idle();
        timer.start(0);
        let mut times = Vec::new();
        while let Some(now_ns) = timer.deadline_ns().filter(|at| !timer.is_hopeless(*at)) {
            assert!(!timer.went_off(now_ns - 1));
            assert!(timer.went_off(now_ns));
            times.push(now_ns / 100_000_000);
        }
        assert_eq!(times[..6], [2, 6, 14, 30, 62, 112]);
        assert_eq!(timer.deadline_ns(), Some(GIVE_UP_NS));
        timer.restart(GIVE_UP_NS);
        assert_eq!(timer.deadline_ns(), Some(GIVE_UP_NS + RETRANSMIT_MIN_NS));
    }
}
