//! All connections, found by id or by 4-tuple.
//!
//! # Invariants
//!
//! - An id names a connection only as long as its generation is that of its slot.
//! - A connection is in `dirty` once if its flag says so, and not otherwise
//!   (an index whose slot was emptied meanwhile may be left; it is skipped).

use super::connection::Connection;
use crate::deadlines::Deadlines;
use crate::demux::Tuple;
use crate::stack::ConnectionId;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// The connections.
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_tuple: BTreeMap<Tuple, u32>,
    due: Deadlines,
    dirty: VecDeque<u32>,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.by_tuple.len()
    }

    pub(crate) fn find(&self, tuple: Tuple) -> Option<u32> {
        self.by_tuple.get(&tuple).copied()
    }

    /// Whether this address has more connections than that.
    pub(crate) fn has_more_than(&self, count: usize, address: Ipv4Addr) -> bool {
        let first = Tuple::new(SocketAddrV4::new(address, 0), 0);
        let last = Tuple::new(SocketAddrV4::new(address, u16::MAX), u16::MAX);
        self.by_tuple.range(first..=last).nth(count).is_some()
    }

    pub(crate) fn at(&mut self, index: u32) -> Option<&mut Connection> {
        self.slots
            .get_mut(index as usize)?
            .connection
            .as_deref_mut()
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let slot = self.slots.get(id.index as usize)?;
        slot.connection
            .as_deref()
            .filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.connection
            .as_deref_mut()
            .filter(|_| slot.generation == id.generation)
    }

    pub(crate) fn id(&self, index: u32) -> ConnectionId {
        ConnectionId {
            index,
            generation: self.slots[index as usize].generation,
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Connection)> {
        (0..).zip(&mut self.slots).filter_map(|(index, slot)| {
            slot.connection
                .as_deref_mut()
                .map(|connection| (index, connection))
        })
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("there are less than 2^32 connections")
        });
        let old = self.by_tuple.insert(connection.tuple, index);
        assert!(old.is_none(), "a 4-tuple names one connection");
        self.slots[index as usize].connection = Some(Box::new(connection));
        index
    }

    /// Takes a connection out; its id is stale from now on.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(index as usize)?;
        let mut connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.by_tuple.remove(&connection.tuple);
        self.due.set(index, &mut connection.due, None);
        self.free.push(index);
        Some(connection)
    }

    /// To be polled in this step or the next.
    pub(crate) fn mark_dirty(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return;
        };
        if let Some(connection) = slot.connection.as_deref_mut()
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push_back(index);
        }
    }

    /// The next to be polled; its flag is down.
    pub(crate) fn next_dirty(&mut self) -> Option<u32> {
        while let Some(index) = self.dirty.pop_front() {
            if let Some(connection) = self.at(index)
                && connection.dirty
            {
                connection.dirty = false;
                return Some(index);
            }
        }
        None
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Marks all whose deadline has passed.
    pub(crate) fn wake_due(&mut self, now: u64) {
        while let Some(index) = self.due.due(now) {
            self.schedule(index, None);
            self.mark_dirty(index);
        }
    }

    pub(crate) fn schedule(&mut self, index: u32, at: Option<u64>) {
        let slot = &mut self.slots[index as usize];
        if let Some(connection) = slot.connection.as_deref_mut() {
            self.due.set(index, &mut connection.due, at);
        }
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.first()
    }
}
