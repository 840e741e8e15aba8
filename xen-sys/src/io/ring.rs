//! The shared ring's header. Mirrors `xen/include/public/io/ring.h`, Xen 4.17.

/// Offset of `req_prod`, written by the frontend.
pub const REQ_PROD: usize = 0;
/// Offset of `req_event`, written by the backend: notify when `req_prod` passes it.
pub const REQ_EVENT: usize = 4;
/// Offset of `rsp_prod`, written by the backend.
pub const RSP_PROD: usize = 8;
/// Offset of `rsp_event`, written by the frontend: notify when `rsp_prod` passes it.
pub const RSP_EVENT: usize = 12;
/// Offset of the first slot.
pub const SLOTS: usize = 64;

mirror! {
    ["io/ring.h", "io/blkif.h"]
    layouts []
    numbers [
        REQ_PROD => "offsetof(struct blkif_sring, req_prod)",
        REQ_EVENT => "offsetof(struct blkif_sring, req_event)",
        RSP_PROD => "offsetof(struct blkif_sring, rsp_prod)",
        RSP_EVENT => "offsetof(struct blkif_sring, rsp_event)",
        SLOTS => "offsetof(struct blkif_sring, ring)",
    ]
}
