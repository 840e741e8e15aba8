//! The hypervisor's version. Mirrors `xen/include/public/version.h`, Xen 4.17.

/// Returns `major << 16 | minor`; takes no argument.
pub const XENVER_VERSION: u32 = 0;

mirror! {
    ["version.h"]
    layouts []
    numbers [
        XENVER_VERSION => "XENVER_version",
    ]
}
