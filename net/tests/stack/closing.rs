//! How connections end, and that nothing is left of them.

use crate::raw;
use crate::world::{App, CLIENT_MAC, PORT, SECOND, World, options};
use net::{ConnectionId, Options, Received, Stack, Status};
use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpControl;

#[test]
fn a_reset_by_the_peer_ends_it_and_is_news() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.ready.clear();
    world.socket(handle).abort();
    world.run(5, |world| world.server.status(id) == Status::Gone);
    world.turn(u64::MAX);
    assert_eq!(world.ready, [id]);
    assert_eq!(world.server.receive(id, &mut |_| 0), Received::Gone);
    assert_eq!(world.server.statistics().buffer_bytes, 0);
}

#[test]
fn an_abort_resets_the_peer_and_is_gone_at_once() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.server.abort(id);
    assert_eq!(world.server.status(id), Status::Gone);
    assert_eq!(world.server.receive(id, &mut |_| 0), Received::Gone);
    world.run(5, |world| world.state(handle) == State::Closed);
    assert_eq!(world.server.statistics().connections, 0);
}

#[test]
fn a_stale_id_answers_gone() {
    let mut world = World::new(options(), App::Manual);
    let (old, handle) = world.established();
    world.server.abort(old);
    world.run(5, |world| world.state(handle) == State::Closed);
    let (new, _) = world.established();
    assert_eq!(old.index, new.index, "the place is used again");
    let never = ConnectionId {
        index: 999,
        generation: 0,
    };
    for id in [old, never] {
        assert_eq!(world.server.status(id), Status::Gone);
        assert_eq!(world.server.send(id, &[b"x"]), 0);
        assert_eq!(world.server.send_room(id), 0);
        assert_eq!(world.server.receive(id, &mut |_| 0), Received::Gone);
        world.server.finish(id);
        world.server.abort(id);
    }
    assert_eq!(world.server.status(new), Status::Open);
}

#[test]
fn who_finishes_first_keeps_no_buffers() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.server.send(id, &[b"bye"]);
    world.server.finish(id);
    world.run(5, |world| world.state(handle) == State::CloseWait);
    world.socket(handle).close();
    world.run(5, |world| world.server.status(id) == Status::Gone);
    assert_eq!(world.server.statistics().buffer_bytes, 0);
    assert_eq!(world.server.time_wait(), 1);
    world.run(5, |world| world.state(handle) == State::Closed);
}

#[test]
fn an_old_connection_acknowledges_its_last_fin_again_and_yields_to_a_new_syn() {
    let mut world = World::new(options(), App::Manual);
    let mut enemy = raw::Enemy::new(5000);
    let id = enemy.establish(&mut world);
    world.server.finish(id);
    world.step_server();
    let fin = raw::tcp_frames(&mut world).pop().unwrap();
    assert_eq!(fin.control, TcpControl::Fin);
    enemy.ack = fin.seq.wrapping_add(1);
    enemy.send(&mut world, TcpControl::Fin, b"");
    let last = raw::tcp_frames(&mut world).pop().unwrap();
    assert_eq!(last.ack, Some(enemy.seq.wrapping_add(1)));
    assert_eq!(
        (
            world.server.time_wait(),
            world.server.statistics().connections
        ),
        (1, 0)
    );

    enemy.send(&mut world, TcpControl::Fin, b"");
    assert_eq!(
        raw::tcp_frames(&mut world).pop().unwrap(),
        last,
        "the last ACK again"
    );
    enemy.send(&mut world, TcpControl::Rst, b"");
    assert_eq!(
        world.server.time_wait(),
        1,
        "a reset does not shorten it (RFC 1337)"
    );

    enemy.seq = enemy.seq.wrapping_sub(5);
    enemy.syn(&mut world);
    assert_eq!(
        raw::tcp_frames(&mut world).pop().unwrap().control,
        TcpControl::None
    );
    enemy.seq = enemy.seq.wrapping_add(100);
    let id = enemy.establish(&mut world);
    assert_eq!(world.server.time_wait(), 0);
    assert_eq!(world.server.status(id), Status::Open);
}

#[test]
fn an_idle_peer_that_answers_stays_and_one_that_vanished_goes() {
    let mut world = World::new(options(), App::Manual);
    let (id, _) = world.established();
    world.pass(3600);
    assert_eq!(world.server.status(id), Status::Open);
    world.peer_is_deaf = true;
    world.pass(200);
    assert_eq!(
        world.server.status(id),
        Status::Open,
        "one lost question is no death"
    );
    world.pass(60);
    assert_eq!(world.server.status(id), Status::Gone);
    assert!(world.ready.contains(&id));
    assert_eq!(world.server.statistics().buffer_bytes, 0);
}

#[test]
fn a_peer_that_owes_an_acknowledgement_goes_after_two_minutes() {
    let mut world = World::new(options(), App::Manual);
    let (id, _) = world.established();
    world.peer_is_deaf = true;
    world.server.send(id, &[b"hello?"]);
    world.pass(115);
    assert_eq!(world.server.status(id), Status::Open);
    world.pass(10);
    assert_eq!(world.server.status(id), Status::Gone);
}

#[test]
fn a_peer_that_never_finishes_is_left_after_a_minute() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.server.finish(id);
    world.pass(55);
    assert_eq!(world.state(handle), State::CloseWait);
    assert_eq!(world.server.status(id), Status::Closing);
    world.pass(10);
    assert_eq!(world.server.status(id), Status::Gone);
    assert_eq!(world.state(handle), State::Closed, "it was told");
}

#[test]
fn connections_survive_ten_minutes_without_a_link() {
    let mut world = World::new(options(), App::Manual);
    let (idle, _) = world.established();
    let (busy, handle) = world.established();
    world.peer_is_deaf = true;
    world.server.send(busy, &[b"before"]);
    world.pass(2);
    world.server.set_link(None);
    let sent = world.to_peer.count;
    world.pass(600);
    assert_eq!(world.to_peer.count, sent, "nothing is sent without a link");
    assert_eq!(world.server.send(busy, &[b" and after"]), 10);
    world.server.set_link(Some(crate::world::LINK));
    world.peer_is_deaf = false;
    world.run(60, |world| world.socket(handle).recv_queue() == 16);
    let mut got = [0; 16];
    world.socket(handle).recv_slice(&mut got).unwrap();
    assert_eq!(&got, b"before and after");
    assert_eq!(world.server.status(busy), Status::Open);
    assert_eq!(world.server.status(idle), Status::Open);
}

#[test]
fn nothing_is_left_of_a_thousand_connections() {
    let options = Options {
        buffer_bytes: 1 << 20,
        connections_max: 32,
        ..options()
    };
    let mut world = World::new(options, App::Echo);
    for round in 0..1000 {
        let handle = world.connect_with(1024);
        world.run(5, |world| world.accepted.len() == round + 1);
        match round % 3 {
            0 => world.socket(handle).abort(),
            1 => world.socket(handle).close(),
            _ => {
                let id = world.accepted.last().unwrap().id;
                world.server.finish(id);
                world.run(5, |world| world.state(handle) == State::CloseWait);
                world.socket(handle).close();
            }
        }
        world.run(30, |world| world.server.statistics().connections == 0);
        world.sockets.remove(handle);
    }
    let statistics = world.server.statistics();
    assert_eq!((statistics.accepted, statistics.refused.total()), (1000, 0));
    assert_eq!((statistics.buffer_bytes, world.server.half_open()), (0, 0));
}

#[test]
fn a_frame_from_another_mac_moves_the_connection_only_if_acceptable() {
    let mut world = World::new(options(), App::Manual);
    let mut enemy = raw::Enemy::new(5000);
    let id = enemy.establish(&mut world);
    let mut forged = enemy.clone();
    forged.mac = [2, 0, 0, 0, 0, 99];
    forged.seq = forged.seq.wrapping_add(1 << 30);
    forged.send(&mut world, TcpControl::Psh, b"not in the window");
    raw::frames(&mut world);
    world.server.send(id, &[b"x"]);
    world.step_server();
    assert_eq!(raw::frames(&mut world).pop().unwrap()[..6], CLIENT_MAC);
    enemy.mac = [2, 0, 0, 0, 0, 77];
    enemy.ack = enemy.ack.wrapping_add(1);
    enemy.send(&mut world, TcpControl::Psh, b"good");
    world.now += SECOND;
    world.server.send(id, &[b"y"]);
    world.step_server();
    assert_eq!(raw::frames(&mut world).pop().unwrap()[..6], enemy.mac);
    assert_eq!(PORT, world.accepted[0].port);
}

#[test]
fn what_came_before_a_good_end_can_still_be_read() {
    let mut world = World::new(options(), App::Manual);
    let (id, handle) = world.established();
    world.socket(handle).send_slice(b"last words").unwrap();
    world.socket(handle).close();
    world.run(5, |world| world.state(handle) == State::FinWait2);
    world.server.finish(id);
    world.run(5, |world| world.state(handle) == State::TimeWait);
    world.pass(2);
    let mut got = Vec::new();
    let mut take = |bytes: &[u8]| {
        got.extend_from_slice(bytes);
        bytes.len()
    };
    assert_eq!(world.server.receive(id, &mut take), Received::Bytes(10));
    assert_eq!(got, b"last words");
    assert_eq!(world.server.receive(id, &mut |_| 0), Received::Finished);
    world.step_server();
    assert_eq!(world.server.status(id), Status::Gone);
    assert_eq!(world.server.statistics().buffer_bytes, 0);
}

#[test]
fn news_is_named_once() {
    let mut world = World::new(options(), App::Manual);
    let mut client = raw::Enemy::new(5000);
    let id = client.establish(&mut world);
    assert!(world.ready.is_empty());
    for _ in 0..3 {
        let frame = client.frame(TcpControl::Psh, b"abc");
        world.to_server.frames.push_back(frame);
        client.seq += 3;
    }
    world.step_server();
    assert_eq!(world.ready, [id], "three segments, one piece of news");
    world.step_server();
    assert_eq!(world.ready, [id], "and no more without more");
    client.send(&mut world, TcpControl::Psh, b"abc");
    assert_eq!(world.ready, [id, id]);
}

#[test]
fn the_last_acknowledgement_goes_out_before_the_buffers_go() {
    let mut world = World::new(options(), App::Manual);
    let mut client = raw::Enemy::new(5000);
    let id = client.establish(&mut world);
    world.server.finish(id);
    world.step_server();
    let fin = raw::tcp_frames(&mut world).pop().unwrap();
    client.ack = fin.seq.wrapping_add(1);
    client.send(&mut world, TcpControl::Fin, b"tail");
    assert_eq!(
        world.server.receive(id, &mut |bytes| bytes.len()),
        Received::Bytes(4)
    );
    let mut last = None;
    while world.server.status(id) != Status::Gone {
        world.step_server();
        last = raw::tcp_frames(&mut world).pop().or(last);
        world.now = world.wake.unwrap_or(world.now).max(world.now + 1);
    }
    assert_eq!(last.unwrap().ack, Some(client.seq.wrapping_add(5)));
    assert_eq!(world.server.time_wait(), 1);
}

#[test]
fn a_connection_reset_before_it_was_accepted_is_not_handed_out() {
    let mut world = World::new(options(), App::Absent);
    let mut client = raw::Enemy::new(5000);
    client.syn(&mut world);
    let answer = raw::tcp_frames(&mut world).pop().unwrap();
    (client.seq, client.ack) = (client.seq + 1, answer.seq.wrapping_add(1));
    client.send(&mut world, TcpControl::None, b"");
    assert_eq!(world.server.statistics().backlog, 1);
    client.send(&mut world, TcpControl::Rst, b"");
    assert_eq!(world.server.statistics().backlog, 0);
    assert_eq!(world.server.accept(), None);
    assert_eq!(
        (world.ready.len(), world.server.statistics().buffer_bytes),
        (0, 0)
    );
}
