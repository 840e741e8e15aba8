//! What a connection does with a segment that arrives.
//!
//! Source: RFC 9293, 3.10.7.

use super::{Connection, MSS_DEFAULT};
use crate::peer::behaviour::Talks;
use crate::peer::tcp::FlowState;
use crate::peer::tcp::inbound::{Arrival, Inbound};
use crate::peer::tcp::offer::SCALE_MAX;
use crate::peer::tcp::outbound::News;
use crate::peer::tcp::segment::{Flags, HEADER_BYTES, Segment};
use crate::peer::tcp::timer;
use crate::peer::tcp::violation::Violation;

/// RFC 9293 says four minutes; here as long as the other side may send its FIN again
/// without hope. No timer runs: it shows only in what answers a late segment.
const TIME_WAIT_NS: u64 = timer::GIVE_UP_NS;

/// Whether a segment belonged to the connection as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It did, or there is nobody to refuse it.
    Taken,
    /// It is to be answered as one of no connection.
    Refused,
}

impl Connection {
    pub(crate) fn receive(&mut self, now_ns: u64, segment: &Segment) -> Result<Verdict, Violation> {
        if self.behaviour.talks == Talks::Never {
            return Ok(Verdict::Taken);
        }
        let lingers = |closed_ns| now_ns < closed_ns + TIME_WAIT_NS;
        if self.end.is_some() || !self.closed_ns.is_none_or(lingers) {
            return Ok(Verdict::Refused);
        }
        if self.inbound.is_none() {
            return self.receive_first(segment);
        }
        self.receive_more(now_ns, segment)?;
        if self.state() == FlowState::Closed {
            self.closed_ns.get_or_insert(now_ns);
        }
        Ok(Verdict::Taken)
    }

    /// In SYN-SENT (3.10.7.3).
    fn receive_first(&mut self, segment: &Segment) -> Result<Verdict, Violation> {
        let ack = self.outbound.position(segment.acknowledgement);
        let has = |flag| segment.flags.has(flag);
        if has(Flags::ACK) && (ack != 1 || self.offer.is_none()) {
            let sent = i64::from(self.offer.is_some());
            return if !has(Flags::SYN) {
                Ok(Verdict::Refused)
            } else if ack < 1 {
                Err(Violation::AckBeforeStart { ack })
            } else {
                Err(Violation::AckBeyondSent { ack, sent })
            };
        }
        if has(Flags::RST) {
            if has(Flags::ACK) {
                self.end = Some(FlowState::Reset);
            }
            return Ok(Verdict::Taken);
        }
        if !has(Flags::SYN) {
            return Ok(Verdict::Taken);
        }
        if !has(Flags::ACK) {
            return Err(Violation::UnexpectedSyn);
        }
        self.begin(segment);
        Ok(Verdict::Taken)
    }

    /// Takes the guest's SYN, but no data with it: that will come again.
    pub(super) fn begin(&mut self, syn: &Segment) {
        let offer = self.offer.expect("our SYN went out or is made");
        self.inbound = Some(Inbound::new(syn.sequence, offer.window));
        self.guest_mss = syn.mss.unwrap_or(MSS_DEFAULT).max(1);
        if let (Some(ours), Some(theirs)) = (offer.scale, syn.scale) {
            self.scales = (ours, theirs.min(SCALE_MAX));
        }
        self.outbound.open_window(syn.window);
        if syn.flags.has(Flags::ACK) {
            self.outbound.open();
            self.acks.owe_one();
        }
    }

    /// In every other state (3.10.7.4).
    fn receive_more(&mut self, now_ns: u64, segment: &Segment) -> Result<(), Violation> {
        let inbound = self.inbound.as_mut().expect("the guest's SYN came");
        let start = inbound.position(segment.sequence);
        if segment.flags.has(Flags::RST) {
            self.receive_reset(start);
            return Ok(());
        }
        if segment.flags.has(Flags::SYN) {
            self.acks.owe_another();
            return Ok(());
        }
        if !segment.flags.has(Flags::ACK) {
            return Err(Violation::NoAck);
        }
        let mss = self.offer.map_or(MSS_DEFAULT, |offer| offer.mss);
        let (bytes, limit) = (
            segment.header_bytes + segment.data.len(),
            HEADER_BYTES + usize::from(mss),
        );
        if bytes > limit && !segment.data.is_empty() {
            return Err(Violation::BeyondMss { bytes, limit });
        }
        let news = News {
            ack: self.outbound.position(segment.acknowledgement),
            start,
            window_bytes: i64::from(segment.window) << self.scales.1,
            span: segment.span(),
        };
        self.outbound.hear(now_ns, news)?;
        match inbound.accept(segment)? {
            Arrival::Nothing => {}
            Arrival::OutOfOrder => self.acks.owe_another(),
            Arrival::Finished => self.acks.owe_one(),
            Arrival::InOrder { bytes } => {
                let delay_ns = self.behaviour.ack_delay_ns;
                self.acks.owe_by(now_ns, delay_ns, bytes, mss);
            }
        }
        Ok(())
    }

    /// RFC 9293, 3.10.7.4, first and second: the number has to be exact, one
    /// that is only near is asked for again.
    fn receive_reset(&mut self, start: i64) {
        let inbound = self.inbound.as_ref().expect("the guest's SYN came");
        let expected = inbound.expected();
        if start == expected {
            if self.state() != FlowState::Closed {
                self.end = Some(FlowState::Reset);
            }
        } else if (expected..=inbound.edge()).contains(&start) {
            self.acks.owe_another();
        }
    }
}
