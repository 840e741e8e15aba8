//! Bytes arrive, whole and in order, whatever the wire does.

use crate::raw::{self, Enemy};
use crate::world::{App, Faults, SECOND, World, options};
use net::{Options, Received, Stack, Status};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpControl;

/// Sends `bytes` bytes through the echo and compares what comes back; then closes.
fn echo_all(world: &mut World, handles: &[SocketHandle], bytes: usize, seconds: u64) {
    let byte = |place: usize, who: usize| (place * 7 + place / 251 + who * 13) as u8;
    let mut sent = vec![0; handles.len()];
    let mut back = vec![0; handles.len()];
    world.run(seconds, |world| {
        for (who, &handle) in handles.iter().enumerate() {
            let socket = world.socket(handle);
            if socket.can_send() && sent[who] < bytes {
                let chunk: Vec<u8> = (sent[who]..bytes.min(sent[who] + 8192))
                    .map(|i| byte(i, who))
                    .collect();
                sent[who] += socket.send_slice(&chunk).unwrap();
                if sent[who] == bytes {
                    socket.close();
                }
            }
            while socket.can_recv() {
                back[who] += socket
                    .recv(|chunk| {
                        let start = back[who];
                        let right = chunk
                            .iter()
                            .enumerate()
                            .all(|(i, &b)| b == byte(start + i, who));
                        assert!(right, "wrong bytes after {start}");
                        (chunk.len(), chunk.len())
                    })
                    .unwrap();
            }
        }
        back.iter().all(|&count| count == bytes)
    });
}

#[test]
fn a_small_echo() {
    let mut world = World::new(options(), App::Echo);
    let handle = world.connect();
    echo_all(&mut world, &[handle], 100, 2);
    world.run(30, |world| world.server.statistics().connections == 0);
    assert_eq!(world.server.statistics().buffer_bytes, 0);
    assert_eq!(world.server.statistics().accepted, 1);
}

#[test]
fn a_mebibyte_both_ways_over_a_clean_wire_takes_little_time() {
    let mut world = World::new(options(), App::Echo);
    let handle = world.connect();
    let start = world.now;
    echo_all(&mut world, &[handle], 1 << 20, 10);
    let ms = (world.now - start) / 1_000_000;
    println!("1 MiB both ways: {ms} ms, {} polls", world.server.polls());
    assert!(ms < 1000, "took {ms} ms");
}

#[test]
fn a_mebibyte_both_ways_over_a_bad_wire() {
    for seed in 0..4 {
        let mut world = World::new(options(), App::Echo);
        world.dice.0 = seed;
        world.faults = Faults {
            lost: 20,
            twice: 10,
            swapped: 30,
        };
        let handle = world.connect();
        echo_all(&mut world, &[handle], 1 << 20, 3600);
    }
}

#[test]
fn many_at_once() {
    for count in [64, 300] {
        let options = Options {
            connections_max: 320,
            buffer_bytes: 8 << 20,
            ..options()
        };
        let mut world = World::new(options, App::Echo);
        let handles: Vec<_> = (0..count).map(|_| world.connect_with(4096)).collect();
        echo_all(&mut world, &handles, 20_000, 60);
        world.run(120, |world| world.server.statistics().connections == 0);
        assert_eq!(world.server.statistics().accepted, count);
        assert_eq!(world.server.statistics().refused.total(), 0);
        assert_eq!(world.server.statistics().buffer_bytes, 0);
    }
}

#[test]
fn many_at_once_over_a_bad_wire() {
    let options = Options {
        connections_max: 300,
        buffer_bytes: 8 << 20,
        ..options()
    };
    let mut world = World::new(options, App::Echo);
    world.faults = Faults {
        lost: 50,
        twice: 20,
        swapped: 50,
    };
    let handles: Vec<_> = (0..100).map(|_| world.connect_with(4096)).collect();
    echo_all(&mut world, &handles, 20_000, 3600);
}

#[test]
fn sixty_four_connections_fit_in_one_and_a_half_mebibytes() {
    let options = Options {
        connections_max: 68,
        buffer_bytes: 3 << 19,
        ..options()
    };
    let mut world = World::new(options, App::Echo);
    assert_eq!(world.server.statistics().connections_max, 68);
    let handles: Vec<_> = (0..64).map(|_| world.connect_with(4096)).collect();
    echo_all(&mut world, &handles, 100_000, 60);
    assert_eq!(world.server.statistics().refused.total(), 0);
}

#[test]
fn a_half_closed_connection_still_sends() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.socket(handle).send_slice(b"the request").unwrap();
    world.socket(handle).close();
    world.run(5, |world| world.state(handle) == State::FinWait2);
    let mut got = Vec::new();
    let received = world.server.receive(id, &mut |bytes| {
        got.extend_from_slice(bytes);
        bytes.len()
    });
    assert_eq!(
        (received, &got[..]),
        (Received::Bytes(11), &b"the request"[..])
    );
    assert_eq!(world.server.receive(id, &mut |_| 0), Received::Finished);
    assert_eq!(world.server.status(id), Status::Open);
    assert_eq!(world.server.send(id, &[b"the ", b"answer"]), 10);
    world.server.finish(id);
    assert_eq!(world.server.status(id), Status::Closing);
    world.run(5, |world| world.state(handle) == State::TimeWait);
    let mut answer = [0; 10];
    assert_eq!(world.socket(handle).recv_slice(&mut answer), Ok(10));
    assert_eq!(&answer, b"the answer");
    world.run(5, |world| world.server.status(id) == Status::Gone);
}

#[test]
fn a_peer_that_does_not_read_gets_it_all_in_the_end() {
    let mut world = World::new(options(), App::Manual);
    let before = world.accepted.len();
    let handle = world.connect_with(4096);
    world.run(5, |world| world.accepted.len() > before);
    let id = world.accepted[before].id;
    let mut sent = 0;
    let block = [b'z'; 4096];
    world.run(400, |world| {
        sent += world.server.send(id, &[&block]);
        world.now > 301 * 1_000_000_000
    });
    assert!(
        sent > 4096 && world.server.send_room(id) == 0,
        "its buffer and ours are full"
    );
    assert_eq!(
        world.server.status(id),
        Status::Open,
        "a closed window is no silence"
    );
    let mut got = 0;
    let mut chunk = [0; 4096];
    world.run(200, |world| {
        got += world.socket(handle).recv_slice(&mut chunk).unwrap_or(0);
        got == sent
    });
}

#[test]
fn bytes_that_the_user_does_not_take_stay() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.socket(handle).send_slice(b"abcdef").unwrap();
    world.run(5, |world| world.ready.contains(&id));
    assert_eq!(world.server.receive(id, &mut |_| 2), Received::Bytes(2));
    let mut rest = Vec::new();
    world.server.receive(id, &mut |bytes| {
        rest.extend_from_slice(bytes);
        bytes.len()
    });
    assert_eq!(rest, b"cdef");
    assert_eq!(world.server.receive(id, &mut |_| 0), Received::Nothing);
}

#[test]
fn the_first_flight_is_the_whole_buffer_and_after_a_loss_there_is_less() {
    let mut world = World::new(options(), App::Manual);
    let mut client = Enemy::new(5000);
    let id = client.establish(&mut world);
    let queued = world.server.send(id, &[&[b'x'; 100_000]]);
    let segments = queued.div_ceil(1460);
    world.step_server();
    assert_eq!(raw::tcp_frames(&mut world).len(), segments);
    world.now += 2 * SECOND;
    world.step_server();
    assert_eq!(raw::tcp_frames(&mut world).len(), 2, "Reno's first window");
    client.ack = client.ack.wrapping_add(1460);
    client.send(&mut world, TcpControl::None, b"");
    let grown = raw::tcp_frames(&mut world);
    assert!((1..=2).contains(&grown.len()), "and its growth: {grown:?}");
}
