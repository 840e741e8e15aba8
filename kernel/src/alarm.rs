//! What a guest's own alarm needs to know of its timer.
//!
//! How fast a local APIC's timer counts is not said anywhere that holds for each hypervisor, so
//! it is measured while it counts.

/// What a timer has counted, and the time that took, at its fastest: a vCPU that waits for its
/// CPU may lose ticks, and none gets more than there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    ticks: u64,
    took_ns: u64,
}

impl Pace {
    /// A measurement shorter than this says little.
    const LEAST_NS: u64 = 100_000_000;

    /// So many ticks took so long.
    pub fn measure(&mut self, ticks: u32, took_ns: u64) {
        let (ticks, known) = (u64::from(ticks), *self);
        if took_ns < Pace::LEAST_NS {
            return;
        }
        let is_faster = u128::from(ticks) * u128::from(known.took_ns)
            > u128::from(known.ticks) * u128::from(took_ns);
        if is_faster || known.took_ns == 0 {
            *self = Pace { ticks, took_ns };
        }
    }

    /// Ticks until so long from now; `None` if it is not known, or the timer counts not so far.
    pub fn ticks(&self, after_ns: u64) -> Option<u32> {
        let ticks = u128::from(after_ns) * u128::from(self.ticks);
        let ticks = ticks.checked_div(u128::from(self.took_ns))?;
        u32::try_from(ticks).ok().filter(|ticks| *ticks > 0)
    }

    /// Whether anything was measured.
    pub fn is_known(&self) -> bool {
        self.took_ns > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn ticks_are_as_many_as_were_measured() {
        let mut pace = Pace::default();
        assert!(!pace.is_known());
        assert_eq!(pace.ticks(SECOND_NS), None);
        pace.measure(781_250, SECOND_NS);
        assert!(pace.is_known());
        assert_eq!(pace.ticks(15 * SECOND_NS), Some(11_718_750));
        assert_eq!(pace.ticks(0), None);
    }

    #[test]
    fn the_fastest_counts_for_a_stolen_cpu_only_loses_ticks() {
        let mut pace = Pace::default();
        pace.measure(10_000, SECOND_NS);
        for (ticks, took_ns) in [(781_250, SECOND_NS), (500_000, SECOND_NS), (0, SECOND_NS)] {
            pace.measure(ticks, took_ns);
        }
        assert_eq!(pace.ticks(SECOND_NS), Some(781_250));
    }

    #[test]
    fn what_was_measured_in_no_time_does_not_count() {
        let mut pace = Pace::default();
        pace.measure(400_000_000, 1_000);
        assert!(!pace.is_known());
        pace.measure(0, SECOND_NS);
        assert_eq!(pace.ticks(SECOND_NS), None);
    }

    #[test]
    fn no_timer_counts_for_ever() {
        let mut pace = Pace::default();
        pace.measure(781_250, SECOND_NS);
        let most = u64::from(u32::MAX) * SECOND_NS / 781_250;
        assert!(pace.ticks(most).is_some());
        assert_eq!(pace.ticks(most + SECOND_NS), None);
        assert_eq!(pace.ticks(u64::MAX), None);
        pace.measure(u32::MAX, SECOND_NS);
        assert_eq!(pace.ticks(u64::MAX), None);
    }
}
