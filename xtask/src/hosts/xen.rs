//! Real Xen: a dom0 with xl, in which guests are domains.

use std::path::Path;

use crate::progress::Progress;
use anyhow::Result;

use crate::bed::image;
use crate::bed::initramfs::{self, Recipe};
use crate::bed::outer::Software;
use crate::bed::tree::{self, Tree};

/// Xen's own options. TCG's MWAIT does not suit Xen's idle loop, hence
/// `cpuidle=0`; a guest's bytes to port 0xE9 land in Xen's log only with
/// `guest_loglvl=all`.
const XEN_OPTIONS: &str = "console=com1 com1=115200,8n1 dom0_mem=768M,max:768M dom0_max_vcpus=1 \
                           guest_loglvl=all/all conring_size=1m noreboot sched=credit cpuidle=0";

const MODULES: [&str; 12] = [
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-netback",
    "xen-blkback",
    "loop",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "bridge",
];

const TOOLS: [&str; 7] = [
    "xl",
    "xenstored",
    "xenconsoled",
    "xenconsole",
    "libxl-save-helper",
    "xen-init-dom0",
    "lsevtchn",
];

/// One binary under several names, and a name for the tools that has no version.
const LINKS: [(&str, &str); 8] = [
    ("usr/bin/xenstore-read", "xenstore"),
    ("usr/bin/xenstore-write", "xenstore"),
    ("usr/bin/xenstore-ls", "xenstore"),
    ("usr/bin/xenstore-list", "xenstore"),
    ("usr/bin/xenstore-rm", "xenstore"),
    ("usr/bin/xenstore-watch", "xenstore"),
    ("usr/bin/xenstore-exists", "xenstore"),
    ("usr/lib/xen", "xen-4.17"),
];

/// Brings Xen, dom0's kernel and its initramfs about.
pub(crate) fn prepare(bed: &Path, progress: &Progress) -> Result<(Tree, Software)> {
    let tree = Tree::open(bed, &tree::XEN_4_17, progress)?;
    let dom0 = image::cached(bed, "xen-4.17-dom0.cpio", &tree, || {
        progress.step("building dom0's initramfs");
        initramfs::build(&tree, &recipe())
    })?;
    let xen = tree.find("boot", "xen-", ".gz")?;
    let xen = image::cached(bed, "xen-4.17.elf", &tree, || tree.unpacked(&xen))?;
    let linux = tree.find("boot", "vmlinuz-", "")?;
    let software = Software {
        kernel: xen.path,
        append: XEN_OPTIONS.to_owned(),
        initrd: format!(
            "{} console=hvc0 loglevel=4,{}",
            linux.display(),
            dom0.path.display()
        ),
        identity: format!("{} {}", xen.hash, dom0.hash),
    };
    Ok((tree, software))
}

fn recipe() -> Recipe {
    // libxl starts its helpers from the directory it was built for.
    let directory = "usr/lib/xen-4.17/bin";
    let mut programs: Vec<_> = TOOLS
        .iter()
        .map(|tool| (format!("{directory}/{tool}"), format!("{directory}/{tool}")))
        .collect();
    programs.push(("usr/bin/xenstore".to_owned(), "usr/bin/xenstore".to_owned()));
    Recipe {
        modules: &MODULES,
        programs,
        // Loaded at run time by pthread_cancel.
        files: &[(
            "lib/x86_64-linux-gnu/libgcc_s.so.1",
            "lib/x86_64-linux-gnu/libgcc_s.so.1",
        )],
        links: &LINKS,
        scripts: [
            &initramfs::MACHINE[..],
            &[
                ("init", include_str!("../bed/guest/init-xen")),
                ("bin/vm", include_str!("../bed/guest/vm-xen")),
                ("bin/hostile", include_str!("../bed/guest/hostile")),
                ("etc/xen/scripts/block", include_str!("../bed/guest/block")),
                ("etc/xen/xl.conf", ""),
            ],
        ]
        .concat(),
    }
}
