//! `cargo xtask build`: the image and its symbols.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::bed::command;

/// The host's triple: the image needs no target of its own.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// `XEN_ELFNOTE_PHYS32_ENTRY`: where Xen and QEMU enter a PVH kernel.
const NOTE_PHYS32_ENTRY: object::elf::NoteType = object::elf::NoteType(18);

/// The product of a build, in `target/dist`.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The stripped ELF that is booted.
    pub(crate) path: PathBuf,
    /// The same with symbols and line tables.
    pub(crate) debug: PathBuf,
    /// What Xen is told as the entry.
    pub(crate) entry: u64,
}

/// Builds it. `quiet` keeps cargo's own words to warnings and errors.
pub(crate) fn run() -> Result<Image> {
    for needed in ["cc", "objcopy"] {
        if !command::exists(needed) {
            bail!("the image needs a C linker and binutils: run `apt-get install gcc` as root");
        }
    }
    let checkout = crate::checkout();
    image(
        &checkout,
        &commit(&checkout),
        &checkout.join("target/image"),
        &checkout.join("target/dist"),
    )
}

/// Builds the image of the sources in `checkout`, which say of themselves that they are `commit`.
pub(crate) fn image(checkout: &Path, commit: &str, directory: &Path, dist: &Path) -> Result<Image> {
    let mut cargo = cargo(checkout);
    // An explicit --target keeps the flags away from build scripts and proc
    // macros, though it is the host's own.
    cargo.args([
        "build",
        "-p",
        "kernel",
        "--bins",
        "--features",
        "boot",
        "--release",
    ]);
    cargo
        .args(["--target", TARGET, "--target-dir"])
        .arg(directory);
    cargo
        .env("RUSTFLAGS", flags(checkout))
        .env("LAMPION_COMMIT", commit)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command::visible(&mut cargo)?;
    fs::create_dir_all(dist)?;
    let built = directory.join(TARGET).join("release/lampion");
    strip(&built, dist)
}

/// What the sources are, for `/metrics`.
fn commit(checkout: &Path) -> String {
    let mut git = Command::new("git");
    git.current_dir(checkout)
        .args(["describe", "--always", "--dirty", "--exclude=*"]);
    let described = command::output(&mut git);
    described.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Cargo in the checkout, as the one that runs us.
pub(crate) fn cargo(checkout: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout);
    cargo
}

/// Says what was built.
pub(crate) fn report(image: &Image) -> Result<()> {
    let kib = fs::metadata(&image.path)?.len().div_ceil(1024);
    println!(
        "{}: {kib} KiB, entered at {:#x}",
        image.path.display(),
        image.entry
    );
    Ok(())
}

/// Frame pointers for backtraces; paths that do not depend on the machine.
fn flags(checkout: &Path) -> String {
    let mut flags = vec!["-Cforce-frame-pointers=yes".to_owned()];
    flags.push(format!(
        "--remap-path-prefix={}=lampion",
        checkout.display()
    ));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    flags.join(" ")
}

/// Parts the symbols from what is booted, and looks at the result.
fn strip(built: &Path, dist: &Path) -> Result<Image> {
    let (path, debug) = (dist.join("lampion"), dist.join("lampion.debug"));
    fs::copy(built, &debug).with_context(|| format!("no image at {}", built.display()))?;
    let part = dist.join("lampion.part");
    let mut objcopy = Command::new("objcopy");
    command::output(objcopy.arg("--strip-all").arg(built).arg(&part))?;
    let entry = pvh_entry(&fs::read(&part)?).context("stripping broke the image")?;
    fs::rename(&part, &path)?;
    Ok(Image { path, debug, entry })
}

/// The entry in the image's Xen note, found as a loader finds it: through the
/// program headers.
fn pvh_entry(elf: &[u8]) -> Result<u64> {
    let header = object::elf::FileHeader64::<object::Endianness>::parse(elf)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, elf)? {
        ensure!(
            segment.p_type(endian) != object::elf::PT_DYNAMIC,
            "the image is linked dynamically"
        );
        let Some(mut notes) = segment.notes(endian, elf)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(endian) == NOTE_PHYS32_ENTRY {
                return match note.desc().len() {
                    4 | 8 => Ok(note
                        .desc()
                        .iter()
                        .rev()
                        .fold(0, |n, b| n << 8 | u64::from(*b))),
                    other => bail!("the Xen note has {other} bytes"),
                };
            }
        }
    }
    bail!("the image has no PVH note: Xen could not boot it")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF with one PT_NOTE segment of these bytes.
    fn elf_with(note: &[u8]) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[6] = 1;
        elf[16..20].copy_from_slice(&[2, 0, 62, 0]);
        elf[32] = 64;
        elf[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
        elf[64] = 4;
        elf[72] = 120;
        let size = u8::try_from(note.len()).unwrap();
        elf[96] = size;
        elf[104] = size;
        elf[112] = 4;
        elf.extend_from_slice(note);
        elf
    }

    #[test]
    fn the_entry_is_read_from_the_note() {
        let note = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\x34\x12\x10\0";
        assert_eq!(pvh_entry(&elf_with(note)).unwrap(), 0x0010_1234);
    }

    #[test]
    fn an_image_without_the_note_is_refused() {
        let other = b"\x04\0\0\0\x04\0\0\0\x11\0\0\0Xen\0\x34\x12\x10\0";
        assert!(pvh_entry(&elf_with(other)).is_err());
        assert!(pvh_entry(b"not an ELF").is_err());
    }
}
