//! `cargo xtask test`: lints and the host's tests, then the image's on real machines.

use std::cell::OnceCell;
use std::io::stdout;
use std::panic::resume_unwind;
use std::thread;

use anyhow::Result;

use crate::bed::command;
use crate::hosts::Hypervisor;
use crate::lanes::{Part, Screen};
use crate::verdict::{self, Verdict};
use crate::{abi, build, check, count, failures, fuzz, lanes, suite};

/// The test target that plays the appliance in a simulated world.
const SIMULATION: &str = "sim";

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

/// Runs everything asked for; whether all passed. The last line says how many parts did.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let mut verdicts = Vec::new();
    let mut part = |name: &str, part: &dyn Fn() -> Result<()>| {
        println!("== {name}");
        verdicts.push(Verdict::of(name, part));
    };
    let filter = arguments.filter.as_deref();
    if !arguments.no_host {
        if filter.is_none() {
            part("lints", &check::lints);
        }
        part("host", &|| host(filter));
    }
    let image = OnceCell::new();
    part("building the image", &|| {
        let built = build::run()?;
        build::report(&built)?;
        let _ = image.set(built.path);
        Ok(())
    });
    let parts = parts(arguments);
    match image.into_inner() {
        Some(image) => {
            let asked = lanes::Asked {
                image,
                only: arguments.on,
                targets: suite::targets(Some("tests"))?,
                full: arguments.full,
                filter: arguments.filter.clone(),
            };
            verdicts.extend(lanes::run(&parts, &asked));
        }
        None => verdicts.extend(parts.into_iter().map(lanes::told)),
    }
    Ok(verdict::report(&verdicts))
}

/// What is tested as a whole only, and is no suite; the longest first.
fn parts(arguments: &Arguments) -> Vec<Part> {
    if arguments.filter.is_some() {
        return Vec::new();
    }
    let is_on_xen = arguments.on.is_none_or(|on| on == Hypervisor::XEN);
    let of_run: Option<Part> = is_on_xen.then_some(("cargo xtask run", suite::of_run));
    let others: [Part; 3] = [
        ("cargo xtask fuzz", fuzz::run_all),
        ("cargo xtask count", count::run_all),
        ("cargo xtask abi", abi::run),
    ];
    of_run.into_iter().chain(others).collect()
}

/// The simulation plays one world at a time, so that it keeps one CPU busy for many minutes: all
/// others run beside it.
fn host(filter: Option<&str>) -> Result<()> {
    // All of the workspace each time: other features of the same crates would be built anew.
    let cargo = |words: &[&str]| {
        let mut cargo = build::cargo(&crate::checkout());
        cargo.args(["test", "--workspace"]).args(words).args(filter);
        cargo
    };
    command::visible(&mut cargo(&["--no-run"]))?;
    let targets = suite::targets(None)?;
    let others = targets.iter().filter(|target| *target != SIMULATION);
    let others = others.flat_map(|target| ["--test", target]);
    let others: Vec<&str> = ["--lib", "--bins"].into_iter().chain(others).collect();
    let mut simulation = cargo(&["--test", SIMULATION]);
    let mut parts = [cargo(&others), cargo(&["--doc"])];
    thread::scope(|scope| {
        let screen = Screen::held();
        let shown = screen.clone();
        let simulated = scope.spawn(move || failures::told(&mut simulation, shown));
        let [first, second] = parts.each_mut().map(|part| failures::told(part, stdout()));
        let simulated = simulated.join();
        screen.flush_out();
        let simulated = simulated.unwrap_or_else(|panic| resume_unwind(panic));
        first.and(second).and(simulated)
    })
}
