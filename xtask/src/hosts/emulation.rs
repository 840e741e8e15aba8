//! QEMU's Xen emulation: a Linux with KVM, in which guests are QEMUs.

use std::path::Path;

use crate::progress::Progress;
use anyhow::Result;

use crate::bed::image;
use crate::bed::initramfs::{self, Recipe};
use crate::bed::outer::Software;
use crate::bed::tree::{self, Tree};

const MODULES: [&str; 7] = [
    "kvm-amd",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "bridge",
    "tun",
    "loop",
];

/// What the inner QEMU loads when it boots a PVH kernel.
const FIRMWARE: [(&str, &str); 4] = [
    (
        "usr/share/seabios/bios-256k.bin",
        "usr/share/qemu/bios-256k.bin",
    ),
    ("usr/share/qemu/pvh.bin", "usr/share/qemu/pvh.bin"),
    (
        "usr/share/qemu/linuxboot_dma.bin",
        "usr/share/qemu/linuxboot_dma.bin",
    ),
    ("usr/share/qemu/kvmvapic.bin", "usr/share/qemu/kvmvapic.bin"),
];

/// Brings the outer QEMU (the Xen tree's), the Linux and its initramfs about.
pub(crate) fn prepare(bed: &Path, progress: &Progress) -> Result<(Tree, Software)> {
    let outer = Tree::open(bed, &tree::XEN_4_17, progress)?;
    let tree = Tree::open(bed, &tree::EMULATION, progress)?;
    let initramfs = image::cached(bed, "emulation.cpio", &tree, || {
        progress.step("building the emulation's initramfs");
        initramfs::build(&tree, &recipe())
    })?;
    let software = Software {
        kernel: tree.find("boot", "vmlinuz-", "")?,
        append: "console=ttyS0 loglevel=4 mitigations=off".to_owned(),
        initrd: initramfs.path.display().to_string(),
        identity: format!("{} {}", tree.packages()?, initramfs.hash),
    };
    Ok((outer, software))
}

fn recipe() -> Recipe {
    let qemu = "usr/bin/qemu-system-x86_64".to_owned();
    Recipe {
        modules: &MODULES,
        programs: vec![(qemu.clone(), qemu)],
        files: &FIRMWARE,
        links: Vec::new(),
        scripts: [
            &initramfs::MACHINE[..],
            &[
                ("init", include_str!("../bed/guest/init-emulation")),
                ("bin/vm", include_str!("../bed/guest/vm-emulation")),
            ],
        ]
        .concat(),
    }
}
