//! `cargo xtask abi`: the layouts and numbers of `xen-sys`, compared with Xen's own headers.

use std::io::stdout;
use std::process::Command;

use anyhow::{Result, bail};

use crate::bed::{command, headers};
use crate::{failures, suite};

/// Fetches the headers of each release, and runs the comparison on them.
pub(crate) fn run() -> Result<()> {
    if !command::exists("cc") {
        bail!("the headers need a C compiler: run `apt-get install gcc libc6-dev` as root");
    }
    let mut tests = Command::new(suite::build_tests("abi")?);
    // What was compared is part of the result.
    tests.args(["--include-ignored", "--show-output"]);
    for (release, directory) in headers::directories()? {
        let release = release.replace('.', "_");
        tests.env(format!("LAMPION_XEN_HEADERS_{release}"), directory);
    }
    failures::told(&mut tests, stdout())
}
