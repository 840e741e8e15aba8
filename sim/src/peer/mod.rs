//! Who talks to the guest over the network: a host with TCP connections of its own making.
//!
//! It is written out of the RFCs, without a line of the stack under test, and
//! judges what it is sent: [`Peer::errors`] is what the guest did wrong.

mod flow;
mod frames;

pub use flow::FlowState;

use crate::random::Random;
use flow::Connection;
use frames::{Frame, Mac};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Pause between two questions for an address.
const ARP_RETRY_NS: u64 = 500_000_000;
/// The first of the ports it uses; the next connection has the next one.
const PORT_FIRST: u16 = 32_768;
/// Errors kept.
const ERRORS_MAX: usize = 100;

/// One TCP connection of the peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Flow(u64);

/// The host.
#[derive(Debug)]
pub struct Peer {
    me: (Mac, Ipv4Addr),
    random: Random,
    flows: BTreeMap<Flow, (SocketAddrV4, u16, Connection)>,
    next_flow: u64,
    neighbours: BTreeMap<Ipv4Addr, Mac>,
    asked: BTreeMap<Ipv4Addr, u64>,
    out: VecDeque<Vec<u8>>,
    errors: Vec<String>,
}

impl Peer {
    /// A host with these addresses.
    pub fn new(mac: [u8; 6], address: Ipv4Addr, random: Random) -> Peer {
        Peer {
            me: (mac, address),
            random,
            flows: BTreeMap::new(),
            next_flow: 0,
            neighbours: BTreeMap::new(),
            asked: BTreeMap::new(),
            out: VecDeque::new(),
            errors: Vec::new(),
        }
    }

    /// Begins a connection.
    pub fn connect(&mut self, now_ns: u64, to: SocketAddrV4) -> Flow {
        let flow = Flow(self.next_flow);
        self.next_flow += 1;
        let port = PORT_FIRST + (flow.0 % 28_000) as u16;
        let isn = self.random.word() as u32;
        let connection = Connection::new(now_ns, isn, port, to.port());
        self.flows.insert(flow, (to, port, connection));
        flow
    }

    fn connection(&mut self, flow: Flow) -> &mut Connection {
        &mut self.flows.get_mut(&flow).expect("a flow of this peer").2
    }

    /// Queues bytes to be sent.
    pub fn send(&mut self, flow: Flow, bytes: &[u8]) {
        self.connection(flow).send(bytes);
    }

    /// Takes what has come, in order.
    pub fn received(&mut self, flow: Flow) -> Vec<u8> {
        self.connection(flow).received()
    }

    /// Sends FIN after what is queued.
    pub fn finish(&mut self, flow: Flow) {
        self.connection(flow).finish();
    }

    /// Breaks the connection off.
    pub fn abort(&mut self, flow: Flow) {
        self.connection(flow).abort();
    }

    /// Where the connection stands.
    pub fn state(&self, flow: Flow) -> FlowState {
        self.flows[&flow].2.state.clone()
    }

    /// Bytes sent or queued and not acknowledged.
    pub fn unacknowledged(&self, flow: Flow) -> usize {
        self.flows[&flow].2.unacknowledged()
    }

    /// What the guest has done wrong.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// A frame has come.
    pub fn receive(&mut self, now_ns: u64, frame: &[u8]) {
        match frames::parse(frame) {
            Ok(None) => {}
            Ok(Some(Frame::ArpRequest { sender, target })) => {
                self.neighbours.insert(sender.1, sender.0);
                if target == self.me.1 {
                    self.out
                        .push_back(frames::arp(self.me, (Some(sender.0), sender.1)));
                }
            }
            Ok(Some(Frame::ArpReply { sender })) => {
                self.neighbours.insert(sender.1, sender.0);
            }
            Ok(Some(Frame::Tcp { from, to, segment })) if to == self.me.1 => {
                let mine = self.flows.values_mut().find(|(address, port, _)| {
                    *address == SocketAddrV4::new(from, segment.source_port)
                        && *port == segment.destination_port
                });
                if let Some((.., connection)) = mine {
                    connection.take(now_ns, &segment);
                    if let FlowState::ProtocolError(what) = &connection.state {
                        let what = what.clone();
                        self.note(what);
                    }
                }
            }
            Ok(Some(Frame::Tcp { .. })) => {}
            Err(error) => self.note(error),
        }
    }

    fn note(&mut self, error: String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }

    /// The next frame to be sent now.
    pub fn transmit(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        if let Some(frame) = self.out.pop_front() {
            return Some(frame);
        }
        for (to, _, connection) in self.flows.values_mut() {
            let Some(mac) = self.neighbours.get(to.ip()) else {
                let asked_ns = self.asked.get(to.ip());
                if asked_ns.is_none_or(|asked_ns| asked_ns + ARP_RETRY_NS <= now_ns) {
                    self.asked.insert(*to.ip(), now_ns);
                    return Some(frames::arp(self.me, (None, *to.ip())));
                }
                continue;
            };
            if let Some(segment) = connection.emit(now_ns) {
                return Some(frames::tcp(self.me, (*mac, *to.ip()), &segment));
            }
        }
        None
    }

    /// When something is to be sent without anything coming before.
    pub fn deadline_ns(&self) -> Option<u64> {
        let flows = self.flows.values();
        let deadlines = flows.filter_map(|(to, _, connection)| {
            if self.neighbours.contains_key(to.ip()) {
                connection.deadline_ns()
            } else if connection.is_alive() {
                self.asked
                    .get(to.ip())
                    .map(|asked_ns| asked_ns + ARP_RETRY_NS)
            } else {
                None
            }
        });
        deadlines.min()
    }
}
