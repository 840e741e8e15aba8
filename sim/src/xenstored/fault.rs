//! What a broken or hostile daemon does, on a test's order.

use super::wire;
use xen_sys::io::xs_wire::{XENSTORE_PAYLOAD_MAX, XS_ERROR, XS_RM, XS_WRITE, XsdSockmsg};

/// A type that no release knows.
const UNKNOWN_KIND: u32 = 0x7fff;
/// No client counts so far.
const FOREIGN_ID: u32 = 0x8000_0000;

/// How the next reply is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyLie {
    /// It answers a request that was never sent.
    WrongRequestId,
    /// It answers another kind of request.
    WrongType,
    /// Its header tells one byte more than the protocol allows.
    TooLong,
    /// It is an error whose name lacks the final NUL.
    Truncated,
    /// Its type is none.
    UnknownType,
    /// One byte more follows than its header tells, so that the next message begins askew.
    ShortLength,
}

impl ReplyLie {
    /// The reply's bytes, made wrong.
    pub(super) fn tell(self, mut header: XsdSockmsg, mut payload: Vec<u8>) -> Vec<u8> {
        match self {
            ReplyLie::WrongRequestId => header.req_id ^= FOREIGN_ID,
            ReplyLie::WrongType if header.kind == XS_WRITE => header.kind = XS_RM,
            ReplyLie::WrongType => header.kind = XS_WRITE,
            ReplyLie::TooLong => header.len = XENSTORE_PAYLOAD_MAX as u32 + 1,
            ReplyLie::Truncated => {
                payload = b"ENOENT".into();
                header.kind = XS_ERROR;
                header.len = payload.len() as u32;
            }
            ReplyLie::UnknownType => header.kind = UNKNOWN_KIND,
            ReplyLie::ShortLength if payload.is_empty() => payload.push(0),
            ReplyLie::ShortLength => header.len -= 1,
        }
        wire::to_bytes(header, &payload)
    }
}

/// The next request of a type that is refused with an error of the test's choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) kind: u32,
    pub(super) error: &'static str,
}
