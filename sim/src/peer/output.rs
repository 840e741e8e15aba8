//! What the peer sends next, and when.

use super::arp::{self, Operation};
use super::ethernet::{self, Header, Mac};
use super::icmp::{self, Message};
use super::ipv4;
use super::tcp::segment;
use super::{Flow, Peer};
use std::net::Ipv4Addr;
use std::ops::Bound::{Excluded, Unbounded};

impl Peer {
    /// The next frame to send now; to be called until there is none.
    pub fn transmit(&mut self, now_ns: u64) -> Option<Vec<u8>> {
        self.now_ns = now_ns;
        self.answers
            .pop_front()
            .or_else(|| self.transmit_question())
            .or_else(|| self.transmit_ping())
            .or_else(|| self.transmit_segment())
    }

    /// When `transmit` is to be called again; a time that is past means at once.
    pub fn deadline_ns(&self) -> Option<u64> {
        let reachable = |address| self.neighbours.known(address).is_some();
        if !self.answers.is_empty() || self.pings.is_due(reachable) {
            return Some(self.now_ns);
        }
        let flows = self.flows.values().filter_map(|connection| {
            if reachable(*connection.remote().ip()) {
                connection.deadline_ns(self.now_ns)
            } else {
                connection.give_up_ns()
            }
        });
        flows.chain(self.neighbours.deadline_ns()).min()
    }

    fn transmit_question(&mut self) -> Option<Vec<u8>> {
        let mut wanted = self.pings.hosts(self.now_ns);
        for connection in self.flows.values_mut() {
            connection.check_hope(self.now_ns);
            wanted.extend(connection.give_up_ns().map(|_| *connection.remote().ip()));
        }
        let address = self.neighbours.ask(self.now_ns, &wanted)?;
        let request = arp::Packet {
            operation: Operation::Request,
            sender: (self.mac, self.address),
            target: ([0; 6], address),
        };
        let bytes = arp::emit(request);
        Some(self.frame(ethernet::BROADCAST, ethernet::KIND_ARP, &bytes))
    }

    fn transmit_ping(&mut self) -> Option<Vec<u8>> {
        let neighbours = &self.neighbours;
        let reachable = |address| neighbours.known(address).is_some();
        let (to, echo) = self.pings.request(reachable)?;
        let mac = self.neighbours.known(to)?;
        let bytes = icmp::emit(&Message::Request(echo));
        Some(self.packet(mac, to, ipv4::PROTOCOL_ICMP, &bytes))
    }

    fn transmit_segment(&mut self) -> Option<Vec<u8>> {
        let later = self.flows.range((Excluded(self.served), Unbounded));
        let earlier = self.flows.range(..=self.served);
        let order: Vec<Flow> = later.chain(earlier).map(|(flow, _)| *flow).collect();
        for flow in order {
            let now_ns = self.now_ns;
            let connection = self.flows.get_mut(&flow).expect("it was listed just now");
            let to = *connection.remote().ip();
            let Some(mac) = self.neighbours.known(to) else {
                continue;
            };
            if let Some(segment) = connection.transmit(now_ns) {
                self.served = flow;
                let bytes = segment::emit(&segment);
                return Some(self.packet(mac, to, ipv4::PROTOCOL_TCP, &bytes));
            }
        }
        None
    }

    pub(super) fn frame(&self, to: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
        let from = self.mac;
        ethernet::emit(Header { to, from, kind }, payload)
    }

    pub(super) fn packet(
        &mut self,
        mac: Mac,
        to: Ipv4Addr,
        protocol: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let header = ipv4::Header {
            from: self.address,
            to,
            protocol,
            identification: self.identification,
        };
        self.identification = self.identification.wrapping_add(1);
        self.frame(mac, ethernet::KIND_IPV4, &ipv4::emit(header, payload))
    }
}
