//! What is built once out of a tree, and kept until its sources change.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::command;
use super::tree::Tree;

/// How long an image is kept that nobody builds any more.
const KEPT: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A file under `target/bed/images`.
#[derive(Debug)]
pub(crate) struct Image {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// A hash of its content.
    pub(crate) hash: String,
}

/// The image `name`, built if what it is built from is not what it was: the
/// tree's packages and this very program, which has the scripts in it. Files
/// are named by their content, so that programs built differently may share
/// them.
pub(crate) fn cached(
    bed: &Path,
    name: &str,
    tree: &Tree,
    build: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Image> {
    let directory = bed.join("images");
    fs::create_dir_all(&directory)?;
    let stamp = directory.join(format!("{name}.{:016x}.stamp", sources(tree)?));
    if let Ok(hash) = fs::read_to_string(&stamp) {
        let path = directory.join(format!("{name}.{hash}"));
        if path.exists() {
            return Ok(Image { path, hash });
        }
    }
    forget_old(&directory, name)?;
    let part = directory.join(format!("{name}.part"));
    fs::write(&part, build()?)?;
    let mut hash = content_hash(&part)?;
    hash.truncate(16);
    let path = directory.join(format!("{name}.{hash}"));
    fs::rename(&part, &path)?;
    fs::write(&stamp, &hash)?;
    Ok(Image { path, hash })
}

/// Removes what has not been built anew for some days.
fn forget_old(directory: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(name);
        if ours && entry.metadata()?.modified()?.elapsed().unwrap_or_default() > KEPT {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A file's SHA-256, by the program that every Debian has.
pub(crate) fn content_hash(path: &Path) -> Result<String> {
    let listed = command::output(Command::new("sha256sum").arg("--").arg(path))?;
    let hash = listed
        .split_whitespace()
        .next()
        .context("sha256sum printed nothing")?;
    Ok(hash.trim_start_matches('\\').to_owned())
}

/// What tells this tree and this program from others.
fn sources(tree: &Tree) -> Result<u64> {
    let program = fs::metadata(std::env::current_exe()?)?;
    let mut hasher = DefaultHasher::new();
    (program.len(), program.modified()?, tree.packages()?).hash(&mut hasher);
    Ok(hasher.finish())
}
