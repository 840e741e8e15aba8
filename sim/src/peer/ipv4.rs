//! IPv4 headers; fragments are refused, as nothing here has to send them.
//!
//! Source: RFC 791, 3.1.

use super::checksum;
use std::fmt;
use std::net::Ipv4Addr;

/// A header without options, which is all that is written here.
pub(super) const HEADER_BYTES: usize = 20;
pub(super) const PROTOCOL_ICMP: u8 = 1;
pub(super) const PROTOCOL_TCP: u8 = 6;
pub(super) const PROTOCOL_UDP: u8 = 17;
/// RFC 1700.
const HOPS_MAX: u8 = 64;
const MORE_FRAGMENTS: u16 = 0x2000;
const DO_NOT_FRAGMENT: u16 = 0x4000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) protocol: u8,
    pub(super) identification: u16,
}

/// Why bytes are no IPv4 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParseError {
    Short { bytes: usize },
    Version(u8),
    HeaderLength { bytes: usize },
    TotalLength { says: usize, bytes: usize },
    Checksum { says: u16, off_by: u16 },
    Fragment(u16),
    NoHopsLeft,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => write!(f, "IPv4 packet has only {bytes} bytes"),
            Self::Version(version) => write!(f, "IPv4 packet says version {version}"),
            Self::HeaderLength { bytes } => write!(f, "IPv4 header length {bytes} is impossible"),
            Self::TotalLength { says, bytes } => {
                write!(f, "IPv4 total length {says} does not fit {bytes} bytes")
            }
            Self::Checksum { says, off_by } => {
                write!(f, "IPv4 checksum {says:#06x} is off by {off_by:#06x}")
            }
            Self::Fragment(word) => write!(f, "IPv4 packet is a fragment ({word:#06x})"),
            Self::NoHopsLeft => write!(f, "IPv4 time to live is 0"),
        }
    }
}

/// The header and the payload, without the padding of the link.
pub(super) fn parse(packet: &[u8]) -> Result<(Header, &[u8]), ParseError> {
    let bytes = packet.len();
    if bytes < HEADER_BYTES {
        return Err(ParseError::Short { bytes });
    }
    if packet[0] >> 4 != 4 {
        return Err(ParseError::Version(packet[0] >> 4));
    }
    let header_bytes = usize::from(packet[0] & 0xf) * 4;
    if header_bytes < HEADER_BYTES || header_bytes > bytes {
        return Err(ParseError::HeaderLength {
            bytes: header_bytes,
        });
    }
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let off_by = checksum::of(&packet[..header_bytes]);
    if off_by != 0 {
        let says = word(10);
        return Err(ParseError::Checksum { says, off_by });
    }
    let says = usize::from(word(2));
    if says < header_bytes || says > bytes {
        return Err(ParseError::TotalLength { says, bytes });
    }
    if word(6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0 {
        return Err(ParseError::Fragment(word(6)));
    }
    if packet[8] == 0 {
        return Err(ParseError::NoHopsLeft);
    }
    let address =
        |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let header = Header {
        from: address(12),
        to: address(16),
        protocol: packet[9],
        identification: word(4),
    };
    Ok((header, &packet[header_bytes..says]))
}

pub(super) fn emit(header: Header, payload: &[u8]) -> Vec<u8> {
    let total_bytes = HEADER_BYTES + payload.len();
    let total_bytes = u16::try_from(total_bytes).expect("no payload is near 64 KiB");
    let mut packet = vec![0x45, 0];
    packet.extend(total_bytes.to_be_bytes());
    packet.extend(header.identification.to_be_bytes());
    packet.extend(DO_NOT_FRAGMENT.to_be_bytes());
    packet.extend([HOPS_MAX, header.protocol, 0, 0]);
    packet.extend(header.from.octets());
    packet.extend(header.to.octets());
    let sum = checksum::of(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To be reckoned by hand: 192.168.0.1 to 192.168.0.199, 115 bytes of UDP.
    const GOLDEN: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn a_packet_is_read_as_it_is_written() {
        let payload = [7; 0x73 - 20];
        let header = Header {
            from: Ipv4Addr::new(192, 168, 0, 1),
            to: Ipv4Addr::new(192, 168, 0, 199),
            protocol: 17,
            identification: 0,
        };
        let mut packet = emit(header, &payload);
        assert_eq!(packet[..20], GOLDEN);
        packet.extend([0; 9]);
        assert_eq!(parse(&packet), Ok((header, &payload[..])));
    }

    /// The packet with one word changed; the checksum is made right again.
    fn check(at: usize, word: u16, expected: ParseError) {
        let mut packet = [&GOLDEN[..], &[7; 0x73 - 20]].concat();
        packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
        if at != 10 {
            packet[10..12].fill(0);
            let sum = checksum::of(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        assert_eq!(parse(&packet), Err(expected));
    }

    #[test]
    fn a_malformed_packet_is_told_by_its_fault() {
        let total = |says| ParseError::TotalLength { says, bytes: 0x73 };
        check(0, 0x6500, ParseError::Version(6));
        check(0, 0x4400, ParseError::HeaderLength { bytes: 16 });
        check(2, 19, total(19));
        check(2, 0x74, total(0x74));
        check(6, 0x2000, ParseError::Fragment(0x2000));
        check(6, 0x0001, ParseError::Fragment(1));
        check(8, 0x0011, ParseError::NoHopsLeft);
        let sum = ParseError::Checksum {
            says: 0xb862,
            off_by: 0xfffe,
        };
        check(10, 0xb862, sum);
        assert_eq!(parse(&GOLDEN[..19]), Err(ParseError::Short { bytes: 19 }));
    }
}
