//! `cargo xtask check`: what must hold before anything else is looked at.

use anyhow::{Result, bail};

use crate::bed::command;
use crate::build;

/// The steps: cargo's words, and whether warnings of rustdoc are errors.
const STEPS: [&str; 5] = [
    "fmt --all --check",
    "clippy --workspace --all-targets -- -D warnings",
    // The image's binary hides behind its feature.
    "clippy -p kernel --features boot --bins -- -D warnings",
    "doc --workspace --no-deps --document-private-items",
    "test --workspace",
];

/// Runs all steps, and names those that failed.
pub(crate) fn run() -> Result<()> {
    let mut failed = Vec::new();
    for step in STEPS {
        println!("== cargo {step}");
        let mut cargo = build::cargo(&crate::checkout());
        cargo.args(step.split(' '));
        if step.starts_with("doc") {
            cargo.env("RUSTDOCFLAGS", "-D warnings");
        }
        if command::visible(&mut cargo).is_err() {
            failed.push(step);
        }
    }
    if !failed.is_empty() {
        bail!("these failed:\n  cargo {}", failed.join("\n  cargo "));
    }
    println!("all {} steps passed", STEPS.len());
    Ok(())
}
