//! Places kept free for who comes next.

use super::Http;
use super::crowd::{Crowd, Seat};
use alloc::collections::BTreeSet;
use net::{ConnectionId, Stack, Status};
use service::{Service, Stake};
use store::Now;

/// When fewer than one in so many places are free, room is made until one in so many is.
const LOW_PART: u32 = 16;
const FREE_PART: u32 = 8;
/// How long it is until the next look when a look did not find enough.
const PAUSE_NS: u64 = 20_000_000;

/// Who takes longer for the rest of what it gets stands still, though it may take some of it.
const ENDING_NS: u64 = 30_000_000_000;

/// What is known of who gave way.
#[derive(Default)]
pub(super) struct Room {
    /// Aborted, and their places are not free yet.
    leaving: BTreeSet<ConnectionId>,
    look_again_ns: u64,
    /// Refusals that were looked at.
    refused: u64,
}

impl Http {
    /// Makes room, where there is little.
    pub(super) fn make_room(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let statistics = stack.statistics();
        let places = statistics.connections_max;
        let refused = statistics.refused.places;
        let is_refused = refused != self.room.refused;
        let leaving = &mut self.room.leaving;
        leaving.retain(|id| stack.status(*id) != Status::Gone);
        let free = places - statistics.connections + leaving.len() as u32;
        let low = (places / LOW_PART).max(1);
        let is_low = free < low;
        if !(is_low || is_refused) || now.monotonic_ns < self.room.look_again_ns {
            return;
        }
        self.room.refused = refused;
        let crowd = self.crowd(stack, service, now);
        let wanted = (places / FREE_PART).max(1).saturating_sub(free) as usize;
        let is_needed = is_refused || free < low / 2;
        let mut found = crowd.who_stands_still(wanted, is_needed, now.monotonic_ns);
        if found.len() < wanted {
            self.room.look_again_ns = now.monotonic_ns + PAUSE_NS;
        }
        if found.is_empty() && is_refused {
            let last = statistics.refused.last;
            found.extend(last.and_then(|refused| crowd.who_yields_to(refused)));
        }
        for id in found {
            self.displace(id, stack, service, now);
            self.room.leaving.insert(id);
        }
    }

    /// All there are.
    fn crowd(&self, stack: &dyn Stack, service: &Service, now: Now) -> Crowd {
        let connections = self.connections.iter().map(|(id, entry)| {
            let (stake, since_ns) = entry.connection.stake(service);
            let waits_for_us = self.on_store.contains(id) || self.on_change.contains(id);
            Seat {
                id: *id,
                address: entry.address,
                stake,
                since_ns: since_ns.filter(|_| !waits_for_us),
            }
        });
        let ending = self.ending.iter().map(|(id, (address, begun_ns))| {
            let is_late = now.monotonic_ns.saturating_sub(*begun_ns) > ENDING_NS;
            let moved_ns = stack.moved_ns(*id).filter(|_| !is_late);
            Seat {
                id: *id,
                address: *address,
                stake: Stake::Ending,
                since_ns: moved_ns.or(Some(*begun_ns)),
            }
        });
        Crowd::of(connections.chain(ending))
    }

    fn displace(
        &mut self,
        id: ConnectionId,
        stack: &mut dyn Stack,
        service: &mut Service,
        now: Now,
    ) {
        stack.abort(id);
        if self.ending.remove(&id).is_some() {
            service.displaced(Stake::Ending);
        }
        let Some(mut entry) = self.connections.remove(&id) else {
            return;
        };
        entry.connection.give_way(service, now);
        self.due.remove(&(entry.deadline_ns, id));
        self.on_store.remove(&id);
        self.on_change.remove(&id);
        self.queue.remove(&id);
    }
}
