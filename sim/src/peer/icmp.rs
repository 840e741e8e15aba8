//! ICMP echo, both ways.
//!
//! Source: RFC 792; RFC 1122, 3.2.2.6.

use super::checksum;
use std::fmt;

const HEADER_BYTES: usize = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// What an echo carries there and back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Echo {
    pub(super) identifier: u16,
    pub(super) sequence: u16,
    pub(super) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Request(Echo),
    Reply(Echo),
    /// Another type, which this host has no use for.
    Other(u8),
}

/// Why bytes are no ICMP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParseError {
    Short { bytes: usize },
    Checksum { says: u16, off_by: u16 },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => write!(f, "ICMP message has only {bytes} bytes"),
            Self::Checksum { says, off_by } => {
                write!(f, "ICMP checksum {says:#06x} is off by {off_by:#06x}")
            }
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
    if bytes.len() < HEADER_BYTES {
        return Err(ParseError::Short { bytes: bytes.len() });
    }
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let off_by = checksum::of(bytes);
    if off_by != 0 {
        let says = word(2);
        return Err(ParseError::Checksum { says, off_by });
    }
    let echo = || Echo {
        identifier: word(4),
        sequence: word(6),
        data: bytes[HEADER_BYTES..].to_vec(),
    };
    Ok(match (bytes[0], bytes[1]) {
        (ECHO_REQUEST, 0) => Message::Request(echo()),
        (ECHO_REPLY, 0) => Message::Reply(echo()),
        (kind, _) => Message::Other(kind),
    })
}

/// `Other` is a header and nothing else.
pub(super) fn emit(message: &Message) -> Vec<u8> {
    let (kind, echo) = match message {
        Message::Request(echo) => (ECHO_REQUEST, Some(echo)),
        Message::Reply(echo) => (ECHO_REPLY, Some(echo)),
        Message::Other(kind) => (*kind, None),
    };
    let mut bytes = vec![kind, 0, 0, 0];
    if let Some(echo) = echo {
        bytes.extend(echo.identifier.to_be_bytes());
        bytes.extend(echo.sequence.to_be_bytes());
        bytes.extend(&echo.data);
    } else {
        bytes.extend([0; 4]);
    }
    let sum = checksum::of(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_read_as_it_is_written() {
        let echo = Echo {
            identifier: 0x0102,
            sequence: 0x0304,
            data: b"odd".to_vec(),
        };
        let request = emit(&Message::Request(echo.clone()));
        assert_eq!(request, [8, 0, 0x20, 0x95, 1, 2, 3, 4, b'o', b'd', b'd']);
        assert_eq!(parse(&request), Ok(Message::Request(echo.clone())));
        let reply = Message::Reply(echo);
        assert_eq!(parse(&emit(&reply)), Ok(reply));
        let other = Message::Other(3);
        assert_eq!(parse(&emit(&other)), Ok(other));
    }

    #[test]
    fn a_malformed_message_is_told_by_its_fault() {
        assert_eq!(parse(&[8; 7]), Err(ParseError::Short { bytes: 7 }));
        let wrong = parse(&[8, 0, 0, 0, 0, 0, 0, 0]);
        let sum = ParseError::Checksum {
            says: 0,
            off_by: 0xf7ff,
        };
        assert_eq!(wrong, Err(sum));
    }
}
