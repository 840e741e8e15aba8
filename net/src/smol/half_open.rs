//! SYNs that were answered and not yet confirmed.
//!
//! A half-open connection has no socket and no buffers, only what is needed to
//! answer its SYN again: a flood of SYNs costs a bounded table and nothing of
//! the connections' budget. When the table is full the oldest entry goes.
//!
//! # Invariants
//!
//! - `slots`, `by_tuple` and `order` name the same entries.
//!
//! Source: RFC 4987 section 3.4 (SYN cache).

use crate::deadlines::Deadlines;
use crate::demux::{Segment, Tuple};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

/// After how long a SYN|ACK is sent again, each time counted from the SYN.
const RESEND_NS: [u64; 3] = [1_000_000_000, 3_000_000_000, 7_000_000_000];
/// After how long the SYN is forgotten.
const LIFE_NS: u64 = 15_000_000_000;

/// One answered SYN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HalfOpen {
    pub(crate) tuple: Tuple,
    pub(crate) peer: SocketAddrV4,
    pub(crate) port: u16,
    pub(crate) mac: [u8; 6],
    /// The SYN: its sequence number, window and options.
    pub(crate) peer_isn: u32,
    pub(crate) window: u16,
    pub(crate) segment_bytes_max: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) selective_ack: bool,
    /// What our sequence number is made from, and what it is.
    pub(crate) seed: u64,
    pub(crate) isn: u32,
    pub(crate) answered_at: u64,
    /// Counted as refused: it was confirmed when there was no room.
    pub(crate) refused: bool,
    began: u64,
    resends: usize,
    serial: u64,
    due: Option<u64>,
}

impl HalfOpen {
    /// Of a SYN whose options are yet to be filled in.
    pub(crate) fn new(segment: &Segment<'_>, seed: u64, now: u64) -> HalfOpen {
        HalfOpen {
            tuple: segment.tuple,
            peer: segment.peer,
            port: segment.port,
            mac: segment.mac,
            peer_isn: segment.seq,
            window: 0,
            segment_bytes_max: None,
            window_scale: None,
            selective_ack: false,
            seed,
            isn: 0,
            answered_at: now,
            refused: false,
            began: now,
            resends: 0,
            serial: 0,
            due: None,
        }
    }

    fn next_due(&self) -> u64 {
        self.began + RESEND_NS.get(self.resends).copied().unwrap_or(LIFE_NS)
    }
}

/// All of them.
pub(crate) struct HalfOpenTable {
    slots: Vec<Option<HalfOpen>>,
    free: Vec<u32>,
    by_tuple: BTreeMap<Tuple, u32>,
    order: BTreeMap<u64, u32>,
    due: Deadlines,
    entries_max: usize,
    serial: u64,
}

impl HalfOpenTable {
    pub(crate) fn new(entries_max: usize) -> HalfOpenTable {
        HalfOpenTable {
            slots: Vec::new(),
            free: Vec::new(),
            by_tuple: BTreeMap::new(),
            order: BTreeMap::new(),
            due: Deadlines::default(),
            entries_max: entries_max.max(1),
            serial: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_tuple.len()
    }

    /// Most there can be.
    pub(crate) fn len_max(&self) -> u32 {
        u32::try_from(self.entries_max).unwrap_or(u32::MAX)
    }

    pub(crate) fn find(&self, tuple: Tuple) -> Option<u32> {
        self.by_tuple.get(&tuple).copied()
    }

    pub(crate) fn at(&mut self, index: u32) -> Option<&mut HalfOpen> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// Puts one in; `true` if the oldest had to go for it.
    pub(crate) fn insert(&mut self, mut entry: HalfOpen) -> bool {
        let full = self.len() >= self.entries_max;
        if full && let Some((_, &oldest)) = self.order.first_key_value() {
            self.remove(oldest);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("the table is bounded")
        });
        self.serial += 1;
        entry.serial = self.serial;
        let due = entry.next_due();
        self.due.set(index, &mut entry.due, Some(due));
        self.order.insert(entry.serial, index);
        let old = self.by_tuple.insert(entry.tuple, index);
        assert!(old.is_none(), "a 4-tuple is half open once");
        self.slots[index as usize] = Some(entry);
        full
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<HalfOpen> {
        let mut entry = self.slots.get_mut(index as usize)?.take()?;
        self.by_tuple.remove(&entry.tuple);
        self.order.remove(&entry.serial);
        self.due.set(index, &mut entry.due, None);
        self.free.push(index);
        Some(entry)
    }

    pub(crate) fn clear(&mut self) {
        while let Some((_, &index)) = self.order.first_key_value() {
            self.remove(index);
        }
    }

    /// The next whose SYN|ACK must be sent again; forgets those that are too old.
    pub(crate) fn next_resend(&mut self, now: u64) -> Option<HalfOpen> {
        while let Some(index) = self.due.due(now) {
            let Some(entry) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else {
                unreachable!("an empty slot has no deadline");
            };
            if entry.resends >= RESEND_NS.len() {
                self.remove(index);
                continue;
            }
            entry.resends += 1;
            entry.answered_at = now;
            let at = entry.next_due();
            self.due.set(index, &mut entry.due, Some(at));
            return Some(*entry);
        }
        None
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.first()
    }
}
