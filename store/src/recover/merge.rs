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

/// What competes for a run.
#[derive(Clone, Copy, Debug)]
struct Head {
    beginning: Beginning,
    competes: bool,
}

/// A tree of losers over the runs: the way of a new entry through it is as long as it is high.
#[derive(Debug)]
struct Contest {
    heads: Vec<Head>,
    winner: usize,
    /// Who lost at each node; node 0 is none.
    losers: Vec<usize>,
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
    fn give_out(&mut self, replay: &mut Replay, entries: u32) {
        let mut filling = replay.index.begin_filling(&self.bucket);
        for _ in 0..entries {
            let winner = self.contest.winner;
            if !self.contest.heads[winner].competes {
                break;
            }
            self.give_one(replay, &mut filling, winner);
        }
        replay.index.end_filling(filling);
        let winner = self.contest.winner;
        if !self.contest.heads[winner].competes {
            self.next_bucket();
        }
    }

    fn give_one(&mut self, replay: &mut Replay, filling: &mut Filling, winner: usize) {
        let run = &mut self.runs[winner];
        let record = (run.number, run.record_len);
        replay.version_in_order(filling, run.name.key(), &run.entry, record);
        run.given += 1;
        let next = run.advance();
        let head = &mut self.contest.heads[winner];
        head.beginning = Beginning::of(run.name.key());
        head.competes = next == Next::SameBucket;
        if matches!(next, Next::End | Next::Unsound) {
            run.end();
            if next == Next::Unsound {
                self.unsound.push(run.number);
            }
        }
        self.contest.enter(winner, &self.runs);
    }

    /// Lets those runs compete that have entries of the first bucket there is.
    fn next_bucket(&mut self) {
        self.runs.retain(|run| !run.is_over);
        let names = self.runs.iter().map(|run| run.name.bucket());
        self.bucket.clear();
        self.bucket.push_str(names.min().unwrap_or_default());
        let heads = self.runs.iter().map(|run| Head {
            beginning: Beginning::of(run.name.key()),
            competes: run.name.bucket() == self.bucket,
        });
        self.contest.heads = heads.collect();
        self.contest.begin(&self.runs);
    }
}

impl Contest {
    fn new(runs: usize) -> Contest {
        Contest {
            heads: Vec::with_capacity(runs),
            winner: 0,
            losers: vec![],
        }
    }

    /// Whether the entry of `one` comes before that of `other`.
    #[inline(always)]
    fn is_before(&self, one: usize, other: usize, runs: &[Run]) -> bool {
        let (mine, its) = (&self.heads[one], &self.heads[other]);
        if mine.competes && its.competes && mine.beginning != its.beginning {
            return mine.beginning < its.beginning;
        }
        self.is_just_before(one, other, runs)
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
        let seqs = (its.entry.version.seq, mine.entry.version.seq);
        order.then_with(|| seqs.0.cmp(&seqs.1)) == Ordering::Less
    }

    /// All compete anew.
    fn begin(&mut self, runs: &[Run]) {
        let count = self.heads.len();
        self.losers = vec![0; count];
        // The winner of each node; the leaves come behind the nodes.
        let mut winners: Vec<usize> = (0..count).chain(0..count).collect();
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let is_right = self.is_before(right, left, runs);
            winners[node] = if is_right { right } else { left };
            self.losers[node] = if is_right { left } else { right };
        }
        self.winner = if count > 1 { winners[1] } else { 0 };
    }

    /// The one that has won has another entry.
    fn enter(&mut self, winner: usize, runs: &[Run]) {
        let mut winner = winner;
        let mut node = (winner + self.heads.len()) / 2;
        while node > 0 {
            let loser = self.losers[node];
            if self.is_before(loser, winner, runs) {
                self.losers[node] = winner;
                winner = loser;
            }
            node /= 2;
        }
        self.winner = winner;
    }
}
