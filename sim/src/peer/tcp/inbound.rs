//! The direction from the guest: reassembly, the window, and what may not change.
//!
//! Source: RFC 9293, 3.4, 3.8.6 and 3.10.7.4.

use super::segment::{Flags, Segment};
use super::sequence::Sequence;
use super::violation::Violation;
use crate::peer::behaviour::{Behaviour, Reads};
use std::collections::VecDeque;

/// How far back a retransmission is compared with what came first.
const HISTORY_BYTES: usize = 256 * 1024;

/// What a segment brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// Nothing that takes sequence space, in the window: answered, such would
    /// be answered for ever.
    Nothing,
    /// It moved the next expected byte by so many.
    InOrder { bytes: usize },
    /// It left a hole, came again, or fell outside: the guest is to be told.
    OutOfOrder,
    /// The FIN, and all that was before it.
    Finished,
}

/// What the bytes of a segment are, by their place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Nothing,
    /// One byte of garbage, before what is expected (3.8.4).
    KeepAlive,
    /// One byte behind a closed window (3.8.6.1), which is not taken.
    Probe,
    Data,
}

#[derive(Debug)]
pub(crate) struct Inbound {
    sequence: Sequence,
    /// Behind the last byte of data that came in order.
    next: i64,
    /// The furthest end of a window that was advertised.
    edge: i64,
    /// From `next` on.
    ahead: VecDeque<Option<u8>>,
    fin: Option<i64>,
    ready: Vec<u8>,
    /// Up to `next`.
    history: VecDeque<u8>,
}

impl Inbound {
    /// After a SYN with this number, which answers a window of `window_bytes`.
    pub(crate) fn new(initial: u32, window_bytes: u16) -> Inbound {
        Inbound {
            sequence: Sequence::new(initial),
            next: 1,
            edge: 1 + i64::from(window_bytes),
            ahead: VecDeque::new(),
            fin: None,
            ready: Vec::new(),
            history: VecDeque::new(),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.fin == Some(self.next)
    }

    /// RCV.NXT as a position.
    pub(crate) fn expected(&self) -> i64 {
        self.next + i64::from(self.is_finished())
    }

    /// RCV.NXT as it is acknowledged.
    pub(crate) fn acknowledgement(&self) -> u32 {
        self.sequence.number(self.expected())
    }

    pub(crate) fn position(&self, number: u32) -> i64 {
        self.sequence.position(number, self.next)
    }

    pub(crate) fn edge(&self) -> i64 {
        self.edge
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Takes the data and the FIN of a segment that has no SYN.
    pub(crate) fn accept(&mut self, segment: &Segment) -> Result<Arrival, Violation> {
        let start = self.position(segment.sequence);
        let end = start + segment.data.len() as i64;
        let before = (self.next, self.is_finished());
        let carries = self.carries(start, end);
        self.check_room(start, end, carries)?;
        if carries == Carries::Data {
            self.check_end(end)?;
            self.check_bytes(start, &segment.data)?;
        }
        if segment.flags.has(Flags::FIN) {
            self.check_fin(end)?;
        }
        if carries == Carries::Data {
            self.store(start, &segment.data);
        }
        let bytes = (self.next - before.0) as usize;
        Ok(if self.is_finished() && !before.1 {
            Arrival::Finished
        } else if bytes > 0 {
            Arrival::InOrder { bytes }
        } else if segment.span() == 0 && start >= self.expected() {
            Arrival::Nothing
        } else {
            Arrival::OutOfOrder
        })
    }

    fn carries(&self, start: i64, end: i64) -> Carries {
        match end - start {
            0 => Carries::Nothing,
            1 if end <= self.expected() => Carries::KeepAlive,
            1 if start == self.edge && self.next == self.edge => Carries::Probe,
            _ => Carries::Data,
        }
    }

    /// Behind a probe the FIN may stand too, so an empty segment may name a
    /// place two beyond the window.
    fn check_room(&self, start: i64, end: i64, carries: Carries) -> Result<(), Violation> {
        let beyond = match carries {
            Carries::Nothing => 2,
            Carries::Probe => 1,
            Carries::KeepAlive | Carries::Data => 0,
        };
        let edge = self.edge;
        if end > edge + beyond {
            Err(Violation::BeyondWindow { end, edge })
        } else if carries == Carries::Data && start < 1 {
            Err(Violation::BeforeStart { at: start })
        } else {
            Ok(())
        }
    }

    fn check_end(&self, end: i64) -> Result<(), Violation> {
        match self.fin {
            Some(fin) if end > fin => Err(Violation::BeyondFin { end, fin }),
            _ => Ok(()),
        }
    }

    fn check_fin(&mut self, is: i64) -> Result<(), Violation> {
        let end = self.next + self.ahead.len() as i64;
        match *self.fin.get_or_insert(is) {
            was if was != is => Err(Violation::FinMoved { was, is }),
            fin if end > fin => Err(Violation::BeyondFin { end, fin }),
            _ => Ok(()),
        }
    }

    fn check_bytes(&self, start: i64, data: &[u8]) -> Result<(), Violation> {
        let oldest = self.next - self.history.len() as i64;
        for (at, &is) in (start..).zip(data) {
            let was = if at < oldest {
                None
            } else if at < self.next {
                Some(self.history[(at - oldest) as usize])
            } else {
                let ahead = (at - self.next) as usize;
                self.ahead.get(ahead).copied().flatten()
            };
            if let Some(was) = was.filter(|was| *was != is) {
                return Err(Violation::Changed { at, was, is });
            }
        }
        Ok(())
    }

    fn store(&mut self, start: i64, data: &[u8]) {
        for (at, &byte) in (start..).zip(data).filter(|(at, _)| *at >= self.next) {
            let ahead = (at - self.next) as usize;
            if self.ahead.len() <= ahead {
                self.ahead.resize(ahead + 1, None);
            }
            self.ahead[ahead] = Some(byte);
        }
        while let Some(&Some(byte)) = self.ahead.front() {
            self.ahead.pop_front();
            self.ready.push(byte);
            self.history.push_back(byte);
            self.next += 1;
        }
        let surplus = self.history.len().saturating_sub(HISTORY_BYTES);
        self.history.drain(..surplus);
    }

    /// Where the window would end if it were advertised now.
    ///
    /// It moves by a full segment or half of itself (3.8.6.2.2), and never back.
    pub(crate) fn next_edge(&self, behaviour: &Behaviour, scale: u8) -> i64 {
        let full = i64::from(behaviour.window_max);
        let room = match behaviour.reads {
            Reads::Always => full,
            Reads::WhenTaken => (full - self.ready.len() as i64).max(0),
            Reads::Never => 0,
        };
        let room = (room >> scale).min(i64::from(u16::MAX)) << scale;
        let edge = self.expected() + room;
        let step = i64::from(behaviour.mss).min(full / 2).max(1);
        if edge - self.edge >= step {
            edge
        } else {
            self.edge
        }
    }

    /// The window field of a segment that goes out.
    pub(crate) fn advertise(&mut self, behaviour: &Behaviour, scale: u8) -> u16 {
        self.edge = self.next_edge(behaviour, scale);
        let room = (self.edge - self.expected()).max(0) >> scale;
        u16::try_from(room).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests;
