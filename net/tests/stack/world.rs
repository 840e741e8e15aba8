//! A world of one stack, one peer and the wire between them.

use net::{
    Accepted, AddressConfig, ConnectionId, Frames, Ipv4Cidr, Link, Options, Received, SmolStack,
    Stack, Status,
};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PORT: u16 = 80;
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const LINK: Link = Link {
    mac: SERVER_MAC,
    mtu_bytes: 1500,
};

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One direction of the wire.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) frames: VecDeque<Vec<u8>>,
    pub(crate) count: u64,
}

/// How bad the wire is, each in a thousand.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) swapped: usize,
}

impl Lane {
    pub(crate) fn put(&mut self, frame: Vec<u8>, faults: Faults, dice: &mut Dice) {
        self.count += 1;
        if dice.below(1000) < faults.lost {
            return;
        }
        if dice.below(1000) < faults.twice {
            self.frames.push_back(frame.clone());
        }
        let back = if dice.below(1000) < faults.swapped {
            dice.below(4)
        } else {
            0
        };
        let place = self.frames.len().saturating_sub(back);
        self.frames.insert(place, frame);
    }
}

/// The stack's end of the wire.
pub(crate) struct Port<'a> {
    pub(crate) incoming: &'a mut Lane,
    pub(crate) outgoing: &'a mut Lane,
    pub(crate) faults: Faults,
    pub(crate) dice: &'a mut Dice,
}

impl Frames for Port<'_> {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.incoming
            .frames
            .pop_front()
            .map(|frame| take(&frame))
            .is_some()
    }

    fn transmit_room(&self) -> usize {
        64
    }

    fn transmit(&mut self, segments: &[&[u8]]) -> bool {
        self.outgoing.put(segments.concat(), self.faults, self.dice);
        true
    }
}

/// The peer's end of it.
struct PeerPort<'a> {
    incoming: &'a mut Lane,
    outgoing: &'a mut Lane,
    faults: Faults,
    dice: &'a mut Dice,
}

pub(crate) struct PeerRx(Vec<u8>);
pub(crate) struct PeerTx<'a>(&'a mut Lane, Faults, &'a mut Dice);

impl RxToken for PeerRx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for PeerTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.put(frame, self.1, self.2);
        result
    }
}

impl Device for PeerPort<'_> {
    type RxToken<'b>
        = PeerRx
    where
        Self: 'b;
    type TxToken<'b>
        = PeerTx<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(PeerRx, PeerTx<'_>)> {
        let frame = self.incoming.frames.pop_front()?;
        Some((PeerRx(frame), PeerTx(self.outgoing, self.faults, self.dice)))
    }

    fn transmit(&mut self, _: Instant) -> Option<PeerTx<'_>> {
        Some(PeerTx(self.outgoing, self.faults, self.dice))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// What the stack's user does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// Sends back what it gets, and finishes when the peer did.
    Echo,
    /// Accepts, and leaves the rest to the test.
    Manual,
    /// Not even that.
    Absent,
}

/// All of it.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) server: SmolStack,
    pub(crate) wake: Option<u64>,
    pub(crate) app: App,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) ready: Vec<ConnectionId>,
    echoes: BTreeMap<ConnectionId, (VecDeque<u8>, bool)>,
    pub(crate) to_server: Lane,
    pub(crate) to_peer: Lane,
    pub(crate) faults: Faults,
    pub(crate) dice: Dice,
    peer: Interface,
    pub(crate) sockets: SocketSet<'static>,
    next_port: u16,
    pub(crate) peer_is_deaf: bool,
}

pub(crate) fn options() -> Options {
    Options {
        address: AddressConfig::Static {
            address: Ipv4Cidr {
                address: SERVER,
                prefix_len: 24,
            },
            gateway: Some(CLIENT),
        },
        seed: [7; 32],
        link: Some(LINK),
        ..Options::default()
    }
}

fn at(now: u64) -> Instant {
    Instant::from_micros((now / 1000) as i64)
}

impl World {
    pub(crate) fn new(options: Options, app: App) -> World {
        let mut dice = Dice(1);
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(CLIENT_MAC)));
        config.random_seed = 42;
        let (mut a, mut b) = (Lane::default(), Lane::default());
        let mut port = PeerPort {
            incoming: &mut a,
            outgoing: &mut b,
            faults: Faults::default(),
            dice: &mut dice,
        };
        let mut peer = Interface::new(config, &mut port, Instant::ZERO);
        peer.update_ip_addrs(|list| list.push(IpCidr::new(CLIENT.into(), 24)).unwrap());
        let mut server = SmolStack::new(options);
        server.listen(PORT, 1024).unwrap();
        World {
            now: SECOND,
            server,
            wake: None,
            app,
            accepted: Vec::new(),
            ready: Vec::new(),
            echoes: BTreeMap::new(),
            to_server: Lane::default(),
            to_peer: Lane::default(),
            faults: Faults::default(),
            dice,
            peer,
            sockets: SocketSet::new(Vec::new()),
            next_port: 10_000,
            peer_is_deaf: false,
        }
    }

    pub(crate) fn connect(&mut self) -> SocketHandle {
        self.connect_with(64 << 10)
    }

    pub(crate) fn connect_with(&mut self, buffer_bytes: usize) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; buffer_bytes]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        let to = (IpAddress::Ipv4(SERVER), PORT);
        self.next_port = if self.next_port == 60_000 {
            10_000
        } else {
            self.next_port + 1
        };
        socket
            .connect(self.peer.context(), to, self.next_port)
            .unwrap();
        self.sockets.add(socket)
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn state(&mut self, handle: SocketHandle) -> tcp::State {
        self.socket(handle).state()
    }

    /// The stack's step, and its user's.
    pub(crate) fn step_server(&mut self) {
        let mut port = Port {
            incoming: &mut self.to_server,
            outgoing: &mut self.to_peer,
            faults: self.faults,
            dice: &mut self.dice,
        };
        self.wake = self.server.step(self.now, &mut port);
        if self.app != App::Absent {
            while let Some(accepted) = self.server.accept() {
                self.accepted.push(accepted);
                if self.app == App::Echo {
                    self.echoes.insert(accepted.id, (VecDeque::new(), false));
                }
            }
        }
        while let Some(id) = self.server.ready() {
            self.ready.push(id);
            if self.app == App::Echo {
                self.echo(id);
            }
        }
        let mut port = Port {
            incoming: &mut Lane::default(),
            outgoing: &mut self.to_peer,
            faults: self.faults,
            dice: &mut self.dice,
        };
        let wake = self.server.step(self.now, &mut port);
        self.wake = if self.to_server.frames.is_empty() {
            wake
        } else {
            Some(self.now)
        };
    }

    fn echo(&mut self, id: ConnectionId) {
        let Some((queue, finished)) = self.echoes.get_mut(&id) else {
            return;
        };
        loop {
            let mut took = 0;
            if queue.len() < 16 << 10 {
                match self.server.receive(id, &mut |bytes| {
                    queue.extend(bytes);
                    bytes.len()
                }) {
                    Received::Bytes(bytes) => took = bytes,
                    Received::Finished => *finished = true,
                    Received::Nothing | Received::Gone => {}
                }
            }
            let (a, b) = queue.as_slices();
            let sent = self.server.send(id, &[a, b]);
            queue.drain(..sent);
            if took == 0 && sent == 0 {
                break;
            }
        }
        if *finished && queue.is_empty() {
            self.server.finish(id);
        }
        if self.server.status(id) == Status::Gone {
            self.echoes.remove(&id);
        }
    }

    fn step_peer(&mut self) {
        if self.peer_is_deaf {
            self.to_peer.frames.clear();
            return;
        }
        let mut port = PeerPort {
            incoming: &mut self.to_peer,
            outgoing: &mut self.to_server,
            faults: self.faults,
            dice: &mut self.dice,
        };
        self.peer.poll(at(self.now), &mut port, &mut self.sockets);
    }

    /// Both, and then time moves: a little if something is on the wire, else to what is due.
    pub(crate) fn turn(&mut self, until: u64) {
        self.step_server();
        self.step_peer();
        let busy = !self.to_server.frames.is_empty() || !self.to_peer.frames.is_empty();
        let peer = match self.peer_is_deaf {
            true => None,
            false => self.peer.poll_at(at(self.now), &self.sockets),
        };
        let peer = peer.map(|at| at.total_micros() as u64 * 1000);
        let due = [self.wake, peer]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(until);
        let next = if busy {
            self.now + 50_000
        } else {
            due.max(self.now + 50_000)
        };
        self.now = next.min(until.max(self.now + 50_000));
    }

    /// Goes on until `done` says so; fails after `seconds`.
    pub(crate) fn run(&mut self, seconds: u64, mut done: impl FnMut(&mut World) -> bool) {
        let end = self.now + seconds * SECOND;
        while !done(self) {
            assert!(self.now < end, "not done after {seconds} s");
            self.turn(end);
        }
    }

    /// Goes on for some time.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.now + seconds * SECOND;
        while self.now < end {
            self.turn(end);
        }
    }

    /// A connection that is established on both ends; its id and the peer's socket.
    pub(crate) fn established(&mut self) -> (ConnectionId, SocketHandle) {
        let before = self.accepted.len();
        let handle = self.connect();
        self.run(5, |world| {
            world.accepted.len() > before && world.state(handle) == tcp::State::Established
        });
        (self.accepted[before].id, handle)
    }
}
