//! Saved states of booted machines, so that a start costs seconds.
//!
//! A state is QEMU's migration stream of a machine that has come up and not
//! yet read its payload. Any number of machines may go on from one state at
//! the same time: it is only read. It fits a machine only if everything in it
//! is the same, so its name is a hash of all of that; a state that does not
//! load costs a full boot and nothing else.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;

use super::machine::Machine;
use super::outer::{Options, Software, arguments};
use super::tree::Tree;

/// States are large; as many are kept as there are kinds of machine in `--full`.
const KEPT: usize = 8;

/// Where the state for such a machine is, or would be.
pub(crate) fn place(
    bed: &Path,
    tree: &Tree,
    software: &Software,
    options: &Options,
) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    hasher.write(tree.packages()?.as_bytes());
    hasher.write(software.identity.as_bytes());
    for disk in &options.disks {
        hasher.write_u64(fs::metadata(&disk.path)?.len());
    }
    for word in arguments(software, options) {
        hasher.write(without_paths(&word, options).as_bytes());
        hasher.write_u8(0);
    }
    Ok(bed
        .join("snapshots")
        .join(format!("{:016x}.state", hasher.finish())))
}

/// Notes that a state is in use, so that it is not the oldest.
pub(crate) fn touch(place: &Path) -> Result<()> {
    Ok(File::options()
        .append(true)
        .open(place)?
        .set_modified(SystemTime::now())?)
}

/// Saves `machine`'s state at `place`, and forgets the oldest ones.
pub(crate) fn save(machine: &mut Machine, place: &Path) -> Result<()> {
    let directory = place.parent().unwrap_or(place);
    fs::create_dir_all(directory)?;
    let part = place.with_extension(format!("part{}", std::process::id()));
    let saved = machine.save(&part);
    if saved.is_err() {
        let _ = fs::remove_file(&part);
        return saved;
    }
    fs::rename(&part, place)?;
    forget_oldest(directory)
}

/// A command line's word without the names of files that come and go.
fn without_paths(word: &str, options: &Options) -> String {
    let mut word = word.to_owned();
    for disk in &options.disks {
        for path in std::iter::once(&disk.path).chain(&disk.log) {
            word = word.replace(&path.display().to_string(), "PATH");
        }
    }
    word
}

fn forget_oldest(directory: &Path) -> Result<()> {
    let mut states = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "state")
        {
            states.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    states.sort();
    for (_, path) in states.iter().take(states.len().saturating_sub(KEPT)) {
        fs::remove_file(path)?;
    }
    Ok(())
}
