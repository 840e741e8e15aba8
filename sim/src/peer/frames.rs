//! Ethernet, ARP, IPv4 and TCP on the wire: what is read and what is written.
//!
//! Source: RFC 826, RFC 791, RFC 9293 section 3.1, RFC 1071.

use std::net::Ipv4Addr;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

/// The end of data.
pub(super) const FIN: u8 = 1;
/// The beginning.
pub(super) const SYN: u8 = 2;
/// The connection is broken off.
pub(super) const RST: u8 = 4;
/// The acknowledgement field counts.
pub(super) const ACK: u8 = 16;

const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const ETHERTYPE_ARP: [u8; 2] = [8, 6];
const PROTOCOL_TCP: u8 = 6;

/// A frame, as far as this peer understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Who has that address?
    ArpRequest {
        sender: (Mac, Ipv4Addr),
        target: Ipv4Addr,
    },
    /// I have.
    ArpReply { sender: (Mac, Ipv4Addr) },
    /// A TCP segment.
    Tcp {
        from: Ipv4Addr,
        to: Ipv4Addr,
        segment: Segment,
    },
}

/// A TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    /// Port it comes from.
    pub(super) source_port: u16,
    /// Port it goes to.
    pub(super) destination_port: u16,
    /// Of its first byte.
    pub(super) seq: u32,
    /// The next byte expected.
    pub(super) ack: u32,
    /// `FIN`, `SYN`, `RST`, `ACK`; others are ignored.
    pub(super) flags: u8,
    /// Bytes the sender takes.
    pub(super) window: u16,
    /// Only with SYN.
    pub(super) mss: Option<u16>,
    /// The data.
    pub(super) data: Vec<u8>,
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) << 16 | u32::from(half(bytes, at + 2))
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from(word(bytes, at))
}

fn mac(bytes: &[u8], at: usize) -> Mac {
    bytes[at..at + 6].try_into().expect("six bytes")
}

/// The Internet checksum of all parts in a row; each but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = pairs
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

fn pseudo_header(from: Ipv4Addr, to: Ipv4Addr, len: usize) -> [u8; 12] {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&from.octets());
    header[4..8].copy_from_slice(&to.octets());
    header[9] = PROTOCOL_TCP;
    header[10..].copy_from_slice(&(len as u16).to_be_bytes());
    header
}

/// Reads a frame; `Ok(None)` for what is nobody's fault and not understood.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(frame: &[u8]) -> Result<Option<Frame>, String> {
    if frame.len() < 14 {
        return Err(format!("a frame of {} bytes", frame.len()));
    }
    let packet = &frame[14..];
    match [frame[12], frame[13]] {
        ETHERTYPE_ARP => parse_arp(packet).map(Some),
        ETHERTYPE_IPV4 => parse_ipv4(packet),
        _ => Ok(None),
    }
}

fn parse_arp(packet: &[u8]) -> Result<Frame, String> {
    if packet.len() < 28 || packet[..6] != [0, 1, 8, 0, 6, 4] {
        return Err(format!("an ARP packet of {} bytes", packet.len()));
    }
    let sender = (mac(packet, 8), address(packet, 14));
    match half(packet, 6) {
        1 => Ok(Frame::ArpRequest {
            sender,
            target: address(packet, 24),
        }),
        2 => Ok(Frame::ArpReply { sender }),
        other => Err(format!("ARP operation {other}")),
    }
}

fn parse_ipv4(packet: &[u8]) -> Result<Option<Frame>, String> {
    if packet.len() < 20 || packet[0] != 0x45 {
        return Err("an IPv4 header that is no plain one".to_owned());
    }
    if checksum(&[&packet[..20]]) != 0 {
        return Err("a wrong IPv4 checksum".to_owned());
    }
    let len = usize::from(half(packet, 2));
    if len < 20 || len > packet.len() {
        return Err(format!("IPv4 length {len} in {} bytes", packet.len()));
    }
    if half(packet, 6) & 0x3fff != 0 {
        return Err("a fragment".to_owned());
    }
    if packet[9] != PROTOCOL_TCP {
        return Ok(None);
    }
    let (from, to) = (address(packet, 12), address(packet, 16));
    let segment = parse_tcp(from, to, &packet[20..len])?;
    Ok(Some(Frame::Tcp { from, to, segment }))
}

fn parse_tcp(from: Ipv4Addr, to: Ipv4Addr, bytes: &[u8]) -> Result<Segment, String> {
    if bytes.len() < 20 {
        return Err(format!("a TCP segment of {} bytes", bytes.len()));
    }
    if checksum(&[&pseudo_header(from, to, bytes.len()), bytes]) != 0 {
        return Err("a wrong TCP checksum".to_owned());
    }
    let header_len = usize::from(bytes[12] >> 4) * 4;
    if header_len < 20 || header_len > bytes.len() {
        return Err(format!("a TCP header of {header_len} bytes"));
    }
    Ok(Segment {
        source_port: half(bytes, 0),
        destination_port: half(bytes, 2),
        seq: word(bytes, 4),
        ack: word(bytes, 8),
        flags: bytes[13],
        window: half(bytes, 14),
        mss: mss(&bytes[20..header_len]),
        data: bytes[header_len..].to_vec(),
    })
}

fn mss(mut options: &[u8]) -> Option<u16> {
    loop {
        options = match options {
            [1, rest @ ..] => rest,
            [2, 4, a, b, ..] => return Some(u16::from_be_bytes([*a, *b])),
            [kind, len, ..] if *kind > 1 && usize::from(*len) >= 2 => {
                options.get(usize::from(*len)..)?
            }
            _ => return None,
        };
    }
}

fn ethernet(from: Mac, to: Mac, ethertype: [u8; 2], packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype, packet].concat()
}

/// Writes an ARP packet; a request is for everybody.
pub(super) fn arp(sender: (Mac, Ipv4Addr), target: (Option<Mac>, Ipv4Addr)) -> Vec<u8> {
    let operation = if target.0.is_some() { 2 } else { 1 };
    let packet = [
        &[0, 1, 8, 0, 6, 4, 0, operation][..],
        &sender.0,
        &sender.1.octets(),
        &target.0.unwrap_or([0; 6]),
        &target.1.octets(),
    ]
    .concat();
    ethernet(
        sender.0,
        target.0.unwrap_or([0xff; 6]),
        ETHERTYPE_ARP,
        &packet,
    )
}

/// Writes a TCP segment.
pub(super) fn tcp(from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr), segment: &Segment) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[..2].copy_from_slice(&segment.source_port.to_be_bytes());
    header[2..4].copy_from_slice(&segment.destination_port.to_be_bytes());
    header[4..8].copy_from_slice(&segment.seq.to_be_bytes());
    header[8..12].copy_from_slice(&segment.ack.to_be_bytes());
    header[13] = segment.flags;
    header[14..16].copy_from_slice(&segment.window.to_be_bytes());
    if let Some(mss) = segment.mss {
        header.extend([2, 4]);
        header.extend(mss.to_be_bytes());
    }
    header[12] = (header.len() as u8 / 4) << 4;
    let len = header.len() + segment.data.len();
    let pseudo = pseudo_header(from.1, to.1, len);
    let sum = checksum(&[&pseudo, &header, &segment.data]);
    header[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0];
    packet[2..4].copy_from_slice(&((20 + len) as u16).to_be_bytes());
    packet.extend(from.1.octets());
    packet.extend(to.1.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(header);
    packet.extend(&segment.data);
    ethernet(from.0, to.0, ETHERTYPE_IPV4, &packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (Mac, Ipv4Addr) = ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1));
    const B: (Mac, Ipv4Addr) = ([2, 0, 0, 0, 0, 2], Ipv4Addr::new(10, 0, 0, 2));

    fn segment(data: &[u8]) -> Segment {
        Segment {
            source_port: 1,
            destination_port: 80,
            seq: 0xffff_fff0,
            ack: 7,
            flags: SYN | ACK,
            window: 1000,
            mss: Some(1460),
            data: data.to_vec(),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for data in [&b""[..], b"x", b"four"] {
            let expected = Frame::Tcp {
                from: A.1,
                to: B.1,
                segment: segment(data),
            };
            assert_eq!(parse(&tcp(A, B, &segment(data))), Ok(Some(expected)));
        }
        let request = Frame::ArpRequest {
            sender: A,
            target: B.1,
        };
        assert_eq!(parse(&arp(A, (None, B.1))), Ok(Some(request)));
        let reply = Frame::ArpReply { sender: A };
        assert_eq!(parse(&arp(A, (Some(B.0), B.1))), Ok(Some(reply)));
    }

    #[test]
    fn any_changed_bit_is_noticed_and_nothing_panics() {
        let frame = tcp(A, B, &segment(b"data"));
        for bit in 14 * 8..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&changed) != parse(&frame), "bit {bit}");
        }
        for len in 0..frame.len() {
            assert!(parse(&frame[..len]).is_err(), "{len} bytes");
        }
    }
}
