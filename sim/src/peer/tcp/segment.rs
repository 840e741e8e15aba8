//! TCP segments as bytes.
//!
//! Source: RFC 9293, 3.1 and 3.2; RFC 7323, 2.2.

use crate::peer::{checksum, ipv4};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) const HEADER_BYTES: usize = 20;
const OPTION_END: u8 = 0;
const OPTION_NOTHING: u8 = 1;
const OPTION_MSS: u8 = 2;
const OPTION_SCALE: u8 = 3;

/// The control bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const FIN: Flags = Flags(0x01);
    pub(crate) const SYN: Flags = Flags(0x02);
    pub(crate) const RST: Flags = Flags(0x04);
    pub(crate) const PSH: Flags = Flags(0x08);
    pub(crate) const ACK: Flags = Flags(0x10);

    pub(crate) fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    pub(crate) fn and(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) header_bytes: usize,
    pub(crate) data: Vec<u8>,
}

/// Why bytes are no TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ParseError {
    Short { bytes: usize },
    DataOffset { says: usize, bytes: usize },
    Checksum { says: u16, off_by: u16 },
    Option { kind: u8 },
    PortZero,
    SynAndFin,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => write!(f, "TCP segment has only {bytes} bytes"),
            Self::DataOffset { says, bytes } => {
                write!(f, "TCP data offset {says} does not fit {bytes} bytes")
            }
            Self::Checksum { says, off_by } => {
                write!(f, "TCP checksum {says:#06x} is off by {off_by:#06x}")
            }
            Self::Option { kind } => write!(f, "TCP option {kind} has an impossible length"),
            Self::PortZero => write!(f, "TCP port is 0"),
            Self::SynAndFin => write!(f, "TCP segment has SYN and FIN"),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Flags::SYN, "S"), (Flags::ACK, "."), (Flags::PSH, "P")];
        let names = names
            .into_iter()
            .chain([(Flags::FIN, "F"), (Flags::RST, "R")]);
        write!(f, "{} > {} [", self.from, self.to)?;
        for (flag, name) in names {
            f.write_str(if self.flags.has(flag) { name } else { "" })?;
        }
        let (seq, ack) = (self.sequence, self.acknowledgement);
        let (len, window) = (self.data.len(), self.window);
        write!(f, "] seq {seq} ack {ack} len {len} win {window}")
    }
}

impl Segment {
    /// What it takes of the sequence space.
    pub(crate) fn span(&self) -> u32 {
        let controls = [Flags::SYN, Flags::FIN];
        let controls = controls
            .iter()
            .filter(|flag| self.flags.has(**flag))
            .count();
        (self.data.len() + controls) as u32
    }

    /// The answer to a segment of no connection (RFC 9293, 3.10.7.1).
    pub(crate) fn reset_for(&self) -> Option<Segment> {
        let (sequence, acknowledgement, flags) = match self.flags {
            flags if flags.has(Flags::RST) => return None,
            flags if flags.has(Flags::ACK) => (self.acknowledgement, 0, Flags::RST),
            _ => {
                let next = self.sequence.wrapping_add(self.span());
                (0, next, Flags::RST.and(Flags::ACK))
            }
        };
        Some(Segment {
            from: self.to,
            to: self.from,
            sequence,
            acknowledgement,
            flags,
            window: 0,
            mss: None,
            scale: None,
            header_bytes: HEADER_BYTES,
            data: Vec::new(),
        })
    }
}

/// Reads what stands in an IPv4 packet between two hosts.
pub(crate) fn parse(from: Ipv4Addr, to: Ipv4Addr, bytes: &[u8]) -> Result<Segment, ParseError> {
    if bytes.len() < HEADER_BYTES {
        return Err(ParseError::Short { bytes: bytes.len() });
    }
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    let off_by = checksum::of_payload(from, to, ipv4::PROTOCOL_TCP, bytes);
    if off_by != 0 {
        let says = word(16);
        return Err(ParseError::Checksum { says, off_by });
    }
    let says = usize::from(bytes[12] >> 4) * 4;
    if says < HEADER_BYTES || says > bytes.len() {
        let bytes = bytes.len();
        return Err(ParseError::DataOffset { says, bytes });
    }
    if word(0) == 0 || word(2) == 0 {
        return Err(ParseError::PortZero);
    }
    let flags = Flags(bytes[13]);
    if flags.has(Flags::SYN.and(Flags::FIN)) {
        return Err(ParseError::SynAndFin);
    }
    let (mss, scale) = options(&bytes[HEADER_BYTES..says])?;
    Ok(Segment {
        from: SocketAddrV4::new(from, word(0)),
        to: SocketAddrV4::new(to, word(2)),
        sequence: long(4),
        acknowledgement: long(8),
        flags,
        window: word(14),
        mss,
        scale,
        header_bytes: says,
        data: bytes[says..].to_vec(),
    })
}

/// The maximum segment size and the window scale, if they are there.
fn options(mut rest: &[u8]) -> Result<(Option<u16>, Option<u8>), ParseError> {
    let (mut mss, mut scale) = (None, None);
    while let Some(&kind) = rest.first() {
        match kind {
            OPTION_END => break,
            OPTION_NOTHING => {
                rest = &rest[1..];
                continue;
            }
            _ => {}
        }
        let wrong = ParseError::Option { kind };
        let len_bytes = usize::from(*rest.get(1).ok_or(wrong)?);
        let value = rest.get(2..len_bytes).ok_or(wrong)?;
        match (kind, value) {
            (OPTION_MSS, [high, low]) => mss = Some(u16::from_be_bytes([*high, *low])),
            (OPTION_SCALE, [shift]) => scale = Some(*shift),
            (OPTION_MSS | OPTION_SCALE, _) => return Err(wrong),
            _ => {}
        }
        rest = &rest[len_bytes..];
    }
    Ok((mss, scale))
}

pub(crate) fn emit(segment: &Segment) -> Vec<u8> {
    let mut options = Vec::new();
    if let Some(mss) = segment.mss {
        options.extend([OPTION_MSS, 4]);
        options.extend(mss.to_be_bytes());
    }
    if let Some(shift) = segment.scale {
        options.extend([OPTION_NOTHING, OPTION_SCALE, 3, shift]);
    }
    let offset = (HEADER_BYTES + options.len()) as u8 / 4;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + options.len() + segment.data.len());
    bytes.extend(segment.from.port().to_be_bytes());
    bytes.extend(segment.to.port().to_be_bytes());
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledgement.to_be_bytes());
    bytes.extend([offset << 4, segment.flags.0]);
    bytes.extend(segment.window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(&segment.data);
    let (from, to) = (*segment.from.ip(), *segment.to.ip());
    let sum = checksum::of_payload(from, to, ipv4::PROTOCOL_TCP, &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests;
