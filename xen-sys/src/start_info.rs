//! What a PVH guest is handed at its entry.
//! Mirrors `xen/include/public/arch-x86/hvm/start_info.h`, Xen 4.17.

/// In [`HvmStartInfo::magic`]: "xEn3" with the 0x80 bit of the "E" set.
pub const XEN_HVM_START_MAGIC_VALUE: u32 = 0x336e_c578;

/// Version 0 ends before `memmap_paddr`.
pub const START_INFO_V0_BYTES: usize = 40;

/// The start info structure, version 1.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HvmStartInfo {
    /// [`XEN_HVM_START_MAGIC_VALUE`].
    pub magic: u32,
    /// 0 or 1; later versions only append.
    pub version: u32,
    /// `SIF_*`.
    pub flags: u32,
    /// Number of modules.
    pub nr_modules: u32,
    /// Physical address of the module list.
    pub modlist_paddr: u64,
    /// Physical address of the command line, NUL-terminated; 0 if none.
    pub cmdline_paddr: u64,
    /// Physical address of the RSDP; 0 if none.
    pub rsdp_paddr: u64,
    /// Physical address of the memory map (version 1).
    pub memmap_paddr: u64,
    /// Entries of the memory map (version 1).
    pub memmap_entries: u32,
    /// Zero.
    pub reserved: u32,
}
layout!(
    HvmStartInfo as ["struct hvm_start_info"], 56,
    magic @ 0, version @ 4, flags @ 8, nr_modules @ 12, modlist_paddr @ 16, cmdline_paddr @ 24,
    rsdp_paddr @ 32, memmap_paddr @ 40, memmap_entries @ 48, reserved @ 52,
);

/// Usable RAM.
pub const XEN_HVM_MEMMAP_TYPE_RAM: u32 = 1;

/// One range of the memory map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HvmMemmapTableEntry {
    /// Physical address.
    pub addr: u64,
    /// Bytes.
    pub size: u64,
    /// `XEN_HVM_MEMMAP_TYPE_*`.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}
layout!(
    HvmMemmapTableEntry as ["struct hvm_memmap_table_entry"], 24,
    addr @ 0, size @ 8, kind @ 16 as "type", reserved @ 20,
);

mirror! {
    ["arch-x86/hvm/start_info.h"]
    layouts [HvmStartInfo, HvmMemmapTableEntry]
    numbers [
        XEN_HVM_START_MAGIC_VALUE,
        START_INFO_V0_BYTES => "offsetof(struct hvm_start_info, memmap_paddr)",
        XEN_HVM_MEMMAP_TYPE_RAM,
    ]
}
