//! `cargo xtask disk crashes`: the flight records on an image that nobody acknowledged.
//!
//! A guest that crashes before its store is open cannot show them itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use store::flight::{self, Crash};

/// Prints them, the oldest first; whether there are none.
pub(super) fn show(image: &Path, out: &mut impl Write) -> Result<bool> {
    let name = image.display();
    let file = File::open(image).with_context(|| format!("{name} cannot be opened"))?;
    let read = |offset_bytes: u64, into: &mut [u8]| file.read_exact_at(into, offset_bytes);
    let crashes = flight::find(read).with_context(|| format!("{name} cannot be read"))?;
    let crashes = crashes.with_context(|| {
        format!("{name}: there is no store on it: `cargo xtask disk check` says what there is")
    })?;
    for crash in &crashes {
        write(crash, out)?;
    }
    if crashes.is_empty() {
        writeln!(out, "no crashes, or all of them are acknowledged")?;
    }
    Ok(crashes.is_empty())
}

fn write(crash: &Crash, out: &mut impl Write) -> io::Result<()> {
    let (wall_ms, uptime_ms) = (crash.wall_ns / 1_000_000, crash.uptime_ns / 1_000_000);
    writeln!(
        out,
        "crash {}: {wall_ms} ms since 1970, {uptime_ms} ms after the guest began",
        crash.number
    )?;
    writeln!(out, "{}", crash.text.trim_end())
}
