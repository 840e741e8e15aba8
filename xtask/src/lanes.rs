//! Three lanes side by side, of which each takes the next suite when it has ended one.
//!
//! A machine without hardware virtualisation keeps half a CPU to a whole one busy, so three fill
//! two. The first lane prints as it goes; what the others print comes when each suite has ended.

use std::io::{self, Write, stdout};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Result;

use crate::hosts::Hypervisor;
use crate::suite::{SUITES, Suite};
use crate::verdict::Verdict;
use crate::wrong;

/// What is tested without a suite, and prints by itself: the first lane begins with it.
pub(crate) type Part = (&'static str, fn() -> Result<()>);

/// So many machines run at a time.
const LANES: usize = 3;

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

/// Where a lane's output goes: to the terminal, or first into memory.
#[derive(Debug, Clone)]
pub(crate) struct Screen(Option<Arc<Mutex<Vec<u8>>>>);

impl Screen {
    /// One that holds back what it is given.
    pub(crate) fn held() -> Screen {
        Screen(Some(Arc::default()))
    }

    /// Shows a line.
    pub(crate) fn line(&self, line: &str) {
        // A closed terminal is no reason to stop.
        let _ = writeln!(self.clone(), "{line}");
    }

    /// Shows what was held back.
    pub(crate) fn flush_out(&self) {
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

/// Runs the parts and the suites; the verdicts in their order.
pub(crate) fn run(parts: &[Part], asked: &Asked) -> Vec<Verdict> {
    let is_asked = |suite: &&Suite| asked.only.is_none_or(|only| only == suite.hypervisor);
    let suites: Vec<_> = SUITES.iter().filter(is_asked).collect();
    let next = AtomicUsize::new(0);
    let lane = |nth: usize| {
        let screen = Screen((nth > 0).then(Arc::default));
        let parts = parts.iter().filter(|_| nth == 0);
        let mut verdicts: Vec<_> = parts.map(|part| (0, told(*part))).collect();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(suite) = suites.get(place) else {
                return verdicts;
            };
            let verdict = turn(suite, asked, &screen);
            verdicts.extend(verdict.map(|verdict| (place + 1, verdict)));
            screen.flush_out();
        }
    };
    let mut verdicts = thread::scope(|scope| {
        let lanes = [0; LANES].iter().enumerate();
        let lanes = lanes.map(|(nth, _)| scope.spawn(move || lane(nth)));
        // All are begun before one is waited for.
        let lanes: Vec<_> = lanes.collect();
        let verdicts = lanes.into_iter().map(ScopedJoinHandle::join);
        let verdicts = verdicts.map(|lane| lane.unwrap_or_else(|panic| resume_unwind(panic)));
        verdicts.flatten().collect::<Vec<_>>()
    });
    verdicts.sort_by_key(|(place, _)| *place);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Runs a part under its name.
pub(crate) fn told((name, part): Part) -> Verdict {
    println!("== {name}");
    Verdict::of(name, part)
}

/// Runs a suite, if it is to be run.
fn turn(suite: &Suite, asked: &Asked, screen: &Screen) -> Option<Verdict> {
    let name = suite.name();
    if let Some(why) = why_not(suite, asked) {
        screen.line(&format!("== {name}: {why}"));
        return None;
    }
    let tests = match suite.tests(asked.filter.as_deref(), asked.full) {
        Ok(tests) => tests,
        Err(error) => return Some(Verdict::of(name, || Err(error))),
    };
    if let (true, Some(filter)) = (tests.is_empty(), &asked.filter) {
        screen.line(&format!("== {name}: no test has {filter} in its name"));
        return None;
    }
    let brief = suite.brief.join(", ");
    let is_brief = !(brief.is_empty() || asked.full || asked.filter.is_some());
    let only = is_brief.then(|| format!(": {brief}; all with --full"));
    screen.line(&format!("== {name}{}", only.unwrap_or_default()));
    Some(Verdict::of(name, || one(suite, asked, &tests, screen)))
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
    None
}

fn one(suite: &Suite, asked: &Asked, tests: &[String], screen: &Screen) -> Result<()> {
    match suite.wrong {
        None => suite.run(&asked.image, tests, screen),
        Some(_) => wrong::image().and_then(|wrong| suite.run(&wrong.path, tests, screen)),
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;
    use std::io::Write;

    #[test]
    fn what_is_held_back_is_whole_and_shown_once() {
        let mut screen = Screen::held();
        screen.line("one");
        screen.write_all(b"two\n").expect("into memory");
        let held = screen.0.clone().expect("it is held");
        assert_eq!(*held.lock().expect("ours"), b"one\ntwo\n");
        screen.flush_out();
        assert!(held.lock().expect("ours").is_empty());
    }
}
