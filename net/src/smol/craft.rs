//! Segments and frames we write ourselves.

use super::half_open::HalfOpen;
use super::pipe::HEADER_BYTES;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

/// Room for an IP packet with a TCP segment that has options and no data.
pub(crate) const SEGMENT_BYTES_MAX: usize = 20 + 20 + 40;

/// One end writes to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
}

fn blank<'a>(route: Route, control: TcpControl, seq: u32) -> TcpRepr<'a> {
    TcpRepr {
        src_port: route.from.port(),
        dst_port: route.to.port(),
        control,
        seq_number: TcpSeqNumber(seq.cast_signed()),
        ack_number: None,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

fn packet(buffer: &mut [u8], route: Route, segment: &TcpRepr<'_>) -> usize {
    let (from, to) = (*route.from.ip(), *route.to.ip());
    let header = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Tcp,
        payload_len: segment.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let total = header.buffer_len() + segment.buffer_len();
    let (head, body) = buffer[..total].split_at_mut(header.buffer_len());
    let mut whole = Ipv4Packet::new_unchecked(head);
    header.emit(&mut whole, &checksums);
    let mut inner = TcpPacket::new_unchecked(body);
    segment.emit(
        &mut inner,
        &IpAddress::Ipv4(from),
        &IpAddress::Ipv4(to),
        &checksums,
    );
    total
}

/// The SYN that `entry` was made of, without what did not matter; returns its length.
pub(crate) fn syn(buffer: &mut [u8], local: Ipv4Addr, entry: &HalfOpen) -> usize {
    let route = Route {
        from: entry.peer,
        to: SocketAddrV4::new(local, entry.port),
    };
    let mut segment = blank(route, TcpControl::Syn, entry.peer_isn);
    segment.window_len = entry.window;
    segment.window_scale = entry.window_scale;
    segment.max_seg_size = entry.segment_bytes_max;
    segment.sack_permitted = entry.selective_ack;
    packet(buffer, route, &segment)
}

/// An acknowledgement without data; returns its length.
pub(crate) fn ack(buffer: &mut [u8], route: Route, seq: u32, ack: u32) -> usize {
    let mut segment = blank(route, TcpControl::None, seq);
    segment.ack_number = Some(TcpSeqNumber(ack.cast_signed()));
    packet(buffer, route, &segment)
}

/// Writes the Ethernet header in front of the IP packet of `packet_bytes`; returns the length
/// of the frame.
pub(crate) fn header(frame: &mut [u8], from: [u8; 6], to: [u8; 6], packet_bytes: usize) -> usize {
    let mut ethernet = EthernetFrame::new_unchecked(frame);
    ethernet.set_src_addr(EthernetAddress(from));
    ethernet.set_dst_addr(EthernetAddress(to));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    HEADER_BYTES + packet_bytes
}

/// A gratuitous ARP (an announcement, RFC 5227 section 3); returns the frame's length.
pub(crate) fn announcement(frame: &mut [u8], mac: [u8; 6], address: Ipv4Addr) -> usize {
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    };
    let total = HEADER_BYTES + arp.buffer_len();
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..total]);
    ethernet.set_src_addr(EthernetAddress(mac));
    ethernet.set_dst_addr(EthernetAddress::BROADCAST);
    ethernet.set_ethertype(EthernetProtocol::Arp);
    arp.emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    total
}
