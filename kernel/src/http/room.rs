//! Places kept free for who comes next.

use super::crowd::{Crowd, Seat};
use super::{Entry, Http};
use alloc::collections::BTreeSet;
use net::{ConnectionId, Stack};
use service::{Service, Stake};
use store::Now;

/// How long it is until the next look when a look did not find enough.
const PAUSE_NS: u64 = 20_000_000;
/// One in so many sessions is kept free.
const SESSIONS_RESERVE_PART: u32 = 16;
/// Who takes longer for the rest of what it gets stands still, though it may take some of it.
const ENDING_NS: u64 = 30_000_000_000;

/// What is known of who gave way.
#[derive(Default)]
pub(super) struct Room {
    /// Aborted, and their places are not free yet.
    leaving: BTreeSet<ConnectionId>,
    places: Scarce,
    sessions: Scarce,
}

/// Something there is too little of.
#[derive(Default)]
struct Scarce {
    /// Too few were found: when to look again.
    look_again_ns: Option<u64>,
    /// Refusals that were looked at.
    refused: u64,
}

impl Scarce {
    /// How many are to give way, and whether it has to be, where so many are left and so many
    /// were refused; none where it is not yet time to look.
    fn wanted(
        &mut self,
        [free, reserve]: [u32; 2],
        refused: u64,
        now: Now,
    ) -> Option<(usize, bool)> {
        let is_early = |at_ns| now.monotonic_ns < at_ns;
        if free >= 2 * reserve || self.look_again_ns.is_some_and(is_early) {
            self.look_again_ns = self.look_again_ns.filter(|_| free < 2 * reserve);
            return None;
        }
        let is_needed = free <= reserve || refused != self.refused;
        self.refused = refused;
        Some(((3 * reserve - free) as usize, is_needed))
    }

    /// So many of those that were wanted have been found.
    fn found(&mut self, found: usize, wanted: usize, now: Now) {
        self.look_again_ns = (found < wanted).then_some(now.monotonic_ns + PAUSE_NS);
    }
}

impl Room {
    /// When to look again, where too few were found.
    pub(super) fn look_again_ns(&self) -> Option<u64> {
        let scarce = [&self.places, &self.sessions];
        scarce
            .iter()
            .filter_map(|scarce| scarce.look_again_ns)
            .min()
    }
}

impl Http {
    /// Makes room, where there is little beside what is kept for those who have few.
    pub(super) fn make_room(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let statistics = stack.statistics();
        let refused = statistics.refused.places;
        let leaving = &mut self.room.leaving;
        leaving.retain(|id| stack.standing(*id).is_some());
        let free = statistics.connections_max - statistics.connections + leaving.len() as u32;
        let reserve = statistics.connections_reserved.max(1);
        let places = &mut self.room.places;
        if let Some((wanted, is_needed)) = places.wanted([free, reserve], refused, now) {
            let crowd = self.crowd(stack, service, now);
            let found = crowd.who_stands_still(wanted, is_needed, now.monotonic_ns);
            self.room.places.found(found.len(), wanted, now);
            self.displace_all(&found, stack, service, now);
        }
        self.make_sessions(stack, service, now);
    }

    /// The same for those in TLS among themselves: their memory has a limit of its own.
    fn make_sessions(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let (sessions, most) = service.sessions();
        let free = most.saturating_sub(sessions);
        let reserve = (most / SESSIONS_RESERVE_PART).max(1);
        let waits = service.session_waits();
        let sessions = &mut self.room.sessions;
        if let Some((wanted, is_needed)) = sessions.wanted([free, reserve], waits, now) {
            let crowd = self.secure_crowd(stack, service);
            let found = crowd.who_stands_still(wanted, is_needed, now.monotonic_ns);
            self.room.sessions.found(found.len(), wanted, now);
            self.displace_all(&found, stack, service, now);
        }
        let (sessions, most) = service.sessions();
        let free = most.saturating_sub(sessions) as usize;
        for (_, id) in self.on_session.iter().take(free) {
            let entry = self.connections.get(id);
            if entry.is_some_and(|entry| entry.turn.is_none()) {
                self.queue.insert(*id);
            }
        }
    }

    fn displace_all(
        &mut self,
        found: &[ConnectionId],
        stack: &mut dyn Stack,
        service: &mut Service,
        now: Now,
    ) {
        for id in found {
            self.displace(*id, stack, service, now);
            self.room.leaving.insert(*id);
        }
    }

    /// Those in TLS.
    fn secure_crowd(&self, stack: &dyn Stack, service: &Service) -> Crowd {
        let entries = self.connections.iter();
        let secure = entries.filter(|(_, entry)| entry.connection.is_secure());
        Crowd::of(secure.map(|(id, entry)| self.seat(*id, entry, stack, service)))
    }

    fn seat(&self, id: ConnectionId, entry: &Entry, stack: &dyn Stack, service: &Service) -> Seat {
        let (mut stake, since_ns) = entry.connection.stake(service);
        // It waits for the store, or has its turn in the next step.
        let waits = [&self.on_store, &self.on_change, &self.queue];
        let waits_for_us =
            entry.turn.is_some() || waits.iter().any(|waiting| waiting.contains(&id));
        let mut since_ns = since_ns.filter(|_| !waits_for_us);
        let untaken = stack
            .standing(id)
            .filter(|standing| standing.untaken_bytes > 0);
        if let (Some(standing), Some(since_ns)) = (untaken, &mut since_ns) {
            stake = stake.max(Stake::Transfer);
            *since_ns = standing.moved_ns.max(*since_ns);
        }
        Seat {
            id,
            address: entry.address,
            stake,
            since_ns,
        }
    }

    /// All there are.
    fn crowd(&self, stack: &dyn Stack, service: &Service, now: Now) -> Crowd {
        let connections = self.connections.iter();
        let connections = connections.map(|(id, entry)| self.seat(*id, entry, stack, service));
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
        if let Some(mut entry) = self.forget(id) {
            entry.connection.give_way(service, now);
        }
    }
}
