//! A root tree: Debian packages unpacked side by side, never installed.
//!
//! Programs in it run through the tree's own loader and libraries, so that it
//! does not matter which Debian the host is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::progress::Progress;
use anyhow::{Context, Result, bail};

use super::{apt, command};

/// Where a tree of Debian keeps its libraries.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// The file that lists a complete tree's packages.
const STAMP: &str = ".packages";

/// Directories that are links into `usr`: always since trixie, whose packages have
/// nothing in them, and at the administrator's choice before it.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Free space a tree's download and unpacking may need.
const NEEDED_MIB: u64 = 1500;

/// Which packages make up a tree.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The tree's directory name.
    pub(crate) name: &'static str,
    /// What it is for, for the progress line.
    pub(crate) purpose: &'static str,
    /// Debian's suites, the preferred one last.
    pub(crate) suites: &'static [&'static str],
    /// The packages wanted by name.
    pub(crate) packages: &'static [&'static str],
}

/// QEMU 7.2, Xen 4.17 and dom0's Linux. The outer machine's QEMU is always
/// this one: later releases report every read of a control register as one of
/// CR0 to a nested hypervisor under TCG.
pub(crate) const XEN_4_17: Recipe = Recipe {
    name: "xen-4.17",
    purpose: "QEMU 7.2, Xen 4.17 and a dom0",
    suites: &["bookworm"],
    packages: &[
        "qemu-system-x86",
        "seabios",
        "xen-hypervisor-4.17-amd64",
        "xen-utils-4.17",
        "xenstore-utils",
        "linux-image-amd64",
        "busybox-static",
    ],
};

/// Xen 4.20 and dom0's Linux, for the same outer machine.
pub(crate) const XEN_4_20: Recipe = Recipe {
    name: "xen-4.20",
    purpose: "Xen 4.20 and a dom0",
    suites: &["trixie"],
    packages: &[
        "xen-hypervisor-4.20-amd64",
        "xen-utils-4.20",
        "xenstore-utils",
        "linux-image-amd64",
        "busybox-static",
    ],
};

/// A Linux with KVM's Xen support and a QEMU that emulates Xen on it.
pub(crate) const EMULATION: Recipe = Recipe {
    name: "emulation",
    purpose: "QEMU 10 and a Linux with KVM",
    suites: &["bookworm", "bookworm-backports"],
    packages: &[
        "qemu-system-x86",
        "seabios",
        "linux-image-amd64",
        "busybox-static",
    ],
};

/// What a user would run instead: a Linux guest with nginx.
pub(crate) const LINUX_GUEST: Recipe = Recipe {
    name: "linux-guest",
    purpose: "a Linux guest with nginx, to compare with",
    suites: &["bookworm"],
    packages: &["linux-image-cloud-amd64", "nginx", "busybox-static"],
};

/// A complete tree.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree under `bed`, downloaded and unpacked if it is not there, or
    /// lacks a package that is wanted since. The caller holds the bed's lock.
    pub(crate) fn open(bed: &Path, recipe: &Recipe, progress: &Progress) -> Result<Self> {
        let root = bed.join("trees").join(recipe.name);
        let listed = fs::read_to_string(root.join(STAMP)).unwrap_or_default();
        if has_all(&listed, recipe.packages) {
            return Ok(Self { root });
        }
        enough_space(bed)?;
        let downloads = bed.join("apt").join(recipe.name);
        progress.step(format!("downloading {} from Debian", recipe.purpose));
        let request = apt::Request {
            suites: recipe.suites,
            packages: recipe.packages,
        };
        let packages = apt::download(&downloads, &request)?;
        unpack(&root, &packages, recipe.purpose, progress)?;
        fs::remove_dir_all(&downloads)?;
        Ok(Self { root })
    }

    /// The file at `path` in the tree.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The one file in `directory` whose name has this beginning and ending.
    pub(crate) fn find(&self, directory: &str, prefix: &str, suffix: &str) -> Result<PathBuf> {
        let directory = self.path(directory);
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) && name.ends_with(suffix) {
                found.push(entry.path());
            }
        }
        found.sort();
        found
            .pop()
            .with_context(|| format!("no {prefix}*{suffix} in {}", directory.display()))
    }

    /// The tree's packages with their versions, as text.
    pub(crate) fn packages(&self) -> Result<String> {
        Ok(fs::read_to_string(self.root.join(STAMP))?)
    }

    /// A program of the tree, to be run on the host.
    pub(crate) fn program(&self, path: &str) -> Command {
        let mut command = Command::new(self.loader());
        command
            .arg("--library-path")
            .arg(self.library_path())
            .arg(self.path(path));
        command
    }

    /// Its words, for a program that starts programs (such as `setpriv`).
    pub(crate) fn program_words(&self, path: &str) -> Vec<String> {
        let command = self.program(path);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    /// Where this tree's QEMU finds its modules.
    pub(crate) fn qemu_modules(&self) -> PathBuf {
        self.path("usr/lib/x86_64-linux-gnu/qemu")
    }

    /// The shared libraries (and the loader) a program of the tree needs.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<PathBuf>> {
        let mut list = Command::new(self.loader());
        list.arg("--library-path")
            .arg(self.library_path())
            .arg("--list")
            .arg(program);
        let listed = command::output(&mut list)?;
        let mut libraries = vec![self.loader()];
        for path in parse_libraries(&listed) {
            if !path.starts_with(&self.root) {
                bail!(
                    "{} takes {} from outside its tree",
                    program.display(),
                    path.display()
                );
            }
            libraries.push(path);
        }
        Ok(libraries)
    }

    /// Runs an applet of the tree's static busybox.
    pub(crate) fn busybox(&self, words: &[&str]) -> Result<Vec<u8>> {
        command::output_bytes(Command::new(self.path("bin/busybox")).args(words))
    }

    /// A file's content, decompressed by its ending.
    pub(crate) fn unpacked(&self, path: &Path) -> Result<Vec<u8>> {
        let text = path.display().to_string();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => self.busybox(&["xzcat", &text]),
            Some("gz") => self.busybox(&["zcat", &text]),
            _ => fs::read(path).with_context(|| format!("cannot read {text}")),
        }
    }

    fn loader(&self) -> PathBuf {
        // Not lib64/ld-linux…: that is a link to the host's.
        self.path(LIBRARIES[0]).join("ld-linux-x86-64.so.2")
    }

    fn library_path(&self) -> String {
        LIBRARIES
            .map(|directory| self.path(directory).display().to_string())
            .join(":")
    }
}

/// Unpacks beside the tree's place and renames at the end: a tree that is
/// there is complete.
fn unpack(root: &Path, packages: &[PathBuf], purpose: &str, progress: &Progress) -> Result<()> {
    let part = root.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    for directory in MERGED {
        let inside = Path::new("usr").join(directory);
        fs::create_dir_all(part.join(&inside))?;
        symlink(&inside, part.join(directory))?;
    }
    progress.step(format!("unpacking {purpose}"));
    let mut names = String::new();
    for (index, package) in packages.iter().enumerate() {
        progress.detail(format!(
            "unpacking {purpose}: {} of {}",
            index + 1,
            packages.len()
        ));
        command::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&part))?;
        names.push_str(&package.file_name().unwrap_or_default().to_string_lossy());
        names.push('\n');
    }
    fs::write(part.join(STAMP), names)?;
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(&part, root)?;
    Ok(())
}

/// Whether a tree that lists these files has all of the packages.
fn has_all(listed: &str, packages: &[&str]) -> bool {
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|file| file.split('_').next())
        .collect();
    packages.iter().all(|package| names.contains(package))
}

fn enough_space(directory: &Path) -> Result<()> {
    let mut df = Command::new("df");
    df.args(["--output=avail", "--block-size=1M"])
        .arg(directory);
    let listed = command::output(&mut df)?;
    let free: u64 = listed
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .parse()
        .unwrap_or(u64::MAX);
    if free < NEEDED_MIB {
        bail!(
            "{} has {free} MiB free and the bed needs {NEEDED_MIB}: make room, or put the \
             checkout's `target` elsewhere (ln -s /elsewhere target)",
            directory.display()
        );
    }
    Ok(())
}

/// The paths in the answer of `ld.so --list`.
fn parse_libraries(listed: &str) -> Vec<PathBuf> {
    let path = |line: &str| Some(PathBuf::from(line.split_once("=> ")?.1.split(" (").next()?));
    let is_loader = |path: &PathBuf| path.ends_with("ld-linux-x86-64.so.2");
    listed
        .lines()
        .filter_map(path)
        .filter(|path| !is_loader(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_an_older_recipe_is_not_whole() {
        let listed = "curl_7.88.1_amd64.deb\nlibc6_2.36_amd64.deb\n";
        assert!(has_all(listed, &["curl"]));
        assert!(!has_all(listed, &["curl", "openssl"]));
        assert!(!has_all("", &["curl"]));
    }

    #[test]
    fn libraries_are_those_with_a_path() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                      \tlibc.so.6 => /tree/lib/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 => /tree/lib64/ld-linux-x86-64.so.2 (0x0)\n";
        assert_eq!(
            parse_libraries(listed),
            [PathBuf::from("/tree/lib/libc.so.6")]
        );
    }
}
