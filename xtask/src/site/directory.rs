//! The files of a directory as a tar: always in the same order, and with nothing of whose they are.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The files that say something about the others: they come first.
const RULES: [&str; 2] = ["_headers", "_redirects"];
/// What is hidden and meant to be seen (RFC 8615).
const WELL_KNOWN: &str = ".well-known";
/// Directories within each other; more is a link that leads back.
const DEPTH_MAX: usize = 64;
/// Endings of text, of which a compressed copy is worth its room.
const TEXT: [&str; 13] = [
    "html", "htm", "css", "js", "mjs", "json", "map", "txt", "md", "csv", "xml", "svg", "wasm",
];
/// What is smaller is sent in one packet anyway.
const GZIP_BYTES_MIN: usize = 1_024;

/// The files of a directory, with their names as paths of a site.
#[derive(Debug)]
pub(super) struct Directory {
    files: Vec<(String, PathBuf)>,
    left_out: Vec<String>,
}

impl Directory {
    /// Finds what is in it.
    pub(super) fn read(path: &Path, hidden: bool) -> Result<Directory> {
        let mut directory = Directory {
            files: Vec::new(),
            left_out: Vec::new(),
        };
        directory.walk(path, "", hidden, 0)?;
        ensure!(
            !directory.files.is_empty(),
            "there is no file in {}",
            path.display()
        );
        let place = |name: &str| RULES.iter().position(|rules| name == *rules);
        directory.files.sort_by(|(one, _), (other, _)| {
            let order = |name: &str| place(name).unwrap_or(RULES.len());
            (order(one), one).cmp(&(order(other), other))
        });
        Ok(directory)
    }

    fn walk(&mut self, path: &Path, prefix: &str, hidden: bool, depth: usize) -> Result<()> {
        ensure!(
            depth < DEPTH_MAX,
            "{} has no end: does a link lead back?",
            path.display()
        );
        let entries = fs::read_dir(path);
        let entries = entries.with_context(|| format!("{} cannot be read", path.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
            let full = format!("{prefix}{name}");
            if name.starts_with('.') && name != WELL_KNOWN && !hidden {
                self.left_out.push(full);
                continue;
            }
            let metadata = fs::metadata(&path);
            let metadata = metadata.with_context(|| format!("{} leads nowhere", path.display()))?;
            if metadata.is_dir() {
                self.walk(&path, &format!("{full}/"), hidden, depth + 1)?;
            } else {
                ensure!(metadata.is_file(), "{} is no plain file", path.display());
                self.files.push((full, path));
            }
        }
        Ok(())
    }

    /// Says what is not published.
    pub(super) fn tell_left_out(&self) {
        if !self.left_out.is_empty() {
            let names = self.left_out.join(", ");
            eprintln!("xtask: left out, since hidden (--hidden takes it in): {names}");
        }
    }

    /// Writes the tar.
    ///
    /// # Errors
    /// A file that cannot be read, or a reader that is gone: what was written has no end then, so
    /// that nobody takes it for the whole.
    pub(super) fn write(&self, gzip: bool, out: impl Write) -> Result<()> {
        // Dropped, a builder ends its archive.
        let mut archive = ManuallyDrop::new(tar::Builder::new(out));
        for (name, path) in &self.files {
            let mut content = Vec::new();
            let read = File::open(path).and_then(|mut file| file.read_to_end(&mut content));
            read.with_context(|| format!("{} cannot be read", path.display()))?;
            append(&mut archive, name, &content)?;
            let copy = format!("{name}.gz");
            let has_one = self.files.iter().any(|(other, _)| *other == copy);
            if gzip
                && !has_one
                && let Some(copied) = compressed(name, &content)?
            {
                append(&mut archive, &copy, &copied)?;
            }
        }
        ManuallyDrop::into_inner(archive).into_inner()?.flush()?;
        Ok(())
    }
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, content)?;
    Ok(())
}

/// A copy that is smaller by a tenth, of what is text.
fn compressed(name: &str, content: &[u8]) -> Result<Option<Vec<u8>>> {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let is_text = ending.is_some_and(|ending| TEXT.contains(&ending.as_str()));
    if !is_text || RULES.contains(&name) || content.len() < GZIP_BYTES_MIN {
        return Ok(None);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    let copy = encoder.finish()?;
    Ok((copy.len() < content.len() / 10 * 9).then_some(copy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Place(PathBuf);

    impl Place {
        fn with(name: &str, files: &[(&str, &[u8])]) -> Place {
            let name = format!("lampion-site-{}-{name}", std::process::id());
            let place = std::env::temp_dir().join(name);
            for (name, content) in files {
                let path = place.join(name);
                fs::create_dir_all(path.parent().expect("a directory")).expect("made");
                fs::write(path, content).expect("written");
            }
            Place(place)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(directory: &Directory, gzip: bool) -> Vec<(String, Vec<u8>)> {
        let mut written = Vec::new();
        directory.write(gzip, &mut written).expect("in memory");
        let mut archive = tar::Archive::new(&written[..]);
        let entries = archive.entries().expect("a tar");
        let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.expect("an entry");
            let name = entry
                .path()
                .expect("a name")
                .to_str()
                .expect("UTF-8")
                .to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("in memory");
            (name, content)
        };
        entries.map(file).collect()
    }

    #[test]
    fn rules_come_first_and_what_is_hidden_stays_here() {
        let place = Place::with(
            "order",
            &[
                ("b.html", b"b"),
                ("_redirects", b"/a /b"),
                ("_headers", b"/*"),
                (".git/config", b"secret"),
                (".well-known/security.txt", b"us"),
                ("A/.env", b"secret"),
            ],
        );
        symlink("b.html", place.0.join("a.html")).expect("a link");
        let directory = Directory::read(&place.0, false).expect("read");
        let names: Vec<_> = files(&directory, false)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let expected = [
            "_headers",
            "_redirects",
            ".well-known/security.txt",
            "a.html",
            "b.html",
        ];
        assert_eq!(names, expected);
        let mut left_out = directory.left_out;
        left_out.sort();
        assert_eq!(left_out, [".git", "A/.env"]);
        let all = Directory::read(&place.0, true).expect("read");
        assert_eq!(all.files.len(), 7);
    }

    #[test]
    fn text_gets_a_copy_where_that_is_smaller() {
        let text = "text ".repeat(1_000);
        let place = Place::with(
            "gzip",
            &[
                ("a.html", text.as_bytes()),
                ("b.html", text.as_bytes()),
                ("b.html.gz", b"its own"),
                ("c.png", text.as_bytes()),
                ("d.html", b"short"),
            ],
        );
        let directory = Directory::read(&place.0, false).expect("read");
        let files = files(&directory, true);
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "a.html",
            "a.html.gz",
            "b.html",
            "b.html.gz",
            "c.png",
            "d.html",
        ];
        assert_eq!(names, expected);
        let mut copy = flate2::read::GzDecoder::new(&files[1].1[..]);
        let mut unpacked = String::new();
        copy.read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, text);
        assert_eq!(files[3].1, b"its own");
    }

    #[test]
    fn a_file_that_is_gone_leaves_a_tar_without_an_end() {
        let place = Place::with("gone", &[("a", b"a"), ("b", b"b")]);
        let directory = Directory::read(&place.0, false).expect("read");
        fs::remove_file(place.0.join("b")).expect("removed");
        let mut written = Vec::new();
        let error = directory.write(false, &mut written).expect_err("gone");
        assert!(error.to_string().contains("b cannot be read"), "{error}");
        assert_eq!(written.len(), 1_024, "a header and a block");
    }

    #[test]
    fn what_has_no_end_leads_nowhere_or_is_empty_is_named() {
        let place = Place::with("wrong", &[("a/b", b"b")]);
        symlink("..", place.0.join("a/up")).expect("a link");
        let error = Directory::read(&place.0, false).expect_err("no end");
        assert!(
            error.to_string().contains("does a link lead back?"),
            "{error}"
        );
        fs::remove_file(place.0.join("a/up")).expect("removed");
        symlink("nowhere", place.0.join("a/dead")).expect("a link");
        let error = Directory::read(&place.0, false).expect_err("nowhere");
        assert!(
            error.to_string().contains("a/dead leads nowhere"),
            "{error}"
        );
        fs::remove_dir_all(place.0.join("a")).expect("removed");
        let error = Directory::read(&place.0, false).expect_err("empty");
        assert!(error.to_string().contains("there is no file in"), "{error}");
    }
}
