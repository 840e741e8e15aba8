//! A deliberately wrong image: it acknowledges a write before it has flushed it.
//!
//! A test that a right image passes says little until a wrong one fails it.
//! The sources are copied, the one place is changed, and the copy is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bed::command;
use crate::build;

/// Where the store waits for its flush.
const FILE: &str = "store/src/draft.rs";

/// What is replaced: a group counts as durable once it is written, and is
/// flushed only when the next group begins.
const EDITS: [(&str, &str); 2] = [
    (
        "self.stage = Stage::Flushing(disk.flush());",
        "return Poll::Ready(Ok(()));",
    ),
    (
        "self.hand_out(disk);",
        "if self.slots.is_empty() { let _ = disk.flush(); } self.hand_out(disk);",
    ),
];

/// Builds the wrong image; where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let checkout = crate::checkout();
    let copy = checkout.join("target/wrong");
    let mut git = Command::new("git");
    git.current_dir(&checkout).args(["ls-files", "-z"]);
    let names = command::output_bytes(&mut git)?;
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = std::str::from_utf8(name).context("a file's name is not UTF-8")?;
        copy_file(&checkout.join(name), &copy.join(name))?;
    }
    edit(&copy.join(FILE))?;
    build::image(
        &copy,
        "wrong",
        &checkout.join("target/wrong-image"),
        &copy.join("target/dist"),
    )
    .map(|image| image.path)
}

/// Copies what has changed, so that cargo builds nothing twice.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    // A file may be deleted and not yet committed.
    let Ok(bytes) = fs::read(from) else {
        return Ok(());
    };
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))
}

fn edit(path: &Path) -> Result<()> {
    let mut text = fs::read_to_string(path)?;
    for (right, wrong) in EDITS {
        ensure!(
            text.matches(right).count() == 1,
            "{FILE} no longer has `{right}` once: change xtask/src/wrong.rs with it"
        );
        text = text.replace(right, wrong);
    }
    fs::write(path, text)?;
    Ok(())
}
