//! What summaries have told of keys, until there is enough of it to be merged.
//!
//! Runs are gathered as long as there is memory for them and for the index that they become. If
//! there turns out to be too little, those that are not given out are read again, one by one.

use super::merge::{Came, Merge};
use super::rest::{By, Left};
use super::run::{Bounds, Next, Run};
use super::{Recovery, Stage, WentOn};
use crate::replay::Replay;
use crate::summary::Summary;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most runs of one merge.
const RUNS_MAX: usize = 1024;
/// Of the memory that is left, the runs take one part: the entries of most take about two in the
/// index.
const SHARES: u64 = 4;
/// What an entry is taken for of a step's budget of bytes.
const ENTRY_BYTES: u64 = 64;

/// Runs that wait.
#[derive(Default)]
pub(super) struct Runs {
    waiting: Vec<Run>,
    bytes: u64,
    /// There was too little memory for several at once.
    one_by_one: bool,
}

impl Recovery {
    /// The versions of the newest segment are a run like others.
    pub(super) fn gather_tail(&mut self) {
        let (Some(newest), Some(summary)) = (&self.newest, &self.summary) else {
            return;
        };
        let start = self.layout.start(newest.number);
        let bounds = Bounds {
            start,
            data: start + u64::from(newest.data_start),
            end: self.layout.data_end(newest.number),
        };
        let spare_bytes = self.replay.spare_memory_bytes() / SHARES;
        match summary.run((newest.number, bounds), spare_bytes) {
            Some(run) => self.take_run(run, By::Summary),
            None => self.replay.gathered(summary),
        }
    }

    /// Keeps a run until it is merged.
    pub(super) fn take_run(&mut self, mut run: Run, by: By) {
        let given = match by {
            By::SummaryBehind(given) => given,
            By::Summary | By::Groups => 0,
        };
        match run.skip(given) {
            Next::SameBucket | Next::OtherBucket => {
                self.runs.bytes += run.ram_bytes();
                self.runs.waiting.push(run);
            }
            Next::End => {}
            Next::Unsound => self.read_groups(run.number),
        }
    }

    /// Whether another run would be too much.
    pub(super) fn has_runs_enough(&self) -> bool {
        let spare_bytes = self.replay.spare_memory_bytes();
        let more_bytes = self.summary_memory_bytes;
        let count = self.runs.waiting.len();
        let is_full = self.runs.one_by_one
            || count >= RUNS_MAX
            || self.runs.bytes + more_bytes > spare_bytes / SHARES;
        count > 0 && is_full
    }

    /// Merges what waits, if anything does.
    pub(super) fn begin_merge(&mut self) -> Option<Box<Merge>> {
        let runs = core::mem::take(&mut self.runs.waiting);
        self.runs.bytes = 0;
        (!runs.is_empty()).then(|| Box::new(Merge::new(runs)))
    }

    pub(super) fn merge_on(&mut self, mut merge: Box<Merge>, budget: &mut u64) -> (Stage, WentOn) {
        let entries = u32::try_from(*budget / ENTRY_BYTES).unwrap_or(u32::MAX);
        let came = merge.step(&mut self.replay, entries.max(1));
        *budget = 0;
        for number in merge.unsound.drain(..) {
            self.read_groups(number);
        }
        match came {
            Came::Somewhere => (Stage::Merge(merge), WentOn::Yes),
            Came::ToTheEnd => (Stage::Rest(None), WentOn::Yes),
            Came::ToTheLimit => {
                self.put_aside(merge.into_runs());
                (Stage::Rest(None), WentOn::Yes)
            }
        }
    }

    /// What an intact summary says is not so: the groups tell.
    fn read_groups(&mut self, number: u32) {
        self.disbelieve(number);
        let by = By::Groups;
        self.rest.push_front(Left { number, by });
    }

    /// Goes on with one run at a time.
    fn put_aside(&mut self, runs: Vec<Run>) {
        self.runs.one_by_one = true;
        let newest = self.newest.map(|newest| newest.number);
        for run in runs {
            if newest == Some(run.number) {
                // It is in no summary on the disk.
                self.runs.bytes += run.ram_bytes();
                self.runs.waiting.push(run);
                continue;
            }
            let by = By::SummaryBehind(run.given);
            let number = run.number;
            self.rest.push_front(Left { number, by });
        }
    }
}

impl Replay {
    /// Takes in what a summary has gathered.
    pub(super) fn gathered(&mut self, summary: &Summary) {
        summary.tell(|name, entry| {
            let whose = (name.bucket(), name.key());
            self.version(whose, entry.version, entry.upload);
        });
    }
}
