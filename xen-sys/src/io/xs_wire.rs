//! The xenstore wire protocol. Mirrors `xen/include/public/io/xs_wire.h`, Xen 4.17.

/// List the children of a node.
pub const XS_DIRECTORY: u32 = 1;
/// Read a node.
pub const XS_READ: u32 = 2;
/// Register a watch.
pub const XS_WATCH: u32 = 4;
/// Remove a watch.
pub const XS_UNWATCH: u32 = 5;
/// Begin a transaction.
pub const XS_TRANSACTION_START: u32 = 6;
/// End a transaction: `T` commits, `F` aborts.
pub const XS_TRANSACTION_END: u32 = 7;
/// Write a node, making it and its parents.
pub const XS_WRITE: u32 = 11;
/// Remove a node and all below it.
pub const XS_RM: u32 = 13;
/// A watch fired (from the server, request id 0).
pub const XS_WATCH_EVENT: u32 = 15;
/// The request failed; the payload names the error.
pub const XS_ERROR: u32 = 16;

/// Longest payload either way.
pub const XENSTORE_PAYLOAD_MAX: usize = 4096;
/// Bytes of each ring.
pub const XENSTORE_RING_SIZE: usize = 1024;

/// Offset of the request ring in the shared page.
pub const REQ: usize = 0;
/// Offset of the reply ring.
pub const RSP: usize = 1024;
/// Offset of the request ring's consumer.
pub const REQ_CONS: usize = 2048;
/// Offset of the request ring's producer.
pub const REQ_PROD: usize = 2052;
/// Offset of the reply ring's consumer.
pub const RSP_CONS: usize = 2056;
/// Offset of the reply ring's producer.
pub const RSP_PROD: usize = 2060;

/// The header of every message, `struct xsd_sockmsg`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XsdSockmsg {
    /// `XS_*`.
    pub kind: u32,
    /// Chosen by the client, echoed.
    pub req_id: u32,
    /// Transaction, 0 for none.
    pub tx_id: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}
layout!(
    XsdSockmsg as ["struct xsd_sockmsg"], 16,
    kind @ 0 as "type", req_id @ 4, tx_id @ 8, len @ 12,
);

impl XsdSockmsg {
    /// As on the wire, little endian.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let fields = [self.kind, self.req_id, self.tx_id, self.len];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// From the wire.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let field = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        XsdSockmsg {
            kind: field(0),
            req_id: field(4),
            tx_id: field(8),
            len: field(12),
        }
    }
}

mirror! {
    ["io/xs_wire.h"]
    layouts [XsdSockmsg]
    numbers [
        XS_DIRECTORY,
        XS_READ,
        XS_WATCH,
        XS_UNWATCH,
        XS_TRANSACTION_START,
        XS_TRANSACTION_END,
        XS_WRITE,
        XS_RM,
        XS_WATCH_EVENT,
        XS_ERROR,
        XENSTORE_PAYLOAD_MAX,
        XENSTORE_RING_SIZE,
        REQ => "offsetof(struct xenstore_domain_interface, req)",
        RSP => "offsetof(struct xenstore_domain_interface, rsp)",
        REQ_CONS => "offsetof(struct xenstore_domain_interface, req_cons)",
        REQ_PROD => "offsetof(struct xenstore_domain_interface, req_prod)",
        RSP_CONS => "offsetof(struct xenstore_domain_interface, rsp_cons)",
        RSP_PROD => "offsetof(struct xenstore_domain_interface, rsp_prod)",
    ]
}
