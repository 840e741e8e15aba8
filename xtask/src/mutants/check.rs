//! One check: built first, then run by itself, and what its end says.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::tree::Tree;
use crate::build;

/// Longest that a check may run. The simulated world has limits of its own for what never
/// comes to an end, so whoever is cut off here has found nothing.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// How a test program ends when tests have failed.
const TESTS_FAILED: i32 = 101;

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// Which test program, in cargo's words.
    program: Vec<String>,
    /// Which of its tests.
    filter: String,
    /// Most seeds it plays, where it plays seeds.
    seeds: Option<u64>,
}

/// How a check ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many tests ran, and passed.
    Passed(u64),
    /// A test failed: what it said.
    Failed(String),
    /// The text to change was not there.
    TextMissing,
    /// The bug is not even Rust.
    NotBuilt,
    /// It did not end in time.
    TooLong,
    /// It ended, and not as a test that fails.
    Died(String),
}

impl Verdict {
    /// As a part of a sentence.
    pub(super) fn said(&self) -> String {
        match self {
            Verdict::Passed(tests) => format!("{tests} tests passed"),
            Verdict::Failed(said) => said.clone(),
            Verdict::TextMissing => "the text to change does not occur exactly once".to_owned(),
            Verdict::NotBuilt => "it did not compile".to_owned(),
            Verdict::TooLong => format!("it did not end within {} s", LIMIT.as_secs()),
            Verdict::Died(how) => format!("it ended without a test's verdict ({how})"),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seeds) = self.seeds {
            write!(f, "LAMPION_SIM_COUNT={seeds} ")?;
        }
        let program = self.program.join(" ");
        write!(f, "cargo test {program} -- {}", self.filter)
    }
}

impl Check {
    /// `PROGRAM -- FILTER`, as one would give it to `cargo test`.
    pub(super) fn parse(text: &str, seeds: Option<u64>) -> Result<Check> {
        let (program, filter) = text
            .split_once(" -- ")
            .context("a check is `-p PACKAGE --test NAME -- FILTER`: ` -- ` is missing")?;
        ensure!(!filter.trim().is_empty(), "a check names its tests");
        Ok(Check {
            program: program.split_whitespace().map(str::to_owned).collect(),
            filter: filter.trim().to_owned(),
            seeds,
        })
    }

    /// Builds and runs it.
    pub(super) fn run(&self, tree: &Tree, log: &Path) -> Result<Verdict> {
        fs::write(log, "")?;
        let Some(program) = self.build(tree, log)? else {
            return Ok(Verdict::NotBuilt);
        };
        let mut file = File::options().append(true).open(log)?;
        writeln!(file, "{} {}", program.display(), self.filter)?;
        let mut test = Command::new(&program);
        test.arg(&self.filter).current_dir(tree.sources());
        test.env("LAMPION_SIM_FIRST", "0");
        if let Some(seeds) = self.seeds {
            test.env("LAMPION_SIM_COUNT", seeds.to_string());
        }
        test.stdin(Stdio::null());
        test.stdout(file.try_clone()?).stderr(file);
        let Some(status) = ended(&mut test)? else {
            return Ok(Verdict::TooLong);
        };
        let output = fs::read(log)?;
        Ok(self.judge(status, &String::from_utf8_lossy(&output)))
    }

    /// The test program; `None` if it cannot be built.
    fn build(&self, tree: &Tree, log: &Path) -> Result<Option<PathBuf>> {
        let mut cargo = build::cargo(&tree.sources());
        cargo.arg("test").args(&self.program);
        cargo.args(["--no-run", "--message-format=json-render-diagnostics"]);
        cargo.arg("--target-dir").arg(tree.target());
        // The profiles that are fast build nothing incrementally by themselves.
        cargo.env("CARGO_INCREMENTAL", "1");
        cargo.stdin(Stdio::null());
        cargo.stderr(File::options().append(true).open(log)?);
        let output = cargo.output().context("cargo could not be started")?;
        if !output.status.success() {
            return Ok(None);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let programs = messages.lines().filter_map(executable);
        let programs: Vec<PathBuf> = programs.collect();
        ensure!(
            programs.len() == 1,
            "`{self}` names {} test programs",
            programs.len()
        );
        Ok(programs.into_iter().next())
    }

    fn judge(&self, status: ExitStatus, output: &str) -> Verdict {
        let failed = output.contains("test result: FAILED");
        match status.code() {
            Some(0) => match passed(output) {
                0 => Verdict::Died("no test has such a name".to_owned()),
                tests => Verdict::Passed(tests),
            },
            Some(TESTS_FAILED) if failed => Verdict::Failed(self.told(output)),
            _ => Verdict::Died(status.to_string()),
        }
    }

    /// The seed and the first words of a failure.
    fn told(&self, output: &str) -> String {
        let seed = match (self.seeds, seed(output)) {
            (Some(most), Some(seed)) => {
                format!(
                    "by seed {seed}, number {} of at most {most}: ",
                    seed.saturating_add(1)
                )
            }
            _ => String::new(),
        };
        format!("{seed}{}", panic_words(output))
    }
}

/// Waits for the program; `None` if it took too long and was ended.
fn ended(program: &mut Command) -> Result<Option<ExitStatus>> {
    let mut child = program.spawn().context("the test cannot be started")?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The test program that a message of cargo names.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_test = message["profile"]["test"].as_bool() == Some(true);
    is_test.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// How many tests have passed.
fn passed(output: &str) -> u64 {
    let results = output.lines().filter_map(|line| {
        let counts = line.strip_prefix("test result: ok. ")?;
        counts.split(' ').next()?.parse::<u64>().ok()
    });
    results.sum()
}

/// The seed of the first failure that names one.
fn seed(output: &str) -> Option<u64> {
    let (_, rest) = output.split_once("LAMPION_SIM_FIRST=")?;
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The first words of the first panic, and of what two things were that should be equal.
fn panic_words(output: &str) -> String {
    const COLUMNS: usize = 100;
    let mut lines = output.lines().map(str::trim);
    let place = lines.find(|line| line.contains("panicked at"));
    let said = lines.take_while(|line| !line.is_empty() && !line.starts_with("stack backtrace"));
    let said: Vec<&str> = said.collect();
    let words = match (place, &said[..]) {
        (Some(_), [first, rest @ ..]) if first.ends_with("failed") => {
            format!("{first}: {}", rest.join(", "))
        }
        (Some(_), [first, ..]) => (*first).to_owned(),
        _ => "a test failed".to_owned(),
    };
    match words.char_indices().nth(COLUMNS) {
        Some((end, _)) => format!("{} …", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const FAILURE: &str = "running 1 test\n\nthread 'x' panicked at a.rs:1:2:\nkey 3: lost\n\
                           alone: LAMPION_SIM_COUNT=1 LAMPION_SIM_FIRST=17\n\ntest result: FAILED. 0 passed";

    fn check(code: i32, output: &str, expected: &Verdict) {
        let check = Check::parse("-p tests --test sim -- outlives", Some(20)).unwrap();
        let status = ExitStatus::from_raw(code << 8);
        assert_eq!(&check.judge(status, output), expected, "{code} {output}");
    }

    #[test]
    fn only_a_test_that_fails_has_found_something() {
        let found = "by seed 17, number 18 of at most 20: key 3: lost";
        check(101, FAILURE, &Verdict::Failed(found.to_owned()));
        check(
            0,
            "test result: ok. 2 passed; 0 failed",
            &Verdict::Passed(2),
        );
        let none = Verdict::Died("no test has such a name".to_owned());
        check(0, "test result: ok. 0 passed; 0 failed", &none);
        let died = |code: i32| Verdict::Died(format!("exit status: {code}"));
        check(101, "error: something else", &died(101));
        check(1, FAILURE, &died(1));
    }

    #[test]
    fn a_test_program_is_found_among_cargos_messages() {
        let test = r#"{"profile":{"test":true},"executable":"/t/sim-1"}"#;
        assert_eq!(executable(test), Some(PathBuf::from("/t/sim-1")));
        for other in [
            r#"{"profile":{"test":false},"executable":"/t/xtask"}"#,
            r#"{"profile":{"test":true},"executable":null}"#,
            r#"{"reason":"build-finished"}"#,
            "not a message",
        ] {
            assert_eq!(executable(other), None, "{other}");
        }
    }
}
