//! `cargo xtask analyse`: tests under tools that see what a test does not.
//!
//! The tools want a nightly toolchain; product and tests never do. Miri runs
//! the tests of the crates with shared pages and judges every access by Rust's
//! rules. The address sanitizer is quicker and runs much more: the simulated
//! appliance, the store, the corpus of the fuzzer.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bed::command;

/// An explicit target keeps the sanitizer out of build scripts and macros.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What Miri runs: it is a thousand times slower than a machine, so unit tests only.
const MIRI: [&str; 1] = ["-p xen -p xen-sys --lib"];

/// What the address sanitizer runs.
const ADDRESS: [&str; 5] = [
    "-p xen -p sim -p drivers --lib",
    "-p tests --test sim",
    "-p fuzz --test corpus",
    "-p store --lib",
    "-p service --test http",
];

/// What `cargo xtask analyse` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The tool; all of them without.
    #[arg(value_enum)]
    tool: Option<Tool>,
}

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Tool {
    /// Rust's rules for every access to memory.
    Miri,
    /// Accesses outside of what was allocated.
    Address,
}

/// Runs the tools; every one that fails or cannot run is told, and is a failure.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let tools = match arguments.tool {
        Some(tool) => vec![tool],
        None => vec![Tool::Miri, Tool::Address],
    };
    let nightly = nightly();
    let mut failed = 0;
    for tool in tools {
        println!("== {tool:?}");
        let result = match tool {
            Tool::Miri => miri(nightly.as_deref()),
            Tool::Address => address(nightly.as_deref()),
        };
        if let Err(error) = result {
            failed += 1;
            println!("FAILED: {tool:?}: {error:#}");
        }
    }
    Ok(failed == 0)
}

/// The first nightly toolchain that rustup knows.
fn nightly() -> Option<String> {
    let mut rustup = Command::new("rustup");
    let listed = command::output(rustup.args(["toolchain", "list"])).ok()?;
    first_nightly(&listed)
}

fn first_nightly(listed: &str) -> Option<String> {
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names
        .into_iter()
        .find(|name| name.starts_with("nightly"))
        .map(str::to_owned)
}

/// Cargo of that toolchain, or the one that is pinned.
fn cargo(toolchain: Option<&str>) -> Command {
    let mut cargo = match toolchain {
        Some(toolchain) => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", toolchain, "cargo"]);
            rustup
        }
        None => crate::build::cargo(&crate::checkout()),
    };
    cargo.current_dir(crate::checkout());
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

fn miri(nightly: Option<&str>) -> Result<()> {
    let nightly = nightly.context(
        "there is no nightly toolchain: run `rustup toolchain install nightly --component miri`",
    )?;
    if command::output(cargo(Some(nightly)).args(["miri", "--version"])).is_err() {
        bail!(
            "{nightly} has no Miri: run `rustup component add miri rust-src --toolchain {nightly}`"
        );
    }
    for tests in MIRI {
        println!("-- {tests}");
        let mut miri = cargo(Some(nightly));
        miri.args(["miri", "test"]).args(tests.split(' '));
        // Hypercalls take addresses as numbers: their provenance is exposed, as it must be.
        miri.env("MIRIFLAGS", "-Zmiri-permissive-provenance");
        command::visible(&mut miri)?;
    }
    Ok(())
}

fn address(nightly: Option<&str>) -> Result<()> {
    match nightly {
        Some(nightly) => println!("with the toolchain {nightly}"),
        None => println!(
            "there is no nightly toolchain: the pinned one is told to be one (RUSTC_BOOTSTRAP), \
             for this analysis alone"
        ),
    }
    let mut failed = Vec::new();
    for tests in ADDRESS {
        println!("-- {tests}");
        let mut cargo = cargo(nightly);
        cargo.arg("test").args(tests.split(' '));
        cargo.args(["--target", TRIPLE, "--target-dir"]);
        cargo.arg(crate::checkout().join("target/address"));
        cargo.env("RUSTFLAGS", "-Zsanitizer=address");
        // A pool of pages is valid for ever: it is leaked on purpose.
        cargo.env("ASAN_OPTIONS", "detect_leaks=0");
        if nightly.is_none() {
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        if command::visible(&mut cargo).is_err() {
            failed.push(tests);
        }
    }
    if !failed.is_empty() {
        bail!("these failed:\n  {}", failed.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::first_nightly;

    #[test]
    fn a_nightly_toolchain_is_found_among_others() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\n\
                      nightly-2026-05-01-x86_64-unknown-linux-gnu\nnightly\n";
        let found = first_nightly(listed);
        assert_eq!(
            found.as_deref(),
            Some("nightly-2026-05-01-x86_64-unknown-linux-gnu")
        );
        assert_eq!(
            first_nightly("stable (default)\nmy-nightly-no (custom)\n"),
            None
        );
    }
}
