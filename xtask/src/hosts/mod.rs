//! The hypervisors a guest can be run on.

pub(crate) mod direct;
mod emulation;
pub(crate) mod kvm;
mod xen;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::progress::Progress;
use anyhow::{Result, bail};
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::bed::outer::Software;
use crate::bed::tree::Tree;
pub(crate) use xen::{Daemon, Release};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hypervisor {
    /// Xen itself, with a Linux dom0 of the same Debian.
    Xen(Release, Daemon),
    /// QEMU's Xen emulation on KVM.
    Emulation,
}

impl Hypervisor {
    /// Where everything is tried that needs Xen itself.
    pub(crate) const XEN: Self = Self::Xen(Release::V4_17, Daemon::Xenstored);

    /// The same with the other daemon, the other release, and both.
    pub(crate) const XEN_OXENSTORED: Self = Self::Xen(Release::V4_17, Daemon::Oxenstored);
    pub(crate) const XEN_4_20: Self = Self::Xen(Release::V4_20, Daemon::Xenstored);
    pub(crate) const XEN_4_20_OXENSTORED: Self = Self::Xen(Release::V4_20, Daemon::Oxenstored);

    /// Its name on command lines and in `LAMPION_BED`. The daemon is a part of it, so that a
    /// suite, a verdict and a saved machine are told apart by one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XEN => "xen",
            Self::XEN_OXENSTORED => "xen-oxenstored",
            Self::XEN_4_20 => "xen-4.20",
            Self::XEN_4_20_OXENSTORED => "xen-4.20-oxenstored",
            Self::Emulation => "emulation",
        }
    }
}

impl ValueEnum for Hypervisor {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::XEN,
            Self::XEN_OXENSTORED,
            Self::XEN_4_20,
            Self::XEN_4_20_OXENSTORED,
            Self::Emulation,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.to_string()))
    }
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xen(release, daemon) => {
                let (version, daemon) = (release.version(), daemon.program());
                write!(formatter, "Xen {version} with {daemon} under QEMU")
            }
            Self::Emulation => formatter.write_str("a Linux with QEMU's Xen emulation"),
        }
    }
}

/// The tree whose QEMU is the outer machine, and what it boots.
pub(crate) fn prepare(
    hypervisor: Hypervisor,
    bed: &Path,
    progress: &Progress,
) -> Result<(Tree, Software)> {
    match hypervisor {
        Hypervisor::Xen(release, daemon) => xen::prepare(release, daemon, bed, progress),
        Hypervisor::Emulation => emulation::prepare(bed, progress),
    }
}

/// A driver domain's kernel and initramfs, by their names in the payload: dom0's own.
pub(crate) fn driver_domain(
    hypervisor: Hypervisor,
    bed: &Path,
    progress: &Progress,
) -> Result<Vec<(String, PathBuf)>> {
    let Hypervisor::Xen(release, daemon) = hypervisor else {
        bail!("{hypervisor} has no domains that could be backends");
    };
    let tree = xen::tree(release, bed, progress)?;
    let dom0 = xen::Dom0::prepare(&tree, release, daemon, bed, progress)?;
    Ok(vec![
        ("dom0-linux".to_owned(), dom0.kernel),
        ("dom0.cpio".to_owned(), dom0.initramfs.path),
    ])
}
