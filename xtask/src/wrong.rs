//! A deliberately wrong image: it acknowledges before it flushes, and may be made to stand still.
//!
//! A test that a right image passes says little until a wrong one fails it, and what is there for
//! a stuck loop is seen only where one is stuck.
//! The sources are copied, a few places are changed, and the copy is built.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::bed::command;
use crate::build::{self, Image};

/// A place that is changed.
struct Edit {
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const EDITS: [Edit; 3] = [
    // A group counts as durable once it is written, and is flushed only when the next begins.
    Edit {
        file: "store/src/draft.rs",
        right: "self.stage = Stage::Flushing(disk.flush());",
        wrong: "return Poll::Ready(Ok(()));",
    },
    Edit {
        file: "store/src/draft.rs",
        right: "self.hand_out(disk);",
        wrong: "if self.slots.is_empty() { let _ = disk.flush(); } self.hand_out(disk);",
    },
    // Whoever asks how things stand is never answered.
    Edit {
        file: "kernel/src/run.rs",
        right: "fn log_status(&self) {",
        wrong: "fn log_status(&self) { while core::hint::black_box(true) {}",
    },
];

/// Two lanes may want it, and one builds it.
static BUILT: Mutex<Option<Image>> = Mutex::new(None);

/// The wrong image, which is built when it is asked for first.
pub(crate) fn image() -> Result<Image> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = &*built {
        return Ok(image.clone());
    }
    Ok(built.insert(build()?).clone())
}

fn build() -> Result<Image> {
    let checkout = crate::checkout();
    let copy = checkout.join("target/wrong");
    let mut git = Command::new("git");
    git.current_dir(&checkout)
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard");
    let names = command::output_bytes(&mut git)?;
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = std::str::from_utf8(name).context("a file's name is not UTF-8")?;
        copy_file(&checkout.join(name), &copy.join(name))?;
    }
    for edit in &EDITS {
        edit.apply(&copy)?;
    }
    build::image(
        &copy,
        "wrong",
        &checkout.join("target/wrong-image"),
        &copy.join("target/dist"),
    )
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

impl Edit {
    fn apply(&self, copy: &Path) -> Result<()> {
        let Edit { file, right, wrong } = self;
        let path = copy.join(file);
        let text = fs::read_to_string(&path)?;
        ensure!(
            text.matches(right).count() == 1,
            "{file} no longer has `{right}` once: change xtask/src/wrong.rs with it"
        );
        fs::write(path, text.replace(right, wrong))?;
        Ok(())
    }
}
