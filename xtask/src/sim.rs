//! `cargo xtask sim`: the appliance in a simulated world, by seed.

use anyhow::Result;

use crate::bed::command;
use crate::{build, mutants};

/// What `cargo xtask sim` understands.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Replays this seed alone, and shows what it prints.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds are played, from the first one on.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Plants known bugs, or the one of this name, and shows that each is found.
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    mutants: Option<Option<String>>,
}

/// Plays the seeds; the first that fails ends it and is named with the command that replays it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = &arguments.mutants {
        return mutants::run(name.as_deref());
    }
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.first, arguments.seeds),
    };
    let mut cargo = build::cargo(&crate::checkout());
    cargo.args(["test", "--profile", "sim", "-p", "tests", "--test", "sim"]);
    cargo.args(["outlives", "--"]);
    cargo.args(arguments.seed.map(|_| "--nocapture"));
    cargo.env("LAMPION_SIM_FIRST", first.to_string());
    cargo.env("LAMPION_SIM_COUNT", count.to_string());
    command::visible(&mut cargo)
}
