//! Xen's public headers of two releases, out of Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::tree::{Recipe, Tree};
use crate::progress::Progress;

/// Where a tree has them.
const DIRECTORY: &str = "usr/include/xen";

/// The base release.
const BASE: Recipe = Recipe {
    name: "headers-4.17",
    purpose: "the headers of Xen 4.17",
    suites: &["bookworm"],
    packages: &["libxen-dev"],
};

/// Each release, and what makes its tree.
const RELEASES: [(&str, Recipe); 2] = [
    ("4.17", BASE),
    (
        "4.20",
        Recipe {
            name: "headers-4.20",
            purpose: "the headers of Xen 4.20",
            suites: &["trixie"],
            packages: &["libxen-dev"],
        },
    ),
];

/// The tree of the release that the bed's dom0 runs, static libraries included.
pub(super) fn base(root: &Path, progress: &Progress) -> Result<Tree> {
    Tree::open(root, &BASE, progress)
}

/// The releases, and where their headers are.
pub(crate) fn directories() -> Result<Vec<(&'static str, PathBuf)>> {
    let progress = &Progress::new();
    let root = super::root()?;
    let _lock = super::lock(&root, progress)?;
    let mut found = Vec::new();
    for (release, recipe) in &RELEASES {
        let tree = Tree::open(&root, recipe, progress)?;
        let packages = tree.packages()?;
        ensure!(
            packages.contains(&format!("libxen-dev_{release}.")),
            "{} is not of Xen {release}: choose the suite that has it in xtask/src/bed/headers.rs",
            tree.path("").display()
        );
        found.push((*release, tree.path(DIRECTORY)));
    }
    Ok(found)
}
