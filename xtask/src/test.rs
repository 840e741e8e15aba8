//! `cargo xtask test`: lints and the host's tests, then the image's on real machines.

use anyhow::Result;

use crate::hosts::Hypervisor;
use crate::{abi, build, check, count, failures, fuzz, lanes, suite};

/// What `cargo xtask test` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only on this hypervisor, instead of on each.
    #[arg(long, value_enum)]
    on: Option<Hypervisor>,
    /// Skips the host's own tests.
    #[arg(long)]
    no_host: bool,
    /// Also what takes longer than continuous integration has time for.
    #[arg(long)]
    full: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Runs everything asked for. The last line says how many suites passed.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let mut results: Vec<(String, Result<()>)> = Vec::new();
    if !arguments.no_host && arguments.filter.is_none() {
        println!("== lints");
        results.push(("lints".to_owned(), check::lints()));
    }
    if !arguments.no_host {
        println!("== host");
        let mut cargo = build::cargo(&crate::checkout());
        cargo.args(["test", "--workspace"]).args(&arguments.filter);
        results.push(("host".to_owned(), failures::told(&mut cargo)));
    }
    if arguments.filter.is_none() {
        println!("== cargo xtask abi");
        results.push(("cargo xtask abi".to_owned(), abi::run()));
        println!("== cargo xtask count");
        results.push(("cargo xtask count".to_owned(), count::run_all()));
        println!("== cargo xtask fuzz");
        results.push(("cargo xtask fuzz".to_owned(), fuzz::run_all()));
    }
    let on_xen = arguments.on.is_none_or(|on| on == Hypervisor::XEN);
    if arguments.filter.is_none() && on_xen {
        println!("== cargo xtask run");
        results.push(("cargo xtask run".to_owned(), suite::of_run()));
    }
    println!("== image");
    let image = build::run();
    if let Ok(image) = &image {
        build::report(image)?;
    }
    let image_path = image.as_ref().ok().map(|image| image.path.clone());
    results.push(("building the image".to_owned(), image.map(drop)));
    if let Some(image) = image_path {
        let asked = lanes::Asked {
            image,
            only: arguments.on,
            targets: suite::targets()?,
            full: arguments.full,
            filter: arguments.filter.clone(),
        };
        results.extend(lanes::run(&asked)?);
    }
    Ok(report(&results))
}

/// Prints the verdicts; whether all passed.
fn report(results: &[(String, Result<()>)]) -> bool {
    println!();
    for (name, result) in results {
        match result {
            Ok(()) => println!("passed: {name}"),
            Err(error) => println!("FAILED: {name}: {error:#}"),
        }
    }
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    failed == 0
}
