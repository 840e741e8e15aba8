//! A host on the guest's network that opens TCP connections, and judges the guest.
//!
//! It shares nothing with the stack that it talks to, so that it cannot agree
//! with its mistakes. It is a function of what is handed in: frames, times and
//! a seed. That frames are lost, doubled or reordered is the work of the world
//! between; what the guest does against a contract stands in `Peer::errors`.
//!
//! Source: RFC 826; RFC 791; RFC 792; RFC 9293; RFC 6298.

mod arp;
mod behaviour;
mod checksum;
mod ethernet;
mod icmp;
mod input;
mod ipv4;
mod output;
mod pings;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub use behaviour::{Behaviour, Reads, Talks};
pub use tcp::FlowState;
pub use udp::Datagram;

use crate::random::Random;
use arp::Neighbours;
use ethernet::Mac;
use pings::Pings;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use tcp::connection::Connection;

const MTU_DEFAULT_BYTES: u16 = 1500;
/// RFC 791: what every host takes, and more than our largest headers.
const MTU_MIN_BYTES: u16 = 68;
/// RFC 6335, 6.
const PORT_MIN: u16 = 49152;
/// More would only say the same again.
const ERRORS_MAX: usize = 1000;
/// Answers that wait for `transmit`; what comes beyond is lost, as on any network.
const ANSWERS_MAX: usize = 1024;

/// One TCP connection of a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Flow(u32);

/// A host with one address.
#[derive(Debug)]
pub struct Peer {
    mac: Mac,
    address: Ipv4Addr,
    mtu_bytes: u16,
    random: Random,
    /// The last time handed in, at which something may have become due.
    now_ns: u64,
    neighbours: Neighbours,
    pings: Pings,
    /// Frames that answer frames.
    answers: VecDeque<Vec<u8>>,
    flows: BTreeMap<Flow, Connection>,
    /// The flow that sent last, so that the next one comes first.
    served: Flow,
    opened: u32,
    next_port: u16,
    identification: u16,
    errors: Vec<String>,
    datagrams: Vec<Datagram>,
    #[cfg(test)]
    listening: Option<u16>,
}

impl Peer {
    /// A host that has said nothing yet, on a link whose MTU is 1500.
    pub fn new(mac: [u8; 6], address: Ipv4Addr, mut random: Random) -> Self {
        let next_port = PORT_MIN | random.word() as u16;
        Peer {
            mac,
            address,
            mtu_bytes: MTU_DEFAULT_BYTES,
            now_ns: 0,
            neighbours: Neighbours::default(),
            pings: Pings::new(random.word() as u16),
            answers: VecDeque::new(),
            flows: BTreeMap::new(),
            served: Flow(0),
            opened: 0,
            next_port,
            identification: random.word() as u16,
            random,
            errors: Vec::new(),
            datagrams: Vec::new(),
            #[cfg(test)]
            listening: None,
        }
    }

    /// Sets the MTU of the link, which later connections start from; 68 at least.
    pub fn set_mtu_bytes(&mut self, mtu_bytes: u16) {
        assert!(mtu_bytes >= MTU_MIN_BYTES, "IPv4 needs an MTU of 68");
        self.mtu_bytes = mtu_bytes;
    }

    /// Opens a connection; the guest's hardware address is asked for first.
    pub fn connect(&mut self, now_ns: u64, to: SocketAddrV4) -> Flow {
        self.now_ns = now_ns;
        let local = SocketAddrV4::new(self.address, self.free_port());
        let initial = self.random.word() as u32;
        let behaviour = Behaviour::on_link(self.mtu_bytes);
        self.neighbours.want(now_ns, *to.ip());
        self.add(Connection::open(now_ns, local, to, initial, behaviour))
    }

    /// Queues bytes without bound; for a flow that has ended they are lost.
    ///
    /// # Panics
    ///
    /// After `finish`, while the connection stands.
    pub fn send(&mut self, flow: Flow, bytes: &[u8]) {
        self.connection(flow).send(bytes);
    }

    /// Takes what came, in order.
    pub fn received(&mut self, flow: Flow) -> Vec<u8> {
        self.connection(flow).received()
    }

    /// Sends a FIN behind what is queued.
    pub fn finish(&mut self, flow: Flow) {
        self.connection(flow).finish();
    }

    /// Resets the connection, and says so if it ever stood.
    pub fn abort(&mut self, flow: Flow) {
        self.connection(flow).abort();
    }

    /// Drops all that is known of a flow; what still comes for it is refused with a RST.
    pub fn forget(&mut self, flow: Flow) {
        self.flows.remove(&flow);
    }

    /// How the connection stands.
    pub fn state(&self, flow: Flow) -> FlowState {
        self.flows[&flow].state()
    }

    /// Bytes of data that were queued and not acknowledged; the FIN is none.
    pub fn unacknowledged(&self, flow: Flow) -> usize {
        self.flows[&flow].unacknowledged_bytes()
    }

    /// How the connection behaves.
    pub fn behaviour(&mut self, flow: Flow) -> &mut Behaviour {
        self.connection(flow).behaviour()
    }

    /// Our end of the connection.
    pub fn local(&self, flow: Flow) -> SocketAddrV4 {
        self.flows[&flow].local()
    }

    /// Sends an echo request once the hardware address is known.
    pub fn ping(&mut self, now_ns: u64, to: Ipv4Addr) {
        self.now_ns = now_ns;
        self.neighbours.want(now_ns, to);
        self.pings.queue(now_ns, to);
    }

    /// How many echo requests were answered.
    pub fn pongs(&self) -> u64 {
        self.pings.answered()
    }

    /// Takes the datagrams that came, in order.
    pub fn take_datagrams(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.datagrams)
    }

    /// What was wrong with what the guest sent, at most a thousand times.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    fn connection(&mut self, flow: Flow) -> &mut Connection {
        let connection = self.flows.get_mut(&flow);
        connection.expect("the flow is of this peer and not forgotten")
    }

    fn add(&mut self, connection: Connection) -> Flow {
        self.opened += 1;
        let flow = Flow(self.opened);
        self.flows.insert(flow, connection);
        flow
    }

    /// Ports follow each other, so that none is used again soon.
    fn free_port(&mut self) -> u16 {
        for _ in PORT_MIN..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(PORT_MIN);
            let takes = |connection: &Connection| connection.local().port() == port;
            if !self.flows.values().any(takes) {
                return port;
            }
        }
        panic!("there are flows on all ports: forget some");
    }

    fn complain(&mut self, what: &str) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(format!("at {} ns: {what}", self.now_ns));
        }
    }
}
