//! Bytes that nobody meant.

use super::guest::{self, Scene};
use crate::peer::checksum;
use crate::peer::ipv4;
use crate::peer::tcp::segment;
use crate::random::Random;

/// Flips, cuts and repeats; half of the time the checksums are made right again.
fn mutate(random: &mut Random, frame: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        if frame.is_empty() {
            return;
        }
        let at = random.below(frame.len() as u64) as usize;
        match random.below(8) {
            0 => frame.truncate(at),
            1 => frame.extend_from_within(at..),
            _ => frame[at] = random.word() as u8,
        }
    }
    if random.chance(1, 2) {
        mend(frame);
    }
}

fn mend(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..).filter(|packet| packet.len() >= 40) else {
        return;
    };
    packet[0] = 0x45;
    let total_bytes = packet.len() as u16;
    packet[2..4].copy_from_slice(&total_bytes.to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[36..38].fill(0);
    let (from, to) = (*guest::GUEST.ip(), guest::PEER);
    let sum = checksum::of_payload(from, to, ipv4::PROTOCOL_TCP, &packet[20..]);
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn no_frame_makes_a_peer_panic() {
    let mut random = Random::new(11);
    for _ in 0..5000 {
        let mut scene = match random.below(2) {
            0 => Scene::new(),
            _ => Scene::open(),
        };
        let flow = scene.flow;
        scene.peer.send(flow, &[7; 3000]);
        for _ in 0..4 {
            let at = random.below(3) as u32;
            let segment = segment::emit(&scene.segment(at, b"some data"));
            let mut frame = match random.below(4) {
                0 => guest::arp_reply(),
                _ => guest::packet_of(ipv4::PROTOCOL_TCP, &segment),
            };
            mutate(&mut random, &mut frame);
            scene.peer.receive(scene.now_ns, &frame);
            for _ in 0..100 {
                let frame = scene.peer.transmit(scene.now_ns);
                assert!(frame.is_none_or(|frame| frame.len() <= 1514));
            }
            scene.now_ns = scene.peer.deadline_ns().unwrap_or(scene.now_ns);
        }
    }
}

#[test]
fn noise_is_not_heard() {
    let mut random = Random::new(12);
    for _ in 0..5000 {
        let mut scene = Scene::new();
        let mut frame = vec![0; random.below(200) as usize];
        random.fill(&mut frame);
        scene.peer.receive(0, &frame);
    }
}
