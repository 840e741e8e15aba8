//! The copy of the checkout in which bugs are planted.
//!
//! A file that is the same is not touched, so that cargo builds only what a bug
//! changes. One that differs is written as of now, never with an old time: what was
//! built while it was different would count as fresh.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bed::command;

/// The copy, and what is built of it.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Brings the copy up to date, and undoes what an interrupted run has left.
    pub(super) fn of(checkout: &Path) -> Result<Tree> {
        let root = checkout.join("target/mutants");
        let tree = Tree { root };
        fs::create_dir_all(tree.root.join("logs"))?;
        let mut wanted = BTreeSet::new();
        for path in listed(checkout)? {
            let Ok(bytes) = fs::read(checkout.join(&path)) else {
                // Listed by git, and deleted since.
                continue;
            };
            tree.put(&path, &bytes)?;
            wanted.insert(tree.sources().join(&path));
        }
        remove_others(&tree.sources(), &wanted)?;
        Ok(tree)
    }

    /// Where the sources are.
    pub(super) fn sources(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// Where cargo builds them.
    pub(super) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Where the output of something goes.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// The text of a file.
    pub(super) fn read(&self, path: &str) -> Result<String> {
        let path = self.sources().join(path);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Replaces a file.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<()> {
        self.put(path, text.as_bytes())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.sources().join(path);
        if fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    }
}

/// All files of the checkout that are no build output, committed or not.
fn listed(checkout: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(checkout);
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = command::output(&mut git)?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn remove_others(directory: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) && path.file_name() != Some("Cargo.lock".as_ref()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
