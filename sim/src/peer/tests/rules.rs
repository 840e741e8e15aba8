//! What the peer answers to a guest, right or wrong.

use super::guest::{self, GUEST, INITIAL, Scene};
use crate::peer::icmp::{self, Echo, Message};
use crate::peer::tcp::segment::{self, Flags, Segment};
use crate::peer::{FlowState, Talks, arp, ethernet, ipv4};

/// The one complaint ends in `expected`, and the flow is over and reset.
fn check_violation(segments: &[Segment], scene: &mut Scene, expected: &str) {
    for segment in segments {
        scene.hears(segment);
    }
    let [error] = scene.peer.errors() else {
        panic!("{expected}: {:?}", scene.peer.errors());
    };
    assert!(error.ends_with(expected), "{error} is not {expected}");
    let FlowState::ProtocolError(state) = scene.state() else {
        panic!("{:?}", scene.state());
    };
    assert!(error.ends_with(&state));
    let said = scene.says();
    assert!(said.iter().any(|segment| segment.flags.has(Flags::RST)));
    assert_eq!(scene.says(), []);
}

#[test]
fn each_violation_is_told() {
    fn check(make: impl Fn(&Scene) -> Vec<Segment>, expected: &str) {
        let mut scene = Scene::open();
        // So that the frame is not refused before the segment is looked at.
        scene.peer.set_mtu_bytes(9000);
        let segments = make(&scene);
        check_violation(&segments, &mut scene, expected);
    }
    check(
        |scene| {
            let acknowledgement = scene.syn.sequence.wrapping_add(2);
            let bare = scene.segment(0, b"");
            vec![Segment {
                acknowledgement,
                ..bare
            }]
        },
        "acknowledges up to 2, but only 1 was sent",
    );
    check(
        |scene| vec![scene.segment(65535, b"a")],
        "goes up to 65537, beyond the window that ends at 65536",
    );
    check(
        |scene| vec![scene.segment(0, b"abc"), scene.segment(1, b"xc")],
        "the byte at 2 was 0x62 and is 0x78 now",
    );
    check(
        |scene| vec![scene.segment(0, &[0; 1461])],
        "header and data are 1481 bytes, the MSS allows 1480",
    );
    check(
        |scene| {
            let flags = Flags::default();
            let bare = scene.segment(0, b"");
            vec![Segment { flags, ..bare }]
        },
        "has neither ACK nor RST",
    );
}

#[test]
fn a_handshake_with_the_wrong_number_is_a_violation() {
    let mut scene = Scene::new();
    let mut syn_ack = scene.segment(0, b"");
    syn_ack.flags = Flags::SYN.and(Flags::ACK);
    syn_ack.acknowledgement = syn_ack.acknowledgement.wrapping_add(1);
    let expected = "acknowledges up to 2, but only 1 was sent";
    check_violation(&[syn_ack], &mut scene, expected);
}

/// What a reset makes of a flow: the state, and how many segments it answers.
fn check_reset(mut scene: Scene, reset: Segment, state: FlowState, answers: usize) {
    scene.hears(&reset);
    assert_eq!(scene.state(), state);
    assert_eq!(scene.says().len(), answers);
    assert_eq!(scene.peer.errors(), [] as [String; 0]);
}

#[test]
fn a_reset_counts_only_in_its_place() {
    let check = |at: u32, state, answers| {
        let scene = Scene::open();
        let flags = Flags::RST;
        let bare = scene.segment(at, b"");
        check_reset(scene, Segment { flags, ..bare }, state, answers);
    };
    check(0, FlowState::Reset, 0);
    check(1, FlowState::Open, 1);
    check(65535, FlowState::Open, 1);
    check(65536, FlowState::Open, 0);
    check(u32::MAX, FlowState::Open, 0);
}

#[test]
fn a_refusal_has_to_acknowledge_the_syn() {
    let check = |more: u32, flags: Flags, state| {
        let scene = Scene::new();
        let bare = scene.segment(0, b"");
        let acknowledgement = bare.acknowledgement.wrapping_add(more);
        let reset = Segment {
            flags,
            acknowledgement,
            ..bare
        };
        check_reset(scene, reset, state, 0);
    };
    check(0, Flags::RST.and(Flags::ACK), FlowState::Reset);
    check(1, Flags::RST.and(Flags::ACK), FlowState::Connecting);
    check(0, Flags::RST, FlowState::Connecting);
}

#[test]
fn an_abort_before_the_handshake_is_silent_until_asked() {
    let mut scene = Scene::new();
    let flow = scene.flow;
    scene.peer.abort(flow);
    assert_eq!((scene.says(), scene.state()), (vec![], FlowState::Reset));
    let mut syn_ack = scene.segment(0, b"");
    syn_ack.flags = Flags::SYN.and(Flags::ACK);
    scene.hears(&syn_ack);
    assert_eq!(scene.says()[0].flags, Flags::RST);
}

#[test]
fn a_keep_alive_is_answered() {
    let mut scene = Scene::open();
    scene.hears(&scene.segment(0, b"ab"));
    assert_eq!(scene.says().len(), 1);
    for garbage in [b"" as &[u8], b"\0"] {
        scene.hears(&scene.segment(1, garbage));
        assert_eq!(scene.says()[0].acknowledgement, INITIAL + 3);
    }
    assert_eq!(scene.peer.errors(), [] as [String; 0]);
}

#[test]
fn an_old_incarnation_is_reset_and_the_syn_comes_again() {
    let mut scene = Scene::new();
    let mut old = scene.segment(0, b"");
    old.acknowledgement = 77;
    scene.hears(&old);
    let said = scene.says();
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].flags, said[0].sequence), (Flags::RST, 77));
    scene.now_ns = 200_000_000;
    assert_eq!(scene.says(), [scene.syn.clone()]);
}

#[test]
fn a_close_by_the_guest_is_seen_and_answered() {
    let mut scene = Scene::open();
    let mut fin = scene.segment(0, b"bye");
    fin.flags = fin.flags.and(Flags::FIN);
    scene.hears(&fin);
    assert_eq!(scene.state(), FlowState::PeerClosed);
    assert_eq!(scene.peer.received(scene.flow), b"bye");
    let acknowledgement = INITIAL + 5;
    assert_eq!(scene.says()[0].acknowledgement, acknowledgement);
    scene.peer.finish(scene.flow);
    let said = scene.says();
    assert!(said.len() == 1 && said[0].flags.has(Flags::FIN));
    let mut last = scene.segment(4, b"");
    last.acknowledgement = last.acknowledgement.wrapping_add(1);
    scene.hears(&last);
    assert_eq!(scene.state(), FlowState::Closed);
    scene.hears(&fin);
    assert_eq!(scene.says()[0].acknowledgement, acknowledgement);
    scene.now_ns = 60_000_000_000;
    scene.hears(&fin);
    assert_eq!(scene.says()[0].flags, Flags::RST);
    assert_eq!(scene.peer.deadline_ns(), None);
}

#[test]
fn an_acknowledgement_waits_as_long_as_it_is_told() {
    let mut scene = Scene::open();
    let (flow, delay_ns) = (scene.flow, 40_000_000);
    scene.peer.behaviour(flow).ack_delay_ns = delay_ns;
    scene.hears(&scene.segment(0, b"ab"));
    assert_eq!(scene.says(), []);
    assert_eq!(scene.peer.deadline_ns(), Some(delay_ns));
    scene.now_ns = delay_ns;
    assert_eq!(scene.says()[0].acknowledgement, INITIAL + 3);
    scene.hears(&scene.segment(3, b"d"));
    assert_eq!(scene.says().len(), 1, "a hole is told at once");
}

#[test]
fn who_vanished_neither_speaks_nor_refuses() {
    let mut scene = Scene::open();
    let flow = scene.flow;
    scene.peer.send(flow, b"lost");
    scene.peer.behaviour(flow).talks = Talks::Never;
    scene.hears(&scene.segment(0, b"ab"));
    assert_eq!(scene.says(), []);
    assert_eq!(scene.peer.deadline_ns(), None);
}

#[test]
fn a_wrong_checksum_is_told() {
    fn check(frame: &[u8], at: usize, expected: &str) {
        let mut scene = Scene::new();
        let mut frame = frame.to_vec();
        frame[at] ^= 1;
        scene.peer.receive(5, &frame);
        let [error] = scene.peer.errors() else {
            panic!("{:?}", scene.peer.errors());
        };
        assert!(error.starts_with("at 5 ns: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(scene.state(), FlowState::Connecting);
    }
    let scene = Scene::new();
    let data = segment::emit(&scene.segment(0, b"data"));
    let tcp = guest::packet_of(ipv4::PROTOCOL_TCP, &data);
    check(&tcp, 14 + 8, "IPv4 checksum");
    check(&tcp, 14 + 20 + 20, "10.0.0.2: TCP checksum");
    let icmp = icmp::emit(&Message::Other(3));
    let icmp = guest::packet_of(ipv4::PROTOCOL_ICMP, &icmp);
    check(&icmp, 14 + 20 + 5, "ICMP checksum");
}

#[test]
fn a_frame_has_its_least_and_its_most() {
    fn check(frame: &[u8], expected: &str) {
        let mut scene = Scene::new();
        scene.peer.receive(0, frame);
        let [error] = scene.peer.errors() else {
            panic!("{expected}: {:?}", scene.peer.errors());
        };
        assert_eq!(error, &format!("at 0 ns: {expected}"));
    }
    check(&[0; 13], "frame of 13 bytes has no Ethernet header");
    check(&[0; 1515], "frame of 1515 bytes, where 1514 is the most");
    let short = guest::frame_of(ethernet::KIND_IPV4, &[0x45; 19]);
    check(&short, "IPv4 packet has only 19 bytes");
    let short = guest::packet_of(ipv4::PROTOCOL_TCP, &[0; 19]);
    check(&short, "10.0.0.2: TCP segment has only 19 bytes");
    let reply = guest::arp_reply();
    check(&reply[..41], "ARP packet has 27 of 28 bytes");
}

#[test]
fn questions_for_the_address_are_answered() {
    let mut scene = Scene::new();
    let request = arp::Packet {
        operation: arp::Operation::Request,
        sender: (guest::GUEST_MAC, *GUEST.ip()),
        target: ([0; 6], guest::PEER),
    };
    let frame = guest::frame_of(ethernet::KIND_ARP, &arp::emit(request));
    scene.peer.receive(0, &frame);
    let reply = scene.peer.transmit(0).expect("an answer");
    let reply = arp::parse(&reply[14..]).expect("of ARP");
    assert_eq!(reply.sender, (guest::PEER_MAC, guest::PEER));
    assert_eq!(
        (reply.operation, reply.target),
        (arp::Operation::Reply, request.sender)
    );
    let echo = Echo {
        identifier: 1,
        sequence: 2,
        data: vec![3; 99],
    };
    let request = icmp::emit(&Message::Request(echo.clone()));
    let frame = guest::packet_of(ipv4::PROTOCOL_ICMP, &request);
    scene.peer.receive(0, &frame);
    let reply = scene.peer.transmit(0).expect("an answer");
    assert_eq!(icmp::parse(&reply[34..]), Ok(Message::Reply(echo)));
    assert_eq!(scene.peer.errors(), [] as [String; 0]);
}
