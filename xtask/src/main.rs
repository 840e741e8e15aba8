//! All of Lampion's automation: `cargo xtask …`.

#![forbid(unsafe_code)]

mod abi;
mod analyse;
mod bed;
mod build;
mod check;
mod compare;
mod count;
mod disk;
mod dist;
mod failures;
mod fuzz;
mod hosts;
mod interrupt;
mod lanes;
mod mutants;
mod older;
mod progress;
mod run;
mod shell;
mod sim;
mod site;
mod suite;
mod symbolize;
mod test;
mod verdict;
mod wrong;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, runs, tests and packs Lampion.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds the image: target/dist/lampion and lampion.debug.
    Build,
    /// Runs it here, on a hypervisor that needs nothing from this host.
    Run(run::Arguments),
    /// Lints, tests the host's crates, then the image on real hypervisors.
    Test(test::Arguments),
    /// Compares our layouts and numbers with the headers of Xen 4.17 and 4.20.
    Abi,
    /// Plays the appliance in a simulated world, seed after seed.
    Sim(sim::Arguments),
    /// Looks for bytes that do harm, guided by what code they reach.
    Fuzz(fuzz::Arguments),
    /// Runs tests under Miri and the address sanitizer.
    Analyse(analyse::Arguments),
    /// Counts the instructions of the service and the store.
    Count(count::Arguments),
    /// Does the store's work by redis, LMDB and redb, too, and counts it.
    Compare(compare::Arguments),
    /// Tells functions and lines for the addresses in a guest's last words.
    Symbolize(symbolize::Arguments),
    /// Shows a directory as the appliance's site, or takes that back.
    Site(site::Arguments),
    /// Packs the image with its configuration and checksums.
    Dist,
    /// Formatting, lints, documentation and the host's tests.
    Check,
    /// Starts a bed by hand, and runs a shell command inside it.
    Bed(shell::Arguments),
    /// Looks at a disk image without a VM, and never writes to it.
    Disk(disk::Arguments),
}

fn main() -> ExitCode {
    let verb = Arguments::parse().verb;
    if let Verb::Disk(arguments) = &verb {
        return disk::run(arguments);
    }
    match perform(verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False is a failure that has been told already.
fn perform(verb: Verb) -> Result<bool> {
    match verb {
        Verb::Build => build::report(&build::run()?)?,
        Verb::Run(arguments) => run::run(&arguments)?,
        Verb::Test(arguments) => return test::run(&arguments),
        Verb::Abi => abi::run()?,
        Verb::Sim(arguments) => sim::run(&arguments)?,
        Verb::Fuzz(arguments) => return fuzz::run(&arguments),
        Verb::Analyse(arguments) => return analyse::run(&arguments),
        Verb::Count(arguments) => return count::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments)?,
        Verb::Symbolize(arguments) => symbolize::run(&arguments)?,
        Verb::Site(arguments) => site::run(&arguments)?,
        Verb::Dist => dist::run()?,
        Verb::Check => check::run()?,
        Verb::Bed(arguments) => shell::run(&arguments)?,
        Verb::Disk(_) => unreachable!("it has exit codes of its own"),
    }
    Ok(true)
}

/// The checkout this program was built from.
fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
