//! Finds a Linux's modules and the order in which they must be loaded.
//!
//! Debian's packages carry no `modules.dep` (their installation makes it), so
//! the order comes from the modules themselves: each names what it depends on
//! in its `.modinfo` section.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

/// One module, unpacked.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name, with `_` for `-`.
    pub(crate) name: String,
    /// Its ELF file.
    pub(crate) content: Vec<u8>,
}

/// Reads the `wanted` modules under `directory` (a `lib/modules/VERSION`) and
/// all they depend on, in loading order. `unpack` gives a file's content,
/// decompressed. What is built into the kernel is left out.
pub(crate) fn load(
    directory: &Path,
    wanted: &[&str],
    unpack: &dyn Fn(&Path) -> Result<Vec<u8>>,
) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(&directory.join("kernel"), &mut files)?;
    let builtin = fs::read_to_string(directory.join("modules.builtin"))
        .with_context(|| format!("no modules.builtin in {}", directory.display()))?;
    let builtin: Vec<String> = builtin
        .lines()
        .map(|line| name_of(Path::new(line)))
        .collect();

    let mut contents = BTreeMap::new();
    let order = order(wanted, &mut |name| {
        if builtin.iter().any(|other| other == name) {
            return Ok(None);
        }
        let Some(path) = files.get(name) else {
            bail!("the kernel in {} has no module {name}", directory.display());
        };
        let content = unpack(path)?;
        let depends = depends(&content).with_context(|| format!("in {}", path.display()))?;
        contents.insert(name.to_owned(), content);
        Ok(Some(depends))
    })?;
    let take = |name: String| {
        let content = contents
            .remove(&name)
            .expect("every ordered module was read");
        Module { name, content }
    };
    Ok(order.into_iter().map(take).collect())
}

/// Dependencies first. `depends` answers `None` for what is built in.
fn order(
    wanted: &[&str],
    depends: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
) -> Result<Vec<String>> {
    fn visit(
        name: &str,
        seen: &mut Vec<String>,
        order: &mut Vec<String>,
        depends: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
    ) -> Result<()> {
        if seen.iter().any(|other| other == name) {
            return Ok(());
        }
        seen.push(name.to_owned());
        let Some(below) = depends(name)? else {
            return Ok(());
        };
        for other in below {
            visit(&other, seen, order, depends)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
    let (mut seen, mut order) = (Vec::new(), Vec::new());
    for name in wanted {
        visit(&name.replace('-', "_"), &mut seen, &mut order, depends)?;
    }
    Ok(order)
}

/// What a module says it depends on (`depends=a,b` in `.modinfo`).
fn depends(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module).context("not an ELF file")?;
    let section = file
        .section_by_name(".modinfo")
        .context("no .modinfo section")?;
    Ok(parse_depends(section.data()?))
}

fn parse_depends(modinfo: &[u8]) -> Vec<String> {
    let strings = modinfo
        .split(|byte| *byte == 0)
        .filter_map(|text| str::from_utf8(text).ok());
    strings
        .filter_map(|text| text.strip_prefix("depends="))
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn find(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().contains(".ko") {
            files.insert(name_of(&entry.path()), entry.path());
        }
    }
    Ok(())
}

/// `…/xen-netback.ko.xz` is `xen_netback`.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split(".ko")
        .next()
        .unwrap_or_default()
        .replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        let cases: [(&[u8], &[&str]); 4] = [
            (
                b"license=GPL\0depends=stp,llc\0name=bridge\0",
                &["stp", "llc"],
            ),
            (b"depends=\0name=llc\0", &[]),
            (b"name=loop\0", &[]),
            (b"depends=kvm-x\0", &["kvm_x"]),
        ];
        for (modinfo, expected) in cases {
            assert_eq!(parse_depends(modinfo), expected);
        }
    }

    #[test]
    fn dependencies_are_loaded_first_and_once() {
        let mut table = |name: &str| {
            Ok(match name {
                "bridge" => Some(vec!["stp".to_owned(), "llc".to_owned()]),
                "stp" => Some(vec!["llc".to_owned()]),
                "virtio_pci" => None,
                _ => Some(Vec::new()),
            })
        };
        let order = order(&["virtio-pci", "bridge", "llc"], &mut table).unwrap();
        assert_eq!(order, ["llc", "stp", "bridge"]);
    }

    #[test]
    fn a_module_is_named_as_the_kernel_names_it() {
        assert_eq!(
            name_of(Path::new("kernel/drivers/net/xen-netback.ko.xz")),
            "xen_netback"
        );
        assert_eq!(name_of(Path::new("kernel/net/llc/llc.ko")), "llc");
    }
}
