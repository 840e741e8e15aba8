//! Peers against each other and against a scripted guest.

mod guest;
mod hostile;
mod network;
mod rules;
mod transfer;

use super::Peer;
use super::tcp::connection::Connection;
use super::tcp::segment::{Flags, Segment};
use super::{Behaviour, Flow};

impl Peer {
    /// Accepts connections to a port, so that two peers can talk.
    fn listen(&mut self, port: u16) {
        self.listening = Some(port);
    }

    /// The latest connection, opened or accepted.
    fn latest(&self) -> Option<Flow> {
        self.flows.keys().next_back().copied()
    }

    pub(super) fn accept(&mut self, segment: &Segment) -> Option<Flow> {
        let is_syn = segment.flags == Flags::SYN;
        if !is_syn || self.listening != Some(segment.to.port()) {
            return None;
        }
        let behaviour = Behaviour::on_link(self.mtu_bytes);
        let initial = self.random.word() as u32;
        let connection = Connection::accept(self.now_ns, segment, initial, behaviour);
        Some(self.add(connection))
    }
}
