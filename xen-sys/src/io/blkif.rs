//! The block protocol, x86_64 ABI. Mirrors `xen/include/public/io/blkif.h`, Xen 4.17.
//!
//! Units are always 512 bytes, whatever `sector-size` says.

/// Read.
pub const BLKIF_OP_READ: u8 = 0;
/// Write.
pub const BLKIF_OP_WRITE: u8 = 1;
/// Write, ordered and durable with all before it.
pub const BLKIF_OP_WRITE_BARRIER: u8 = 2;
/// Make completed writes durable.
pub const BLKIF_OP_FLUSH_DISKCACHE: u8 = 3;
/// Forget a range.
pub const BLKIF_OP_DISCARD: u8 = 5;

/// The operation is not supported.
pub const BLKIF_RSP_EOPNOTSUPP: i16 = -2;
/// The operation failed.
pub const BLKIF_RSP_ERROR: i16 = -1;
/// The operation succeeded.
pub const BLKIF_RSP_OKAY: i16 = 0;

/// Segments in one request.
pub const BLKIF_MAX_SEGMENTS_PER_REQUEST: usize = 11;
/// Slots in a one-page ring.
pub const BLK_RING_SIZE: u32 = 32;
/// Bytes of a sector on the wire.
pub const SECTOR_BYTES: u32 = 512;

/// The device is a CD-ROM (`info` node).
pub const VDISK_CDROM: u32 = 1;
/// The device is read-only (`info` node).
pub const VDISK_READONLY: u32 = 4;

/// A piece of one page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlkifRequestSegment {
    /// The page.
    pub gref: u32,
    /// First sector in it, 0 to 7.
    pub first_sect: u8,
    /// Last sector in it, inclusive.
    pub last_sect: u8,
    /// Padding.
    pub pad: u16,
}
layout!(
    BlkifRequestSegment as ["struct blkif_request_segment"], 8,
    gref @ 0, first_sect @ 4, last_sect @ 5, pad @ 6 as _,
);

/// Read, write, barrier or flush.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlkifRequest {
    /// `BLKIF_OP_*`.
    pub operation: u8,
    /// How many of `seg` are used.
    pub nr_segments: u8,
    /// The device's handle.
    pub handle: u16,
    /// Padding.
    pub pad: u32,
    /// Echoed.
    pub id: u64,
    /// First sector on the device.
    pub sector_number: u64,
    /// The pages.
    pub seg: [BlkifRequestSegment; BLKIF_MAX_SEGMENTS_PER_REQUEST],
}
layout!(
    BlkifRequest as ["struct blkif_request"], 112,
    operation @ 0, nr_segments @ 1, handle @ 2, pad @ 4 as _, id @ 8, sector_number @ 16,
    seg @ 24,
);

/// Discard; lies over a [`BlkifRequest`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlkifRequestDiscard {
    /// [`BLKIF_OP_DISCARD`].
    pub operation: u8,
    /// Bit 0: secure.
    pub flag: u8,
    /// The device's handle.
    pub handle: u16,
    /// Padding.
    pub pad: u32,
    /// Echoed.
    pub id: u64,
    /// First sector on the device.
    pub sector_number: u64,
    /// How many.
    pub nr_sectors: u64,
}
layout!(
    BlkifRequestDiscard as ["struct blkif_request_discard"], 32,
    operation @ 0, flag @ 1, handle @ 2, pad @ 4 as _, id @ 8, sector_number @ 16,
    nr_sectors @ 24,
);

impl BlkifRequestDiscard {
    /// The slot of the ring that says this: what lies beyond its end is zero.
    pub fn in_slot(self) -> BlkifRequest {
        let [a, b, c, d, first_sect, last_sect, e, f] = self.nr_sectors.to_le_bytes();
        let mut slot = BlkifRequest {
            operation: self.operation,
            nr_segments: self.flag,
            handle: self.handle,
            pad: self.pad,
            id: self.id,
            sector_number: self.sector_number,
            ..Default::default()
        };
        slot.seg[0] = BlkifRequestSegment {
            gref: u32::from_le_bytes([a, b, c, d]),
            first_sect,
            last_sect,
            pad: u16::from_le_bytes([e, f]),
        };
        slot
    }
}

/// The end of a request.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlkifResponse {
    /// From the request.
    pub id: u64,
    /// From the request.
    pub operation: u8,
    /// Padding.
    pub pad: u8,
    /// `BLKIF_RSP_*`.
    pub status: i16,
    /// Padding.
    pub pad2: u32,
}
layout!(
    BlkifResponse as ["struct blkif_response"], 16,
    id @ 0, operation @ 8, pad @ 9 as _, status @ 10, pad2 @ 12 as _,
);

mirror! {
    ["io/blkif.h"]
    layouts [BlkifRequestSegment, BlkifRequest, BlkifRequestDiscard, BlkifResponse]
    numbers [
        BLKIF_OP_READ,
        BLKIF_OP_WRITE,
        BLKIF_OP_WRITE_BARRIER,
        BLKIF_OP_FLUSH_DISKCACHE,
        BLKIF_OP_DISCARD,
        BLKIF_RSP_EOPNOTSUPP,
        BLKIF_RSP_ERROR,
        BLKIF_RSP_OKAY,
        BLKIF_MAX_SEGMENTS_PER_REQUEST,
        BLK_RING_SIZE => "__CONST_RING_SIZE(blkif, 4096)",
        SECTOR_BYTES => _,
        VDISK_CDROM,
        VDISK_READONLY,
    ]
}
