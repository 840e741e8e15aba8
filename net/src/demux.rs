//! What a received frame is, before any stack sees it.
//!
//! Everything is validated here and once: lengths, the IPv4 header checksum,
//! the TCP checksum, addresses that cannot be a peer's. So the interface that
//! carries TCP is told not to verify again, and nothing is created for a frame
//! that is no good.
//!
//! # Invariants
//!
//! - A [`Segment`] is whole (not a fragment), for our address and our MAC, from
//!   a unicast address that is not ours, with ports that are not 0.
//!
//! Source: RFC 1122 sections 3.2.1 and 4.2.3.10, RFC 9293 section 3.1.

use crate::address::Ipv4Cidr;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

/// A connection's name on the wire: peer address, peer port, our port. Our address is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tuple(pub(crate) u64);

impl Tuple {
    /// The connection between `peer` and our `port`.
    pub(crate) fn new(peer: SocketAddrV4, port: u16) -> Tuple {
        let address = u64::from(u32::from(*peer.ip()));
        Tuple(address << 32 | u64::from(peer.port()) << 16 | u64::from(port))
    }
}

/// A TCP segment for us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    /// The IP packet, without what followed it in the frame.
    pub(crate) packet: &'a [u8],
    /// Who handed us the frame.
    pub(crate) mac: [u8; 6],
    /// Whose it is.
    pub(crate) tuple: Tuple,
    /// Its sender.
    pub(crate) peer: SocketAddrV4,
    /// Our port.
    pub(crate) port: u16,
    /// Sequence number of its first byte.
    pub(crate) seq: u32,
    /// What it acknowledges.
    pub(crate) ack: Option<u32>,
    /// Asks for a connection.
    pub(crate) syn: bool,
    /// Ends it.
    pub(crate) rst: bool,
    /// The last one.
    pub(crate) fin: bool,
    /// Bytes of data.
    pub(crate) len: usize,
}

/// What a frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Class<'a> {
    /// ARP.
    Arp,
    /// From a DHCP server.
    Dhcp,
    /// ICMP for our address, and who handed it to us.
    Icmp(&'a [u8], [u8; 6]),
    /// TCP for our address.
    Tcp(Segment<'a>),
    /// Well formed, but nothing for us.
    Foreign,
    /// No good.
    Bad,
}

/// Whom frames may be for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// Our MAC address.
    pub(crate) mac: [u8; 6],
    /// Our address, if we have one.
    pub(crate) address: Option<Ipv4Cidr>,
    /// Whether we talk to DHCP servers.
    pub(crate) dhcp: bool,
}

/// Whether a packet may come from, or go to, just one host at `address`.
pub fn is_unicast(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

/// Says what `frame` is.
pub(crate) fn classify<'a>(frame: &'a [u8], us: &Identity) -> Class<'a> {
    let Ok(frame) = EthernetFrame::new_checked(frame) else {
        return Class::Bad;
    };
    let unicast = frame.dst_addr().0 == us.mac;
    if !unicast && frame.dst_addr().is_unicast() {
        return Class::Foreign;
    }
    if !frame.src_addr().is_unicast() {
        return Class::Bad;
    }
    match frame.ethertype() {
        EthernetProtocol::Arp => Class::Arp,
        EthernetProtocol::Ipv4 => ipv4(frame.payload(), frame.src_addr().0, unicast, us),
        _ => Class::Foreign,
    }
}

/// The same, of an IP packet; `unicast` if its frame came to us alone.
fn ipv4<'a>(payload: &'a [u8], mac: [u8; 6], unicast: bool, us: &Identity) -> Class<'a> {
    let Ok(packet) = Ipv4Packet::new_checked(payload) else {
        return Class::Bad;
    };
    if packet.version() != 4 || !packet.verify_checksum() {
        return Class::Bad;
    }
    if packet.more_frags() || packet.frag_offset() != 0 || !is_unicast(packet.src_addr()) {
        return Class::Bad;
    }
    if us.dhcp && packet.next_header() == IpProtocol::Udp && is_dhcp(packet.payload()) {
        return Class::Dhcp;
    }
    let Some(address) = us.address else {
        return Class::Foreign;
    };
    if !unicast || packet.dst_addr() != address.address {
        return Class::Foreign;
    }
    if packet.src_addr() == address.address || address.is_broadcast(packet.src_addr()) {
        return Class::Bad;
    }
    let whole = &payload[..usize::from(packet.total_len())];
    match packet.next_header() {
        IpProtocol::Icmp => Class::Icmp(whole, mac),
        IpProtocol::Tcp => tcp(&packet, whole, mac),
        _ => Class::Foreign,
    }
}

fn is_dhcp(payload: &[u8]) -> bool {
    UdpPacket::new_checked(payload)
        .is_ok_and(|packet| packet.src_port() == 67 && packet.dst_port() == 68)
}

fn tcp<'a>(packet: &Ipv4Packet<&'a [u8]>, whole: &'a [u8], mac: [u8; 6]) -> Class<'a> {
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let Ok(segment) = TcpPacket::new_checked(packet.payload()) else {
        return Class::Bad;
    };
    if segment.src_port() == 0 || segment.dst_port() == 0 {
        return Class::Bad;
    }
    if !segment.verify_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to)) {
        return Class::Bad;
    }
    let peer = SocketAddrV4::new(from, segment.src_port());
    Class::Tcp(Segment {
        packet: whole,
        mac,
        tuple: Tuple::new(peer, segment.dst_port()),
        peer,
        port: segment.dst_port(),
        seq: segment.seq_number().0.cast_unsigned(),
        ack: segment
            .ack()
            .then(|| segment.ack_number().0.cast_unsigned()),
        syn: segment.syn(),
        rst: segment.rst(),
        fin: segment.fin(),
        len: segment.payload().len(),
    })
}
