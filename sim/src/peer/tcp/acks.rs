//! Which acknowledgements are owed, and when.
//!
//! Source: RFC 9293, 3.8.6.3; RFC 5681, 4.2.

/// More duplicates than this tell the guest nothing new.
const OWED_MAX: u32 = 64;

/// What came since the last acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    owed: u32,
    delayed_ns: Option<u64>,
    bytes: usize,
}

impl Acks {
    /// Something that is to be acknowledged at once, and on its own:
    /// the guest counts duplicates.
    pub(crate) fn owe_another(&mut self) {
        self.owed = (self.owed + 1).min(OWED_MAX);
    }

    pub(crate) fn owe_one(&mut self) {
        self.owed = self.owed.max(1);
    }

    /// Data in order: every second full segment is acknowledged at once.
    pub(crate) fn owe_by(&mut self, now_ns: u64, delay_ns: u64, bytes: usize, mss: u16) {
        self.bytes += bytes;
        if delay_ns == 0 || self.bytes >= 2 * usize::from(mss) {
            self.owe_one();
        } else {
            self.delayed_ns.get_or_insert(now_ns + delay_ns);
        }
    }

    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        self.owed > 0 || self.delayed_ns.is_some_and(|at_ns| at_ns <= now_ns)
    }

    /// A segment without data went out.
    pub(crate) fn paid_one(&mut self) {
        self.owed = self.owed.saturating_sub(1);
        self.delayed_ns = None;
        self.bytes = 0;
    }

    /// A segment with data went out, which pays everything.
    pub(crate) fn paid(&mut self) {
        *self = Acks::default();
    }

    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.delayed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_waits_for_a_second_segment_or_the_delay() {
        let mut acks = Acks::default();
        acks.owe_by(10, 5, 100, 100);
        assert!(!acks.is_due(14) && acks.is_due(15));
        assert_eq!(acks.deadline_ns(), Some(15));
        acks.owe_by(11, 5, 100, 100);
        assert!(acks.is_due(11));
        acks.paid_one();
        assert!(!acks.is_due(99));
    }

    #[test]
    fn duplicates_are_acknowledged_one_by_one() {
        let mut acks = Acks::default();
        (0..3).for_each(|_| acks.owe_another());
        (0..3).for_each(|_| {
            assert!(acks.is_due(0));
            acks.paid_one();
        });
        assert!(!acks.is_due(0));
    }
}
