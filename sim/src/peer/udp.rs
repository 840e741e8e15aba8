//! Datagrams that come.
//!
//! Source: RFC 768.

use super::{checksum, ipv4};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

const HEADER_BYTES: usize = 8;

/// A datagram for a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Who has sent it.
    pub from: SocketAddrV4,
    /// The port it is for.
    pub port: u16,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Why bytes are no datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParseError {
    Length { says: u16, bytes: usize },
    Port,
    Checksum { says: u16 },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { says, bytes } => {
                write!(f, "UDP datagram of {bytes} bytes says that it has {says}")
            }
            Self::Port => f.write_str("UDP datagram from or to port 0"),
            Self::Checksum { says } => write!(f, "UDP checksum {says:#06x} is wrong"),
        }
    }
}

pub(super) fn parse(from: Ipv4Addr, to: Ipv4Addr, bytes: &[u8]) -> Result<Datagram, ParseError> {
    let word = |at: usize| match bytes.get(at..at + 2) {
        Some(pair) => u16::from_be_bytes([pair[0], pair[1]]),
        None => 0,
    };
    let says = word(4);
    if bytes.len() < HEADER_BYTES || usize::from(says) != bytes.len() {
        let bytes = bytes.len();
        return Err(ParseError::Length { says, bytes });
    }
    if word(0) == 0 || word(2) == 0 {
        return Err(ParseError::Port);
    }
    // 0 is for none; every sender of today has one.
    if word(6) == 0 || checksum::of_payload(from, to, ipv4::PROTOCOL_UDP, bytes) != 0 {
        return Err(ParseError::Checksum { says: word(6) });
    }
    Ok(Datagram {
        from: SocketAddrV4::new(from, word(0)),
        port: word(2),
        payload: bytes[HEADER_BYTES..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_and_right_is_taken() {
        let (from, to) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
        let mut bytes = vec![0xc0, 0, 2, 2, 0, 10, 0, 0, b'h', b'i'];
        let sum = checksum::of_payload(from, to, ipv4::PROTOCOL_UDP, &bytes);
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        let datagram = parse(from, to, &bytes).expect("it is right");
        assert_eq!(datagram.from, SocketAddrV4::new(from, 49_152));
        assert_eq!((datagram.port, &datagram.payload[..]), (514, &b"hi"[..]));
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(parse(from, to, &wrong).is_err(), "byte {at}");
            assert!(parse(from, to, &bytes[..at]).is_err(), "{at} bytes");
        }
    }
}
