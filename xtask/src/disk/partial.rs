//! A file that has its name only once it is complete.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The file on its way; dropped before it is finished, it is removed.
pub(super) struct Partial {
    file: File,
    partial: PathBuf,
    name: PathBuf,
    finished: bool,
}

impl Partial {
    /// Begins a file that is not there yet.
    ///
    /// # Errors
    /// If there is one of this name, or it cannot be made.
    pub(super) fn create(name: &Path) -> Result<Partial> {
        if name.exists() {
            bail!(
                "{} is there already: remove it, or name another file",
                name.display()
            );
        }
        let mut partial = name.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&partial)
            .with_context(|| {
                let partial = partial.display();
                format!("{partial} cannot be made: remove it if nobody else is making it")
            })?;
        Ok(Partial {
            file,
            partial,
            name: name.to_owned(),
            finished: false,
        })
    }

    /// Where it is meanwhile.
    pub(super) fn path(&self) -> &Path {
        &self.partial
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// All is written: it gets its name, durably.
    pub(super) fn finish(mut self) -> Result<()> {
        let name = self.name.display();
        if self.name.exists() {
            bail!("{name} has come meanwhile: nothing was written over it");
        }
        self.file
            .sync_all()
            .with_context(|| format!("{name} cannot be flushed"))?;
        fs::rename(&self.partial, &self.name).with_context(|| format!("{name} cannot be named"))?;
        self.finished = true;
        let parent = match self.name.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .with_context(|| format!("{} cannot be flushed", parent.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // What is left of it would only mislead.
            let _ = fs::remove_file(&self.partial);
        }
    }
}
