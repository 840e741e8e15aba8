//! The network protocol. Mirrors `xen/include/public/io/netif.h`, Xen 4.17.

/// Transmit slots in a one-page ring.
pub const NET_TX_RING_SIZE: u32 = 256;
/// Receive slots in a one-page ring.
pub const NET_RX_RING_SIZE: u32 = 256;

/// The packet's protocol checksum field is incomplete.
pub const NETTXF_CSUM_BLANK: u16 = 1;
/// The packet's data was validated.
pub const NETTXF_DATA_VALIDATED: u16 = 2;
/// The packet goes on in the next request.
pub const NETTXF_MORE_DATA: u16 = 4;

/// The packet's data was validated.
pub const NETRXF_DATA_VALIDATED: u16 = 1;
/// The packet's protocol checksum field is incomplete.
pub const NETRXF_CSUM_BLANK: u16 = 2;
/// The packet goes on in the next response.
pub const NETRXF_MORE_DATA: u16 = 4;
/// The packet is followed by an extra info slot.
pub const NETRXF_EXTRA_INFO: u16 = 8;

/// The packet was sent.
pub const NETIF_RSP_OKAY: i16 = 0;
/// The packet was dropped.
pub const NETIF_RSP_DROPPED: i16 = -2;
/// The packet could not be sent.
pub const NETIF_RSP_ERROR: i16 = -1;

/// A packet or a part of one, to the backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetifTxRequest {
    /// The page.
    pub gref: u32,
    /// Where in it.
    pub offset: u16,
    /// `NETTXF_*`.
    pub flags: u16,
    /// Echoed.
    pub id: u16,
    /// Bytes: of the whole packet in its first request.
    pub size: u16,
}
layout!(
    NetifTxRequest as ["struct netif_tx_request"], 12,
    gref @ 0, offset @ 4, flags @ 6, id @ 8, size @ 10,
);

/// A packet was taken.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetifTxResponse {
    /// From the request.
    pub id: u16,
    /// `NETIF_RSP_*`.
    pub status: i16,
}
layout!(NetifTxResponse as ["struct netif_tx_response"], 4, id @ 0, status @ 2);

/// An empty page for a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetifRxRequest {
    /// Echoed.
    pub id: u16,
    /// Zero.
    pub pad: u16,
    /// The page.
    pub gref: u32,
}
layout!(NetifRxRequest as ["struct netif_rx_request"], 8, id @ 0, pad @ 2, gref @ 4);

/// A packet or a part of one, from the backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetifRxResponse {
    /// From the request.
    pub id: u16,
    /// Where in the page.
    pub offset: u16,
    /// `NETRXF_*`.
    pub flags: u16,
    /// Bytes if positive, `NETIF_RSP_*` if negative.
    pub status: i16,
}
layout!(
    NetifRxResponse as ["struct netif_rx_response"], 8,
    id @ 0, offset @ 2, flags @ 4, status @ 6,
);

mirror! {
    ["io/netif.h"]
    layouts [NetifTxRequest, NetifTxResponse, NetifRxRequest, NetifRxResponse]
    numbers [
        NET_TX_RING_SIZE => "__CONST_RING_SIZE(netif_tx, 4096)",
        NET_RX_RING_SIZE => "__CONST_RING_SIZE(netif_rx, 4096)",
        NETTXF_CSUM_BLANK => "NETTXF_csum_blank",
        NETTXF_DATA_VALIDATED => "NETTXF_data_validated",
        NETTXF_MORE_DATA => "NETTXF_more_data",
        NETRXF_DATA_VALIDATED => "NETRXF_data_validated",
        NETRXF_CSUM_BLANK => "NETRXF_csum_blank",
        NETRXF_MORE_DATA => "NETRXF_more_data",
        NETRXF_EXTRA_INFO => "NETRXF_extra_info",
        NETIF_RSP_OKAY,
        NETIF_RSP_DROPPED,
        NETIF_RSP_ERROR,
    ]
}
