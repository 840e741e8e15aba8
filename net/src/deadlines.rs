//! Who is due next: an ordered set of (time, index).
//!
//! The owner of an index keeps its own deadline and hands the old one back on
//! each change, so nothing is looked up and no stale entry is left behind.

use alloc::collections::BTreeSet;

/// Deadlines in ns, each for one index.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(BTreeSet<(u64, u32)>);

impl Deadlines {
    /// Moves `index` from the deadline in `due` to `at`, which is kept in `due`.
    pub(crate) fn set(&mut self, index: u32, due: &mut Option<u64>, at: Option<u64>) {
        if *due == at {
            return;
        }
        if let Some(old) = *due {
            self.0.remove(&(old, index));
        }
        if let Some(new) = at {
            self.0.insert((new, index));
        }
        *due = at;
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.first().map(|entry| entry.0)
    }

    /// Some index whose deadline is not after `now`; it stays in until moved.
    pub(crate) fn due(&self, now: u64) -> Option<u32> {
        self.0
            .first()
            .filter(|entry| entry.0 <= now)
            .map(|entry| entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_moving_leaves_nothing_behind() {
        let mut deadlines = Deadlines::default();
        let (mut a, mut b) = (None, None);
        deadlines.set(1, &mut a, Some(50));
        deadlines.set(2, &mut b, Some(40));
        assert_eq!(deadlines.first(), Some(40));
        assert_eq!(deadlines.due(39), None);
        assert_eq!(deadlines.due(40), Some(2));
        deadlines.set(2, &mut b, Some(60));
        assert_eq!(deadlines.due(60), Some(1));
        deadlines.set(1, &mut a, None);
        deadlines.set(2, &mut b, None);
        assert_eq!(deadlines.first(), None);
    }
}
