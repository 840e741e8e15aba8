//! Several runs become one, in the order of keys.
//!
//! So an index is filled from its first leaf to its last, and no place in it is looked for.
//!
//! # Invariants
//!
//! - The runs that compete are those whose next entry is of the bucket under way.
//! - Whatever the runs say, each of their entries is given out once: only the speed depends on
//!   their order.

use super::run::{Next, Run};
use crate::index::{Beginning, Filling};
use crate::replay::Replay;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Entries after which the memory that is taken is looked at.
const MEMORY_LOOK: u32 = 256;

/// A merge under way.
pub(super) struct Merge {
    runs: Vec<Run>,
    bucket: String,
    contest: Contest,
    /// Segments of whose entries one is none.
    pub(super) unsound: Vec<u32>,
}

/// How far one step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// All is given out.
    ToTheEnd,
    Somewhere,
    /// There is not memory enough for the index and for all runs.
    ToTheLimit,
}

/// What competes for a run: how its next key begins, and last of all if nothing competes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    beginning: Beginning,
    competes: bool,
}

impl Head {
    const NONE: Head = Head {
        beginning: Beginning::LAST,
        competes: false,
    };

    #[inline(always)]
    fn of(run: &Run) -> Head {
        let beginning = match run.name.short_key() {
            Some(key) => key.beginning(),
            None => Beginning::of(run.name.key()),
        };
        Head {
            beginning,
            competes: true,
        }
    }
}

/// A tree of losers over the runs: the way of a new entry through it is as long as it is high.
#[derive(Debug)]
struct Contest {
    heads: Vec<Head>,
    winner: (Beginning, usize),
    /// Who lost at each node, and with what; node 0 is none.
    losers: Vec<(Beginning, usize)>,
}

impl Merge {
    /// Of runs from which the first entry was taken out.
    pub(super) fn new(runs: Vec<Run>) -> Merge {
        let mut merge = Merge {
            contest: Contest::new(runs.len()),
            runs,
            bucket: String::new(),
            unsound: vec![],
        };
        merge.next_bucket();
        merge
    }

    /// Goes on by some entries.
    pub(super) fn step(&mut self, replay: &mut Replay, entries: u32) -> Came {
        let mut left = entries;
        while left > 0 && !self.runs.is_empty() {
            let some = left.min(MEMORY_LOOK);
            self.give_out(replay, some);
            left -= some;
            if self.runs.len() > 1 && self.ram_bytes() > replay.spare_memory_bytes() {
                return Came::ToTheLimit;
            }
            // Before there is no memory at all.
            replay.fits_memory();
        }
        match self.runs.is_empty() {
            true => Came::ToTheEnd,
            false => Came::Somewhere,
        }
    }

    /// The runs of which something is left.
    pub(super) fn into_runs(mut self) -> Vec<Run> {
        self.runs.retain(|run| !run.is_over);
        self.runs
    }

    fn ram_bytes(&self) -> u64 {
        self.runs.iter().map(Run::ram_bytes).sum()
    }

    /// Gives out so many entries, or all of one bucket.
    #[inline(never)]
    fn give_out(&mut self, replay: &mut Replay, entries: u32) {
        let mut filling = replay.index.begin_filling(&self.bucket);
        for _ in 0..entries {
            if !self.contest.competes() {
                break;
            }
            self.give_one(replay, &mut filling);
        }
        replay.index.end_filling(filling);
        if !self.contest.competes() {
            self.next_bucket();
        }
    }

    #[inline(always)]
    fn give_one(&mut self, replay: &mut Replay, filling: &mut Filling) {
        let (beginning, winner) = self.contest.winner;
        let run = &mut self.runs[winner];
        match run.usual() {
            Some((key, version, len)) if filling.push((key, beginning), version) => {
                replay.count_in_order(run.number, len, version.seq);
            }
            _ => match run.entry() {
                Some((entry, len)) => {
                    replay.version_near(filling, run.name.key(), &entry, (run.number, len));
                }
                None => return self.end(winner, Next::Unsound),
            },
        }
        run.given += 1;
        match run.advance() {
            Next::SameBucket => {
                let head = Head::of(run);
                self.contest.enter(winner, head, &self.runs);
            }
            next => self.end(winner, next),
        }
    }

    /// A run has nothing more in this bucket.
    #[cold]
    fn end(&mut self, winner: usize, next: Next) {
        let run = &mut self.runs[winner];
        if matches!(next, Next::End | Next::Unsound) {
            run.end();
            let unsound = (next == Next::Unsound).then_some(run.number);
            self.unsound.extend(unsound);
        }
        self.contest.enter(winner, Head::NONE, &self.runs);
    }

    /// Lets those runs compete that have entries of the first bucket there is.
    fn next_bucket(&mut self) {
        self.runs.retain(|run| !run.is_over);
        let names = self.runs.iter().map(|run| run.name.bucket());
        self.bucket.clear();
        self.bucket.push_str(names.min().unwrap_or_default());
        let heads = self
            .runs
            .iter()
            .map(|run| match run.name.bucket() == self.bucket {
                true => Head::of(run),
                false => Head::NONE,
            });
        self.contest.heads = heads.collect();
        self.contest.begin(&self.runs);
    }
}

impl Contest {
    fn new(runs: usize) -> Contest {
        Contest {
            heads: Vec::with_capacity(runs),
            winner: (Beginning::LAST, 0),
            losers: vec![],
        }
    }

    /// Whether any run does.
    #[inline(always)]
    fn competes(&self) -> bool {
        let (beginning, winner) = self.winner;
        beginning != Beginning::LAST || self.heads.get(winner).is_some_and(|head| head.competes)
    }

    /// Whether the entry of `one` comes before that of `other`.
    #[inline(always)]
    fn is_before(&self, one: (Beginning, usize), other: (Beginning, usize), runs: &[Run]) -> bool {
        one.0 < other.0 || (one.0 == other.0 && self.is_just_before(one.1, other.1, runs))
    }

    /// The same where the beginnings of keys do not tell.
    #[cold]
    fn is_just_before(&self, one: usize, other: usize, runs: &[Run]) -> bool {
        let (mine, its) = (&self.heads[one], &self.heads[other]);
        if !mine.competes || !its.competes {
            return mine.competes;
        }
        let (mine, its) = (&runs[one], &runs[other]);
        let order = mine.name.key().cmp(its.name.key());
        // The newest first.
        order.then_with(|| its.seq().cmp(&mine.seq())) == Ordering::Less
    }

    /// All compete anew.
    fn begin(&mut self, runs: &[Run]) {
        let count = self.heads.len();
        let entry = |run: usize| (self.heads[run].beginning, run);
        self.losers = (0..count).map(entry).collect();
        // The winner of each node; the leaves come behind the nodes.
        let mut winners = [&self.losers[..], &self.losers[..]].concat();
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let is_right = self.is_before(right, left, runs);
            winners[node] = if is_right { right } else { left };
            self.losers[node] = if is_right { left } else { right };
        }
        let only = winners.first().copied();
        let winner = winners.get(1).filter(|_| count > 1).copied().or(only);
        self.winner = winner.unwrap_or((Beginning::LAST, 0));
    }

    /// The one that has won has another entry.
    #[inline(always)]
    fn enter(&mut self, winner: usize, head: Head, runs: &[Run]) {
        self.heads[winner] = head;
        let mut best = (head.beginning, winner);
        let mut node = (winner + self.heads.len()) / 2;
        while node > 0 {
            let loser = self.losers[node];
            if self.is_before(loser, best, runs) {
                self.losers[node] = best;
                best = loser;
            }
            node /= 2;
        }
        self.winner = best;
    }
}
