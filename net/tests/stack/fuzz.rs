//! Frames of any content: nothing panics, and nothing leaks.

use crate::raw::{self, Enemy};
use crate::world::{App, Dice, PORT, SECOND, SERVER_MAC, World, options};
use net::{AddressConfig, Options, Stack};
use smoltcp::wire::{IpAddress, Ipv4Packet, TcpControl, TcpPacket};

const ROUNDS: usize = 100_000;

/// Makes the checksums right again, as far as there are any.
fn repair(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..) else {
        return;
    };
    let Ok(mut ip) = Ipv4Packet::new_checked(packet) else {
        return;
    };
    ip.fill_checksum();
    let (from, to) = (ip.src_addr(), ip.dst_addr());
    if let Ok(mut tcp) = TcpPacket::new_checked(ip.payload_mut()) {
        tcp.fill_checksum(&IpAddress::Ipv4(from), &IpAddress::Ipv4(to));
    }
}

fn after_the_storm(world: &mut World) {
    world.app = App::Manual;
    world.step_server();
    world.peer_is_deaf = true;
    world.pass(400);
    let open: Vec<_> = world.accepted.iter().map(|accepted| accepted.id).collect();
    open.into_iter().for_each(|id| world.server.abort(id));
    world.pass(1);
    let statistics = world.server.statistics();
    assert_eq!((statistics.connections, statistics.buffer_bytes), (0, 0));
}

#[test]
fn random_bytes() {
    let mut world = World::new(options(), App::Echo);
    let mut dice = Dice(11);
    for round in 0..ROUNDS {
        let len = dice.below(200);
        let mut frame: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
        if len >= 14 && round % 4 > 0 {
            frame[..6].copy_from_slice(&SERVER_MAC);
            frame[12..14].copy_from_slice(&[8, if round % 4 == 1 { 6 } else { 0 }]);
        }
        if len >= 40 && round % 4 > 1 {
            frame[14] = 0x45;
            frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
            frame[20..22].copy_from_slice(&[0x40, 0]);
            frame[23] = [1, 6, 17][round % 3];
            frame[30..34].copy_from_slice(&[10, 0, 0, 2]);
            repair(&mut frame);
        }
        world.to_server.frames.push_back(frame);
        if round % 16 == 0 {
            world.now += 1_000_000;
            world.step_server();
            world.to_peer.frames.clear();
        }
    }
    after_the_storm(&mut world);
}

/// One mutated segment of a connection that is somewhere in its life.
fn mutate(enemy: &mut Enemy, dice: &mut Dice) -> Vec<u8> {
    let controls = [
        TcpControl::None,
        TcpControl::Psh,
        TcpControl::Fin,
        TcpControl::Rst,
        TcpControl::Syn,
    ];
    let control = controls[[0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 1, 0, 0, 1][dice.below(14)]];
    let payload = vec![b'm'; [0, 1, 10, 500, 1460][dice.below(5)]];
    let mut sent = enemy.clone();
    match dice.below(6) {
        0 => sent.seq = sent.seq.wrapping_add(dice.below(6000) as u32),
        1 => sent.seq = sent.seq.wrapping_sub(dice.below(6000) as u32),
        2 => sent.ack = sent.ack.wrapping_add(dice.below(2000) as u32),
        3 => sent.ack = sent.ack.wrapping_sub(dice.below(2000) as u32),
        4 => sent.window = dice.next() as u16 >> dice.below(16),
        _ => {}
    }
    let mut frame = sent.frame(control, &payload);
    if dice.below(3) == 0 {
        for _ in 0..=dice.below(4) {
            let place = dice.below(frame.len().min(80));
            frame[place] = if dice.below(2) == 0 {
                dice.next() as u8
            } else {
                frame[place] ^ 1
            };
        }
        if dice.below(4) == 0 {
            frame.truncate(dice.below(frame.len()));
        }
        if dice.below(8) > 0 {
            repair(&mut frame);
        }
    } else if control != TcpControl::Rst {
        enemy.seq = enemy.seq.wrapping_add(payload.len() as u32);
    }
    frame
}

#[test]
fn mutated_segments_of_living_connections() {
    let mut accepted = 0;
    for seed in 0..4 {
        let options = Options {
            connections_max: 64,
            ..options()
        };
        let mut world = World::new(options, App::Echo);
        let mut dice = Dice(seed * 1000 + 5);
        let mut enemies: Vec<Enemy> = (0..8).map(|i| Enemy::new(7000 + i)).collect();
        for round in 0..ROUNDS / 4 {
            let who = dice.below(enemies.len());
            if round % 40 == 0 {
                let fresh = enemies[who].seq.wrapping_add(1 << 20);
                enemies[who] = Enemy {
                    seq: fresh,
                    ..Enemy::new(7000 + (round / 40) as u16 % 40)
                };
                world
                    .to_server
                    .frames
                    .push_back(enemies[who].frame(TcpControl::Syn, b""));
                enemies[who].seq = enemies[who].seq.wrapping_add(1);
            } else {
                let frame = mutate(&mut enemies[who], &mut dice);
                world.to_server.frames.push_back(frame);
            }
            if dice.below(4) == 0 {
                world.now += dice.below(20_000_000) as u64;
                world.step_server();
                for seen in raw::tcp_frames(&mut world) {
                    let heard = |enemy: &&mut Enemy| enemy.port == seen.to.1;
                    if let Some(enemy) = enemies.iter_mut().find(heard)
                        && seen.control != TcpControl::Rst
                    {
                        let len = seen.len + usize::from(seen.control != TcpControl::None);
                        let psh = usize::from(seen.control == TcpControl::Psh);
                        enemy.ack = seen.seq.wrapping_add((len - psh) as u32);
                        enemy.seq = seen.ack.unwrap_or(enemy.seq);
                    }
                }
            }
            if dice.below(1000) == 0 {
                world.now += 20 * SECOND;
            }
        }
        accepted += world.server.statistics().accepted;
        after_the_storm(&mut world);
    }
    println!("{accepted} connections lived in the storm");
    assert!(
        accepted > 500,
        "the storm reaches the connections: {accepted}"
    );
    assert_eq!(PORT, 80);
}

#[test]
fn mutated_control_frames() {
    let options = Options {
        address: AddressConfig::Dhcp,
        ..options()
    };
    let mut world = World::new(options, App::Echo);
    let mut dice = Dice(99);
    let mut server = crate::address::DhcpServer::default();
    for round in 0..ROUNDS {
        if dice.below(3) == 0 {
            world.now += dice.below(3_000_000_000) as u64;
        }
        if round % 500 == 0 {
            let address = net::Ipv4Cidr {
                address: crate::world::SERVER,
                prefix_len: 24,
            };
            world.server.configure(AddressConfig::Static {
                address,
                gateway: None,
            });
            world.server.configure(AddressConfig::Dhcp);
        }
        world.step_server();
        for frame in raw::frames(&mut world) {
            if let Some(mut answer) = server.answer(&frame) {
                for _ in 0..dice.below(4) {
                    let place = dice.below(answer.len());
                    answer[place] = dice.next() as u8;
                }
                if dice.below(4) > 0 {
                    // A UDP checksum of 0 is none (RFC 768).
                    answer[40..42].copy_from_slice(&[0, 0]);
                }
                repair(&mut answer);
                world.to_server.frames.push_back(answer);
            }
        }
        if round % 8 == 0 {
            let mut arp = crate::address::arp_request(world.server.local_address());
            let place = dice.below(arp.len());
            arp[place] = dice.next() as u8;
            world.to_server.frames.push_back(arp);
        }
    }
    println!("{} DHCP answers", server.answered);
    assert!(server.answered > 500);
}
