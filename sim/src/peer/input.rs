//! What the peer does with a frame.
//!
//! Source: RFC 826; RFC 1122, 3.2; RFC 9293, 3.10.7.

use super::arp::{self, Operation};
use super::ethernet::{self, Header, Mac};
use super::icmp::{self, Message};
use super::ipv4;
use super::tcp::connection::Verdict;
use super::tcp::segment::{self, Segment};
use super::{ANSWERS_MAX, Flow, Peer, udp};
use std::net::Ipv4Addr;

impl Peer {
    /// Takes a frame of any bytes.
    pub fn receive(&mut self, now_ns: u64, frame: &[u8]) {
        self.now_ns = now_ns;
        if let Err(what) = self.receive_frame(frame) {
            self.complain(&what);
        }
    }

    fn receive_frame(&mut self, frame: &[u8]) -> Result<(), String> {
        let most = ethernet::HEADER_BYTES + usize::from(self.mtu_bytes);
        if frame.len() > most {
            let bytes = frame.len();
            return Err(format!("frame of {bytes} bytes, where {most} is the most"));
        }
        let (header, payload) = ethernet::parse(frame).map_err(|error| error.to_string())?;
        if header.to != self.mac && header.to != ethernet::BROADCAST {
            return Ok(());
        }
        match header.kind {
            ethernet::KIND_ARP => self.receive_arp(header, payload),
            ethernet::KIND_IPV4 => self.receive_packet(header, payload),
            _ => Ok(()),
        }
    }

    fn receive_arp(&mut self, header: Header, payload: &[u8]) -> Result<(), String> {
        let packet = arp::parse(payload).map_err(|error| error.to_string())?;
        let (mac, address) = packet.sender;
        if mac != header.from {
            let from = header.from;
            return Err(format!("ARP of {mac:02x?} in a frame of {from:02x?}"));
        }
        if address == self.address {
            return Err(format!("ARP: {mac:02x?} takes our address {address}"));
        }
        let is_for_us = packet.target.1 == self.address;
        // RFC 5227, 1.1: a probe has no sender address to learn.
        if !address.is_unspecified() && (is_for_us || self.neighbours.known(address).is_some()) {
            self.neighbours.learn(address, mac);
        }
        if is_for_us && packet.operation == Operation::Request {
            let reply = arp::Packet {
                operation: Operation::Reply,
                sender: (self.mac, self.address),
                target: packet.sender,
            };
            let frame = self.frame(mac, ethernet::KIND_ARP, &arp::emit(reply));
            self.answer(frame);
        }
        Ok(())
    }

    fn receive_packet(&mut self, frame: Header, payload: &[u8]) -> Result<(), String> {
        let mac = frame.from;
        let (header, payload) = ipv4::parse(payload).map_err(|error| error.to_string())?;
        if header.to != self.address {
            return Ok(());
        }
        let from = header.from;
        if frame.to == ethernet::BROADCAST {
            return Err(format!("{from}: packet to {} is broadcast", header.to));
        }
        let named = |what: String| format!("{from}: {what}");
        match header.protocol {
            ipv4::PROTOCOL_ICMP => {
                let message = icmp::parse(payload).map_err(|error| named(error.to_string()))?;
                self.receive_icmp(mac, from, message).map_err(named)
            }
            ipv4::PROTOCOL_TCP => {
                let segment = segment::parse(from, self.address, payload);
                let segment = segment.map_err(|error| named(error.to_string()))?;
                self.receive_segment(mac, &segment)
            }
            ipv4::PROTOCOL_UDP => {
                let datagram = udp::parse(from, self.address, payload);
                let datagram = datagram.map_err(|error| named(error.to_string()))?;
                self.datagrams.push(datagram);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn receive_icmp(&mut self, mac: Mac, from: Ipv4Addr, message: Message) -> Result<(), String> {
        match message {
            Message::Request(echo) => {
                let reply = icmp::emit(&Message::Reply(echo));
                let frame = self.packet(mac, from, ipv4::PROTOCOL_ICMP, &reply);
                self.answer(frame);
                Ok(())
            }
            Message::Reply(echo) => self
                .pings
                .reply(from, &echo)
                .map_err(|expected| format!("echo reply is {echo:?}, not {expected:?}")),
            Message::Other(_) => Ok(()),
        }
    }

    fn receive_segment(&mut self, mac: Mac, segment: &Segment) -> Result<(), String> {
        let flow = self.flow_of(segment);
        #[cfg(test)]
        let flow = flow.or_else(|| self.accept(segment));
        let now_ns = self.now_ns;
        let connection = flow.and_then(|flow| self.flows.get_mut(&flow));
        let verdict = match connection {
            None => Verdict::Refused,
            Some(connection) => match connection.receive(now_ns, segment) {
                Ok(verdict) => verdict,
                Err(violation) => {
                    let what = format!("{segment}: {violation}");
                    connection.condemn(what.clone());
                    self.refuse(mac, segment);
                    return Err(what);
                }
            },
        };
        if verdict == Verdict::Refused {
            self.refuse(mac, segment);
        }
        Ok(())
    }

    fn flow_of(&self, segment: &Segment) -> Option<Flow> {
        let mut flows = self.flows.iter();
        let found = flows.find(|(_, connection)| {
            (connection.local(), connection.remote()) == (segment.to, segment.from)
        });
        found.map(|(flow, _)| *flow)
    }

    fn refuse(&mut self, mac: Mac, segment: &Segment) {
        if let Some(reset) = segment.reset_for() {
            let bytes = segment::emit(&reset);
            let frame = self.packet(mac, *reset.to.ip(), ipv4::PROTOCOL_TCP, &bytes);
            self.answer(frame);
        }
    }

    fn answer(&mut self, frame: Vec<u8>) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push_back(frame);
        }
    }
}
