//! A scripted guest: it says what the test says.

use crate::peer::ethernet::{self, Header, Mac};
use crate::peer::tcp::segment::{self, Flags, Segment};
use crate::peer::{Flow, FlowState, Peer, arp, ipv4};
use crate::random::Random;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(super) const PEER_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const GUEST_MAC: Mac = [2, 0, 0, 0, 0, 2];
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const GUEST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);
/// The guest's initial number, so that its data begins at 1001.
pub(super) const INITIAL: u32 = 1000;

/// A peer that knows the guest's hardware address, and a flow to it.
pub(super) struct Scene {
    pub(super) peer: Peer,
    pub(super) flow: Flow,
    pub(super) now_ns: u64,
    /// The first segment of the peer.
    pub(super) syn: Segment,
}

pub(super) fn frame_of(kind: u16, payload: &[u8]) -> Vec<u8> {
    let (to, from) = (PEER_MAC, GUEST_MAC);
    ethernet::emit(Header { to, from, kind }, payload)
}

pub(super) fn packet_of(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = ipv4::Header {
        from: *GUEST.ip(),
        to: PEER,
        protocol,
        identification: 0,
    };
    frame_of(ethernet::KIND_IPV4, &ipv4::emit(header, payload))
}

pub(super) fn segment_in(frame: &[u8]) -> Segment {
    let (header, packet) = ethernet::parse(frame).expect("the peer sends frames");
    assert_eq!((header.from, header.to), (PEER_MAC, GUEST_MAC));
    let (header, bytes) = ipv4::parse(packet).expect("the peer sends packets");
    segment::parse(header.from, header.to, bytes).expect("the peer sends segments")
}

pub(super) fn arp_reply() -> Vec<u8> {
    let packet = arp::Packet {
        operation: arp::Operation::Reply,
        sender: (GUEST_MAC, *GUEST.ip()),
        target: (PEER_MAC, PEER),
    };
    frame_of(ethernet::KIND_ARP, &arp::emit(packet))
}

impl Scene {
    /// The SYN went out.
    pub(super) fn new() -> Scene {
        let mut peer = Peer::new(PEER_MAC, PEER, Random::new(1));
        let flow = peer.connect(0, GUEST);
        let question = peer.transmit(0).expect("the peer asks first");
        assert_eq!(question[..6], [0xff; 6]);
        peer.receive(0, &arp_reply());
        let syn = segment_in(&peer.transmit(0).expect("the SYN"));
        assert_eq!(
            (syn.flags, syn.mss, syn.to),
            (Flags::SYN, Some(1460), GUEST)
        );
        Scene {
            peer,
            flow,
            now_ns: 0,
            syn,
        }
    }

    /// The connection stands, with a window of 1000 bytes for the peer.
    pub(super) fn open() -> Scene {
        let mut scene = Scene::new();
        let syn_ack = Segment {
            sequence: INITIAL,
            flags: Flags::SYN.and(Flags::ACK),
            ..scene.segment(0, b"")
        };
        scene.hears(&syn_ack);
        assert_eq!(scene.says().len(), 1, "the third segment of the handshake");
        assert_eq!(scene.state(), FlowState::Open);
        scene
    }

    /// A segment with data at `at`, counted from the first byte, that
    /// acknowledges the peer's SYN.
    pub(super) fn segment(&self, at: u32, data: &[u8]) -> Segment {
        Segment {
            from: GUEST,
            to: self.syn.from,
            sequence: INITIAL.wrapping_add(1).wrapping_add(at),
            acknowledgement: self.syn.sequence.wrapping_add(1),
            flags: Flags::ACK,
            window: 1000,
            mss: None,
            scale: None,
            header_bytes: segment::HEADER_BYTES,
            data: data.to_vec(),
        }
    }

    pub(super) fn hears(&mut self, segment: &Segment) {
        let frame = packet_of(ipv4::PROTOCOL_TCP, &segment::emit(segment));
        self.peer.receive(self.now_ns, &frame);
    }

    /// All that the peer sends now.
    pub(super) fn says(&mut self) -> Vec<Segment> {
        let frames = std::iter::from_fn(|| self.peer.transmit(self.now_ns));
        frames.map(|frame| segment_in(&frame)).collect()
    }

    pub(super) fn state(&self) -> FlowState {
        self.peer.state(self.flow)
    }
}
