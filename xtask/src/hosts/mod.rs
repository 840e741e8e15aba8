//! The hypervisors a guest can be run on.

pub(crate) mod direct;
mod emulation;
pub(crate) mod kvm;
mod xen;

use std::fmt;
use std::path::Path;

use crate::progress::Progress;
use anyhow::Result;
use clap::ValueEnum;

use crate::bed::outer::Software;
use crate::bed::tree::Tree;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hypervisor {
    /// Xen 4.17, with a Linux dom0.
    Xen,
    /// QEMU's Xen emulation on KVM.
    Emulation,
}

impl Hypervisor {
    /// Its name on command lines and in `LAMPION_BED`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xen => "xen",
            Self::Emulation => "emulation",
        }
    }
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Xen => "Xen 4.17 under QEMU",
            Self::Emulation => "a Linux with QEMU's Xen emulation",
        })
    }
}

/// The tree whose QEMU is the outer machine, and what it boots.
pub(crate) fn prepare(
    hypervisor: Hypervisor,
    bed: &Path,
    progress: &Progress,
) -> Result<(Tree, Software)> {
    match hypervisor {
        Hypervisor::Xen => xen::prepare(bed, progress),
        Hypervisor::Emulation => emulation::prepare(bed, progress),
    }
}
