//! Puts together the first file system of a machine from a root tree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::cpio::{Archive, Entry};
use super::modules;
use super::tree::Tree;

/// What goes into an initramfs.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// Kernel modules by name.
    pub(crate) modules: &'static [&'static str],
    /// Programs of the tree and their places; their libraries come along.
    pub(crate) programs: Vec<(String, String)>,
    /// Further files of the tree, copied as they are.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Links and where they point.
    pub(crate) links: Vec<(&'static str, &'static str)>,
    /// Scripts and settings of ours and their places.
    pub(crate) scripts: Vec<(&'static str, &'static str)>,
}

/// The scripts of the machines that guests run in.
pub(crate) const MACHINE: [(&str, &str); 5] = [
    ("etc/bed.sh", include_str!("guest/bed.sh")),
    ("etc/vm-common", include_str!("guest/vm-common")),
    ("bin/agent", include_str!("guest/agent")),
    ("bin/payload", include_str!("guest/payload")),
    ("etc/xen/scripts/vif", include_str!("guest/vif")),
];

/// Directories that are mounted on or written to.
const DIRECTORIES: [&str; 10] = [
    "proc", "sys", "dev", "run", "tmp", "payload", "var/log", "var/lib", "etc", "sbin",
];

/// Builds the archive's bytes.
pub(crate) fn build(tree: &Tree, recipe: &Recipe) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.insert(directory, Entry::Directory);
    }
    archive.insert("dev/console", Entry::Device { major: 5, minor: 1 });
    archive.insert("var/run", Entry::Link("../run".to_owned()));
    add_busybox(&mut archive, tree)?;
    add_modules(&mut archive, tree, recipe.modules)?;
    for (from, to) in &recipe.programs {
        add_program(&mut archive, tree, from, to)?;
    }
    for (from, to) in recipe.files {
        add_file(&mut archive, &tree.path(from), to)?;
    }
    for (path, target) in &recipe.links {
        archive.insert(path, Entry::Link((*target).to_owned()));
    }
    for (path, text) in &recipe.scripts {
        let content = text.as_bytes().to_vec();
        archive.insert(
            path,
            Entry::File {
                mode: 0o755,
                content,
            },
        );
    }
    Ok(archive.to_bytes())
}

fn add_busybox(archive: &mut Archive, tree: &Tree) -> Result<()> {
    add_file(archive, &tree.path("bin/busybox"), "bin/busybox")?;
    let applets = String::from_utf8(tree.busybox(&["--list"])?)?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        archive.insert(&format!("bin/{applet}"), Entry::Link("busybox".to_owned()));
    }
    Ok(())
}

fn add_modules(archive: &mut Archive, tree: &Tree, wanted: &[&str]) -> Result<()> {
    let directory = tree.find("lib/modules", "", "")?;
    let mut order = String::new();
    for module in modules::load(&directory, wanted, &|path| tree.unpacked(path))? {
        let file = format!("{}.ko", module.name);
        order.push_str(&file);
        order.push('\n');
        let entry = Entry::File {
            mode: 0o644,
            content: module.content,
        };
        archive.insert(&format!("modules/{file}"), entry);
    }
    archive.insert(
        "modules/order",
        Entry::File {
            mode: 0o644,
            content: order.into_bytes(),
        },
    );
    Ok(())
}

fn add_program(archive: &mut Archive, tree: &Tree, from: &str, to: &str) -> Result<()> {
    let program = tree.path(from);
    add_file(archive, &program, to)?;
    for library in tree.libraries(&program)? {
        let name = library
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let place = format!("lib/x86_64-linux-gnu/{name}");
        if !archive.contains(&place) {
            add_file(archive, &library, &place)?;
        }
    }
    let loader = "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2".to_owned();
    archive.insert("lib64/ld-linux-x86-64.so.2", Entry::Link(loader));
    Ok(())
}

/// Adds a file under its content: links of the tree are followed.
fn add_file(archive: &mut Archive, from: &Path, to: &str) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    archive.insert(
        to,
        Entry::File {
            mode: 0o755,
            content,
        },
    );
    Ok(())
}
