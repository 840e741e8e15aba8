//! Two clocks: the world's, and that of connections, which stands still without a link.
//!
//! So a connection whose link was away for ten minutes, while the domain was
//! moved or its backend restarted, is not ten minutes silent when it is back.

use smoltcp::time::Instant;

/// `ns` in smoltcp's words (µs, rounded down).
pub(crate) fn instant(ns: u64) -> Instant {
    Instant::from_micros(i64::try_from(ns / 1000).unwrap_or(i64::MAX))
}

/// A time of smoltcp's in ns; its past is 0.
pub(crate) fn nanoseconds(instant: Instant) -> u64 {
    u64::try_from(instant.total_micros())
        .unwrap_or(0)
        .saturating_mul(1000)
}

/// Both, in ns.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: u64,
    lost: u64,
    stopped: bool,
}

impl Clock {
    /// The world's time is `now`; it never goes back. Without a link the other one stops.
    pub(crate) fn advance(&mut self, now: u64, linked: bool) {
        let now = now.max(self.last);
        if self.stopped {
            self.lost += now - self.last;
        }
        self.last = now;
        self.stopped = !linked && self.stopped;
    }

    /// The link went away.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(crate) fn world(&self) -> u64 {
        self.last
    }

    /// What connections go by.
    pub(crate) fn connections(&self) -> u64 {
        self.last - self.lost
    }

    /// A time of connections in the world's.
    pub(crate) fn to_world(&self, at: u64) -> u64 {
        at.saturating_add(self.lost)
    }
}
