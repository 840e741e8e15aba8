//! A request costs the same whoever else is connected; limits hold and recover.

use crate::raw::{self, Enemy};
use crate::world::{App, World, options};
use net::{Options, Stack};
use smoltcp::wire::TcpControl;
use std::net::Ipv4Addr;

/// Polls that one request and its answer take beside `idle` other connections.
fn polls_of_a_request(idle: u16) -> u64 {
    let options = Options {
        connections_max: 1100,
        buffer_bytes: 16 << 20,
        ..options()
    };
    let mut world = World::new(options, App::Echo);
    for port in 0..idle {
        Enemy::new(20_000 + port).establish(&mut world);
    }
    assert_eq!(world.server.statistics().connections, u32::from(idle));
    let mut client = Enemy::new(10_000);
    client.establish(&mut world);
    world.step_server();
    let before = world.server.polls();
    for _ in 0..10 {
        client.send(&mut world, TcpControl::Psh, &[b'q'; 100]);
        let answer = raw::tcp_frames(&mut world).pop().unwrap();
        assert_eq!(answer.len, 100);
        client.seq += 100;
        client.ack += 100;
    }
    world.server.polls() - before
}

#[test]
fn a_request_touches_no_more_sockets_beside_a_thousand_idle_connections() {
    let alone = polls_of_a_request(0);
    let beside = polls_of_a_request(1000);
    println!("polls for 10 requests: alone {alone}, beside 1,000 idle {beside}");
    assert_eq!(alone, beside);
    assert!(alone <= 40);
}

#[test]
fn a_burst_over_the_backlog_waits_and_is_counted() {
    let mut world = World::new(options(), App::Absent);
    world.server.listen(81, 8).unwrap();
    let mut clients: Vec<Enemy> = (0..20).map(|i| Enemy::new(3000 + i)).collect();
    for client in &mut clients[..8] {
        client.to_port = 81;
        client.syn(&mut world);
        let answer = raw::tcp_frames(&mut world).pop().unwrap();
        (client.seq, client.ack) = (client.seq + 1, answer.seq.wrapping_add(1));
        client.send(&mut world, TcpControl::None, b"");
    }
    assert_eq!(world.server.statistics().backlog, 8);
    for client in &mut clients[8..] {
        client.to_port = 81;
        client.syn(&mut world);
        assert_eq!(
            raw::tcp_frames(&mut world),
            [],
            "silence: the client asks again"
        );
    }
    let statistics = world.server.statistics();
    assert_eq!(
        (statistics.refused.total(), statistics.connections),
        (12, 8)
    );
    assert!(world.server.accept().is_some());
    clients[8].syn(&mut world);
    assert_eq!(raw::tcp_frames(&mut world).len(), 1);
}

#[test]
fn a_connection_confirmed_when_the_backlog_is_full_gets_in_later() {
    let mut world = World::new(options(), App::Absent);
    world.server.listen(81, 1).unwrap();
    let mut clients = [Enemy::new(3000), Enemy::new(3001)];
    for client in &mut clients {
        client.to_port = 81;
        client.syn(&mut world);
        let answer = raw::tcp_frames(&mut world).pop().unwrap();
        (client.seq, client.ack) = (client.seq + 1, answer.seq.wrapping_add(1));
    }
    clients[0].send(&mut world, TcpControl::None, b"");
    clients[1].send(&mut world, TcpControl::Psh, b"data");
    assert_eq!(raw::tcp_frames(&mut world), []);
    assert_eq!(world.server.statistics().refused.total(), 1);
    assert_eq!(world.server.accept().unwrap().peer.port(), 3000);
    assert!(world.server.accept().is_none());
    clients[1].send(&mut world, TcpControl::Psh, b"data");
    assert_eq!(world.server.accept().unwrap().peer.port(), 3001);
    assert_eq!(world.server.half_open(), 0);
}

#[test]
fn a_full_budget_refuses_and_recovers() {
    let options = Options {
        buffer_bytes: 100 << 10,
        connections_max: 256,
        ..options()
    };
    let mut world = World::new(options, App::Manual);
    let max = world.server.statistics().connections_max as u16;
    assert_eq!(max, 8);
    for round in 0..3 {
        let ids: Vec<_> = (0..max)
            .map(|i| Enemy::new(3000 + round * 100 + i).establish(&mut world))
            .collect();
        Enemy::new(4000).syn(&mut world);
        assert_eq!(raw::tcp_frames(&mut world), []);
        assert_eq!(
            world.server.statistics().refused.total(),
            u64::from(round) + 1
        );
        ids.into_iter().for_each(|id| world.server.abort(id));
        world.step_server();
        raw::frames(&mut world);
        assert_eq!(world.server.statistics().buffer_bytes, 0);
    }
}

#[test]
fn the_last_places_are_for_who_has_few() {
    let options = Options {
        connections_max: 64,
        ..options()
    };
    let mut world = World::new(options, App::Manual);
    for nth in 0..60 {
        Enemy::new(3000 + nth).establish(&mut world);
    }
    // It has many: of the last four places it gets none.
    Enemy::new(4000).syn(&mut world);
    assert_eq!(raw::tcp_frames(&mut world), []);
    for nth in 0..4 {
        let mut other = Enemy::new(5000 + nth);
        other.address = Ipv4Addr::new(10, 0, 0, 77);
        other.establish(&mut world);
    }
    let mut late = Enemy::new(6000);
    late.address = Ipv4Addr::new(10, 0, 0, 78);
    late.syn(&mut world);
    assert_eq!(raw::tcp_frames(&mut world), [], "there is none left");
    assert_eq!(world.server.statistics().refused.places, 2);
}

/// While it found no place its first segments were lost, and a later one is the first that comes.
#[test]
fn a_connection_that_got_in_late_begins_at_its_beginning() {
    let mut world = World::new(options(), App::Absent);
    world.server.listen(81, 1).unwrap();
    let mut clients = [Enemy::new(3000), Enemy::new(3001)];
    for client in &mut clients {
        client.to_port = 81;
        client.syn(&mut world);
        let answer = raw::tcp_frames(&mut world).pop().unwrap();
        (client.seq, client.ack) = (client.seq + 1, answer.seq.wrapping_add(1));
    }
    clients[0].send(&mut world, TcpControl::None, b"");
    clients[1].send(&mut world, TcpControl::Psh, b"first ");
    assert!(world.server.accept().is_some());
    let mut later = clients[1].clone();
    later.seq += 6;
    later.send(&mut world, TcpControl::Psh, b"second");
    clients[1].send(&mut world, TcpControl::Psh, b"first ");
    let accepted = world.server.accept().expect("it is in");
    let mut got = Vec::new();
    let mut take = |bytes: &[u8]| {
        got.extend_from_slice(bytes);
        bytes.len()
    };
    world.server.receive(accepted.id, &mut take);
    assert_eq!(String::from_utf8_lossy(&got), "first second");
}
