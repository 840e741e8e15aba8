//! Writes an initramfs: an archive in cpio's "newc" format.
//!
//! Linux unpacks it into its first file system. The same files always give
//! the same bytes (entries are sorted, times are 0), because the snapshots of
//! a booted machine are keyed on them.
//!
//! Source: `Documentation/driver-api/early-userspace/buffer-format.rst`,
//! Linux 6.12.

use std::collections::BTreeMap;

/// One thing in the archive.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A directory.
    Directory,
    /// A regular file with its permission bits.
    File { mode: u32, content: Vec<u8> },
    /// A symbolic link and where it points.
    Link(String),
    /// A character device.
    Device { major: u32, minor: u32 },
}

/// The files of an initramfs, by path without a leading slash.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Adds or replaces the entry at `path`, and the directories above it.
    pub(crate) fn insert(&mut self, path: &str, entry: Entry) {
        let path = path.trim_matches('/');
        for (slash, _) in path.match_indices('/') {
            self.entries
                .entry(path[..slash].to_owned())
                .or_insert(Entry::Directory);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// Whether there is an entry at `path`.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path.trim_matches('/'))
    }

    /// The archive's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (path, entry)) in self.entries.iter().enumerate() {
            let inode = u32::try_from(index + 1).expect("an archive has few entries");
            write_entry(&mut bytes, inode, path, entry);
        }
        write_entry(
            &mut bytes,
            0,
            "TRAILER!!!",
            &Entry::File {
                mode: 0,
                content: Vec::new(),
            },
        );
        bytes
    }
}

fn write_entry(bytes: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) {
    let (mode, content, device): (u32, &[u8], (u32, u32)) = match entry {
        Entry::Directory => (0o040_755, &[], (0, 0)),
        Entry::File { mode, content } => (0o100_000 | mode, content, (0, 0)),
        Entry::Link(target) => (0o120_777, target.as_bytes(), (0, 0)),
        Entry::Device { major, minor } => (0o020_600, &[], (*major, *minor)),
    };
    let size = u32::try_from(content.len()).expect("a file in an initramfs is under 4 GiB");
    let name_size = u32::try_from(path.len() + 1).expect("a path is short");
    bytes.extend_from_slice(b"070701");
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    for field in [
        inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0,
    ] {
        bytes.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(content);
    pad(bytes);
}

/// Headers and contents start at multiples of four.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_their_children_and_the_trailer_last() {
        let mut archive = Archive::default();
        archive.insert(
            "/etc/init",
            Entry::File {
                mode: 0o755,
                content: b"hi".to_vec(),
            },
        );
        assert!(archive.contains("/etc"));
        let bytes = archive.to_bytes();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let places = ["etc\0", "etc/init\0", "hi\0\0", "TRAILER!!!\0"].map(|part| text.find(part));
        assert!(places.iter().all(Option::is_some));
        assert!(places.is_sorted());
    }

    #[test]
    fn a_file_is_laid_out_as_linux_reads_it() {
        let mut bytes = Vec::new();
        let file = Entry::File {
            mode: 0o644,
            content: b"abcde".to_vec(),
        };
        write_entry(&mut bytes, 7, "a", &file);
        assert_eq!(&bytes[..22], b"07070100000007000081A4");
        assert_eq!(&bytes[54..62], b"00000005", "the file's size");
        assert_eq!(
            &bytes[94..102],
            b"00000002",
            "the name's size, with its NUL"
        );
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..], b"abcde\0\0\0");
    }

    #[test]
    fn the_same_files_give_the_same_bytes_in_any_order() {
        let console = Entry::Device { major: 5, minor: 1 };
        let mut one = Archive::default();
        one.insert("b", Entry::Link("a".to_owned()));
        one.insert("dev/console", console.clone());
        let mut other = Archive::default();
        other.insert("dev/console", console);
        other.insert("b", Entry::Link("a".to_owned()));
        assert_eq!(one.to_bytes(), other.to_bytes());
    }
}
