//! Datagrams out.

use crate::raw;
use crate::world::{App, CLIENT, CLIENT_MAC, Faults, Lane, Port, SECOND, SERVER, World, options};
use net::{AddressConfig, DatagramError, Frames, Ipv4Cidr, Options, SmolStack, Stack};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use std::net::{Ipv4Addr, SocketAddrV4};

const LOG: SocketAddrV4 = SocketAddrV4::new(CLIENT, 514);

/// A socket of the peer that listens at [`LOG`].
fn listen(world: &mut World) -> SocketHandle {
    let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 64], vec![0; 64 << 10]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.bind(LOG.port()).expect("it is free");
    world.sockets.add(socket)
}

fn heard(world: &mut World, handle: SocketHandle) -> Vec<Vec<u8>> {
    let socket = world.sockets.get_mut::<Socket<'_>>(handle);
    let mut heard = Vec::new();
    while let Ok((payload, from)) = socket.recv() {
        assert_eq!(from.endpoint.addr, SERVER.into());
        heard.push(payload.to_vec());
    }
    heard
}

#[test]
fn they_come_in_order_once_the_neighbour_has_answered() {
    let mut world = World::new(options(), App::Manual);
    let handle = listen(&mut world);
    let sent: Vec<Vec<u8>> = (0..20u8)
        .map(|nth| vec![nth; usize::from(nth) * 50])
        .collect();
    world.step_server();
    for payload in &sent {
        assert_eq!(world.server.send_datagram(LOG, payload), Ok(()));
    }
    world.peer_is_deaf = true;
    world.pass(5);
    assert_eq!(heard(&mut world, handle).len(), 0);
    world.peer_is_deaf = false;
    world.pass(3);
    assert_eq!(heard(&mut world, handle), sent);
    let longest = vec![b'x'; world.server.datagram_bytes_max()];
    assert_eq!(longest.len(), 1_472);
    assert_eq!(world.server.send_datagram(LOG, &longest), Ok(()));
    world.pass(1);
    assert_eq!(heard(&mut world, handle), [longest]);
    assert_eq!(world.wake, None, "nothing is left to be done");
}

#[test]
fn another_network_is_reached_by_the_router() {
    let mut world = World::new(options(), App::Manual);
    world.pass(3);
    let far = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), 514);
    assert_eq!(world.server.send_datagram(far, b"far"), Ok(()));
    world.step_server();
    // The router is asked for, by ARP, and not the one far away.
    let asked = raw::frames(&mut world);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&asked[0][12..14], &asked[0][38..42]),
        (&[8, 6][..], &CLIENT.octets()[..])
    );
    world.pass(3);
    assert_eq!(world.server.send_datagram(far, b"further"), Ok(()));
    world.step_server();
    let sent = raw::frames(&mut world);
    let frame = sent.last().expect("it was sent");
    assert_eq!(frame[..6], CLIENT_MAC);
    assert_eq!(frame[30..34], far.ip().octets());
    assert!(frame.ends_with(b"further"));
}

#[test]
fn what_cannot_be_sent_is_said() {
    let alone = Options {
        address: AddressConfig::Static {
            address: Ipv4Cidr {
                address: SERVER,
                prefix_len: 24,
            },
            gateway: None,
        },
        ..options()
    };
    let mut stack = SmolStack::new(alone.clone());
    let send = |stack: &mut SmolStack, to: [u8; 4], port, bytes: usize| {
        let to = SocketAddrV4::new(Ipv4Addr::from(to), port);
        stack.send_datagram(to, &vec![0; bytes])
    };
    let near = CLIENT.octets();
    assert_eq!(
        send(&mut stack, [203, 0, 113, 9], 514, 1),
        Err(DatagramError::NoRoute)
    );
    assert_eq!(
        send(&mut stack, [0; 4], 514, 1),
        Err(DatagramError::NoRoute)
    );
    assert_eq!(send(&mut stack, near, 0, 1), Err(DatagramError::NoRoute));
    assert_eq!(
        send(&mut stack, near, 514, 1_473),
        Err(DatagramError::TooLong)
    );
    let waiting = (0..100).take_while(|_| send(&mut stack, near, 514, 400).is_ok());
    assert_eq!(waiting.count(), 32);
    assert_eq!(send(&mut stack, near, 514, 1), Err(DatagramError::Full));
    let mut stack = SmolStack::new(Options {
        link: None,
        ..alone
    });
    assert_eq!(send(&mut stack, near, 514, 1), Err(DatagramError::Away));
}

/// The stack's end of a wire that takes nothing.
struct Stuck<'a>(Port<'a>);

impl Frames for Stuck<'_> {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.0.receive(take)
    }

    fn transmit_room(&self) -> usize {
        0
    }

    fn transmit(&mut self, _: &[&[u8]]) -> bool {
        false
    }
}

#[test]
fn without_room_to_send_it_does_not_turn_round_and_round() {
    let mut world = World::new(options(), App::Manual);
    world.pass(3);
    assert_eq!(world.server.send_datagram(LOG, b"later"), Ok(()));
    let (mut incoming, mut outgoing) = (Lane::default(), Lane::default());
    let mut stuck = Stuck(Port {
        incoming: &mut incoming,
        outgoing: &mut outgoing,
        faults: Faults::default(),
        dice: &mut world.dice,
    });
    let wake = world.server.step(world.now, &mut stuck);
    assert!(
        wake.is_some_and(|at| at > world.now && at < world.now + SECOND),
        "{wake:?}"
    );
}
