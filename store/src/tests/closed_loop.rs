//! Clients in virtual time, on a disk that takes its time.
//!
//! Each puts, and asks again when it is answered.

use super::bed::*;
use crate::block::*;
use crate::pace::Pace;
use crate::*;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::Poll;

/// A write, from submission to completion.
pub(crate) const WRITE_NS: u64 = 60_000;
/// What a step takes of whoever calls it.
const STEP_NS: u64 = 2_000;

/// When it is.
pub(crate) type Clock = Rc<Cell<u64>>;

/// A disk in memory whose requests end later.
struct SlowDisk {
    disk: MemoryDisk,
    clock: Clock,
    flush_ns: Rc<Cell<u64>>,
    is_gone: Rc<Cell<bool>>,
    under_way: Rc<RefCell<VecDeque<(u64, Completion)>>>,
}

impl BlockDevice for SlowDisk {
    fn geometry(&self) -> Option<Geometry> {
        self.disk.geometry()
    }

    fn submit(&mut self, id: RequestId, request: Request) -> Result<(), SubmitError> {
        let takes_ns = match request {
            Request::Flush => self.flush_ns.get(),
            _ => WRITE_NS,
        };
        self.disk.submit(id, request)?;
        let ended = self.disk.poll().expect("it answers at once");
        let due_ns = self.clock.get() + takes_ns;
        self.under_way.borrow_mut().push_back((due_ns, ended));
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion> {
        let mut under_way = self.under_way.borrow_mut();
        let is_due = |(due_ns, _): &(u64, Completion)| *due_ns <= self.clock.get();
        let at = under_way.iter().position(is_due)?;
        under_way.remove(at).map(|(_, ended)| ended)
    }

    fn presence(&self) -> Presence {
        match self.is_gone.get() {
            true => Presence::Gone,
            false => Presence::Here { connections: 0 },
        }
    }
}

enum Client {
    /// It asks then.
    Away(u64),
    Waits(Ticket),
}

/// Puts and flushes of a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) puts: u64,
    pub(crate) flushes: u64,
    pub(crate) took_ns: u64,
}

impl Figures {
    /// Whether so many tenths of `clients` share a flush.
    pub(crate) fn share(self, tenths: u64, clients: u64) -> bool {
        self.puts * 10 >= tenths * clients * self.flushes
    }
}

/// A store and its clients.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) flush_ns: Rc<Cell<u64>>,
    pub(crate) is_gone: Rc<Cell<bool>>,
    under_way: Rc<RefCell<VecDeque<(u64, Completion)>>>,
    clients: Vec<Client>,
    /// A value without end that is written beside them.
    upload: Option<Upload>,
    random: Random,
    keys: u64,
    /// Shortest and longest time from an answer to the next request.
    pub(crate) away_ns: (u64, u64),
    puts: u64,
    /// Times at which the store asked for a step while no request was under way.
    pub(crate) wakes: Vec<u64>,
}

impl World {
    pub(crate) fn new(disk_bytes: u64, flush_ns: u64) -> World {
        let (clock, under_way) = (Clock::default(), Rc::default());
        let (flushing, is_gone) = (Rc::new(Cell::new(flush_ns)), Rc::default());
        let device = SlowDisk {
            disk: MemoryDisk::new(disk_bytes),
            clock: Rc::clone(&clock),
            flush_ns: Rc::clone(&flushing),
            is_gone: Rc::clone(&is_gone),
            under_way: Rc::clone(&under_way),
        };
        let mut world = World {
            store: Store::opening(Box::new(device), options(1)),
            clock,
            flush_ns: flushing,
            is_gone,
            under_way,
            clients: Vec::new(),
            upload: None,
            random: Random(flush_ns),
            keys: u64::MAX,
            away_ns: (20_000, 80_000),
            puts: 0,
            wakes: Vec::new(),
        };
        while *world.store.state() != State::Ready {
            world.turn(u64::MAX);
        }
        world.rest();
        world
    }

    /// No more than so many different keys are put.
    pub(crate) fn with_keys(mut self, keys: u64) -> World {
        self.keys = keys;
        self
    }

    /// From now on no group is held.
    pub(crate) fn unpaced(mut self) -> World {
        self.store.pace = Pace::unheld();
        self
    }

    /// From now on there are so many clients; those that are too many leave when answered.
    pub(crate) fn set_clients(&mut self, count: usize) {
        while self.clients.len() > count {
            self.clients.pop();
        }
        while self.clients.len() < count {
            let at_ns = self.clock.get() + self.random.below(self.away_ns.1);
            self.clients.push(Client::Away(at_ns));
        }
    }

    /// From now on a value without end is written, too.
    pub(crate) fn begin_upload(&mut self) {
        let (of, k) = (bucket("b"), key("large"));
        let headers = Headers::default();
        let begun = self
            .store
            .begin_upload(of, k, Condition::None, headers, None);
        self.upload = Some(begun.expect("begun"));
    }

    /// Until nothing is under way.
    pub(crate) fn rest(&mut self) {
        while self.turn(u64::MAX) {}
    }

    /// So long; what happened.
    pub(crate) fn run(&mut self, duration_ns: u64) -> Figures {
        let before = (self.puts, self.store.statistics().flushes, self.clock.get());
        let end_ns = before.2 + duration_ns;
        while self.clock.get() < end_ns && self.turn(end_ns) {}
        Figures {
            puts: self.puts - before.0,
            flushes: self.store.statistics().flushes - before.1,
            took_ns: self.clock.get() - before.2,
        }
    }

    /// A put of a new value.
    pub(crate) fn submit(&mut self) -> Ticket {
        let number = self.random.next() % self.keys;
        let put = put_change(&[7; 64]);
        let batch = one("b", &format!("{number:016x}"), Condition::None, put);
        self.store.submit(batch).expect("taken")
    }

    /// A step now.
    pub(crate) fn step(&mut self) -> Wake {
        self.store.step(now(self.clock.get()))
    }

    /// Whether the disk has something to do.
    pub(crate) fn is_writing(&self) -> bool {
        !self.under_way.borrow().is_empty()
    }

    /// All have a turn, and time goes on to what happens next; whether anything will.
    fn turn(&mut self, end_ns: u64) -> bool {
        let at_ns = self.clock.get();
        for at in 0..self.clients.len() {
            if let Client::Away(until_ns) = self.clients[at]
                && until_ns <= at_ns
            {
                self.clients[at] = Client::Waits(self.submit());
            }
        }
        if let Some(upload) = &mut self.upload {
            let taken = self.store.upload(upload, &[1; 64 << 10]);
            taken.expect("there is room");
        }
        let wake = self.step();
        for client in &mut self.clients {
            let Client::Waits(ticket) = client else {
                continue;
            };
            if let Poll::Ready(outcome) = self.store.outcome(ticket) {
                outcome.expect("committed");
                self.puts += 1;
                let (least_ns, most_ns) = self.away_ns;
                let away_ns = least_ns + self.random.below(most_ns - least_ns);
                *client = Client::Away(at_ns + away_ns);
            }
        }
        let under_way = self.under_way.borrow();
        let away = self.clients.iter().filter_map(|client| match client {
            Client::Away(until_ns) => Some(*until_ns),
            Client::Waits(_) => None,
        });
        let ends = under_way.iter().map(|(due_ns, _)| *due_ns);
        let asked = match wake {
            Wake::Now => Some(at_ns),
            Wake::At(asked) => asked,
        };
        if let Wake::At(Some(until_ns)) = wake
            && under_way.is_empty()
        {
            self.wakes.push(until_ns);
        }
        let Some(next_ns) = away.chain(ends).chain(asked).min() else {
            return false;
        };
        self.clock.set(next_ns.min(end_ns).max(at_ns + STEP_NS));
        true
    }
}
