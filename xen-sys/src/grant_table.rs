//! Grant tables, version 1. Mirrors `xen/include/public/grant_table.h`, Xen 4.17.

/// How many frames the table has and may have.
pub const GNTTABOP_QUERY_SIZE: u32 = 6;
/// Chooses the layout of entries.
pub const GNTTABOP_SET_VERSION: u32 = 8;

/// The entry lets its domain map or copy the frame.
pub const GTF_PERMIT_ACCESS: u16 = 1;
/// With [`GTF_PERMIT_ACCESS`]: reading only.
pub const GTF_READONLY: u16 = 1 << 2;
/// The grantee has the frame mapped for reading.
pub const GTF_READING: u16 = 1 << 3;
/// The grantee has the frame mapped for writing.
pub const GTF_WRITING: u16 = 1 << 4;

/// Entries below this belong to the toolstack (0 is the console's page, 1 is xenstore's).
pub const GNTTAB_NR_RESERVED_ENTRIES: u32 = 8;

/// Entries in one frame of a version 1 table.
pub const ENTRIES_PER_FRAME: u32 = 512;

/// One entry of a version 1 table; Xen reads and writes `flags` concurrently.
#[repr(C)]
#[derive(Debug, Default)]
pub struct GrantEntryV1 {
    /// `GTF_*`.
    pub flags: u16,
    /// Who is granted.
    pub domid: u16,
    /// The frame granted.
    pub frame: u32,
}
layout!(
    GrantEntryV1 as ["struct grant_entry_v1"], 8,
    flags @ 0, domid @ 2, frame @ 4,
);

/// Argument of [`GNTTABOP_QUERY_SIZE`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct GnttabQuerySize {
    /// Whose table.
    pub dom: u16,
    /// Frames it has (out).
    pub nr_frames: u32,
    /// Frames it may have (out).
    pub max_nr_frames: u32,
    /// `GNTST_*`, 0 is success (out).
    pub status: i16,
}
layout!(
    GnttabQuerySize as ["struct gnttab_query_size"], 16,
    dom @ 0, nr_frames @ 4, max_nr_frames @ 8, status @ 12,
);

/// Argument of [`GNTTABOP_SET_VERSION`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct GnttabSetVersion {
    /// In: the version wanted; out: the version in force.
    pub version: u32,
}
layout!(
    GnttabSetVersion as ["struct gnttab_set_version"], 4,
    version @ 0,
);

mirror! {
    ["grant_table.h"]
    layouts [GrantEntryV1, GnttabQuerySize, GnttabSetVersion]
    numbers [
        GNTTABOP_QUERY_SIZE => "GNTTABOP_query_size",
        GNTTABOP_SET_VERSION => "GNTTABOP_set_version",
        GTF_PERMIT_ACCESS => "GTF_permit_access",
        GTF_READONLY => "GTF_readonly",
        GTF_READING => "GTF_reading",
        GTF_WRITING => "GTF_writing",
        GNTTAB_NR_RESERVED_ENTRIES,
        ENTRIES_PER_FRAME => "4096 / sizeof(struct grant_entry_v1)",
    ]
}
