//! Connections that are over, remembered for a minute without their buffers.
//!
//! The end that finished first keeps the 4-tuple, so that a lost last ACK is
//! sent again and old duplicates find nobody. A new SYN beyond the old
//! connection's numbers takes the 4-tuple over at once.
//!
//! Source: RFC 9293 section 3.10.7.4, RFC 6191 section 2, RFC 1337.

use super::connection::before;
use crate::demux::{Segment, Tuple};
use alloc::collections::{BTreeMap, BTreeSet};

/// How long, in ns. Twice the 30 s that a segment may live, as Linux takes it.
const WAIT_NS: u64 = 60_000_000_000;
/// How many; the oldest goes first.
const ENTRIES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    seq: u32,
    ack: u32,
    until: u64,
}

/// What a segment for an old connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is no such old connection.
    Unknown,
    /// A new connection may begin.
    Reborn,
    /// This acknowledgement: sequence and acknowledgement number.
    Acknowledge(u32, u32),
    /// Nothing.
    Silence,
}

/// The old connections.
#[derive(Debug, Default)]
pub(crate) struct TimeWait {
    entries: BTreeMap<Tuple, Entry>,
    order: BTreeSet<(u64, Tuple)>,
}

impl TimeWait {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    /// Remembers a connection whose next bytes would be `seq` from us and `ack` from the peer.
    pub(crate) fn insert(&mut self, tuple: Tuple, seq: u32, ack: u32, now: u64) {
        self.expire(now);
        self.remove(tuple);
        if self.entries.len() >= ENTRIES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let until = now + WAIT_NS;
        self.entries.insert(tuple, Entry { seq, ack, until });
        self.order.insert((until, tuple));
    }

    fn remove(&mut self, tuple: Tuple) {
        if let Some(entry) = self.entries.remove(&tuple) {
            self.order.remove(&(entry.until, tuple));
        }
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(until, tuple)) = self.order.first()
            && until <= now
        {
            self.remove(tuple);
        }
    }

    /// Judges `segment`.
    pub(crate) fn judge(&mut self, segment: &Segment<'_>, now: u64) -> Verdict {
        self.expire(now);
        let Some(&entry) = self.entries.get(&segment.tuple) else {
            return Verdict::Unknown;
        };
        if segment.rst {
            return Verdict::Silence;
        }
        if segment.syn && segment.ack.is_none() && !segment.fin && before(entry.ack, segment.seq) {
            self.remove(segment.tuple);
            return Verdict::Reborn;
        }
        if segment.fin {
            self.insert(segment.tuple, entry.seq, entry.ack, now);
        }
        if segment.fin || segment.syn || segment.len > 0 {
            return Verdict::Acknowledge(entry.seq, entry.ack);
        }
        Verdict::Silence
    }
}
