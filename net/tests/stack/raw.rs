//! Segments written by hand.

use crate::world::{CLIENT, CLIENT_MAC, PORT, SERVER, SERVER_MAC, World};
use net::ConnectionId;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber,
};
use std::net::Ipv4Addr;

/// An Ethernet frame of that type to the stack.
pub(crate) fn ethernet(from: [u8; 6], to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// An IP packet in a frame to the stack.
pub(crate) fn ipv4(
    mac: [u8; 6],
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let header = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::from(protocol),
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut packet = vec![0; 20 + payload.len()];
    header.emit(
        &mut Ipv4Packet::new_unchecked(&mut packet[..]),
        &ChecksumCapabilities::default(),
    );
    packet[20..].copy_from_slice(payload);
    ethernet(mac, SERVER_MAC, 0x0800, &packet)
}

/// What matters of a segment from the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) control: TcpControl,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) to: (Ipv4Addr, u16),
    pub(crate) len: usize,
}

/// All frames the stack sent since last asked.
pub(crate) fn frames(world: &mut World) -> Vec<Vec<u8>> {
    world.to_peer.frames.drain(..).collect()
}

/// The TCP segments among them; their checksums are right.
pub(crate) fn tcp_frames(world: &mut World) -> Vec<Seen> {
    let parse = |frame: &Vec<u8>| {
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        assert!(packet.verify_checksum());
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let tcp = TcpPacket::new_checked(packet.payload()).ok()?;
        let repr = TcpRepr::parse(
            &tcp,
            &IpAddress::Ipv4(from),
            &IpAddress::Ipv4(to),
            &ChecksumCapabilities::default(),
        );
        let repr = repr.unwrap();
        Some(Seen {
            control: repr.control,
            seq: repr.seq_number.0 as u32,
            ack: repr.ack_number.map(|ack| ack.0 as u32),
            to: (to, repr.dst_port),
            len: repr.payload.len(),
        })
    };
    frames(world).iter().filter_map(parse).collect()
}

/// A peer that says what it is told to say.
#[derive(Clone)]
pub(crate) struct Enemy {
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: [u8; 6],
    pub(crate) port: u16,
    pub(crate) to_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
}

impl Enemy {
    pub(crate) fn new(port: u16) -> Enemy {
        let (address, mac) = (CLIENT, CLIENT_MAC);
        Enemy {
            address,
            mac,
            port,
            to_port: PORT,
            seq: 1000,
            ack: 0,
            window: 65_000,
        }
    }

    /// The frame, whole and right.
    pub(crate) fn frame(&self, control: TcpControl, payload: &[u8]) -> Vec<u8> {
        let syn = control == TcpControl::Syn;
        let repr = TcpRepr {
            src_port: self.port,
            dst_port: self.to_port,
            control,
            seq_number: TcpSeqNumber(self.seq as i32),
            ack_number: (!syn).then_some(TcpSeqNumber(self.ack as i32)),
            window_len: self.window,
            window_scale: syn.then_some(7),
            max_seg_size: syn.then_some(1460),
            sack_permitted: syn,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let mut segment = vec![0; repr.buffer_len()];
        repr.emit(
            &mut TcpPacket::new_unchecked(&mut segment[..]),
            &IpAddress::Ipv4(self.address),
            &IpAddress::Ipv4(SERVER),
            &ChecksumCapabilities::default(),
        );
        ipv4(self.mac, self.address, SERVER, 6, &segment)
    }

    pub(crate) fn send(&self, world: &mut World, control: TcpControl, payload: &[u8]) {
        world
            .to_server
            .frames
            .push_back(self.frame(control, payload));
        world.step_server();
    }

    pub(crate) fn syn(&self, world: &mut World) {
        self.send(world, TcpControl::Syn, b"");
    }

    /// SYN, SYN|ACK, ACK; the last accepted connection is it.
    pub(crate) fn establish(&mut self, world: &mut World) -> ConnectionId {
        let before = world.accepted.len();
        self.syn(world);
        let answer = tcp_frames(world).pop().expect("a SYN is answered");
        assert_eq!(answer.control, TcpControl::Syn);
        self.seq = self.seq.wrapping_add(1);
        assert_eq!(answer.ack, Some(self.seq));
        self.ack = answer.seq.wrapping_add(1);
        self.send(world, TcpControl::None, b"");
        world.accepted.get(before).expect("it is accepted").id
    }
}
