//! What became of each part of a test run, and how long it took.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// A part's end.
#[derive(Debug)]
pub(crate) struct Verdict {
    name: String,
    took: Duration,
    result: Result<()>,
}

impl Verdict {
    /// Does a part. One that panics has failed, and takes no other's verdict with it.
    pub(crate) fn of(name: impl Into<String>, part: impl FnOnce() -> Result<()>) -> Verdict {
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(part));
        Verdict {
            name: name.into(),
            took: begun.elapsed(),
            result: result.unwrap_or_else(|_| Err(anyhow!("it panicked: see above"))),
        }
    }
}

/// Prints the verdicts; whether all passed.
pub(crate) fn report(verdicts: &[Verdict]) -> bool {
    println!();
    for Verdict { name, took, result } in verdicts {
        let seconds = took.as_secs();
        match result {
            Ok(()) => println!("passed: {name} ({seconds} s)"),
            Err(error) => println!("FAILED: {name} ({seconds} s): {error:#}"),
        }
    }
    let failed = verdicts.iter().filter(|verdict| verdict.result.is_err());
    let failed = failed.count();
    println!("{} passed, {failed} failed", verdicts.len() - failed);
    failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fails_or_panics_fails_the_run() {
        let good = || Verdict::of("good", || Ok(()));
        assert!(report(&[good(), good()]));
        assert!(!report(&[
            good(),
            Verdict::of("bad", || Err(anyhow!("no")))
        ]));
        assert!(!report(&[
            Verdict::of("worse", || panic!("out of luck")),
            good()
        ]));
    }
}
