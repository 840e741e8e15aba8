//! What a connection sends, and when.
//!
//! Source: RFC 9293, 3.8.

use super::Connection;
use crate::peer::behaviour::Talks;
use crate::peer::tcp::FlowState;
use crate::peer::tcp::inbound::Inbound;
use crate::peer::tcp::offer::Offer;
use crate::peer::tcp::outbound::Piece;
use crate::peer::tcp::segment::{Flags, HEADER_BYTES, Segment};

impl Connection {
    /// The next segment to send.
    pub(crate) fn transmit(&mut self, now_ns: u64) -> Option<Segment> {
        if self.behaviour.talks == Talks::Never {
            return None;
        }
        if let Some(reset) = self.reset.take() {
            return Some(reset);
        }
        self.check_hope(now_ns);
        if self.end.is_some() {
            return None;
        }
        let payload_max = self.payload_max();
        if let Some(piece) = self.outbound.next_piece(now_ns, payload_max) {
            self.acks.paid();
            return Some(self.dress(piece));
        }
        if self.acks.is_due(now_ns) || self.window_moves() {
            self.acks.paid_one();
            return Some(self.bare());
        }
        None
    }

    /// Gives up when it is time; to be called too while there is no way to transmit.
    pub(crate) fn check_hope(&mut self, now_ns: u64) {
        let is_here = self.end.is_none() && self.behaviour.talks == Talks::Always;
        if is_here && self.outbound.timer().is_hopeless(now_ns) {
            self.end = Some(FlowState::TimedOut);
        }
    }

    /// When `check_hope` will be true.
    pub(crate) fn give_up_ns(&self) -> Option<u64> {
        let is_here = self.end.is_none() && self.behaviour.talks == Talks::Always;
        self.outbound.timer().give_up_ns().filter(|_| is_here)
    }

    /// When `transmit` may have something; not after `now_ns` if it has already.
    pub(crate) fn deadline_ns(&self, now_ns: u64) -> Option<u64> {
        if self.behaviour.talks == Talks::Never {
            return None;
        }
        if self.reset.is_some() {
            return Some(now_ns);
        }
        if self.end.is_some() {
            return None;
        }
        let is_due = self.outbound.is_due(self.payload_max());
        if is_due || self.acks.is_due(now_ns) || self.window_moves() {
            return Some(now_ns);
        }
        let timers = [self.outbound.timer().deadline_ns(), self.acks.deadline_ns()];
        timers.into_iter().flatten().min()
    }

    fn payload_max(&self) -> usize {
        let most = usize::from(self.guest_mss);
        self.behaviour.segment_max.min(most).max(1)
    }

    fn window_moves(&self) -> bool {
        let next = |inbound: &Inbound| inbound.next_edge(&self.behaviour, self.scales.0);
        let moves = |inbound: &Inbound| !inbound.is_finished() && next(inbound) > inbound.edge();
        self.outbound.is_open() && self.inbound.as_ref().is_some_and(moves)
    }

    fn dress(&mut self, piece: Piece) -> Segment {
        if piece.flags.has(Flags::SYN) {
            return self.syn(piece);
        }
        let mut segment = self.bare();
        segment.sequence = piece.sequence;
        segment.flags = segment.flags.and(piece.flags);
        segment.data = piece.data;
        segment
    }

    fn syn(&mut self, piece: Piece) -> Segment {
        let offer = *self.offer.get_or_insert(Offer::of(&self.behaviour));
        let ack = match self.inbound {
            Some(_) => Flags::ACK,
            None => Flags::default(),
        };
        let mut segment = self.segment(piece.flags.and(ack), offer.window);
        segment.sequence = piece.sequence;
        segment.mss = Some(offer.mss);
        segment.scale = offer.scale;
        segment.header_bytes += 4 + 4 * usize::from(offer.scale.is_some());
        segment
    }

    /// An acknowledgement and nothing else.
    fn bare(&mut self) -> Segment {
        let inbound = self
            .inbound
            .as_mut()
            .expect("only a SYN goes before theirs");
        let window = inbound.advertise(&self.behaviour, self.scales.0);
        self.segment(Flags::ACK, window)
    }

    pub(super) fn segment(&self, flags: Flags, window: u16) -> Segment {
        let inbound = self.inbound.as_ref();
        Segment {
            from: self.local,
            to: self.remote,
            sequence: self.outbound.next_number(),
            acknowledgement: inbound.map_or(0, Inbound::acknowledgement),
            flags,
            window,
            mss: None,
            scale: None,
            header_bytes: HEADER_BYTES,
            data: Vec::new(),
        }
    }
}
