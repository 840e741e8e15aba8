//! Peers that mean harm.

use crate::raw::{self, Enemy};
use crate::world::{App, CLIENT, SECOND, World, options};
use net::{Options, Stack, Status};
use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpControl;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

#[test]
fn a_flood_of_syns_leaves_an_established_connection_alone() {
    let mut world = World::new(options(), App::Echo);
    let (id, handle) = world.established();
    let used = world.server.statistics().buffer_bytes;
    let mut echoed = 0;
    for i in 0..10_000_u32 {
        let mut enemy = Enemy::new(1024 + (i % 60_000) as u16);
        enemy.address = Ipv4Addr::from(0x0A00_0100 + i);
        enemy.seq = i.wrapping_mul(77_777);
        world
            .to_server
            .frames
            .push_back(enemy.frame(TcpControl::Syn, b""));
        if i % 100 == 0 {
            world.socket(handle).send_slice(b"ping").unwrap();
        }
        if i % 10 == 0 {
            world.turn(u64::MAX);
            echoed += world
                .socket(handle)
                .recv(|bytes| (bytes.len(), bytes.len()))
                .unwrap();
        }
    }
    world.run(5, |world| {
        echoed += world
            .socket(handle)
            .recv(|bytes| (bytes.len(), bytes.len()))
            .unwrap();
        echoed == 400
    });
    assert_eq!(world.server.status(id), Status::Open);
    assert_eq!(world.server.half_open(), 512);
    let statistics = world.server.statistics();
    assert_eq!((statistics.connections, statistics.buffer_bytes), (1, used));
    assert!(statistics.refused.total() > 9_000, "the oldest went");
    let late = world.connect();
    world.run(5, |world| world.state(late) == State::Established);
    world.pass(20);
    assert_eq!(world.server.half_open(), 0, "they time out");
}

#[test]
fn a_syn_ack_is_sent_again_the_same_and_then_forgotten() {
    let mut world = World::new(options(), App::Manual);
    let enemy = Enemy::new(5000);
    enemy.syn(&mut world);
    let first = raw::tcp_frames(&mut world).pop().unwrap();
    let mut again = 0;
    while world.server.half_open() > 0 {
        world.now = world.wake.unwrap();
        world.step_server();
        for segment in raw::tcp_frames(&mut world) {
            assert_eq!(segment, first);
            again += 1;
        }
    }
    assert_eq!(again, 3);
    assert!((15 * SECOND..17 * SECOND).contains(&world.now));
    enemy.syn(&mut world);
    enemy.syn(&mut world);
    let answers = raw::tcp_frames(&mut world);
    assert_eq!(
        answers[0], answers[1],
        "a repeated SYN gets the same answer"
    );
    assert_ne!(answers[0].seq, first.seq, "a new one gets a new number");
}

#[test]
fn only_the_right_acknowledgement_opens() {
    let mut world = World::new(options(), App::Manual);
    let mut enemy = Enemy::new(5000);
    enemy.syn(&mut world);
    let answer = raw::tcp_frames(&mut world).pop().unwrap();
    enemy.seq += 1;
    enemy.ack = answer.seq.wrapping_add(2);
    enemy.send(&mut world, TcpControl::None, b"");
    let reply = raw::tcp_frames(&mut world).pop().unwrap();
    assert_eq!((reply.control, reply.seq), (TcpControl::Rst, enemy.ack));
    enemy.ack = answer.seq.wrapping_add(1);
    enemy.seq += 100_000;
    enemy.send(&mut world, TcpControl::None, b"");
    assert!(world.accepted.is_empty());
    enemy.seq -= 100_000;
    enemy.send(&mut world, TcpControl::Psh, b"data at once");
    assert_eq!(world.accepted.len(), 1);
    assert_eq!(world.ready, [world.accepted[0].id]);
}

#[test]
fn only_the_right_reset_ends_a_half_open_connection() {
    let mut world = World::new(options(), App::Manual);
    let mut enemy = Enemy::new(5000);
    enemy.syn(&mut world);
    enemy.seq += 2;
    enemy.send(&mut world, TcpControl::Rst, b"");
    assert_eq!(world.server.half_open(), 1);
    enemy.seq -= 1;
    enemy.send(&mut world, TcpControl::Rst, b"");
    assert_eq!(world.server.half_open(), 0);
}

#[test]
fn a_port_without_a_listener_resets_and_a_bad_checksum_makes_nothing() {
    let mut world = World::new(options(), App::Manual);
    let mut enemy = Enemy::new(5000);
    enemy.to_port = 81;
    enemy.syn(&mut world);
    let reply = raw::tcp_frames(&mut world).pop().unwrap();
    assert_eq!((reply.control, reply.ack), (TcpControl::Rst, Some(1001)));
    enemy.to_port = crate::world::PORT;
    for place in [24, 36, 50] {
        let mut frame = enemy.frame(TcpControl::Syn, b"");
        frame[place] ^= 1;
        world.to_server.frames.push_back(frame);
        world.step_server();
        assert_eq!(raw::tcp_frames(&mut world), []);
        assert_eq!(world.server.half_open(), 0);
    }
    assert_eq!(world.server.statistics().frames_dropped, 3);
}

#[test]
fn a_reset_must_name_exactly_the_next_byte() {
    let mut world = World::new(options(), App::Echo);
    let mut enemy = Enemy::new(5000);
    let id = enemy.establish(&mut world);
    enemy.send(&mut world, TcpControl::Psh, b"12345");
    enemy.seq += 5;
    raw::frames(&mut world);
    let mut forged = enemy.clone();
    for (distance, answers) in [(1, 1), (1000, 0), (u32::MAX, 0)] {
        forged.seq = enemy.seq.wrapping_add(distance);
        forged.send(&mut world, TcpControl::Rst, b"");
        let seen = raw::tcp_frames(&mut world);
        assert_eq!(seen.len(), answers, "one question a second");
        assert!(seen.iter().all(|seen| seen.ack == Some(enemy.seq)));
        assert_eq!(world.server.status(id), Status::Open);
    }
    enemy.send(&mut world, TcpControl::Rst, b"");
    assert_eq!(world.server.status(id), Status::Gone);
}

#[test]
fn a_segment_from_our_own_or_a_broadcast_address_is_dropped() {
    let mut world = World::new(options(), App::Manual);
    let strange = [
        crate::world::SERVER,
        Ipv4Addr::new(10, 0, 0, 255),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::UNSPECIFIED,
    ];
    for address in strange {
        let enemy = Enemy {
            address,
            ..Enemy::new(80)
        };
        enemy.syn(&mut world);
        assert_eq!(raw::tcp_frames(&mut world), [], "from {address}");
    }
    assert_eq!(world.server.half_open(), 0);
}

#[test]
fn sequence_numbers_are_not_to_be_guessed() {
    let options = Options {
        half_open_max: 4096,
        ..options()
    };
    let mut world = World::new(options, App::Manual);
    let mut seen = BTreeSet::new();
    let mut last = 0_u32;
    let mut near = 0;
    let mut ones = [0_u32; 32];
    for round in 0..4000_u32 {
        let mut enemy = Enemy::new((1024 + round / 2) as u16);
        enemy.address = if round % 2 == 0 {
            CLIENT
        } else {
            Ipv4Addr::new(10, 0, 0, 3)
        };
        enemy.syn(&mut world);
        let isn = raw::tcp_frames(&mut world).pop().unwrap().seq;
        let difference = isn.wrapping_sub(last).cast_signed().unsigned_abs();
        near += u32::from(difference < 1 << 20);
        (0..32).for_each(|bit| ones[bit] += isn >> bit & 1);
        seen.insert(isn);
        last = isn;
    }
    assert!(seen.len() >= 3998, "they do not repeat");
    assert!(
        near < 12,
        "{near} of 4,000 are within 2^20 of the one before; 2 are expected"
    );
    assert!(
        ones.iter().all(|count| (1800..2200).contains(count)),
        "each bit is a coin: {ones:?}"
    );
    let mut other = World::new(crate::world::options(), App::Manual);
    other.server.reseed(&[8; 32]);
    Enemy::new(1024).syn(&mut other);
    assert!(!seen.contains(&raw::tcp_frames(&mut other).pop().unwrap().seq));
}

#[test]
fn a_step_takes_and_sends_a_bounded_number_of_frames() {
    let mut world = World::new(options(), App::Manual);
    let enemy = Enemy {
        to_port: 81,
        ..Enemy::new(5000)
    };
    for _ in 0..200 {
        world
            .to_server
            .frames
            .push_back(enemy.frame(TcpControl::Syn, b""));
    }
    world.step_server();
    assert_eq!(world.to_server.frames.len(), 136);
    assert_eq!(world.wake, Some(world.now));
}
