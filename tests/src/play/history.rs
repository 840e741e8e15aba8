//! Whether one key's reads and writes can have happened one after another.
//!
//! Every write has a version of its own, so each read names its write, and the question has an
//! answer in the time of sorting: the versions' zones, from the first end to the last beginning
//! of what has to do with them, must neither overlap forwards nor hide one backwards.
//!
//! A write without an answer may have happened at any time until its guest was killed, or never.
//!
//! Source: Gibbons and Korach, "Testing Shared Memories", SIAM Journal on Computing 26 (1997),
//! the case in which it is known which write each read has read.

use std::collections::BTreeMap;

/// A span of simulated time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start_ns: u64,
    end_ns: u64,
}

/// All that has to do with one version.
#[derive(Clone, Debug, Default)]
struct Cluster {
    write: Option<Span>,
    acknowledged: bool,
    reads: Vec<Span>,
}

/// The history of one key; version 0 is that there is none.
#[derive(Clone, Debug)]
pub(super) struct History(BTreeMap<u64, Cluster>);

impl Default for History {
    /// Nothing was written, before anything else.
    fn default() -> History {
        let (start_ns, end_ns) = (0, 0);
        let nothing = Cluster {
            write: Some(Span { start_ns, end_ns }),
            acknowledged: true,
            reads: Vec::new(),
        };
        History(BTreeMap::from([(0, nothing)]))
    }
}

impl History {
    /// A write begins.
    pub(super) fn write_begins(&mut self, version: u64, start_ns: u64) {
        let end_ns = u64::MAX;
        self.0.entry(version).or_default().write = Some(Span { start_ns, end_ns });
    }

    /// A write was acknowledged.
    pub(super) fn write_ends(&mut self, version: u64, end_ns: u64) {
        let cluster = self.0.entry(version).or_default();
        cluster.acknowledged = true;
        if let Some(span) = &mut cluster.write {
            span.end_ns = end_ns;
        }
    }

    /// A write was refused: it never happens.
    pub(super) fn write_refused(&mut self, version: u64) {
        self.0.entry(version).or_default().write = None;
    }

    /// What was not acknowledged by now will not happen any more.
    pub(super) fn killed(&mut self, now_ns: u64) {
        for cluster in self.0.values_mut() {
            if let Some(span) = &mut cluster.write {
                span.end_ns = span.end_ns.min(now_ns);
            }
        }
    }

    /// A read was answered with this version.
    pub(super) fn read(&mut self, version: u64, start_ns: u64, end_ns: u64) {
        let cluster = self.0.entry(version).or_default();
        cluster.reads.push(Span { start_ns, end_ns });
    }

    /// How many operations it has.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|cluster| 1 + cluster.reads.len()).sum()
    }

    /// # Errors
    /// Why no order of the operations explains it.
    pub(super) fn judge(&self) -> Result<(), String> {
        let mut forward: Vec<(u64, u64, u64)> = Vec::new();
        let mut backward = Vec::new();
        for (version, cluster) in &self.0 {
            let Some((first_end, last_start)) = cluster.zone(*version)? else {
                continue;
            };
            if first_end < last_start {
                forward.push((first_end, last_start, *version));
            } else {
                backward.push((last_start, first_end, *version));
            }
        }
        forward.sort_unstable();
        for pair in forward.windows(2) {
            if let [(_, end, one), (start, _, other)] = pair
                && start < end
            {
                return Err(format!(
                    "version {one} was seen until {end} ns, and version {other} from {start} ns on"
                ));
            }
        }
        for (start, end, inner) in backward {
            let at = forward.partition_point(|(first_end, ..)| *first_end < start);
            if let Some((_, last_start, outer)) = at.checked_sub(1).map(|at| forward[at])
                && end < last_start
            {
                return Err(format!(
                    "version {inner} happened from {start} to {end} ns, while version {outer} was \
                     there before and after"
                ));
            }
        }
        Ok(())
    }
}

impl Cluster {
    /// The first end and the last beginning; `None` for a write that may never have happened.
    fn zone(&self, version: u64) -> Result<Option<(u64, u64)>, String> {
        let Some(write) = self.write else {
            if self.reads.is_empty() {
                return Ok(None);
            }
            return Err(format!(
                "version {version} was read, and nobody wrote it, or it was refused"
            ));
        };
        if !self.acknowledged && self.reads.is_empty() {
            return Ok(None);
        }
        if let Some(early) = self.reads.iter().find(|read| read.end_ns < write.start_ns) {
            return Err(format!(
                "version {version} was read before it was written: {early:?}"
            ));
        }
        let all = || self.reads.iter().chain([&write]);
        let first_end = all().map(|span| span.end_ns).min();
        let last_start = all().map(|span| span.start_ns).max();
        Ok(first_end.zip(last_start))
    }
}

#[cfg(test)]
mod tests {
    use super::History;

    #[derive(Clone, Copy)]
    enum Op {
        Write(u64, u64, u64),
        /// Never answered.
        Lost(u64, u64),
        Read(u64, u64, u64),
        Refused(u64),
        Kill(u64),
    }
    use Op::{Kill, Lost, Read, Refused, Write};

    fn check(ops: &[Op], explained: bool) {
        let mut history = History::default();
        for op in ops {
            match *op {
                Write(version, start, end) => {
                    history.write_begins(version, start);
                    history.write_ends(version, end);
                }
                Lost(version, start) => history.write_begins(version, start),
                Refused(version) => history.write_refused(version),
                Read(version, start, end) => history.read(version, start, end),
                Kill(now) => history.killed(now),
            }
        }
        let judged = history.judge();
        assert_eq!(judged.is_ok(), explained, "{judged:?}");
    }

    #[test]
    fn what_one_order_explains_passes() {
        check(&[], true);
        check(&[Read(0, 1, 2), Write(1, 3, 4), Read(1, 5, 6)], true);
        // Beside a write both are right, and so is either order of two writes.
        check(&[Write(1, 1, 10), Read(0, 2, 3), Read(1, 4, 5)], true);
        check(
            &[
                Write(1, 1, 10),
                Write(2, 1, 10),
                Read(2, 11, 12),
                Read(2, 13, 14),
            ],
            true,
        );
        check(&[Write(1, 1, 10), Write(2, 1, 10), Read(1, 11, 12)], true);
        // Without an answer: never, at once, or late.
        check(&[Lost(1, 1), Read(0, 2, 3), Kill(4), Read(0, 5, 6)], true);
        check(&[Lost(1, 1), Read(0, 2, 3), Kill(4), Read(1, 5, 6)], true);
        check(
            &[
                Lost(1, 1),
                Write(2, 2, 3),
                Read(2, 4, 5),
                Read(1, 6, 7),
                Kill(8),
            ],
            true,
        );
    }

    #[test]
    fn what_no_order_explains_fails() {
        // An acknowledged write is lost, or seen too late.
        check(&[Write(1, 1, 2), Read(0, 3, 4)], false);
        check(&[Write(1, 1, 2), Write(2, 3, 4), Read(1, 5, 6)], false);
        // A value that comes back.
        check(
            &[
                Write(1, 1, 20),
                Write(2, 1, 20),
                Read(1, 2, 3),
                Read(2, 4, 5),
                Read(1, 6, 7),
            ],
            false,
        );
        // Refused, and there all the same.
        check(&[Lost(1, 1), Refused(1), Read(1, 2, 3)], false);
        // Read before it was written, or written by nobody.
        check(&[Read(1, 1, 2), Write(1, 3, 4)], false);
        check(&[Read(9, 1, 2)], false);
        // Lost by the kill, and back after it.
        check(&[Lost(1, 1), Kill(4), Read(0, 5, 6), Read(1, 7, 8)], false);
        check(&[Lost(1, 1), Kill(4), Write(2, 5, 6), Read(1, 7, 8)], false);
    }
}
