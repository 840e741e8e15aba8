//! One TCP connection, from the client's side.
//!
//! It keeps to the peer's window, sends again what is not acknowledged, takes
//! segments in any order, and notes what the other side does against the rules.
//!
//! Source: RFC 9293, RFC 6298 (without measuring: the time-out is fixed and doubles).

use super::frames::{ACK, FIN, RST, SYN, Segment};
use std::collections::{BTreeMap, VecDeque};

const RTO_MIN_NS: u64 = 200_000_000;
const RTO_MAX_NS: u64 = 5_000_000_000;
/// Time without progress after which a connection is given up.
const GIVE_UP_NS: u64 = 120_000_000_000;
/// What is received at most and not yet taken in order.
const WINDOW: u16 = 65_535;
const MSS: u16 = 1460;

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowState {
    /// Not yet answered.
    Connecting,
    /// Both may send.
    Open,
    /// The other side has sent all it will.
    PeerClosed,
    /// Over in good order.
    Closed,
    /// Broken off by the other side.
    Reset,
    /// Given up.
    TimedOut,
    /// The other side broke the protocol.
    ProtocolError(String),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: FlowState,
    port: u16,
    to_port: u16,
    /// First sequence number not acknowledged.
    una: u32,
    /// Next to be sent for the first time.
    next: u32,
    /// Sent or to be sent, from `una` on, without SYN and FIN.
    queue: VecDeque<u8>,
    syn_acknowledged: bool,
    finishing: bool,
    fin_sent: bool,
    peer_window: u32,
    mss: usize,
    rcv_next: u32,
    segments: BTreeMap<u32, Vec<u8>>,
    fin_at: Option<u32>,
    in_order: Vec<u8>,
    ack_owed: bool,
    abort_owed: bool,
    rto_ns: u64,
    resend_at_ns: Option<u64>,
    progress_ns: u64,
}

/// Whether `a` is after `b` on the circle.
fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Connection {
    pub(super) fn new(now_ns: u64, isn: u32, port: u16, to_port: u16) -> Connection {
        Connection {
            state: FlowState::Connecting,
            port,
            to_port,
            una: isn,
            next: isn,
            queue: VecDeque::new(),
            syn_acknowledged: false,
            finishing: false,
            fin_sent: false,
            peer_window: 0,
            mss: 536,
            rcv_next: 0,
            segments: BTreeMap::new(),
            fin_at: None,
            in_order: Vec::new(),
            ack_owed: false,
            abort_owed: false,
            rto_ns: RTO_MIN_NS,
            resend_at_ns: None,
            progress_ns: now_ns,
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
    }

    pub(super) fn received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.in_order)
    }

    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(super) fn abort(&mut self) {
        if self.is_alive() {
            self.abort_owed = true;
        }
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_alive(&self) -> bool {
        matches!(
            self.state,
            FlowState::Connecting | FlowState::Open | FlowState::PeerClosed
        )
    }

    fn fail(&mut self, what: String) {
        self.state = FlowState::ProtocolError(what);
        self.abort_owed = true;
    }

    /// Bytes in flight, SYN and FIN included.
    fn in_flight(&self) -> u32 {
        self.next.wrapping_sub(self.una)
    }

    pub(super) fn take(&mut self, now_ns: u64, segment: &Segment) {
        if !self.is_alive() {
            return;
        }
        if segment.flags & RST != 0 {
            // Only one that can be meant for us: its sequence number is the next one.
            let exact = segment.seq == self.rcv_next || self.state == FlowState::Connecting;
            if exact {
                self.state = FlowState::Reset;
            }
            return;
        }
        if segment.flags & SYN != 0 {
            return self.take_syn(now_ns, segment);
        }
        if self.state == FlowState::Connecting || segment.flags & ACK == 0 {
            return;
        }
        self.take_ack(now_ns, segment);
        self.take_data(now_ns, segment);
    }

    fn take_syn(&mut self, now_ns: u64, segment: &Segment) {
        if self.syn_acknowledged {
            // A SYN-ACK that came twice, or ours was lost.
            self.ack_owed = true;
            return;
        }
        if segment.flags & ACK == 0 || segment.ack != self.una.wrapping_add(1) {
            return self.fail(format!("SYN-ACK of {}, {} sent", segment.ack, self.una));
        }
        self.una = segment.ack;
        self.next = segment.ack;
        self.syn_acknowledged = true;
        self.mss = usize::from(segment.mss.unwrap_or(536)).min(usize::from(MSS));
        self.rcv_next = segment.seq.wrapping_add(1);
        self.peer_window = u32::from(segment.window);
        self.state = FlowState::Open;
        self.ack_owed = true;
        self.moved(now_ns);
    }

    fn moved(&mut self, now_ns: u64) {
        self.progress_ns = now_ns;
        self.rto_ns = RTO_MIN_NS;
        self.resend_at_ns = None;
    }

    fn take_ack(&mut self, now_ns: u64, segment: &Segment) {
        if after(segment.ack, self.next) {
            return self.fail(format!("ACK of {}, sent up to {}", segment.ack, self.next));
        }
        if !after(self.una, segment.ack) {
            self.peer_window = u32::from(segment.window);
        }
        if after(segment.ack, self.una) {
            let bytes = segment.ack.wrapping_sub(self.una) as usize;
            let data = bytes.min(self.queue.len());
            self.queue.drain(..data);
            self.una = segment.ack;
            self.moved(now_ns);
        }
        let all = self.fin_sent && self.una == self.next;
        if all && self.state == FlowState::PeerClosed {
            self.state = FlowState::Closed;
        }
    }

    fn take_data(&mut self, now_ns: u64, segment: &Segment) {
        let len = segment.data.len() as u32;
        let has_fin = segment.flags & FIN != 0;
        if len == 0 && !has_fin {
            return;
        }
        self.ack_owed = true;
        let end = segment.seq.wrapping_add(len);
        let limit = self.rcv_next.wrapping_add(u32::from(WINDOW));
        if after(end, limit) {
            return self.fail(format!("data up to {end}, the window ends at {limit}"));
        }
        if has_fin {
            self.fin_at = Some(end);
        }
        if after(end, self.rcv_next) {
            self.segments.insert(segment.seq, segment.data.clone());
        }
        while let Some((seq, data)) = self.next_piece() {
            let skip = self.rcv_next.wrapping_sub(seq) as usize;
            self.in_order.extend(&data[skip..]);
            self.rcv_next = seq.wrapping_add(data.len() as u32);
            self.progress_ns = now_ns;
        }
        if self.fin_at == Some(self.rcv_next) && self.state == FlowState::Open {
            self.rcv_next = self.rcv_next.wrapping_add(1);
            self.state = FlowState::PeerClosed;
        }
    }

    /// A segment that has the next byte; those that have only old ones go.
    fn next_piece(&mut self) -> Option<(u32, Vec<u8>)> {
        let next = self.rcv_next;
        self.segments
            .retain(|seq, data| after(seq.wrapping_add(data.len() as u32), next));
        let seq = *self.segments.keys().find(|seq| !after(**seq, next))?;
        let data = self.segments.remove(&seq)?;
        Some((seq, data))
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        self.resend_at_ns
    }

    fn segment(&self, seq: u32, flags: u8, data: Vec<u8>) -> Segment {
        let (ack, flags) = if self.syn_acknowledged {
            (self.rcv_next, flags | ACK)
        } else {
            (0, flags)
        };
        Segment {
            source_port: self.port,
            destination_port: self.to_port,
            seq,
            ack,
            flags,
            window: WINDOW,
            mss: (flags & SYN != 0).then_some(MSS),
            data,
        }
    }

    /// The next segment to be sent now.
    pub(super) fn emit(&mut self, now_ns: u64) -> Option<Segment> {
        if std::mem::take(&mut self.abort_owed) {
            if self.is_alive() {
                self.state = FlowState::Closed;
            }
            return Some(self.segment(self.next, RST, Vec::new()));
        }
        if !self.is_alive() {
            return std::mem::take(&mut self.ack_owed)
                .then(|| self.segment(self.next, 0, Vec::new()));
        }
        if now_ns > self.progress_ns + GIVE_UP_NS {
            self.state = FlowState::TimedOut;
            return None;
        }
        if self.resend_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            // All over again from the first byte not acknowledged.
            self.rto_ns = (self.rto_ns * 2).min(RTO_MAX_NS);
            self.resend_at_ns = None;
            self.next = self.una;
            self.fin_sent = false;
            self.peer_window = self.peer_window.max(1);
        }
        let segment = self.emit_new();
        if segment.is_some() {
            self.ack_owed = false;
        }
        let waits = self.in_flight() > 0 || !self.queue.is_empty() || !self.syn_acknowledged;
        if waits && self.resend_at_ns.is_none() {
            self.resend_at_ns = Some(now_ns + self.rto_ns);
        }
        if segment.is_none() && std::mem::take(&mut self.ack_owed) {
            return Some(self.segment(self.next, 0, Vec::new()));
        }
        segment
    }

    fn emit_new(&mut self) -> Option<Segment> {
        if !self.syn_acknowledged {
            if self.in_flight() > 0 {
                return None;
            }
            self.next = self.una.wrapping_add(1);
            return Some(self.segment(self.una, SYN, Vec::new()));
        }
        let sent = (self.in_flight() as usize).min(self.queue.len());
        let room = self.peer_window.saturating_sub(self.in_flight()) as usize;
        let count = (self.queue.len() - sent).min(room).min(self.mss);
        let seq = self.next;
        if count > 0 {
            let data = self.queue.range(sent..sent + count).copied().collect();
            self.next = seq.wrapping_add(count as u32);
            return Some(self.segment(seq, 0, data));
        }
        if self.finishing && !self.fin_sent && sent == self.queue.len() {
            self.fin_sent = true;
            self.next = seq.wrapping_add(1);
            return Some(self.segment(seq, FIN, Vec::new()));
        }
        None
    }
}
