//! The files a machine is given: a tar archive on a read-only drive.
//!
//! The drive always has the same size, because a machine that goes on from a
//! saved state remembers the size it saw. Its content may differ each time:
//! nothing has read it when the state is saved.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::outer::Disk;

/// The drive's size.
const DRIVE_BYTES: u64 = 128 << 20;

/// What the script inside reads at a time. It must be told how much to read:
/// busybox's tar would read the whole drive to its end.
const BLOCK_BYTES: u64 = 64 << 10;

/// Writes the drive at `path` with `files`, each under its name in `/payload`.
/// The number is how many blocks the script `payload` shall read.
pub(crate) fn drive(path: &Path, files: &[(String, PathBuf)]) -> Result<(Disk, u64)> {
    let mut archive = tar::Builder::new(File::create(path)?);
    for (name, file) in files {
        let added = archive.append_path_with_name(file, name);
        added.with_context(|| format!("cannot take {} along", file.display()))?;
    }
    let drive = archive.into_inner()?;
    let bytes = drive.metadata()?.len();
    if bytes > DRIVE_BYTES {
        bail!("the payload is larger than {} MiB", DRIVE_BYTES >> 20);
    }
    drive.set_len(DRIVE_BYTES)?;
    let serial = "payload".to_owned();
    let disk = Disk {
        path: path.to_owned(),
        serial,
        read_only: true,
        log: None,
    };
    Ok((disk, bytes.div_ceil(BLOCK_BYTES)))
}
