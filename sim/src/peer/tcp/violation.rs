//! What the other side of a connection may not do.
//!
//! Source: RFC 9293, by the sections named below.

use std::fmt;

/// Positions count from the SYN, which is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Violation {
    /// 3.10.7.4: acknowledges what was not sent.
    AckBeyondSent { ack: i64, sent: i64 },
    /// 3.4: acknowledges less than the SYN that opened the connection.
    AckBeforeStart { ack: i64 },
    /// 3.10.7.4: only a RST and the first SYN have no ACK.
    NoAck,
    /// 3.10.7.3: a server does not open.
    UnexpectedSyn,
    /// 3.8.6: beyond every window that was advertised.
    BeyondWindow { end: i64, edge: i64 },
    /// 3.7.1: larger than the MSS option allows.
    BeyondMss { bytes: usize, limit: usize },
    /// 3.4: data in the place of the SYN or before it.
    BeforeStart { at: i64 },
    /// 3.4: one number stands for one byte.
    Changed { at: i64, was: u8, is: u8 },
    /// 3.6: there is nothing behind a FIN.
    BeyondFin { end: i64, fin: i64 },
    /// 3.6: a FIN that stands where another stood not.
    FinMoved { was: i64, is: i64 },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AckBeyondSent { ack, sent } => {
                write!(f, "acknowledges up to {ack}, but only {sent} was sent")
            }
            Self::AckBeforeStart { ack } => write!(f, "acknowledges up to {ack}, not the SYN"),
            Self::NoAck => write!(f, "has neither ACK nor RST"),
            Self::UnexpectedSyn => write!(f, "is a SYN without an ACK"),
            Self::BeyondWindow { end, edge } => {
                write!(f, "goes up to {end}, beyond the window that ends at {edge}")
            }
            Self::BeyondMss { bytes, limit } => {
                write!(
                    f,
                    "header and data are {bytes} bytes, the MSS allows {limit}"
                )
            }
            Self::BeforeStart { at } => write!(f, "has data at {at}, before the first byte"),
            Self::Changed { at, was, is } => {
                write!(f, "the byte at {at} was {was:#04x} and is {is:#04x} now")
            }
            Self::BeyondFin { end, fin } => {
                write!(f, "has data up to {end}, beyond the FIN at {fin}")
            }
            Self::FinMoved { was, is } => write!(f, "the FIN was at {was} and is at {is} now"),
        }
    }
}
