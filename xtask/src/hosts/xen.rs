//! Real Xen: a dom0 with xl, in which guests are domains.

use std::path::{Path, PathBuf};

use crate::progress::Progress;
use anyhow::Result;

use crate::bed::image::{self, Image};
use crate::bed::initramfs::{self, Recipe};
use crate::bed::outer::Software;
use crate::bed::tree::{self, Tree};

/// Xen and what Debian has beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Bookworm's.
    V4_17,
    /// Trixie's.
    V4_20,
}

impl Release {
    /// As Xen writes it.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
        }
    }

    /// Its packages. The tree is called as the directory under `usr/lib` that Debian keeps
    /// this release's tools in.
    fn tree(self) -> &'static tree::Recipe {
        match self {
            Self::V4_17 => &tree::XEN_4_17,
            Self::V4_20 => &tree::XEN_4_20,
        }
    }
}

/// Who keeps xenstore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// Xen's in C: Debian's choice.
    Xenstored,
    /// Xen's in OCaml: XenServer's and XCP-ng's choice, which Debian packs beside it.
    Oxenstored,
}

impl Daemon {
    /// Its program's name.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Xenstored => "xenstored",
            Self::Oxenstored => "oxenstored",
        }
    }

    /// What it loads when it begins: since 4.20 oxenstored asks Xen by that alone.
    fn plugin(self, release: Release) -> Option<&'static str> {
        match (self, release) {
            (Self::Oxenstored, Release::V4_20) => {
                Some("ocaml/xsd_glue/xenctrl_plugin/domain_getinfo_v1.cmxs")
            }
            _ => None,
        }
    }
}

/// Xen's own options. TCG's MWAIT does not suit Xen's idle loop, hence
/// `cpuidle=0`; a guest's bytes to port 0xE9 land in Xen's log only with
/// `guest_loglvl=all`.
const XEN_OPTIONS: &str = "console=com1 com1=115200,8n1 dom0_mem=768M,max:768M dom0_max_vcpus=1 \
                           guest_loglvl=all/all conring_size=1m noreboot sched=credit cpuidle=0";

/// Frontends are for a driver domain, which is given devices of dom0.
const MODULES: [&str; 14] = [
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-netback",
    "xen-blkback",
    "xen-netfront",
    "xen-blkfront",
    "loop",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "bridge",
];

const TOOLS: [&str; 7] = [
    "xl",
    "xenconsoled",
    "xenconsole",
    "libxl-save-helper",
    "xen-init-dom0",
    "lsevtchn",
    "xenstore-control",
];

/// Loaded at run time by pthread_cancel; and the daemon's settings as Debian ships them.
const FILES: [(&str, &str); 2] = [
    (
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
    ),
    ("etc/xen/oxenstored.conf", "etc/xen/oxenstored.conf"),
];

/// One binary under several names.
const LINKS: [(&str, &str); 7] = [
    ("usr/bin/xenstore-read", "xenstore"),
    ("usr/bin/xenstore-write", "xenstore"),
    ("usr/bin/xenstore-ls", "xenstore"),
    ("usr/bin/xenstore-list", "xenstore"),
    ("usr/bin/xenstore-rm", "xenstore"),
    ("usr/bin/xenstore-watch", "xenstore"),
    ("usr/bin/xenstore-exists", "xenstore"),
];

/// What dom0 boots, and a driver domain once more.
#[derive(Debug)]
pub(super) struct Dom0 {
    /// Linux.
    pub(super) kernel: PathBuf,
    /// Its first and only file system.
    pub(super) initramfs: Image,
}

impl Dom0 {
    /// Those of `tree`, built if they are not there.
    pub(super) fn prepare(
        tree: &Tree,
        release: Release,
        daemon: Daemon,
        bed: &Path,
        progress: &Progress,
    ) -> Result<Self> {
        let name = format!("xen-{}-dom0-{}.cpio", release.version(), daemon.program());
        let initramfs = image::cached(bed, &name, tree, || {
            progress.step("building dom0's initramfs");
            initramfs::build(tree, &recipe(release, daemon))
        })?;
        let kernel = tree.find("boot", "vmlinuz-", "")?;
        Ok(Self { kernel, initramfs })
    }
}

/// The tree of a release, fetched if it is not there.
pub(super) fn tree(release: Release, bed: &Path, progress: &Progress) -> Result<Tree> {
    Tree::open(bed, release.tree(), progress)
}

/// Brings the outer QEMU (the base release's), Xen, dom0's kernel and its initramfs about.
pub(crate) fn prepare(
    release: Release,
    daemon: Daemon,
    bed: &Path,
    progress: &Progress,
) -> Result<(Tree, Software)> {
    let outer = Tree::open(bed, &tree::XEN_4_17, progress)?;
    let tree = tree(release, bed, progress)?;
    let dom0 = Dom0::prepare(&tree, release, daemon, bed, progress)?;
    let xen = tree.find("boot", "xen-", ".gz")?;
    let name = format!("xen-{}.elf", release.version());
    let xen = image::cached(bed, &name, &tree, || tree.unpacked(&xen))?;
    let software = Software {
        kernel: xen.path,
        append: XEN_OPTIONS.to_owned(),
        initrd: format!(
            "{} console=hvc0 loglevel=4,{}",
            dom0.kernel.display(),
            dom0.initramfs.path.display()
        ),
        identity: format!("{} {} {}", tree.packages()?, xen.hash, dom0.initramfs.hash),
    };
    Ok((outer, software))
}

fn recipe(release: Release, daemon: Daemon) -> Recipe {
    // libxl starts its helpers, and oxenstored its plugin, from the directory they were built for.
    let directory = format!("usr/lib/{}", release.tree().name);
    let as_it_is = |path: String| (path.clone(), path);
    let tools = TOOLS.into_iter().chain([daemon.program()]);
    let tools = tools.map(|tool| format!("{directory}/bin/{tool}"));
    let plugin = daemon.plugin(release);
    let plugin = plugin.map(|plugin| format!("{directory}/{plugin}"));
    let programs = tools
        .chain(plugin)
        .chain(["usr/bin/xenstore".to_owned()])
        .map(as_it_is)
        .collect();
    // A name for the tools that has no version.
    let tools = [("usr/lib/xen", release.tree().name)];
    Recipe {
        modules: &MODULES,
        programs,
        files: &FILES,
        links: [&LINKS[..], &tools].concat(),
        scripts: [
            &initramfs::MACHINE[..],
            &[
                ("init", include_str!("../bed/guest/init-xen")),
                (
                    "init-driver-domain",
                    include_str!("../bed/guest/init-driver-domain"),
                ),
                ("bin/vm", include_str!("../bed/guest/vm-xen")),
                ("bin/hostile", include_str!("../bed/guest/hostile")),
                ("etc/xen/scripts/block", include_str!("../bed/guest/block")),
                ("etc/xen/xl.conf", ""),
                ("etc/xenstore-daemon", daemon.program()),
            ],
        ]
        .concat(),
    }
}
