//! The hostile backend: a static program for dom0, built by the host's C compiler.
//!
//! It links Xen's own libraries, out of the package that has the headers, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{command, headers};
use crate::progress::Progress;

/// Where its sources are.
const SOURCES: &str = "tests/hostile/backend";

/// Its name in the payload, by which the script `hostile` starts it.
const NAME: &str = "hostile-backend";

/// Each before what it needs itself.
const LIBRARIES: [&str; 6] = [
    "-lxengnttab",
    "-lxenevtchn",
    "-lxenstore",
    "-lxentoollog",
    "-lxentoolcore",
    "-lpthread",
];

/// What the compiler is told. Xen's headers want to be told by a tool that it
/// is one: else they speak as they did long ago.
const FLAGS: [&str; 7] = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-static",
    "-D__XEN_TOOLS__",
];

/// Builds it; its name in the payload, and where it is.
pub(crate) fn file() -> Result<(String, PathBuf)> {
    if !command::exists("cc") {
        bail!(
            "the hostile backend needs a C compiler: run `apt-get install gcc libc6-dev` as root"
        );
    }
    let progress = &Progress::new();
    let root = super::root()?;
    let _lock = super::lock(&root, progress)?;
    let tree = headers::base(&root, progress)?;
    progress.step("building the hostile backend");
    let program = root.join(NAME);
    let mut cc = Command::new("cc");
    cc.args(FLAGS);
    cc.arg("-isystem").arg(tree.path("usr/include"));
    cc.args(sources(&crate::checkout().join(SOURCES))?);
    cc.arg("-L").arg(tree.path("usr/lib/x86_64-linux-gnu"));
    cc.args(LIBRARIES).arg("-o").arg(&program);
    command::output(&mut cc).context(
        "the hostile backend was not built (if it lacks libc.a, run `apt-get install libc6-dev` \
         as root)",
    )?;
    Ok((NAME.to_owned(), program))
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    ensure!(!sources.is_empty(), "no C in {}", directory.display());
    sources.sort();
    Ok(sources)
}
