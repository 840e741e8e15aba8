//! The test binaries that need a bed, and how one is run against its bed.

use std::fs::{self, File};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bed::outer::{self, Disk};
use crate::bed::{self, Bed, Request, clients, command, hostile, linux_guest};
use crate::failures;
use crate::hosts::Hypervisor;
use crate::lanes::Screen;
use crate::{build, older, wrong};

mod choice;
mod stopwatch;

use choice::Share;
use stopwatch::Stopwatch;

/// One test binary and the bed it is run against.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The test target of the package `tests`.
    pub(crate) target: &'static str,
    /// Where.
    pub(crate) hypervisor: Hypervisor,
    /// Which of its tests.
    share: Share,
    /// Count instructions instead of time.
    icount: bool,
    /// With a Linux guest to compare with in the payload.
    linux_guest: bool,
    /// With the hostile backend in the payload, and a CPU for it alone.
    hostile: bool,
    /// With what a driver domain boots in the payload.
    driver_domain: bool,
    /// A persistent disk, with a log of all writes to it.
    recorded_disk: bool,
    /// With the image of an earlier commit in the payload, too.
    older: bool,
    /// A test of this name, its module's before it, wants the image that is wrong on purpose in the
    /// payload, too.
    wrong_for: Option<&'static str>,
    /// Runs only with `--full`, or when its hypervisor and a filter are named.
    pub(crate) is_long: bool,
    /// Without `--full` and a filter, only tests with one of these in their names; none is all.
    pub(crate) brief: &'static [&'static str],
    /// What its tests print is shown.
    shows_output: bool,
    /// Run against the image that is wrong on purpose: words of the failure to be seen.
    pub(crate) wrong: Option<&'static str>,
}

/// Every bed there is a suite for; what takes longest comes first. A target that does not exist
/// yet is skipped, and said to be.
pub(crate) const SUITES: [Suite; 17] = [
    Suite {
        share: Share::AllBut(&LIFECYCLE_LONGEST),
        ..Suite::lifecycle(Hypervisor::XEN)
    },
    // It boots a Linux three times, and beside two other machines it has failed once, for a reason
    // that is not known: see docs/testing.md.
    Suite {
        share: Share::Of(&LIFECYCLE_LONGEST),
        ..Suite::lifecycle(Hypervisor::XEN).only_in_full()
    },
    Suite {
        share: Share::AllBut(&IMAGE_FIRST),
        ..Suite::image(Hypervisor::XEN)
    },
    Suite {
        share: Share::Of(&IMAGE_FIRST),
        ..Suite::image(Hypervisor::XEN)
    },
    Suite::image(Hypervisor::Emulation),
    Suite {
        hostile: true,
        ..Suite::on("hostile", Hypervisor::XEN)
    },
    Suite {
        older: true,
        is_long: true,
        ..Suite::on("upgrade", Hypervisor::XEN)
    },
    Suite {
        older: true,
        ..Suite::on("upgrade", Hypervisor::Emulation)
    },
    Suite {
        icount: true,
        linux_guest: true,
        shows_output: true,
        ..Suite::on("counts", Hypervisor::XEN)
    },
    Suite {
        recorded_disk: true,
        ..Suite::on("powercut", Hypervisor::XEN)
    },
    Suite {
        recorded_disk: true,
        wrong: Some("was acknowledged as version"),
        ..Suite::on("powercut", Hypervisor::XEN)
    },
    // The release and the daemon that are furthest from the first ones, in about four minutes.
    Suite {
        brief: &[
            "welcomes_a_stranger",
            "a_shutdown_is_answered",
            "a_sysrq_and",
            "a_disk_that_grows",
        ],
        ..Suite::image(Hypervisor::XEN_4_20_OXENSTORED)
    },
    Suite {
        brief: &["saved_and_restored", "a_save_that_fails"],
        ..Suite::lifecycle(Hypervisor::XEN_4_20_OXENSTORED)
    },
    Suite::image(Hypervisor::XEN_4_20).only_in_full(),
    Suite::lifecycle(Hypervisor::XEN_4_20).only_in_full(),
    Suite::image(Hypervisor::XEN_OXENSTORED).only_in_full(),
    Suite::lifecycle(Hypervisor::XEN_OXENSTORED).only_in_full(),
];

/// About the half of the image's tests on real Xen, by the time they take.
const IMAGE_FIRST: [&str; 6] = [
    "abuse",
    "backup",
    "conformance",
    "crash",
    "devices",
    "examples",
];

/// What is left out by default, for its time.
const LIFECYCLE_LONGEST: [&str; 1] = ["driver_domain"];

/// The recorded disk's size.
const DISK_BYTES: u64 = 64 << 20;

/// How long one suite may run: under TCG everything is slow.
const SUITE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

impl Suite {
    /// A test target against a plain bed.
    const fn on(target: &'static str, hypervisor: Hypervisor) -> Suite {
        Suite {
            target,
            hypervisor,
            share: Share::Whole,
            icount: false,
            linux_guest: false,
            hostile: false,
            driver_domain: false,
            recorded_disk: false,
            older: false,
            wrong_for: None,
            is_long: false,
            brief: &[],
            shows_output: false,
            wrong: None,
        }
    }

    /// What is there for a loop that is stuck is seen in an image where one is.
    const fn image(hypervisor: Hypervisor) -> Suite {
        Suite {
            wrong_for: Some("standstill::a_loop_that_stands_still_is_ended_and_says_where"),
            ..Suite::on("image", hypervisor)
        }
    }

    /// What it measures is part of the result.
    const fn lifecycle(hypervisor: Hypervisor) -> Suite {
        Suite {
            driver_domain: true,
            shows_output: true,
            ..Suite::on("lifecycle", hypervisor)
        }
    }

    /// The same with `--full` alone.
    const fn only_in_full(self) -> Suite {
        Suite {
            is_long: true,
            ..self
        }
    }

    /// Builds the binary, starts the bed, runs `names` of the one against the other. What the
    /// tests print goes to `screen`.
    pub(crate) fn run(&self, image: &Path, names: &[String], screen: &Screen) -> Result<()> {
        let binary = build_tests(self.target)?;
        let has_wrong = self
            .wrong_for
            .is_some_and(|test| names.iter().any(|name| name == test));
        let disks = self.disks()?;
        let mut bed = Bed::start(&Request {
            hypervisor: self.hypervisor,
            cpu: outer::CPU.to_owned(),
            // A backend that changes what the guest looks at must run meanwhile.
            cpu_count: if self.hostile { 2 } else { 1 },
            icount: self.icount,
            disks: disks.clone(),
            payload: self.payload(image, has_wrong)?,
            ports: Vec::new(),
        })?;
        let mut tests = Command::new(&binary);
        tests
            .args(["--test-threads=1", "--include-ignored", "--exact"])
            .args(names);
        tests.args(self.shows_output.then_some("--show-output"));
        tests.current_dir(crate::checkout().join("tests"));
        environment(&mut tests, self, &bed, &disks);
        if self.target == "image" {
            tests.env("LAMPION_CLIENTS", clients::directory()?);
        }
        if has_wrong {
            tests.env("LAMPION_WRONG_SYMBOLS", wrong::image()?.debug);
            tests.env("LAMPION_XTASK", std::env::current_exe()?);
        }
        let result = match self.wrong {
            None => watch(&mut tests, &mut bed, screen.clone()),
            Some(words) => watch_failure(&mut tests, &mut bed, words, screen),
        };
        match result {
            Ok(()) => {
                bed.stop()?;
                disks.iter().try_for_each(remove)
            }
            Err(error) => {
                screen.line(&bed.last_words());
                bed.keep_logs()?;
                Err(error)
            }
        }
    }

    fn payload(&self, image: &Path, has_wrong: bool) -> Result<Vec<(String, PathBuf)>> {
        let mut files = vec![("lampion".to_owned(), image.to_owned())];
        if self.linux_guest {
            files.extend(linux_guest::files()?);
        }
        if self.hostile {
            files.push(hostile::file()?);
        }
        if self.driver_domain {
            files.extend(bed::driver_domain(self.hypervisor)?);
        }
        if self.older {
            files.push(("older".to_owned(), older::build()?));
        }
        if has_wrong {
            files.push(("wrong".to_owned(), wrong::image()?.path));
        }
        Ok(files)
    }

    /// What it is called in a verdict.
    pub(crate) fn name(&self) -> String {
        let wrong = if self.wrong.is_some() {
            " with the wrong image"
        } else {
            ""
        };
        let (target, hypervisor, share) = (self.target, self.hypervisor.name(), self.share.label());
        format!("{target} on {hypervisor}{share}{wrong}")
    }

    /// A new, empty disk and an empty log of writes for it.
    fn disks(&self) -> Result<Vec<Disk>> {
        if !self.recorded_disk {
            return Ok(Vec::new());
        }
        let directory = crate::checkout().join("target/bed/disks");
        fs::create_dir_all(&directory)?;
        // Two of one target may run at a time.
        let name = format!("{}-{}", self.name().replace(' ', "-"), std::process::id());
        let path = directory.join(format!("{name}.img"));
        let log = directory.join(format!("{name}.log"));
        File::create(&path)?.set_len(DISK_BYTES)?;
        File::create(&log)?;
        let serial = "data".to_owned();
        Ok(vec![Disk {
            path,
            serial,
            read_only: false,
            log: Some(log),
        }])
    }
}

fn remove(disk: &Disk) -> Result<()> {
    for path in std::iter::once(&disk.path).chain(&disk.log) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Waits for the tests, but not when their machine has died.
fn watch(tests: &mut Command, bed: &mut Bed, screen: impl Write + Send + 'static) -> Result<()> {
    let (mut tests, failures) = failures::spawn(tests, Stopwatch::new(screen))?;
    let result = watch_child(&mut tests, bed);
    if result.is_err() {
        let _ = tests.kill();
        let _ = tests.wait();
    }
    let failures = failures::said(failures);
    let status = result?;
    ensure!(status.success(), "tests failed ({status}){failures}");
    Ok(())
}

/// Waits for tests that have to fail, and with these words.
fn watch_failure(tests: &mut Command, bed: &mut Bed, words: &str, screen: &Screen) -> Result<()> {
    let log = bed.directory().join("wrong-image.log");
    let file = File::create(&log)?;
    tests.stderr(file.try_clone()?);
    let result = watch(tests, bed, file);
    let text = fs::read_to_string(&log)?;
    ensure!(
        result.is_err(),
        "the wrong image passed: the test does not see what it is for"
    );
    ensure!(
        text.contains(words),
        "the wrong image failed for another reason:\n{text}"
    );
    screen.line(&format!("the wrong image fails, as it has to: …{words}…"));
    Ok(())
}

fn watch_child(tests: &mut Child, bed: &mut Bed) -> Result<ExitStatus> {
    let deadline = Instant::now() + SUITE_TIMEOUT;
    loop {
        if let Some(status) = tests.try_wait()? {
            return Ok(status);
        }
        ensure!(bed.is_running(), "the machine died during the tests");
        if Instant::now() > deadline {
            bail!(
                "the tests took longer than {} minutes",
                SUITE_TIMEOUT.as_secs() / 60
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The tests of `cargo xtask run` itself, which makes its own bed.
pub(crate) fn of_run() -> Result<()> {
    let mut tests = Command::new(build_tests("run")?);
    tests.args(["--test-threads=1", "--include-ignored"]);
    tests.env("LAMPION_XTASK", std::env::current_exe()?);
    tests.env("LAMPION_BED_LOGS", crate::checkout().join("target/run"));
    tests.env("LAMPION_CLIENTS", clients::directory()?);
    failures::told(&mut tests, stdout())
}

/// Builds a test target of the package `tests` and returns its binary, which
/// is run without cargo so that it can be stopped.
pub(crate) fn build_tests(target: &str) -> Result<PathBuf> {
    let mut cargo = build::cargo(&crate::checkout());
    cargo.args(["test", "-p", "tests", "--test", target, "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let messages = command::output_shown(&mut cargo)?;
    let binary = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == target;
        let path = message["executable"].as_str().filter(|_| ours)?;
        Some(PathBuf::from(path))
    });
    binary.with_context(|| format!("cargo built no test binary {target}"))
}

/// The names of the test targets of a package, or of all.
pub(crate) fn targets(of: Option<&str>) -> Result<Vec<String>> {
    let mut cargo = build::cargo(&crate::checkout());
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_slice(&command::output_bytes(&mut cargo)?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    let is_asked = |package: &&Value| of.is_none_or(|name| package["name"] == name);
    let targets = packages.iter().filter(is_asked);
    let targets = targets.filter_map(|package| package["targets"].as_array());
    let is_run = |target: &&Value| target["kind"][0] == "test" && target["test"] == true;
    let targets = targets.flatten().filter(is_run);
    Ok(targets
        .filter_map(|target| Some(target["name"].as_str()?.to_owned()))
        .collect())
}

/// What a test learns about its bed.
fn environment(cargo: &mut Command, suite: &Suite, bed: &Bed, disks: &[Disk]) {
    let local = |port: u16| format!("127.0.0.1:{port}");
    cargo.env("LAMPION_BED", suite.hypervisor.name());
    cargo.env("LAMPION_BED_LOGS", bed.directory());
    for forward in bed.forwards() {
        cargo.env(format!("LAMPION_BED_{}", forward.name), local(forward.port));
    }
    if suite.older {
        cargo.env("LAMPION_BED_OLDER", older::name());
    }
    for disk in disks {
        cargo.env("LAMPION_BED_DISK", &disk.path);
        if let Some(log) = &disk.log {
            cargo.env("LAMPION_BED_LOG", log);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that got another name would be left out, and nobody would be told.
    #[test]
    fn a_suite_names_tests_that_there_are() {
        for suite in &SUITES {
            let Suite {
                target,
                brief,
                wrong_for,
                ..
            } = suite;
            let directory = crate::checkout().join("tests").join(target);
            let files = fs::read_dir(&directory).unwrap().flatten();
            let sources = files.map(|file| fs::read_to_string(file.path()).unwrap_or_default());
            let sources = sources.collect::<String>();
            for word in brief.iter().chain(wrong_for) {
                let word = word.rsplit("::").next().unwrap_or(word);
                let name = format!("fn {word}");
                assert!(sources.contains(&name), "{}: {name}", directory.display());
            }
            for module in suite.share.modules() {
                let file = directory.join(format!("{module}.rs"));
                assert!(file.exists(), "{}", file.display());
            }
        }
    }
}
