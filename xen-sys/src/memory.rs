//! Memory operations. Mirrors `xen/include/public/memory.h`, Xen 4.17.

/// Puts a page of Xen's at a guest frame.
pub const XENMEM_ADD_TO_PHYSMAP: u32 = 7;

/// Asks for the memory map; only for a start info without one.
pub const XENMEM_MEMORY_MAP: u32 = 9;

/// The shared info page.
pub const XENMAPSPACE_SHARED_INFO: u32 = 0;
/// A frame of the grant table.
pub const XENMAPSPACE_GRANT_TABLE: u32 = 1;

/// Argument of [`XENMEM_ADD_TO_PHYSMAP`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct XenAddToPhysmap {
    /// Whose address space.
    pub domid: u16,
    /// Only for ranges.
    pub size: u16,
    /// `XENMAPSPACE_*`.
    pub space: u32,
    /// Index within the space.
    pub idx: u64,
    /// Where to put it.
    pub gpfn: u64,
}
layout!(
    XenAddToPhysmap as ["struct xen_add_to_physmap"], 24,
    domid @ 0, size @ 2, space @ 4, idx @ 8, gpfn @ 16,
);

/// Argument of [`XENMEM_MEMORY_MAP`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct XenMemoryMap {
    /// In: entries there is room for; out: entries written.
    pub nr_entries: u32,
    /// Padding.
    pub pad: u32,
    /// Guest address of the entries.
    pub buffer: u64,
}
layout!(
    XenMemoryMap as ["struct xen_memory_map"], 16,
    nr_entries @ 0, pad @ 4 as _, buffer @ 8,
);

/// Usable RAM, in [`E820Entry::kind`].
pub const E820_RAM: u32 = 1;

/// One range of the memory map, 20 bytes as the BIOS call gives it.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug, Default)]
pub struct E820Entry {
    /// Physical address.
    pub addr: u64,
    /// Bytes.
    pub size: u64,
    /// `E820_*`.
    pub kind: u32,
}
layout!(E820Entry as [], 20, addr @ 0, size @ 8, kind @ 16);

mirror! {
    ["memory.h"]
    layouts [XenAddToPhysmap, XenMemoryMap, E820Entry]
    numbers [
        XENMEM_ADD_TO_PHYSMAP => "XENMEM_add_to_physmap",
        XENMEM_MEMORY_MAP => "XENMEM_memory_map",
        XENMAPSPACE_SHARED_INFO => "XENMAPSPACE_shared_info",
        XENMAPSPACE_GRANT_TABLE => "XENMAPSPACE_grant_table",
        E820_RAM => _,
    ]
}
