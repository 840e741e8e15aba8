//! `cargo xtask fuzz`: bytes that reach new code, for each target of `tests/fuzz`.
//!
//! The targets and all below them are compiled with counters at every edge, by
//! flags that a stable compiler has, into a directory of their own; libFuzzer
//! keeps the inputs that count where none counted before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bed::command;
use crate::build;

/// An explicit target keeps the counters out of build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// What makes the compiler count edges and show comparisons.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// How long a target runs, if nothing else is said.
const SECONDS: u64 = 10;
/// Seconds after which one input counts as a hang.
const HANG_S: u32 = 20;
/// Bytes of the longest input: longer ones reach nothing that shorter ones do not.
const INPUT_BYTES_MAX: u32 = 2048;
/// Edges below which a run has seen nothing: the counters are not there.
const EDGES_MIN: u32 = 20;

/// What `cargo xtask fuzz` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The target; all of them one after the other without.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// Runs the target on these bytes alone.
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
    /// Takes what the runs so far have found over into the tree's corpus, in as few files as
    /// reach the same code.
    #[arg(long, requires = "target", conflicts_with = "replay")]
    merge: bool,
}

/// Fuzzes; false when something was found, which has been told.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let known = targets()?;
    let chosen = match &arguments.target {
        Some(target) if !known.contains(target) => {
            bail!(
                "there is no target {target}: there are {}",
                known.join(", ")
            )
        }
        Some(target) => vec![target.clone()],
        None => known,
    };
    let driver = build()?;
    if let (Some(input), Some(target)) = (&arguments.replay, arguments.target.as_deref()) {
        let input = fs::canonicalize(input).with_context(|| format!("{}", input.display()))?;
        let mut replay = started(&driver, target);
        return Ok(command::visible(replay.arg(input)).is_ok());
    }
    let mut harmless = true;
    for target in chosen {
        let place = Place::of(&target)?;
        if arguments.merge {
            place.merge(&driver)?;
        } else {
            harmless &= place.fuzz(&driver, arguments.seconds)?;
        }
    }
    Ok(harmless)
}

/// Fuzzes every target for a moment; what was found is an error.
pub(crate) fn run_all() -> Result<()> {
    let arguments = Arguments {
        target: None,
        seconds: SECONDS,
        replay: None,
        merge: false,
    };
    if !run(&arguments)? {
        bail!("some bytes do harm: they are named above");
    }
    Ok(())
}

/// The targets: those that have a corpus.
fn targets() -> Result<Vec<String>> {
    let corpus = crate::checkout().join("tests/fuzz/corpus");
    let mut names = Vec::new();
    for entry in fs::read_dir(&corpus).with_context(|| format!("{}", corpus.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Compiles the driver; where it is.
fn build() -> Result<PathBuf> {
    if !command::exists("c++") {
        bail!("libFuzzer needs a C++ compiler: run `apt-get install g++` as root");
    }
    let checkout = crate::checkout();
    let mut cargo = build::cargo(&checkout);
    cargo.args([
        "build",
        "--profile",
        "sim",
        "-p",
        "fuzz",
        "--test",
        "driver",
    ]);
    cargo.args([
        "--features",
        "libfuzzer-sys/link_libfuzzer",
        "--target",
        TRIPLE,
    ]);
    cargo.arg("--target-dir").arg(checkout.join("target/fuzz"));
    cargo.arg("--message-format=json-render-diagnostics");
    cargo
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let messages = command::output_shown(&mut cargo)?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let executable = |message: Value| {
        let is_driver = message["target"]["name"] == "driver";
        is_driver.then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    let mut executables = messages.filter_map(executable);
    executables.next().context("cargo names no driver")
}

fn started(driver: &Path, target: &str) -> Command {
    let mut command = Command::new(driver);
    command.env("LAMPION_FUZZ_TARGET", target);
    command.arg(format!("-timeout={HANG_S}"));
    command
}

/// Where the inputs of a target lie.
struct Place {
    target: String,
    /// The tree's.
    corpus: PathBuf,
    /// Words that such inputs are made of; not every target has some.
    words: PathBuf,
    /// What was found to reach new code.
    news: PathBuf,
    /// What was found to do harm.
    harm: PathBuf,
    log: PathBuf,
}

impl Place {
    fn of(target: &str) -> Result<Place> {
        let checkout = crate::checkout();
        let built = checkout.join("target/fuzz");
        let place = Place {
            target: target.to_owned(),
            corpus: checkout.join("tests/fuzz/corpus").join(target),
            words: checkout.join("tests/fuzz/words").join(target),
            news: built.join("corpus").join(target),
            harm: built.join("harm").join(target),
            log: built.join(format!("{target}.log")),
        };
        fs::create_dir_all(&place.news)?;
        fs::create_dir_all(&place.harm)?;
        Ok(place)
    }

    /// Runs for so long; false when an input did harm.
    fn fuzz(&self, driver: &Path, seconds: u64) -> Result<bool> {
        let mut fuzzer = started(driver, &self.target);
        fuzzer.arg(format!("-max_total_time={seconds}"));
        // Long from the start: most inputs are programs, and a short one does little.
        fuzzer.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        fuzzer.arg("-len_control=0");
        fuzzer.arg(format!("-artifact_prefix={}/", self.harm.display()));
        if self.words.exists() {
            fuzzer.arg(format!("-dict={}", self.words.display()));
        }
        fuzzer.arg(&self.news).arg(&self.corpus);
        // Its frames are for who replays the input; here they would hide what was said.
        fuzzer.env("RUST_BACKTRACE", "0");
        let _ = fs::remove_file(&self.log);
        let ended = command::logged(&mut fuzzer, &self.log);
        let told = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        match ended {
            Ok(()) => {
                let (runs, edges) = figures(&told).context("libFuzzer told no figures")?;
                if edges < EDGES_MIN {
                    bail!("{}: {edges} edges only: nothing is counted", self.target);
                }
                println!("{}: {runs} runs, {edges} edges reached", self.target);
                Ok(true)
            }
            Err(error) => {
                println!("{}: {error:#}", self.target);
                for line in panic(&told) {
                    println!("{}: {line}", self.target);
                }
                self.tell_harm(&told);
                Ok(false)
            }
        }
    }

    /// Names the input that did harm, and what to do with it.
    fn tell_harm(&self, told: &str) {
        let input = told
            .lines()
            .find_map(|line| line.split_once("Test unit written to "))
            .map(|(_, path)| path.trim());
        if let Some(input) = input {
            let target = &self.target;
            println!(
                "{target}: this input does harm: {input}\n  \
                 see it again:  cargo xtask fuzz {target} --replay {input}\n  \
                 once mended, keep it as a test: copy it into tests/fuzz/corpus/{target}/"
            );
        }
    }

    /// Adds to the tree's corpus what reaches code that nothing there reaches.
    fn merge(&self, driver: &Path) -> Result<()> {
        let mut merge = started(driver, &self.target);
        // As few files as cover every edge; how often each is met does not matter.
        merge.args(["-set_cover_merge=1", "-use_counters=0"]);
        merge.arg(&self.corpus).arg(&self.news);
        let _ = fs::remove_file(&self.log);
        command::logged(&mut merge, &self.log)?;
        let files = fs::read_dir(&self.corpus)?.count();
        println!(
            "{}: {files} files in {}",
            self.target,
            self.corpus.display()
        );
        Ok(())
    }
}

/// Where the target panicked, and with what words; nothing for a hang.
fn panic(told: &str) -> Vec<&str> {
    let lines = told.lines();
    lines
        .skip_while(|line| !line.contains(" panicked at "))
        .take_while(|line| !line.starts_with("note: "))
        .collect()
}

/// Runs and edges, of the last line that tells them.
fn figures(told: &str) -> Option<(u64, u32)> {
    let line = told
        .lines()
        .rev()
        .find(|line| line.starts_with('#') && line.contains(" cov: "))?;
    let runs = line
        .strip_prefix('#')?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    let (_, edges) = line.split_once(" cov: ")?;
    Some((runs, edges.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{figures, panic};

    #[test]
    fn what_a_panic_said_is_told() {
        let told = "#2\tINITED\nthread '<unnamed>' (7) panicked at a.rs:1:2:\nno room\n\
                    note: run with `RUST_BACKTRACE=1`\n==7== ERROR\n";
        let said = ["thread '<unnamed>' (7) panicked at a.rs:1:2:", "no room"];
        assert_eq!(panic(told), said);
        assert_eq!(panic("ALARM: working on the last Unit\n"), [""; 0]);
    }

    #[test]
    fn the_figures_of_the_last_line_are_told() {
        let told = "INFO: Seed: 1\n#2\tINITED cov: 7 ft: 8 corp: 1/1b\n\
                    #345\tDONE   cov: 1207 ft: 1763 corp: 8/9b lim: 5 exec/s: 3\nDone 345 runs\n";
        assert_eq!(figures(told), Some((345, 1207)));
        assert_eq!(figures("INFO: Seed: 1\n"), None);
    }
}
