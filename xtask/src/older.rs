//! The older image: what stands for the release before.
//!
//! With it going to a new one and back is tested. It is built once, from a commit of this
//! repository, and kept under that commit's name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::bed::command;
use crate::build;

/// What it is built from. `docs/data-layout.md` says why this one; where a commit of a later
/// release is to take its place, say it there, too.
pub(crate) const COMMIT: &str = "226712915f18daf36f870d5eae31d9534f3684b7";

/// How much of the commit's name is in paths and in the image's own metrics.
const NAME_CHARS: usize = 12;

/// The commit as the image tells it.
pub(crate) fn name() -> &'static str {
    &COMMIT[..NAME_CHARS]
}

/// Two lanes may want it, and one builds it.
static BUILDING: Mutex<()> = Mutex::new(());

/// Builds it, if that has not been done; where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let checkout = crate::checkout();
    let directory = checkout.join("target/older").join(name());
    let built = directory.join("dist/lampion");
    // It is there once all of it is, see `build::image`.
    if built.exists() {
        return Ok(built);
    }
    println!("building the image of {}, once", name());
    let sources = directory.join("tree");
    unpack(&checkout, COMMIT, &sources)?;
    let target = directory.join("target");
    let image = build::image(&sources, name(), &target, &directory.join("dist"))?;
    // Neither is needed again.
    fs::remove_dir_all(&target)?;
    fs::remove_dir_all(&sources)?;
    Ok(image.path)
}

/// The files of a commit of the repository at `checkout`, into a directory that is made anew.
fn unpack(checkout: &Path, commit: &str, directory: &Path) -> Result<()> {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(checkout);
        git
    };
    let known = || {
        let mut known = git();
        command::output(known.args(["cat-file", "-e", &format!("{commit}^{{commit}}")]))
    };
    if known().is_err() {
        // A clone without history can often get it from where it was cloned. Nobody is there to
        // be asked for a password, and who does not answer is not waited for.
        let mut fetch = git();
        fetch.env("GIT_TERMINAL_PROMPT", "0");
        fetch.env(
            "GIT_SSH_COMMAND",
            "ssh -o BatchMode=yes -o ConnectTimeout=20",
        );
        fetch.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30"]);
        let _ = command::output(fetch.args(["fetch", "--quiet", "--unshallow"]));
    }
    if let Err(error) = known() {
        bail!(
            "the older image is built from commit {commit}, which is not in this clone: \
             run `git fetch --unshallow`, or clone without --depth ({error:#})"
        );
    }
    let archive = command::output_bytes(git().args(["archive", "--format=tar", commit]))?;
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let unpacked = tar::Archive::new(archive.as_slice()).unpack(directory);
    unpacked.with_context(|| format!("cannot unpack {commit}"))
}

#[cfg(test)]
mod tests {
    use super::{COMMIT, unpack};
    use crate::bed::command;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_shallow_clone_gets_its_history() {
        let place = std::env::temp_dir().join(format!("lampion-shallow-{}", std::process::id()));
        let (whole, shallow) = (place.join("whole"), place.join("shallow"));
        std::fs::create_dir_all(&whole).expect("a directory");
        let git = |directory: &Path, words: &str| {
            let mut git = Command::new("git");
            git.current_dir(directory).args(words.split(' '));
            for who in ["GIT_AUTHOR", "GIT_COMMITTER"] {
                git.env(format!("{who}_NAME"), "a");
                git.env(format!("{who}_EMAIL"), "b");
            }
            command::output(&mut git).expect("git does it")
        };
        git(&whole, "init --quiet");
        git(&whole, "commit --quiet --allow-empty -m one");
        let first = git(&whole, "rev-parse HEAD");
        git(&whole, "commit --quiet --allow-empty -m two");
        let from = format!("file://{}", whole.display());
        git(&place, &format!("clone --quiet --depth 1 {from} shallow"));
        unpack(&shallow, first.trim(), &place.join("tree")).expect("it is fetched");
        std::fs::remove_dir_all(&place).expect("removed");
    }

    #[test]
    fn a_clone_without_the_commit_is_told_how_to_get_it() {
        let place = std::env::temp_dir().join(format!("lampion-older-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a directory");
        let mut init = Command::new("git");
        command::output(init.current_dir(&place).args(["init", "--quiet"])).expect("a repository");
        let refused = unpack(&place, COMMIT, &place.join("tree"));
        let text = refused.expect_err("there is no such commit").to_string();
        assert!(text.contains("git fetch --unshallow"), "{text}");
        std::fs::remove_dir_all(&place).expect("removed");
    }
}
