//! Ethernet frames, without a frame check sequence.
//!
//! Source: RFC 894; IEEE 802.3, 3.

use std::fmt;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// Two addresses and a type.
pub(super) const HEADER_BYTES: usize = 14;
pub(super) const BROADCAST: Mac = [0xff; 6];
pub(super) const KIND_IPV4: u16 = 0x0800;
pub(super) const KIND_ARP: u16 = 0x0806;

/// What stands before the payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) to: Mac,
    pub(super) from: Mac,
    pub(super) kind: u16,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParseError {
    Short { bytes: usize },
    FromMany(Mac),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => write!(f, "frame of {bytes} bytes has no Ethernet header"),
            Self::FromMany(mac) => write!(f, "frame comes from the group address {mac:02x?}"),
        }
    }
}

/// The header and the payload, which may end in padding.
pub(super) fn parse(frame: &[u8]) -> Result<(Header, &[u8]), ParseError> {
    let bytes = frame.len();
    let (head, payload) = frame
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(ParseError::Short { bytes })?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *head;
    let header = Header {
        to: [a, b, c, d, e, f],
        from: [g, h, i, j, k, l],
        kind: u16::from_be_bytes([m, n]),
    };
    if header.from[0] & 1 != 0 {
        return Err(ParseError::FromMany(header.from));
    }
    Ok((header, payload))
}

pub(super) fn emit(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend(header.to);
    frame.extend(header.from);
    frame.extend(header.kind.to_be_bytes());
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let header = Header {
            to: [1, 2, 3, 4, 5, 6],
            from: [2, 3, 4, 5, 6, 7],
            kind: KIND_ARP,
        };
        let frame = emit(header, b"payload");
        assert_eq!(
            frame[..14],
            [1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7, 0x08, 0x06]
        );
        assert_eq!(parse(&frame), Ok((header, &b"payload"[..])));
        assert_eq!(parse(&frame[..13]), Err(ParseError::Short { bytes: 13 }));
        let many = [[0; 6], [1; 6]].concat();
        let many = [&many[..], &[8, 0]].concat();
        assert_eq!(parse(&many), Err(ParseError::FromMany([1; 6])));
    }
}
