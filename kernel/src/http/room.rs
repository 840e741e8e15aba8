//! Places kept free for who comes next.

use super::Http;
use super::crowd::{Crowd, Seat};
use alloc::collections::BTreeSet;
use net::{ConnectionId, Stack};
use service::{Service, Stake};
use store::Now;

/// How long it is until the next look when a look did not find enough.
const PAUSE_NS: u64 = 20_000_000;
/// Who takes longer for the rest of what it gets stands still, though it may take some of it.
const ENDING_NS: u64 = 30_000_000_000;

/// What is known of who gave way.
#[derive(Default)]
pub(super) struct Room {
    /// Aborted, and their places are not free yet.
    leaving: BTreeSet<ConnectionId>,
    /// Too few were found: when to look again.
    pub(super) look_again_ns: Option<u64>,
    /// Refusals that were looked at.
    refused: u64,
}

impl Http {
    /// Makes room, where there is little beside what is kept for those who have few.
    pub(super) fn make_room(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let statistics = stack.statistics();
        let places = statistics.connections_max;
        let refused = statistics.refused.places;
        let leaving = &mut self.room.leaving;
        leaving.retain(|id| stack.standing(*id).is_some());
        let free = places - statistics.connections + leaving.len() as u32;
        let reserve = statistics.connections_reserved.max(1);
        let is_early = |at_ns| now.monotonic_ns < at_ns;
        if free >= 2 * reserve || self.room.look_again_ns.is_some_and(is_early) {
            self.room.look_again_ns = self.room.look_again_ns.filter(|_| free < 2 * reserve);
            return;
        }
        let is_needed = free <= reserve || refused != self.room.refused;
        self.room.refused = refused;
        let wanted = (3 * reserve - free) as usize;
        let crowd = self.crowd(stack, service, now);
        let found = crowd.who_stands_still(wanted, is_needed, now.monotonic_ns);
        let is_too_few = found.len() < wanted;
        self.room.look_again_ns = is_too_few.then_some(now.monotonic_ns + PAUSE_NS);
        for id in found {
            self.displace(id, stack, service, now);
            self.room.leaving.insert(id);
        }
    }

    /// All there are.
    fn crowd(&self, stack: &dyn Stack, service: &Service, now: Now) -> Crowd {
        let connections = self.connections.iter().map(|(id, entry)| {
            let (mut stake, since_ns) = entry.connection.stake(service);
            // It waits for the store, or has its turn in the next step.
            let waits = [&self.on_store, &self.on_change, &self.queue];
            let waits_for_us = waits.iter().any(|waiting| waiting.contains(id));
            let mut since_ns = since_ns.filter(|_| !waits_for_us);
            let untaken = stack
                .standing(*id)
                .filter(|standing| standing.untaken_bytes > 0);
            if let (Some(standing), Some(since_ns)) = (untaken, &mut since_ns) {
                stake = stake.max(Stake::Transfer);
                *since_ns = standing.moved_ns.max(*since_ns);
            }
            Seat {
                id: *id,
                address: entry.address,
                stake,
                since_ns,
            }
        });
        let ending = self.ending.iter().map(|(id, (address, begun_ns))| {
            let standing = stack.standing(*id);
            let is_taken = standing.is_none_or(|standing| standing.untaken_bytes == 0);
            let is_late = now.monotonic_ns.saturating_sub(*begun_ns) > ENDING_NS;
            let moved_ns = standing.filter(|_| !is_late).map(|found| found.moved_ns);
            Seat {
                id: *id,
                address: *address,
                stake: if is_taken {
                    Stake::Ending
                } else {
                    Stake::Transfer
                },
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
