//! A raw image or a block device of this host, as a disk: to be read only, or a new one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use store::block::{
    BlockDevice, Completion, Durability, Geometry, IoError, Request, RequestId, SubmitError,
};

const SECTOR_BYTES: u32 = 512;
const TRANSFER_BYTES_MAX: u32 = 1 << 20;
/// How images that are not raw begin, and what they are.
const CONTAINERS: [(&[u8], &str); 4] = [
    (b"QFI\xfb", "qcow2"),
    (b"conectix", "vpc"),
    (b"vhdxfile", "vhdx"),
    (b"KDMV", "vmdk"),
];

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    /// A new file, which is flushed as a whole once all is on it.
    Make,
}

/// A file as a disk.
pub(super) struct Image {
    file: File,
    len_bytes: u64,
    access: Access,
    ended: VecDeque<Completion>,
}

impl Image {
    /// Opens a regular file or a block device.
    ///
    /// # Errors
    /// When there is none, or it may not be read.
    pub(super) fn open(path: &Path) -> Result<Image> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
        let kind = file
            .metadata()
            .with_context(|| format!("{name} cannot be asked what it is"))?
            .file_type();
        if !kind.is_file() && !kind.is_block_device() {
            bail!("{name} is neither a file nor a block device: name a raw disk image");
        }
        let mut end = &file;
        let len_bytes = end
            .seek(SeekFrom::End(0))
            .with_context(|| format!("{name} cannot be asked how long it is"))?;
        Ok(Image {
            file,
            len_bytes,
            access: Access::Read,
            ended: VecDeque::new(),
        })
    }

    /// A new disk of so many bytes, all zero, in a new file.
    ///
    /// # Errors
    /// When the file cannot be made so long.
    pub(super) fn create(file: &File, len_bytes: u64) -> io::Result<Image> {
        file.set_len(len_bytes)?;
        Ok(Image {
            file: file.try_clone()?,
            len_bytes,
            access: Access::Make,
            ended: VecDeque::new(),
        })
    }

    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), IoError> {
        if self.access == Access::Read {
            return Err(IoError::Failed);
        }
        let written = self.file.write_all_at(bytes, offset_bytes);
        written.map_err(|error| {
            // The store's own sentence cannot know it.
            eprintln!("error: the new image cannot be written at {offset_bytes}: {error}");
            IoError::Failed
        })
    }

    /// What to do with an image that is not raw; empty for one that may be.
    pub(super) fn hint(&self) -> String {
        let mut start = [0u8; 8];
        if self.file.read_exact_at(&mut start, 0).is_err() {
            return String::new();
        }
        let container = CONTAINERS
            .iter()
            .find(|(magic, _)| start.starts_with(magic));
        container.map_or_else(String::new, |(_, name)| {
            format!(
                "; the image is in the format {name}: make it raw with `qemu-img convert -O raw`"
            )
        })
    }
}

impl BlockDevice for Image {
    fn geometry(&self) -> Option<Geometry> {
        Some(Geometry {
            len_bytes: self.len_bytes,
            sector_bytes: SECTOR_BYTES,
            physical_sector_bytes: SECTOR_BYTES,
            max_transfer_bytes: TRANSFER_BYTES_MAX,
            durability: match self.access {
                Access::Read => Durability::Backend,
                Access::Make => Durability::Flush,
            },
            discard: false,
            read_only: self.access == Access::Read,
        })
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let (run, result) = match request {
            Request::Read {
                offset_bytes,
                mut into,
            } => {
                let read = self.file.read_exact_at(into.bytes_mut(), offset_bytes);
                (Some(into), read.map_err(|_| IoError::Failed))
            }
            Request::Write { offset_bytes, from } => {
                let written = self.write(offset_bytes, from.bytes());
                (Some(from), written)
            }
            Request::Flush if self.access == Access::Make => (None, Ok(())),
            Request::Flush | Request::Discard { .. } => (None, Err(IoError::Unsupported)),
        };
        self.ended.push_back(Completion { id, run, result });
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        self.ended.pop_front()
    }
}
