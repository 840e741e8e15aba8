//! Callgrind out of Debian's packages: what counts a program's instructions.

use std::process::Command;

use anyhow::{Context, Result};

use super::command;
use super::tree::{Recipe, Tree};

const RECIPE: Recipe = Recipe {
    name: "counter",
    purpose: "valgrind, which counts instructions",
    suites: &["bookworm"],
    packages: &["valgrind"],
};

/// The C library copies and clears with loops of vectors however long a run is. Callgrind counts
/// each turn of a string instruction with a repeat prefix, so that a byte would be as much as any
/// instruction.
const NO_REPEATS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x10000000:glibc.cpu.x86_rep_stosb_threshold=0x10000000";

/// It, unpacked.
#[derive(Debug)]
pub(crate) struct Counter(Tree);

impl Counter {
    /// Fetches it if it is not there.
    pub(crate) fn open() -> Result<Counter> {
        super::fetched(&RECIPE).map(Counter)
    }

    /// A program of the host, counted until its end; of one function and of what it calls alone, if
    /// it is named. What it says ends with what [`collected`] reads.
    pub(crate) fn command(&self, program: &Command, inside: Option<&str>) -> Command {
        let mut counted = self.0.program("usr/bin/valgrind.bin");
        counted.env("VALGRIND_LIB", self.0.path("usr/libexec/valgrind"));
        counted.env("GLIBC_TUNABLES", NO_REPEATS);
        counted.args([
            "--tool=callgrind",
            "--log-fd=1",
            "--callgrind-out-file=/dev/null",
        ]);
        counted.args(inside.map(|function| format!("--toggle-collect={function}")));
        counted.arg(program.get_program()).args(program.get_args());
        counted
    }

    /// How many instructions it executes.
    pub(crate) fn count(&self, program: &Command, inside: Option<&str>) -> Result<u64> {
        collected(&command::output(&mut self.command(program, inside))?)
    }
}

/// The count in what a program has said that was counted.
pub(crate) fn collected(said: &str) -> Result<u64> {
    let count = said.lines().rev().find_map(|line| {
        let (_, count) = line.split_once("Collected : ")?;
        count.trim().parse().ok()
    });
    count.with_context(|| format!("valgrind tells no count:\n{said}"))
}
