//! Who has an address: the packets, and what was learnt of them.
//!
//! Source: RFC 826.

use super::ethernet::Mac;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

const PACKET_BYTES: usize = 28;
/// Ethernet, IPv4, and the lengths of their addresses.
const SPACES: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ASK_AGAIN_MIN_NS: u64 = 200_000_000;
const ASK_AGAIN_MAX_NS: u64 = 5_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Request,
    Reply,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    pub(super) operation: Operation,
    pub(super) sender: (Mac, Ipv4Addr),
    pub(super) target: (Mac, Ipv4Addr),
}

/// Why bytes are no ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ParseError {
    Short { bytes: usize },
    Spaces([u8; 6]),
    Operation(u16),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes } => write!(f, "ARP packet has {bytes} of {PACKET_BYTES} bytes"),
            Self::Spaces(is) => write!(f, "ARP address spaces are {is:02x?}, not {SPACES:02x?}"),
            Self::Operation(code) => write!(f, "ARP operation {code} is neither 1 nor 2"),
        }
    }
}

pub(super) fn parse(payload: &[u8]) -> Result<Packet, ParseError> {
    let bytes = payload.len();
    let packet = payload
        .first_chunk::<PACKET_BYTES>()
        .ok_or(ParseError::Short { bytes })?;
    let spaces: [u8; 6] = std::array::from_fn(|at| packet[at]);
    if spaces != SPACES {
        return Err(ParseError::Spaces(spaces));
    }
    let operation = match u16::from_be_bytes([packet[6], packet[7]]) {
        1 => Operation::Request,
        2 => Operation::Reply,
        code => return Err(ParseError::Operation(code)),
    };
    let mac = |at: usize| std::array::from_fn(|byte| packet[at + byte]);
    let address = |at: usize| Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(|i| packet[at + i]));
    Ok(Packet {
        operation,
        sender: (mac(8), address(14)),
        target: (mac(18), address(24)),
    })
}

pub(super) fn emit(packet: Packet) -> Vec<u8> {
    let mut bytes = SPACES.to_vec();
    bytes.extend(match packet.operation {
        Operation::Request => [0, 1],
        Operation::Reply => [0, 2],
    });
    for (mac, address) in [packet.sender, packet.target] {
        bytes.extend(mac);
        bytes.extend(address.octets());
    }
    bytes
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Known(Mac),
    Asked { again_ns: u64, interval_ns: u64 },
}

/// The table of RFC 826, with the questions that are open.
///
/// An entry never ages: a world lives for minutes.
#[derive(Debug, Default)]
pub(super) struct Neighbours(BTreeMap<Ipv4Addr, Entry>);

impl Neighbours {
    pub(super) fn learn(&mut self, address: Ipv4Addr, mac: Mac) {
        self.0.insert(address, Entry::Known(mac));
    }

    pub(super) fn known(&self, address: Ipv4Addr) -> Option<Mac> {
        match self.0.get(&address)? {
            Entry::Known(mac) => Some(*mac),
            Entry::Asked { .. } => None,
        }
    }

    /// Asks for an address until it is known or nobody wants it any more.
    pub(super) fn want(&mut self, now_ns: u64, address: Ipv4Addr) {
        self.0.entry(address).or_insert(Entry::Asked {
            again_ns: now_ns,
            interval_ns: ASK_AGAIN_MIN_NS,
        });
    }

    /// The address to ask for now.
    pub(super) fn ask(&mut self, now_ns: u64, wanted: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        for address in wanted {
            self.want(now_ns, *address);
        }
        let keeps = |address: &Ipv4Addr, entry: &mut Entry| {
            matches!(entry, Entry::Known(_)) || wanted.contains(address)
        };
        self.0.retain(keeps);
        for (address, entry) in &mut self.0 {
            if let Entry::Asked {
                again_ns,
                interval_ns,
            } = entry
                && *again_ns <= now_ns
            {
                *again_ns = now_ns + *interval_ns;
                *interval_ns = (*interval_ns * 2).min(ASK_AGAIN_MAX_NS);
                return Some(*address);
            }
        }
        None
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        let again = |entry: &Entry| match entry {
            Entry::Known(_) => None,
            Entry::Asked { again_ns, .. } => Some(*again_ns),
        };
        self.0.values().filter_map(again).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 28] = [
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
    ];

    #[test]
    fn a_packet_is_read_as_it_is_written() {
        let packet = Packet {
            operation: Operation::Request,
            sender: ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 1)),
            target: ([0; 6], Ipv4Addr::new(10, 0, 0, 2)),
        };
        assert_eq!(emit(packet), GOLDEN);
        assert_eq!(parse(&GOLDEN), Ok(packet));
    }

    #[test]
    fn a_malformed_packet_is_told_by_its_fault() {
        fn check(at: usize, byte: u8, expected: ParseError) {
            let mut packet = GOLDEN;
            packet[at] = byte;
            assert_eq!(parse(&packet), Err(expected));
        }
        check(1, 6, ParseError::Spaces([0, 6, 8, 0, 6, 4]));
        check(5, 16, ParseError::Spaces([0, 1, 8, 0, 6, 16]));
        check(7, 3, ParseError::Operation(3));
        assert_eq!(parse(&GOLDEN[..27]), Err(ParseError::Short { bytes: 27 }));
    }

    #[test]
    fn a_question_is_repeated_until_it_is_answered_or_idle() {
        let address = Ipv4Addr::new(10, 0, 0, 2);
        let wanted = BTreeSet::from([address]);
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.ask(0, &wanted), Some(address));
        assert_eq!(neighbours.ask(0, &wanted), None);
        assert_eq!(neighbours.deadline_ns(), Some(ASK_AGAIN_MIN_NS));
        assert_eq!(neighbours.ask(ASK_AGAIN_MIN_NS, &wanted), Some(address));
        assert_eq!(neighbours.ask(u64::MAX / 2, &BTreeSet::new()), None);
        assert_eq!(neighbours.deadline_ns(), None);
        neighbours.want(0, address);
        neighbours.learn(address, [2; 6]);
        assert_eq!(neighbours.known(address), Some([2; 6]));
        assert_eq!(neighbours.ask(u64::MAX / 2, &wanted), None);
    }
}
