//! One connection: the states of RFC 9293 as two directions and an end.
//!
//! Source: RFC 9293, 3.3.2, 3.5, 3.6 and 3.10.

mod arrival;
mod departure;

pub(crate) use arrival::Verdict;

use super::FlowState;
use super::acks::Acks;
use super::inbound::Inbound;
use super::offer::Offer;
use super::outbound::Outbound;
use super::segment::{Flags, Segment};
use crate::peer::behaviour::Behaviour;
use std::net::SocketAddrV4;

/// RFC 9293, 3.7.1, for a guest that does not say.
const MSS_DEFAULT: u16 = 536;

#[derive(Debug)]
pub(crate) struct Connection {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    behaviour: Behaviour,
    outbound: Outbound,
    /// From the guest's SYN on.
    inbound: Option<Inbound>,
    offer: Option<Offer>,
    guest_mss: u16,
    /// How far the windows of both sides are shifted: ours, and the guest's.
    scales: (u8, u8),
    acks: Acks,
    end: Option<FlowState>,
    reset: Option<Segment>,
    closed_ns: Option<u64>,
}

impl Connection {
    pub(crate) fn open(
        now_ns: u64,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        initial: u32,
        behaviour: Behaviour,
    ) -> Connection {
        Connection {
            local,
            remote,
            behaviour,
            outbound: Outbound::new(now_ns, initial),
            inbound: None,
            offer: None,
            guest_mss: MSS_DEFAULT,
            scales: (0, 0),
            acks: Acks::default(),
            end: None,
            reset: None,
            closed_ns: None,
        }
    }

    /// The passive side, for tests against ourselves: in SYN-RECEIVED.
    #[cfg(test)]
    pub(crate) fn accept(now_ns: u64, syn: &Segment, initial: u32, behaviour: Behaviour) -> Self {
        let mut connection = Connection::open(now_ns, syn.to, syn.from, initial, behaviour);
        let offer = Offer::of(&connection.behaviour);
        let scale = offer.scale.and(syn.scale).and(offer.scale);
        connection.offer = Some(Offer { scale, ..offer });
        connection.begin(syn);
        connection
    }

    pub(crate) fn local(&self) -> SocketAddrV4 {
        self.local
    }

    pub(crate) fn remote(&self) -> SocketAddrV4 {
        self.remote
    }

    pub(crate) fn behaviour(&mut self) -> &mut Behaviour {
        &mut self.behaviour
    }

    pub(crate) fn state(&self) -> FlowState {
        let inbound = self.inbound.as_ref();
        if let Some(end) = &self.end {
            end.clone()
        } else if inbound.is_none() || !self.outbound.is_open() {
            FlowState::Connecting
        } else if !inbound.is_some_and(Inbound::is_finished) {
            FlowState::Open
        } else if !self.outbound.is_finished() {
            FlowState::PeerClosed
        } else {
            FlowState::Closed
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.end.is_none() {
            self.outbound.push(bytes);
        }
    }

    pub(crate) fn received(&mut self) -> Vec<u8> {
        self.inbound.as_mut().map(Inbound::take).unwrap_or_default()
    }

    pub(crate) fn finish(&mut self) {
        self.outbound.finish();
    }

    pub(crate) fn unacknowledged_bytes(&self) -> usize {
        self.outbound.waiting_bytes()
    }

    /// RFC 9293, 3.10.5: only a synchronized connection says farewell.
    pub(crate) fn abort(&mut self) {
        if matches!(self.state(), FlowState::Connecting) {
            self.end = Some(FlowState::Reset);
        } else if matches!(self.state(), FlowState::Open | FlowState::PeerClosed) {
            self.reset = Some(self.segment(Flags::RST.and(Flags::ACK), 0));
            self.end = Some(FlowState::Reset);
        }
    }

    /// Ends it for a violation, whose segment is then refused.
    pub(crate) fn condemn(&mut self, what: String) {
        self.end = Some(FlowState::ProtocolError(what));
    }
}
