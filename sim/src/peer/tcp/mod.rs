//! A TCP that opens connections and judges the other side.
//!
//! It has no congestion control: what it may not do to the network, the world
//! between is to show. Within the module a byte has a position that never
//! wraps: 0 is the SYN, 1 the first byte of data, and the FIN stands behind the last.
//!
//! Source: RFC 9293; RFC 6298; RFC 7323, 2 (window scale).

mod acks;
pub(crate) mod connection;
mod inbound;
mod offer;
mod outbound;
pub(crate) mod segment;
mod sequence;
mod timer;
mod violation;

/// How a connection stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowState {
    /// The hardware address is looked for, or the SYN is not answered.
    Connecting,
    /// The guest may send; so it stays after our own FIN.
    Open,
    /// The guest's FIN came, and all before it.
    PeerClosed,
    /// Both FINs came to the other side.
    Closed,
    /// The guest refused or reset it, or we aborted it.
    Reset,
    /// The guest acknowledged nothing for a minute.
    TimedOut,
    /// What the guest did against the RFC.
    ProtocolError(String),
}
