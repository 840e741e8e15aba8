//! A Linux guest with nginx: what Lampion is compared with, on the same machine.

use std::path::PathBuf;

use anyhow::Result;

use super::image;
use super::initramfs::{self, Recipe};
use super::tree::{self, Tree};
use crate::progress::Progress;

/// Its kernel and initramfs, by their names in the payload.
pub(crate) fn files() -> Result<Vec<(String, PathBuf)>> {
    let progress = &Progress::new();
    let root = super::root()?;
    let _lock = super::lock(&root, progress)?;
    let tree = Tree::open(&root, &tree::LINUX_GUEST, progress)?;
    let initramfs = image::cached(&root, "linux-guest.cpio", &tree, || {
        initramfs::build(&tree, &recipe())
    })?;
    let kernel = tree.find("boot", "vmlinuz-", "")?;
    Ok(vec![
        ("linux".to_owned(), kernel),
        ("linux.cpio".to_owned(), initramfs.path),
    ])
}

fn recipe() -> Recipe {
    Recipe {
        modules: &["xen-netfront"],
        programs: vec![("usr/sbin/nginx".to_owned(), "bin/nginx".to_owned())],
        files: &[],
        links: Vec::new(),
        scripts: vec![
            ("init", include_str!("guest/init-linux-guest")),
            ("etc/nginx.conf", include_str!("guest/nginx.conf")),
            ("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
            ("www/index.html", "<!doctype html><title>nginx</title>\n"),
        ],
    }
}
