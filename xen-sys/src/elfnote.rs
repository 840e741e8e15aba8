//! ELF notes a guest image carries. Mirrors `xen/include/public/elfnote.h`, Xen 4.17.

/// The 32-bit physical entry point of a PVH image.
pub const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

mirror! {
    ["elfnote.h"]
    layouts []
    numbers [
        XEN_ELFNOTE_PHYS32_ENTRY,
    ]
}
