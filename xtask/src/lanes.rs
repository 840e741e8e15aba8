//! The suites of each lane one after the other, and the lanes side by side.
//!
//! A machine without hardware virtualisation keeps one CPU busy, so two take hardly longer than
//! one. The first lane prints as it goes; what the others print comes when each suite has ended.

use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Result, anyhow};

use crate::hosts::Hypervisor;
use crate::suite::{SUITES, Suite};
use crate::wrong;

/// Who runs after whom; what takes longest comes first.
const LANES: [&[Hypervisor]; 2] = [
    &[Hypervisor::XEN],
    &[
        Hypervisor::Emulation,
        Hypervisor::XEN_4_20_OXENSTORED,
        Hypervisor::XEN_4_20,
        Hypervisor::XEN_OXENSTORED,
    ],
];

/// What is run.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) image: PathBuf,
    /// On this hypervisor alone.
    pub(crate) only: Option<Hypervisor>,
    /// The test targets there are.
    pub(crate) targets: Vec<String>,
    pub(crate) full: bool,
    pub(crate) filter: Option<String>,
}

/// A verdict, under its suite's name.
pub(crate) type Verdict = (String, Result<()>);

/// Where a lane's output goes: to the terminal, or first into memory.
#[derive(Debug, Clone)]
pub(crate) struct Screen(Option<Arc<Mutex<Vec<u8>>>>);

impl Screen {
    /// Shows a line.
    pub(crate) fn line(&self, line: &str) {
        // A closed terminal is no reason to stop.
        let _ = writeln!(self.clone(), "{line}");
    }

    /// Shows what was held back.
    fn flush_out(&self) {
        if let Some(held) = &self.0 {
            let held = std::mem::take(&mut *locked(held));
            let _ = stdout().lock().write_all(&held);
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(held) => locked(held).write(bytes),
            None => stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {
            Some(_) => Ok(()),
            None => stdout().flush(),
        }
    }
}

fn locked(held: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the suites; the verdicts lane by lane.
pub(crate) fn run(asked: &Asked) -> Result<Vec<Verdict>> {
    let is_asked = |suite: &&Suite| asked.only.is_none_or(|only| only == suite.hypervisor);
    let lanes = LANES.map(|lane| {
        let is_here = |suite: &&Suite| lane.contains(&suite.hypervisor);
        let suites = SUITES.iter().filter(is_asked).filter(is_here);
        suites.collect::<Vec<_>>()
    });
    let lanes = lanes.into_iter().filter(|suites| !suites.is_empty());
    thread::scope(|scope| {
        let lanes = lanes.enumerate().map(|(nth, suites)| {
            let screen = Screen((nth > 0).then(Arc::default));
            scope.spawn(move || lane(&suites, asked, &screen))
        });
        // All are begun before one is waited for.
        let lanes: Vec<_> = lanes.collect();
        let mut verdicts = Vec::new();
        for lane in lanes {
            let lane = lane.join();
            verdicts.extend(lane.map_err(|_| anyhow!("a lane of suites panicked"))?);
        }
        Ok(verdicts)
    })
}

fn lane(suites: &[&Suite], asked: &Asked, screen: &Screen) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for suite in suites {
        let name = suite.name();
        match why_not(suite, asked) {
            Some(why) => screen.line(&format!("== {name}: {why}")),
            None => {
                let tests = tests(suite, asked);
                let only = match (tests.as_slice(), &asked.filter) {
                    (words @ [_, ..], None) => format!(": {}; all with --full", words.join(", ")),
                    _ => String::new(),
                };
                screen.line(&format!("== {name}{only}"));
                verdicts.push((name, one(suite, asked, &tests, screen)));
            }
        }
        screen.flush_out();
    }
    verdicts
}

/// Why a suite is left out.
fn why_not(suite: &Suite, asked: &Asked) -> Option<String> {
    let is_named = asked.only.is_some() && asked.filter.is_some();
    if suite.is_long && !asked.full && !is_named {
        return Some("only with --full".to_owned());
    }
    if !asked.targets.iter().any(|target| target == suite.target) {
        return Some("there is no such test yet".to_owned());
    }
    let filter = asked.filter.as_deref()?;
    let has = suite.has(filter).unwrap_or(true);
    (!has).then(|| format!("no test has {filter} in its name"))
}

/// Words of which one is in the name of each test to be run; none is all.
fn tests<'a>(suite: &Suite, asked: &'a Asked) -> Vec<&'a str> {
    match &asked.filter {
        Some(filter) => vec![filter],
        None if asked.full => Vec::new(),
        None => suite.brief.to_vec(),
    }
}

fn one(suite: &Suite, asked: &Asked, tests: &[&str], screen: &Screen) -> Result<()> {
    match suite.wrong {
        None => suite.run(&asked.image, tests, screen),
        Some(_) => wrong::image().and_then(|wrong| suite.run(&wrong.path, &[], screen)),
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, Screen};
    use crate::hosts::Hypervisor;
    use clap::ValueEnum;
    use std::io::Write;
    use std::sync::Arc;

    #[test]
    fn each_hypervisor_is_in_one_lane() {
        for hypervisor in Hypervisor::value_variants() {
            let lanes = LANES.iter().filter(|lane| lane.contains(hypervisor));
            assert_eq!(lanes.count(), 1, "{hypervisor}");
        }
    }

    #[test]
    fn what_is_held_back_is_whole_and_shown_once() {
        let mut screen = Screen(Some(Arc::default()));
        screen.line("one");
        screen.write_all(b"two\n").expect("into memory");
        let held = screen.0.clone().expect("it is held");
        assert_eq!(*held.lock().expect("ours"), b"one\ntwo\n");
        screen.flush_out();
        assert!(held.lock().expect("ours").is_empty());
    }
}
