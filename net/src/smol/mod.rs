//! The stack over smoltcp.
//!
//! Three things that smoltcp 0.14 does not have are around it, not in it: a
//! demultiplexer (its cost grows with the sockets of a set, so each connection
//! is a set of its own), listeners with a backlog (`handshake`), and a
//! TIME-WAIT that holds no buffers (`time_wait`). TCP runs on an interface of
//! IP packets; the Ethernet header is ours, and a connection answers to the MAC
//! address its last acceptable segment came from.
//!
//! # A segment's life
//!
//! [`step`](SmolStack::advance) → `demux::classify` → `take_tcp` → `feed`, which
//! polls one set and marks the connection dirty → `poll_dirty` → `conclude`.

mod budget;
mod clock;
mod connection;
mod control;
mod craft;
mod datagrams;
mod half_open;
mod handshake;
mod pipe;
mod seeds;
mod step;
mod table;
mod time_wait;

use crate::address::{AddressConfig, Lease};
use crate::stack::{
    Accepted, ConnectionId, DatagramError, Endpoint, Frames, Link, ListenError, Received, Stack,
    Standing, Statistics, Status,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use budget::{Budget, RECEIVE_BYTES_MIN};
use clock::Clock;
use connection::Owner;
use control::Control;
use half_open::HalfOpenTable;
use pipe::{HEADER_BYTES, Pipe};
use seeds::Seeds;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::wire::HardwareAddress;
use table::Table;
use time_wait::TimeWait;

/// The smallest and the largest MTU taken at its word.
const MTU_BYTES: core::ops::RangeInclusive<u16> = 576..=9216;

/// How to make a [`SmolStack`].
#[derive(Clone, Debug)]
pub struct Options {
    /// How to get an address.
    pub address: AddressConfig,
    /// From a good source, and never the same twice: sequence numbers come from it.
    pub seed: [u8; 32],
    /// Memory for all socket buffers. The smallest connection takes 12 KiB of it.
    pub buffer_bytes: u64,
    /// Most connections at once; fewer if the memory does not suffice.
    pub connections_max: u32,
    /// SYNs answered and not yet confirmed, about 150 bytes each.
    pub half_open_max: u32,
    /// Our name, for the DHCP server; may be empty.
    pub hostname: String,
    /// The link, if it is there already.
    pub link: Option<Link>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            address: AddressConfig::Dhcp,
            seed: [0; 32],
            buffer_bytes: 2 << 20,
            connections_max: 256,
            half_open_max: 512,
            hostname: String::new(),
            link: None,
        }
    }
}

struct Listener {
    backlog: u32,
    waiting: u32,
}

struct Attached {
    mac: [u8; 6],
    /// Has no sockets; each poll is given the set of the connection it is for.
    tcp: Interface,
}

/// [`Stack`] over smoltcp.
pub struct SmolStack {
    seeds: Seeds,
    clock: Clock,
    link: Option<Attached>,
    control: Control,
    budget: Budget,
    table: Table,
    half_open: HalfOpenTable,
    time_wait: TimeWait,
    listeners: BTreeMap<u16, Listener>,
    accepts: VecDeque<ConnectionId>,
    news: VecDeque<ConnectionId>,
    /// The one frame buffer, as long as the link's frames.
    frame: Vec<u8>,
    /// Length of the answer in it, to the frame being taken.
    reply_bytes: usize,
    /// A set without sockets.
    nobody: SocketSet<'static>,
    /// The socket that shows what a SYN is answered.
    rehearsal: (SocketSet<'static>, SocketHandle),
    counts: Statistics,
    polls: u64,
}

impl SmolStack {
    /// Makes one; it does nothing before [`Stack::step`].
    pub fn new(options: Options) -> SmolStack {
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let buffer = |bytes: usize| SocketBuffer::new(vec![0; bytes]);
        let handle = set.add(Socket::new(buffer(RECEIVE_BYTES_MIN), buffer(0)));
        let mut stack = SmolStack {
            seeds: Seeds::new(&options.seed),
            clock: Clock::default(),
            link: None,
            control: Control::new(options.address, &options.hostname),
            budget: Budget::new(options.buffer_bytes, options.connections_max),
            table: Table::default(),
            half_open: HalfOpenTable::new(options.half_open_max as usize),
            time_wait: TimeWait::default(),
            listeners: BTreeMap::new(),
            accepts: VecDeque::new(),
            news: VecDeque::new(),
            frame: Vec::new(),
            reply_bytes: 0,
            nobody: SocketSet::new(Vec::new()),
            rehearsal: (set, handle),
            counts: Statistics::default(),
            polls: 0,
        };
        stack.set_link(options.link);
        stack
    }

    /// Takes a new secret, as after a restore from a snapshot that may be restored twice.
    pub fn reseed(&mut self, seed: &[u8; 32]) {
        self.seeds = Seeds::new(seed);
    }

    /// How often a connection's socket was polled since start; each poll touches one socket.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// SYNs answered and not yet confirmed.
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// Old connections remembered in TIME-WAIT.
    pub fn time_wait(&self) -> usize {
        self.time_wait.len()
    }
}

impl Stack for SmolStack {
    fn step(&mut self, now_ns: u64, frames: &mut dyn Frames) -> Option<u64> {
        self.advance(now_ns, frames)
    }

    fn lease(&self) -> Option<Lease> {
        self.control.lease()
    }

    fn configure(&mut self, config: AddressConfig) {
        self.control.configure(config);
    }

    fn announce(&mut self) {
        self.control.announce();
    }

    fn listen(&mut self, port: u16, backlog: u16) -> Result<(), ListenError> {
        if port == 0 {
            return Err(ListenError::BadPort);
        }
        if self.listeners.contains_key(&port) {
            return Err(ListenError::InUse);
        }
        let backlog = u32::from(backlog.max(1));
        self.listeners.insert(
            port,
            Listener {
                backlog,
                waiting: 0,
            },
        );
        Ok(())
    }

    fn accept(&mut self) -> Option<Accepted> {
        loop {
            let id = self.accepts.pop_front()?;
            let Some(connection) = self.table.get_mut(id) else {
                continue;
            };
            connection.owner = Owner::User;
            let accepted = Accepted {
                id,
                port: connection.port,
                peer: connection.endpoint(),
            };
            let has_news = connection.has_news_at_first();
            connection.told = has_news;
            if has_news {
                self.news.push_back(id);
            }
            if let Some(listener) = self.listeners.get_mut(&accepted.port) {
                listener.waiting = listener.waiting.saturating_sub(1);
            }
            self.counts.accepted += 1;
            return Some(accepted);
        }
    }

    fn ready(&mut self) -> Option<ConnectionId> {
        let id = self.news.pop_front()?;
        if let Some(connection) = self.table.get_mut(id) {
            connection.told = false;
        }
        Some(id)
    }

    fn receive(&mut self, id: ConnectionId, take: &mut dyn FnMut(&[u8]) -> usize) -> Received {
        let Some(connection) = self.table.get_mut(id).filter(|c| c.owner == Owner::User) else {
            return Received::Gone;
        };
        let received = connection.receive(take);
        if matches!(received, Received::Bytes(1..)) {
            self.table.mark_dirty(id.index);
        }
        received
    }

    fn send_room(&self, id: ConnectionId) -> usize {
        let connection = self.table.get(id).filter(|c| c.owner == Owner::User);
        connection.map_or(0, |connection| connection.send_room())
    }

    fn send(&mut self, id: ConnectionId, segments: &[&[u8]]) -> usize {
        let Some(connection) = self.table.get_mut(id).filter(|c| c.owner == Owner::User) else {
            return 0;
        };
        let queued = connection.send(segments);
        if queued > 0 {
            self.table.mark_dirty(id.index);
        }
        queued
    }

    fn finish(&mut self, id: ConnectionId) {
        let now = self.clock.connections();
        if let Some(connection) = self.table.get_mut(id)
            && !connection.finished
        {
            connection.finished = true;
            connection.moved_at = now;
            connection.socket_mut().close();
            self.table.mark_dirty(id.index);
        }
    }

    fn abort(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        if connection.owner == Owner::User {
            connection.owner = Owner::Nobody;
        }
        connection.complete = false;
        connection.socket_mut().abort();
        if self.link.is_some() {
            self.table.mark_dirty(id.index);
        } else {
            self.release(id.index);
        }
    }

    fn status(&self, id: ConnectionId) -> Status {
        self.table
            .get(id)
            .map_or(Status::Gone, |connection| connection.status())
    }

    fn standing(&self, id: ConnectionId) -> Option<Standing> {
        let connection = self.table.get(id)?;
        Some(Standing {
            untaken_bytes: connection.snapshot().unsent,
            moved_ns: self.clock.to_world(connection.moved_at),
        })
    }

    fn send_datagram(&mut self, to: Endpoint, payload: &[u8]) -> Result<(), DatagramError> {
        let bytes_max = self.datagram_bytes_max();
        self.control.send_datagram(to, payload, bytes_max)
    }

    fn datagram_bytes_max(&self) -> usize {
        self.frame
            .len()
            .saturating_sub(HEADER_BYTES + datagrams::HEADERS_BYTES)
    }

    fn has_datagrams(&self) -> bool {
        self.control.has_datagrams()
    }

    fn set_link(&mut self, link: Option<Link>) {
        let link = link.filter(|link| link.mac[0] & 1 == 0);
        let Some(link) = link else {
            if self.link.take().is_some() {
                self.clock.stop();
            }
            self.control.detach();
            return;
        };
        let mtu_bytes = link.mtu_bytes.clamp(*MTU_BYTES.start(), *MTU_BYTES.end());
        self.frame = vec![0; HEADER_BYTES + usize::from(mtu_bytes)];
        let seed = self.seeds.draw(0, self.clock.world());
        self.control.attach(link.mac, seed, &mut self.frame);
        let config = Config::new(HardwareAddress::Ip);
        let mut pipe = Pipe::ip(None, &mut self.frame);
        let mut tcp = Interface::new(config, &mut pipe, clock::instant(0));
        if let Some(lease) = self.control.lease() {
            tcp.update_ip_addrs(|addresses| {
                let address = control::ip_cidr(lease.address);
                addresses
                    .push(address)
                    .expect("there is room for one address");
            });
        }
        self.link = Some(Attached { mac: link.mac, tcp });
    }

    fn statistics(&self) -> Statistics {
        let (used, total) = self.budget.bytes();
        Statistics {
            connections: u32::try_from(self.table.len()).unwrap_or(u32::MAX),
            connections_max: self.budget.connections_max(),
            connections_reserved: self.budget.reserved(),
            backlog: u32::try_from(self.accepts.len()).unwrap_or(u32::MAX),
            half_open: u32::try_from(self.half_open.len()).unwrap_or(u32::MAX),
            half_open_max: self.half_open.len_max(),
            buffer_bytes: used,
            buffer_bytes_max: total,
            ..self.counts
        }
    }
}
