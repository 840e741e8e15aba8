//! Pace: whether the next group begins at once, or waits a moment for clients that come back.
//!
//! Clients that ask again as soon as they are answered are on their way back when a group has
//! just become durable. Begun at once, the next group would be of those alone who came while the
//! last one was written, and the others would wait for the one after it: two groups would take
//! turns, each of about half the clients. So the next group is held until most are back.
//!
//! A client alone is never held, and where flushes are quick nobody is. Holds that bring nobody
//! are left off, and tried again later.
//!
//! # Invariants
//!
//! - Of each group it is decided once whether it is held, and a hold ends at a time that is set
//!   when it begins: nothing waits longer than [`HOLD_NS_MAX`] for what may never come.

/// The longest hold, and its share of the time that the last group took.
pub(crate) const HOLD_NS_MAX: u64 = 200_000;
const HOLD_SHARE: u64 = 4;
/// A hold shorter than this is over before anybody can be back.
const HOLD_NS_MIN: u64 = 50_000;
/// Who is not back so long after the answer is not expected any more.
const RETURN_NS_MAX: u64 = 5_000_000;
/// Groups begun at once after holds that brought nobody, at most.
const LEFT_OFF_MAX: u32 = 63;

/// When the next group begins.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    stage: Stage,
    /// When the group in flight was begun, and for how many clients.
    begun_ns: u64,
    clients: usize,
    /// When the last group became durable.
    ended_ns: u64,
    /// Clients that were in the last group, or came while it was written.
    expected: usize,
    hold_ns: u64,
    /// Holds to be left off, and how many were left off last.
    left_off: u32,
    last_left_off: u32,
}

#[derive(Debug, Default)]
enum Stage {
    /// Not decided yet.
    #[default]
    Open,
    Held(Hold),
    /// The next group begins as soon as it can.
    Due,
}

#[derive(Debug)]
struct Hold {
    since_ns: u64,
    until_ns: u64,
    /// Clients that waited then.
    waiting: usize,
}

impl Pace {
    /// One that never holds a group: what it is measured by.
    #[cfg(test)]
    pub(crate) fn unheld() -> Pace {
        Pace {
            left_off: u32::MAX,
            ..Pace::default()
        }
    }

    /// A group of so many clients is begun.
    pub(crate) fn begin(&mut self, now_ns: u64, clients: usize) {
        self.begun_ns = now_ns;
        self.clients = clients;
        self.stage = Stage::Open;
    }

    /// The group is durable, and so many clients have come meanwhile.
    pub(crate) fn end(&mut self, now_ns: u64, waiting: usize) {
        let took_ns = now_ns.saturating_sub(self.begun_ns);
        self.ended_ns = now_ns;
        self.expected = self.clients + waiting;
        self.hold_ns = (took_ns / HOLD_SHARE).min(HOLD_NS_MAX);
    }

    /// Whether the next group, for which so many clients wait, is to begin now.
    pub(crate) fn is_due(&mut self, now_ns: u64, waiting: usize) -> bool {
        let is_enough = waiting >= self.enough();
        if let Stage::Open = self.stage {
            self.stage = match is_enough || !self.may_hold(now_ns) {
                true => Stage::Due,
                false => self.begin_hold(now_ns, waiting),
            };
        }
        let Stage::Held(hold) = &self.stage else {
            return true;
        };
        let is_over = now_ns >= hold.until_ns;
        // A clock that went back says nothing of how long it has been.
        let is_lost = now_ns < hold.since_ns;
        if !is_enough && !is_over && !is_lost {
            return false;
        }
        let come = waiting.saturating_sub(hold.waiting);
        if is_enough || is_over {
            self.learn(is_enough || is_worth(come, hold.waiting));
        }
        self.stage = Stage::Due;
        true
    }

    /// Nothing is held any more: the next group begins as soon as it can.
    pub(crate) fn let_go(&mut self) {
        if let Stage::Held(_) = self.stage {
            self.stage = Stage::Due;
        }
    }

    /// When the hold there is ends.
    pub(crate) fn held_until_ns(&self) -> Option<u64> {
        match &self.stage {
            Stage::Held(hold) => Some(hold.until_ns),
            Stage::Open | Stage::Due => None,
        }
    }

    /// Seven eighths of those expected; the last ones may have gone, or be slow.
    fn enough(&self) -> usize {
        (self.expected * 7).div_ceil(8)
    }

    fn may_hold(&self, now_ns: u64) -> bool {
        let since_ns = now_ns.checked_sub(self.ended_ns);
        self.expected > 1
            && self.hold_ns >= HOLD_NS_MIN
            && since_ns.is_some_and(|since_ns| since_ns < RETURN_NS_MAX)
    }

    fn begin_hold(&mut self, now_ns: u64, waiting: usize) -> Stage {
        if self.left_off > 0 {
            self.left_off -= 1;
            return Stage::Due;
        }
        Stage::Held(Hold {
            since_ns: now_ns,
            until_ns: now_ns.saturating_add(self.hold_ns),
            waiting,
        })
    }

    fn learn(&mut self, is_worth: bool) {
        self.last_left_off = match is_worth {
            true => 0,
            false => (2 * self.last_left_off + 1).min(LEFT_OFF_MAX),
        };
        self.left_off = self.last_left_off;
    }
}

/// Whether those who came have gained as much as those who waited have lost: a flush each, for at
/// most a quarter of one.
fn is_worth(come: usize, waiting: usize) -> bool {
    come > 0 && come * HOLD_SHARE as usize >= waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of `clients` that took 1 ms.
    fn after(pace: &mut Pace, clients: usize, waiting: usize) -> u64 {
        let now_ns = pace.ended_ns + 2 * HOLD_NS_MAX;
        pace.begin(now_ns, clients);
        let now_ns = now_ns + 1_000_000;
        pace.end(now_ns, waiting);
        now_ns
    }

    #[test]
    fn a_group_begins_when_most_are_back() {
        let mut pace = Pace::default();
        for (clients, enough) in [(1, 1), (2, 2), (4, 4), (8, 7), (16, 14), (50, 44)] {
            let now_ns = after(&mut pace, clients, 0);
            let is_held = !pace.is_due(now_ns, 0);
            assert_eq!(is_held, clients > 1, "{clients}");
            assert_eq!(is_held, !pace.is_due(now_ns, enough - 1), "{clients}");
            assert!(pace.is_due(now_ns, enough), "{clients}");
            assert_eq!(pace.held_until_ns(), None);
        }
        let now_ns = after(&mut pace, 25, 25);
        assert!(!pace.is_due(now_ns, 43), "those who came meanwhile count");
        assert!(pace.is_due(now_ns, 44));
    }

    #[test]
    fn of_a_group_it_is_decided_once() {
        let mut pace = Pace::default();
        let now_ns = after(&mut pace, 16, 0);
        assert!(!pace.is_due(now_ns, 1));
        assert_eq!(pace.held_until_ns(), Some(now_ns + HOLD_NS_MAX));
        assert!(!pace.is_due(now_ns + HOLD_NS_MAX - 1, 8));
        assert!(pace.is_due(now_ns + HOLD_NS_MAX, 8));
        assert!(pace.is_due(now_ns + HOLD_NS_MAX, 1), "it stays so");
        let now_ns = after(&mut pace, 16, 0);
        assert!(!pace.is_due(now_ns, 1));
        pace.let_go();
        assert!(pace.is_due(now_ns, 1));
    }

    #[test]
    fn a_hold_is_a_share_of_what_the_group_took() {
        let check = |took_ns: u64, expected: Option<u64>| {
            let mut pace = Pace::default();
            pace.begin(5, 2);
            pace.end(5 + took_ns, 0);
            pace.is_due(5 + took_ns, 1);
            let until_ns = expected.map(|hold_ns| 5 + took_ns + hold_ns);
            assert_eq!(pace.held_until_ns(), until_ns, "{took_ns}");
        };
        check(0, None);
        check(199_999, None);
        check(200_000, Some(50_000));
        check(600_000, Some(150_000));
        check(800_000, Some(200_000));
        check(60_000_000_000, Some(200_000));
    }

    #[test]
    fn clocks_that_go_back_hold_nothing() {
        let mut pace = Pace::default();
        let now_ns = after(&mut pace, 2, 0);
        assert!(pace.is_due(now_ns - 1, 1), "before the last group ended");
        let now_ns = after(&mut pace, 2, 0);
        assert!(!pace.is_due(now_ns, 1));
        assert!(pace.is_due(now_ns - 1, 1));
        pace.begin(now_ns, 2);
        pace.end(now_ns - 1_000_000, 0);
        assert!(pace.is_due(now_ns - 1_000_000, 1), "it took no time");
    }

    /// How many of so many groups are held, if so many come to each of two who waits.
    fn held(pace: &mut Pace, groups: u32, come: usize) -> u32 {
        let held = (0..groups).filter(|_| {
            let now_ns = after(pace, 8, 0);
            let is_held = !pace.is_due(now_ns, 2);
            assert!(pace.is_due(now_ns + HOLD_NS_MAX, 2 + come));
            is_held
        });
        held.count() as u32
    }

    #[test]
    fn holds_that_bring_nobody_are_left_off_and_tried_again() {
        let mut pace = Pace::default();
        assert_eq!(held(&mut pace, 100, 1), 100, "one more is worth it");
        // With 1, 3, 7, 15, 31 and then 63 left off between them.
        assert_eq!(held(&mut pace, 63, 0), 6);
        assert_eq!(held(&mut pace, 640, 0), 10);
        assert!(held(&mut pace, 64, 5) >= 1);
        assert_eq!(held(&mut pace, 100, 5), 100);
    }
}
