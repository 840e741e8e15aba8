//! Connections of the HTTP ports: from the network stack to the service and back.
//!
//! # Invariants
//!
//! - Every connection the stack handed out is in `connections` until it was
//!   finished or aborted; finished ones are in `ending` until they are gone.
//! - `due` holds exactly the deadlines of the connections; `on_store` those
//!   that wait for the store, `on_change` those that wait for a change in it, `on_session` those
//!   that wait for another session to end. Only they and connections with news are stepped.
//! - Who waits for its step gets it before any other gets a second one; handshakes of TLS have
//!   turns of their own, by who came first, and while one waits for it nothing of it is due.

mod crowd;
mod room;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::ops::Bound;
use net::{Accepted, ConnectionId, Received, Stack, Status};
use room::Room;
use service::{Connection, Input, Plane, Progress, Service, Transport};
use store::{Now, Seq, Store};

/// Connections waiting to be accepted: of users, and of owners.
const BACKLOG: u16 = 128;
const ADMIN_BACKLOG: u16 = 16;
/// Connections stepped in one step of the loop.
const STEPS_MAX: usize = 256;
/// Of handshakes only so many that bring something: each may take as long as many requests.
const HANDSHAKES_MAX: u64 = 4;

/// Where a port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// To a plane, as bytes come.
    Plain(Plane),
    /// To the users' plane, in TLS.
    Secure,
}

struct Entry {
    connection: Connection,
    address: Ipv4Addr,
    deadline_ns: u64,
    /// Its turn among handshakes, while it waits for it.
    turn: Option<u64>,
}

/// The HTTP ports that are open.
#[derive(Default)]
pub(crate) struct Http {
    ports: Vec<(u16, Door)>,
    connections: BTreeMap<ConnectionId, Entry>,
    /// Those that have all they get, and have not taken it yet; of whom, and since when.
    ending: BTreeMap<ConnectionId, (Ipv4Addr, u64)>,
    room: Room,
    on_store: BTreeSet<ConnectionId>,
    /// Turns until who waits for the store has another.
    round_left: usize,
    on_change: BTreeSet<ConnectionId>,
    /// Who came first has its session first.
    on_session: BTreeSet<(u64, ConnectionId)>,
    /// The last change that those were woken for.
    seen: Seq,
    due: BTreeSet<(u64, ConnectionId)>,
    /// To be stepped now, each once.
    queue: BTreeSet<ConnectionId>,
    /// The same for handshakes, by turns.
    handshakes: BTreeSet<(u64, ConnectionId)>,
    next_turn: u64,
    /// The one that was stepped last.
    last: Option<ConnectionId>,
}

/// One connection's bytes, as the service sees them.
struct Wire<'a> {
    stack: &'a mut dyn Stack,
    id: ConnectionId,
}

impl Transport for Wire<'_> {
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        match self.stack.receive(self.id, take) {
            Received::Bytes(count) => Input::Bytes(count),
            Received::Nothing => Input::Nothing,
            Received::Finished => Input::Finished,
            Received::Gone => Input::Gone,
        }
    }

    fn send_room(&self) -> usize {
        self.stack.send_room(self.id)
    }

    fn send(&mut self, segments: &[&[u8]]) -> usize {
        self.stack.send(self.id, segments)
    }
}

impl Http {
    /// Begins to listen on the ports of `http.port` and `admin.port`, those that are not off.
    pub(crate) fn listen(
        stack: &mut dyn Stack,
        http_port: Option<u16>,
        admin_port: Option<u16>,
    ) -> Http {
        let mut http = Http::default();
        http.open(stack, http_port, Door::Plain(Plane::Data));
        http.open(stack, admin_port, Door::Plain(Plane::Admin));
        http
    }

    /// Begins to listen on a port, unless it is off.
    pub(crate) fn open(&mut self, stack: &mut dyn Stack, port: Option<u16>, door: Door) {
        let Some(port) = port else { return };
        let (backlog, key) = match door {
            Door::Plain(Plane::Data) => (BACKLOG, "http.port"),
            Door::Plain(Plane::Admin) => (ADMIN_BACKLOG, "admin.port"),
            Door::Secure => (BACKLOG, "https.port"),
        };
        match stack.listen(port, backlog) {
            Ok(()) => self.ports.push((port, door)),
            Err(error) => log::error!(
                "http: {key}={port} is not listened on ({error:?}): write a port that no other \
                 key has, or {key}=off"
            ),
        }
    }

    /// The port of a door that is open.
    pub(crate) fn port_of(&self, door: Door) -> Option<u16> {
        let mut ports = self.ports.iter();
        ports
            .find(|(_, other)| *other == door)
            .map(|(port, _)| *port)
    }

    /// A connection that has come in by one of the ports.
    fn welcome(&self, accepted: &Accepted, now: Now) -> Connection {
        let found = self.ports.iter().find(|(port, _)| *port == accepted.port);
        let (_, door) = found.expect("the stack accepts where it was told to listen");
        let peer = accepted.peer.into();
        match door {
            Door::Plain(plane) => Connection::new(peer, *plane, now),
            Door::Secure => Connection::new(peer, Plane::Data, now).secured(),
        }
    }

    /// Steps what has news, what waits for the store, and what is due.
    /// Whether there is more to do at once.
    pub(crate) fn step(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) -> bool {
        while let Some(accepted) = stack.accept() {
            let connection = self.welcome(&accepted, now);
            let deadline_ns = now.monotonic_ns;
            self.connections.insert(
                accepted.id,
                Entry {
                    connection,
                    address: *accepted.peer.ip(),
                    deadline_ns,
                    turn: None,
                },
            );
            self.due.insert((deadline_ns, accepted.id));
        }
        while let Some(id) = stack.ready() {
            match self.ending.contains_key(&id) {
                true => self.follow_ending(id, stack),
                false => drop(self.queue.insert(id)),
            }
        }
        // Each of a round has its turn before any of them has another: so a step ends, however
        // many wait.
        if self.round_left == 0 || self.queue.is_empty() {
            self.queue.append(&mut self.on_store);
            self.round_left = self.queue.len();
        }
        let seq = service.store().durable_seq();
        if core::mem::replace(&mut self.seen, seq) != seq {
            self.queue.append(&mut self.on_change);
        }
        while let Some((deadline_ns, id)) = self.due.first().copied()
            && deadline_ns <= now.monotonic_ns
        {
            self.due.remove(&(deadline_ns, id));
            self.queue.insert(id);
        }
        let mut again = Vec::new();
        for _ in 0..STEPS_MAX {
            let Some(id) = self.next() else { break };
            self.round_left = self.round_left.saturating_sub(1);
            if self.takes_turn(id) {
                continue;
            }
            if self.step_one(id, stack, service, now) {
                again.push(id);
            }
        }
        self.step_handshakes(stack, service, now);
        self.queue.extend(again);
        self.make_room(stack, service, now);
        let waiting = self.on_store.len() + self.on_change.len() + self.on_session.len();
        debug_assert!(
            waiting <= self.connections.len(),
            "who is gone waits no more"
        );
        !self.queue.is_empty() || !self.handshakes.is_empty()
    }

    /// Whether it is in a handshake, and waits for its turn now.
    fn takes_turn(&mut self, id: ConnectionId) -> bool {
        let Some(entry) = self.connections.get_mut(&id) else {
            return false;
        };
        if !entry.connection.is_in_handshake() {
            return false;
        }
        if entry.turn.is_none() {
            entry.turn = Some(self.next_turn);
            self.handshakes.insert((self.next_turn, id));
            self.next_turn += 1;
        }
        true
    }

    /// Steps handshakes in their turns: a few that bring something, so that all others are served
    /// beside them.
    fn step_handshakes(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let begun = service.handshake_steps();
        let mut again = Vec::new();
        for _ in 0..STEPS_MAX {
            if service.handshake_steps() - begun >= HANDSHAKES_MAX {
                break;
            }
            let Some((_, id)) = self.handshakes.pop_first() else {
                break;
            };
            if let Some(entry) = self.connections.get_mut(&id) {
                entry.turn = None;
            }
            if self.step_one(id, stack, service, now) {
                again.push(id);
            }
        }
        self.queue.extend(again);
    }

    /// Ends the connections in TLS: who goes on twice must not seal twice with the same keys.
    pub(crate) fn end_secure(&mut self, stack: &mut dyn Stack, service: &mut Service, now: Now) {
        let entries = self.connections.iter();
        let secure = entries.filter(|(_, entry)| entry.connection.is_secure());
        for id in secure.map(|(id, _)| *id).collect::<Vec<_>>() {
            stack.abort(id);
            if let Some(mut entry) = self.forget(id) {
                let why = "the domain goes on elsewhere";
                entry.connection.end(service, now, why);
            }
        }
    }

    /// Takes one out of all lists.
    fn forget(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.connections.remove(&id)?;
        self.due.remove(&(entry.deadline_ns, id));
        self.on_store.remove(&id);
        self.on_change.remove(&id);
        self.on_session.remove(&(entry.deadline_ns, id));
        self.queue.remove(&id);
        if let Some(turn) = entry.turn {
            self.handshakes.remove(&(turn, id));
        }
        Some(entry)
    }

    /// Forgets one that is gone, and what its peer said that nobody reads any more.
    fn follow_ending(&mut self, id: ConnectionId, stack: &mut dyn Stack) {
        if stack.status(id) == Status::Gone {
            stack.abort(id);
            self.ending.remove(&id);
        }
    }

    /// Takes the next one, in a round.
    fn next(&mut self) -> Option<ConnectionId> {
        let behind = self.last.and_then(|last| {
            let behind = self.queue.range((Bound::Excluded(last), Bound::Unbounded));
            behind.into_iter().next().copied()
        });
        let next = behind.or_else(|| self.queue.first().copied())?;
        self.queue.remove(&next);
        self.last = Some(next);
        Some(next)
    }

    /// Has every connection look up: the service is shutting down.
    pub(crate) fn wake_all(&mut self) {
        self.queue.extend(self.connections.keys());
    }

    /// Whether any connection waits for the store, or for a change that it has not seen.
    pub(crate) fn waits_for(&self, store: &Store) -> bool {
        let is_changed = || store.durable_seq() != self.seen;
        !self.on_store.is_empty() || (!self.on_change.is_empty() && is_changed())
    }

    /// The earliest deadline.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let due = self.due.first().map(|(deadline_ns, _)| *deadline_ns);
        due.into_iter().chain(self.room.look_again_ns()).min()
    }

    /// Steps one connection; whether it wants more at once.
    fn step_one(
        &mut self,
        id: ConnectionId,
        stack: &mut dyn Stack,
        service: &mut Service,
        now: Now,
    ) -> bool {
        // Who wakes for another reason waits no more, and may be gone after this.
        self.on_change.remove(&id);
        self.on_store.remove(&id);
        let Some(entry) = self.connections.get_mut(&id) else {
            return false;
        };
        self.due.remove(&(entry.deadline_ns, id));
        self.on_session.remove(&(entry.deadline_ns, id));
        let progress = entry.connection.step(service, &mut Wire { stack, id }, now);
        let deadline_ns = match progress {
            Progress::Peer { deadline_ns } => deadline_ns,
            Progress::Store { deadline_ns } => {
                self.on_store.insert(id);
                deadline_ns
            }
            Progress::Change { deadline_ns } => {
                self.on_change.insert(id);
                deadline_ns
            }
            Progress::Session { deadline_ns } => {
                self.on_session.insert((deadline_ns, id));
                deadline_ns
            }
            Progress::Again => {
                self.due.insert((entry.deadline_ns, id));
                return true;
            }
            Progress::Finish => {
                stack.finish(id);
                self.ending.insert(id, (entry.address, now.monotonic_ns));
                self.connections.remove(&id);
                // Of one that is gone already there will be no news.
                self.follow_ending(id, stack);
                return false;
            }
            Progress::Abort => {
                stack.abort(id);
                self.connections.remove(&id);
                return false;
            }
        };
        entry.deadline_ns = deadline_ns;
        self.due.insert((deadline_ns, id));
        false
    }
}
