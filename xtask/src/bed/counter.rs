//! Callgrind out of Debian's packages: what counts a program's instructions.

use std::process::Command;

use anyhow::{Context, Result};

use super::command;
use super::tree::{Recipe, Tree};
use crate::progress::Progress;

const RECIPE: Recipe = Recipe {
    name: "counter",
    purpose: "valgrind, which counts instructions",
    suites: &["bookworm"],
    packages: &["valgrind"],
};

/// It, unpacked.
#[derive(Debug)]
pub(crate) struct Counter(Tree);

impl Counter {
    /// Fetches it if it is not there.
    pub(crate) fn open() -> Result<Counter> {
        let progress = &Progress::new();
        let root = super::root()?;
        let _lock = super::lock(&root, progress)?;
        Ok(Counter(Tree::open(&root, &RECIPE, progress)?))
    }

    /// How many instructions a program of the host executes until its end; those of one function
    /// and of what it calls, if it is named.
    pub(crate) fn count(&self, program: &Command, inside: Option<&str>) -> Result<u64> {
        let mut counted = self.0.program("usr/bin/valgrind.bin");
        counted.env("VALGRIND_LIB", self.0.path("usr/libexec/valgrind"));
        counted.args([
            "--tool=callgrind",
            "--log-fd=1",
            "--callgrind-out-file=/dev/null",
        ]);
        counted.args(inside.map(|function| format!("--toggle-collect={function}")));
        counted.arg(program.get_program()).args(program.get_args());
        let said = command::output(&mut counted)?;
        let words = said.lines().rev().find_map(|line| {
            let (_, count) = line.split_once("Collected : ")?;
            count.trim().parse().ok()
        });
        words.with_context(|| format!("valgrind tells no count:\n{said}"))
    }
}
