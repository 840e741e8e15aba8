//! The direction to the guest: what waits, what is out, and what comes again.
//!
//! Source: RFC 9293, 3.8.6 and 3.10.7.4; RFC 6298, 5; RFC 6582, 3.2 (without its window).

use super::segment::Flags;
use super::sequence::Sequence;
use super::timer::Timer;
use super::violation::Violation;
use std::collections::VecDeque;

/// RFC 5681, 3.2.
const DUPLICATES: u32 = 3;

/// A run of the sequence space that goes out as one segment.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) sequence: u32,
    pub(crate) flags: Flags,
    pub(crate) data: Vec<u8>,
}

/// What a segment of the guest says of this direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// The position it acknowledges, near `Outbound::unacknowledged`.
    pub(crate) ack: i64,
    /// Where it stands in its own direction.
    pub(crate) start: i64,
    pub(crate) window_bytes: i64,
    /// What it takes of its own sequence space.
    pub(crate) span: u32,
}

/// What goes out before anything new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Urgent {
    Again,
    Probe,
}

#[derive(Debug)]
pub(crate) struct Outbound {
    sequence: Sequence,
    /// From `base` on.
    queue: VecDeque<u8>,
    base: i64,
    finishes: bool,
    /// SND.UNA, and SND.NXT, which never goes back.
    una: i64,
    next: i64,
    /// Where the guest's window ends, and the segment that said so (SND.WL1, SND.WL2).
    edge: i64,
    told_at: (i64, i64),
    duplicates: u32,
    /// Up to here everything is sent again, one segment for each that gets through.
    recover: i64,
    urgent: Option<Urgent>,
    timer: Timer,
}

impl Outbound {
    pub(crate) fn new(now_ns: u64, initial: u32) -> Outbound {
        Outbound {
            sequence: Sequence::new(initial),
            queue: VecDeque::new(),
            base: 1,
            finishes: false,
            una: 0,
            next: 0,
            edge: 0,
            told_at: (-1, 0),
            duplicates: 0,
            recover: 0,
            urgent: None,
            timer: Timer::of_a_new_connection(now_ns),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        assert!(!self.finishes, "nothing is sent after the FIN");
        self.queue.extend(bytes);
    }

    pub(crate) fn finish(&mut self) {
        self.finishes = true;
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn timer(&self) -> &Timer {
        &self.timer
    }

    /// Whether our SYN was acknowledged.
    pub(crate) fn is_open(&self) -> bool {
        self.una > 0
    }

    /// Whether our FIN was acknowledged.
    pub(crate) fn is_finished(&self) -> bool {
        self.finishes && self.una == self.end()
    }

    /// The position that an acknowledgement names.
    pub(crate) fn position(&self, number: u32) -> i64 {
        self.sequence.position(number, self.una)
    }

    /// SND.NXT on the wire.
    pub(crate) fn next_number(&self) -> u32 {
        self.sequence.number(self.next)
    }

    fn data_end(&self) -> i64 {
        self.base + self.queue.len() as i64
    }

    fn end(&self) -> i64 {
        self.data_end() + i64::from(self.finishes)
    }

    /// The window that the guest's SYN says, which is never scaled.
    pub(crate) fn open_window(&mut self, window: u16) {
        self.edge = 1 + i64::from(window);
        self.told_at = (0, 0);
    }

    /// The guest's SYN acknowledges ours.
    pub(crate) fn open(&mut self) {
        self.una = 1;
        self.timer = Timer::idle();
        self.urgent = None;
    }

    pub(crate) fn hear(&mut self, now_ns: u64, news: News) -> Result<(), Violation> {
        let (ack, sent) = (news.ack, self.next);
        if ack > sent {
            return Err(Violation::AckBeyondSent { ack, sent });
        }
        if ack < 1 {
            return Err(Violation::AckBeforeStart { ack });
        }
        let (una, edge) = (self.una, self.edge);
        if ack >= una && self.told_at < (news.start, ack + 1) {
            self.edge = ack + news.window_bytes;
            self.told_at = (news.start, ack);
        }
        if ack > una {
            self.advance(now_ns, ack);
        } else if ack == una {
            self.count_duplicate(news.span, edge);
        }
        if edge <= una && self.edge > una {
            // What was sent into the closed window was a probe, and lost.
            self.timer = Timer::idle();
            self.urgent = (self.una < self.next).then_some(Urgent::Again);
        }
        if self.edge <= self.una {
            self.timer.hope(now_ns);
        }
        Ok(())
    }

    fn advance(&mut self, now_ns: u64, ack: i64) {
        let bytes = (ack.min(self.data_end()) - self.base).max(0);
        self.queue.drain(..bytes as usize);
        self.base += bytes;
        self.una = ack;
        self.duplicates = 0;
        self.urgent = (ack < self.recover).then_some(Urgent::Again);
        if self.una < self.next {
            self.timer.restart(now_ns);
        } else {
            self.timer = Timer::idle();
        }
    }

    fn count_duplicate(&mut self, span: u32, edge: i64) {
        if span > 0 || self.edge != edge || self.una == self.next {
            return;
        }
        self.duplicates += 1;
        if self.duplicates == DUPLICATES && self.una >= self.recover {
            self.recover = self.next;
            self.urgent = Some(Urgent::Again);
        }
    }

    /// Something is to be sent, nothing is out, and the window is closed.
    fn is_blocked(&self) -> bool {
        self.is_open() && self.una == self.next && self.next < self.end() && self.edge <= self.next
    }

    /// The end of the data and the end of the piece from `from`, of `room` at most.
    fn extent(&self, from: i64, room: i64, to: i64, payload_max: usize) -> (i64, i64) {
        if from == 0 {
            return (0, 1);
        }
        let room = room.max(0);
        let available = (to.min(self.data_end()) - from).max(0);
        let data_end = from + available.min(room).min(payload_max as i64);
        let fin = to > self.data_end() && data_end == self.data_end() && from + room > data_end;
        (data_end, data_end + i64::from(fin))
    }

    fn fresh(&self, payload_max: usize) -> (i64, i64) {
        if self.next > 0 && !self.is_open() {
            return (self.next, self.next);
        }
        self.extent(self.next, self.edge - self.next, self.end(), payload_max)
    }

    /// Whether there is something to send now, or a probe to prepare.
    pub(crate) fn is_due(&self, payload_max: usize) -> bool {
        self.urgent.is_some()
            || self.fresh(payload_max).1 > self.next
            || self.is_blocked() && !self.timer.is_running()
    }

    /// What goes out now, of `payload_max` bytes at most.
    pub(crate) fn next_piece(&mut self, now_ns: u64, payload_max: usize) -> Option<Piece> {
        if self.timer.went_off(now_ns) {
            self.recover = self.next;
            self.duplicates = 0;
            self.urgent = Some(if self.una < self.next {
                Urgent::Again
            } else {
                Urgent::Probe
            });
        }
        match self.urgent.take() {
            Some(Urgent::Again) if self.una < self.next => {
                let room = (self.edge - self.una).max(1);
                let extent = self.extent(self.una, room, self.next, payload_max);
                return Some(self.piece(now_ns, self.una, extent));
            }
            Some(Urgent::Probe) if self.is_blocked() => {
                let extent = self.extent(self.next, 1, self.end(), payload_max);
                return Some(self.piece(now_ns, self.next, extent));
            }
            _ => {}
        }
        let extent = self.fresh(payload_max);
        if extent.1 > self.next {
            return Some(self.piece(now_ns, self.next, extent));
        }
        if self.is_blocked() {
            self.timer.start(now_ns);
        }
        None
    }

    fn piece(&mut self, now_ns: u64, from: i64, (data_end, end): (i64, i64)) -> Piece {
        self.timer.start(now_ns);
        self.next = self.next.max(end);
        let mut flags = Flags::default();
        if from == 0 {
            flags = flags.and(Flags::SYN);
        } else if end > data_end {
            flags = flags.and(Flags::FIN);
        }
        let range = (from.max(self.base) - self.base) as usize;
        let range = range..range + (data_end - from) as usize;
        if !range.is_empty() && data_end == self.data_end() {
            flags = flags.and(Flags::PSH);
        }
        Piece {
            sequence: self.sequence.number(from),
            flags,
            data: self.queue.range(range).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
