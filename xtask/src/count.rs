//! `cargo xtask count`: instructions of the service and the store, on the host.
//!
//! Each piece of work of `tests/bench` is done so often, and twice as often; what one takes is
//! the difference. The same compiler makes the same instructions on any machine, so a figure
//! that grew is a change of ours. System calls are not in it, and neither is TCP.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::command;
use crate::bed::counter::Counter;
use crate::build;

/// What `cargo xtask count` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only work whose name contains this.
    filter: Option<String>,
}

/// A piece of work.
struct Work {
    name: &'static str,
    /// What `bench` calls the work, and the function of which alone it is counted.
    inside: Option<(&'static str, &'static str)>,
    /// One of what.
    what: &'static str,
    size: u64,
    times: u64,
    /// In how many parts the figure is given: records of a store that is opened.
    parts: u64,
    /// More than this is a failure: the last figure, and a little.
    most: u64,
    /// What it is to become.
    goal: Option<u64>,
}

const WORKS: [Work; 7] = [
    Work {
        name: "get",
        inside: None,
        what: "GET of 100 bytes that are cached: service and store",
        size: 1000,
        times: 1000,
        parts: 1,
        most: 915,
        goal: Some(900),
    },
    Work {
        name: "put",
        inside: None,
        what: "PUT of 100 bytes, one to a flush: service, store and the copy to a disk in memory",
        size: 1000,
        times: 1000,
        parts: 1,
        most: 46_600,
        goal: None,
    },
    Work {
        name: "store-get",
        inside: None,
        what: "value found and read: store alone",
        size: 1000,
        times: 1000,
        parts: 1,
        most: 2_260,
        goal: None,
    },
    Work {
        name: "store-put",
        inside: None,
        what: "new key beside 100,000, 500 to a flush: store and the copy to a disk in memory",
        size: 100_000,
        times: 5000,
        parts: 1,
        most: 20_300,
        goal: None,
    },
    Work {
        name: "index-insert",
        inside: Some(("store-put", "store::index::Index::write")),
        what: "new key beside 100,000: the index alone",
        size: 100_000,
        times: 5000,
        parts: 1,
        most: 1_420,
        goal: Some(1_500),
    },
    Work {
        name: "open-closed",
        inside: None,
        what: "record of 100 bytes when a store that was closed is opened",
        size: 100_000,
        times: 1,
        parts: 100_000,
        most: 568,
        goal: Some(300),
    },
    Work {
        name: "open-killed",
        inside: None,
        what: "record of 100 bytes when a store that was killed is opened",
        size: 100_000,
        times: 1,
        parts: 100_000,
        most: 642,
        goal: Some(300),
    },
];

/// Counts, and prints each figure; false if one is too large.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let works = WORKS.iter().filter(|work| work.name.contains(filter));
    let works: Vec<&Work> = works.collect();
    let known = WORKS.map(|work| work.name).join(", ");
    ensure!(
        !works.is_empty(),
        "no work is called {filter:?}: there is {known}"
    );
    let counter = Counter::open()?;
    let checkout = crate::checkout();
    let mut cargo = build::cargo(&checkout);
    cargo.args(["build", "--release", "-p", "bench"]);
    command::visible(&mut cargo)?;
    let program = checkout.join("target/release/bench");
    let mut all_fit = true;
    for work in works {
        all_fit &= work.report(work.count(&counter, &program)?);
    }
    Ok(all_fit)
}

/// The same as a part of all tests.
pub(crate) fn run_all() -> Result<()> {
    let all_fit = run(&Arguments { filter: None })?;
    ensure!(all_fit, "some work takes more instructions than it may");
    Ok(())
}

impl Work {
    fn count(&self, counter: &Counter, program: &Path) -> Result<u64> {
        let of = |times: u64| {
            let mut command = Command::new(program);
            let (name, inside) = match self.inside {
                Some((name, function)) => (name, Some(function)),
                None => (self.name, None),
            };
            command.args([name, &self.size.to_string(), &times.to_string()]);
            counter.count(&command, inside)
        };
        let (once, twice) = (of(self.times)?, of(2 * self.times)?);
        let more = twice
            .checked_sub(once)
            .with_context(|| format!("{} takes less when it is done more often", self.name))?;
        Ok(more / self.times / self.parts)
    }

    /// Whether the figure is no larger than it may be.
    fn report(&self, count: u64) -> bool {
        let goal = match self.goal {
            Some(goal) => format!(", goal {goal}"),
            None => String::new(),
        };
        let verdict = match count <= self.most {
            true => "",
            false => "  TOO MANY: what changed, and was it worth it?",
        };
        println!(
            "{:12} {count:6} instructions a {} (at most {}{goal}){verdict}",
            self.name, self.what, self.most
        );
        count <= self.most
    }
}
