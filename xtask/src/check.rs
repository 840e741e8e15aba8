//! `cargo xtask check`: what must hold before anything else is looked at.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::bed::command;
use crate::build;

/// What looks at sources and runs nothing. All of it shares the target directory of the tests.
const LINTS: [&str; 4] = [
    "fmt --all --check",
    "clippy --workspace --all-targets -- -D warnings",
    // The image's binary hides behind its feature.
    "clippy -p kernel --features boot --bins -- -D warnings",
    "doc --workspace --no-deps --document-private-items",
];
const TESTS: &str = "test --workspace";

/// What of that is a component of a toolchain, by cargo's word and rustup's.
const COMPONENTS: [(&str, &str); 2] = [("fmt", "rustfmt"), ("clippy", "clippy")];

/// Runs all steps, and names those that failed.
pub(crate) fn run() -> Result<()> {
    let steps = [&LINTS[..], &[TESTS]].concat();
    all(&crate::checkout(), &steps)?;
    println!("all {} steps passed", steps.len());
    Ok(())
}

/// Formatting, lints and documentation: the part of `cargo xtask test`.
pub(crate) fn lints() -> Result<()> {
    all(&crate::checkout(), &LINTS)
}

/// Runs each of the steps in `checkout`, whatever the ones before have said.
fn all(checkout: &Path, steps: &[&str]) -> Result<()> {
    for (word, component) in COMPONENTS {
        let mut version = build::cargo(checkout);
        ensure!(
            command::output(version.args([word, "--version"])).is_ok(),
            "there is no `cargo {word}`: run `rustup component add {component}`"
        );
    }
    let mut failed = Vec::new();
    for step in steps {
        println!("== cargo {step}");
        let mut cargo = build::cargo(checkout);
        cargo.args(step.split(' '));
        if step.starts_with("doc") {
            cargo.env("RUSTDOCFLAGS", "-D warnings");
        }
        if command::visible(&mut cargo).is_err() {
            failed.push(*step);
        }
    }
    if !failed.is_empty() {
        bail!("these failed:\n  cargo {}", failed.join("\n  cargo "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::all;
    use std::fs;

    #[test]
    fn every_step_that_fails_is_named_and_none_that_passes() {
        let place = std::env::temp_dir().join(format!("lampion-check-{}", std::process::id()));
        let source = place.join("src/lib.rs");
        fs::create_dir_all(place.join("src")).expect("a directory");
        let manifest = "[package]\nname = \"laid-out-wrong\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(place.join("Cargo.toml"), manifest).expect("written");
        fs::write(&source, "fn  unused( ) {}\n").expect("written");
        let steps = ["fmt --all --check", "metadata --no-deps --format-version 1"];
        let failed = all(&place, &steps).expect_err("it is laid out wrong");
        assert!(failed.to_string().contains("cargo fmt"), "{failed}");
        assert!(!failed.to_string().contains("metadata"), "{failed}");
        fs::write(&source, "fn unused() {}\n").expect("written");
        all(&place, &steps).expect("it is laid out right");
        fs::remove_dir_all(&place).expect("removed");
    }
}
