//! The checkout's text files.
//!
//! Whatever is not build output counts, committed or not: a rule that looked
//! only at what is committed would speak one commit late.

use super::code::Code;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Directories with a dot that are part of the project.
const DOTTED: [&str; 2] = [".cargo", ".ci"];

/// Disks that somebody tried things with.
const IMAGES: [&str; 2] = [".img", ".qcow2"];

/// A text file.
pub(super) struct File {
    /// From the checkout's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Whether the path ends like this.
    pub(super) fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }
}

/// The checkout.
pub(super) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the package lies in the checkout")
}

/// All text files, by path.
pub(super) fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = Vec::new();
        walk(root(), &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 50, "the checkout was not found");
        files
    })
}

/// Rust sources, with what is code in them.
pub(super) fn rust() -> &'static [(&'static File, Code)] {
    static RUST: OnceLock<Vec<(&'static File, Code)>> = OnceLock::new();
    RUST.get_or_init(|| {
        let sources = files().iter().filter(|file| file.is(".rs"));
        sources.map(|file| (file, Code::new(&file.text))).collect()
    })
}

/// The file at `path`.
pub(super) fn file(path: &str) -> &'static File {
    let found = files().iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("{path}:1: the project has this file; bring it back"))
}

/// Whether there is a file or a directory of this name.
pub(super) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn walk(directory: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(directory).expect("the checkout can be read");
    for entry in entries {
        let path: PathBuf = entry.expect("the checkout can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let hidden = name.starts_with('.') && !DOTTED.contains(&&*name);
            if !hidden && name != "target" {
                walk(&path, files);
            }
        } else if IMAGES.iter().any(|ending| name.ends_with(ending)) {
            // Ignored by git too.
        } else if let Ok(text) = fs::read_to_string(&path) {
            // What is no text is no file of a person's.
            let relative = path.strip_prefix(root()).expect("it was found below");
            let path = relative.to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}
