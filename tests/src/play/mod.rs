//! One seed: a guest through several lives, with clients, troubles, and checks from outside.
//!
//! What is checked: every acknowledged write is there, with its own bytes; nothing comes back
//! that was lost; the histories of shared keys have an order; every request is answered within
//! a bound; what a guest holds of ports, grants, watches and transactions is the same in each
//! life and goes back to it; no backend, daemon or peer has a fault to tell; an orderly end
//! comes in time.

mod book;
mod clients;
mod failure;
mod history;
mod life;

pub use failure::{Failure, Kind};

use crate::simulated::{
    Client, Cut, Held, LIMIT_NS, Options, Outcome, Simulation, Stuck, faults, request,
};
use book::Book;
use failure::{missing, wrong};
use life::{Life, Nature};
use sim::domain::{DOMID, Ended};
use sim::random::Random;
use sim::trace::Trace;

/// Lives of a seed.
const LIVES: u64 = 6;
/// Between two questions whether it serves.
const PAUSE_NS: u64 = 50_000_000;
/// Longest that it may take until a guest serves: its network's backend may have to be tried again.
const READY_NS_MAX: u64 = LIMIT_NS;

/// What a seed came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Steps of the guest.
    pub steps: u64,
    /// Simulated time.
    pub simulated_ns: u64,
    /// Answers and operations that were judged.
    pub checks: u64,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed(Cut),
    PoweredOff,
}

struct Play {
    simulation: Simulation,
    random: Random,
    nature: Nature,
    book: Book,
    held: Option<Held>,
}

/// Plays a seed.
///
/// # Errors
/// The first thing that is not as it must be, and the guest's console.
pub fn play(seed: u64, trace: Trace) -> Result<Played, Failure> {
    let mut random = Random::new(seed ^ 0x5eed);
    let options = Options {
        ram_bytes: [10 << 20, 16 << 20][random.below(2) as usize],
        interleaving: [0, 2_000, 20_000, 200_000][random.below(4) as usize],
        trace,
        ..Options::new(seed)
    };
    let nature = Nature::draw(&mut random);
    let mut play = Play {
        simulation: Simulation::begin(options),
        random,
        nature,
        book: Book::new(nature == Nature::Honest),
        held: None,
    };
    let played = play.all_lives();
    played.map_err(|Failure { kind, what }| Failure {
        kind,
        what: format!("{what}\nthe console:\n{}", play.simulation.console()),
    })
}

impl Play {
    fn all_lives(&mut self) -> Result<Played, Failure> {
        for _ in 0..LIVES {
            let mut life = Life::draw(&mut self.random, self.nature);
            self.live(&mut life)?;
            let end = match self.random.below(3) {
                0 => End::Killed(Cut::Guest),
                1 => End::Killed(Cut::Power),
                _ => End::PoweredOff,
            };
            self.end(end, &mut life)?;
        }
        let last = Life::calm(self.nature);
        self.begin(&last)?;
        self.book.judge_histories()?;
        if self.book.trusts_disk && self.book.acknowledged_keys() == 0 {
            return Err(wrong("nothing was written at all"));
        }
        Ok(Played {
            steps: self.simulation.steps,
            simulated_ns: self.simulation.world(|world| world.domain.now_ns),
            checks: self.book.checks,
        })
    }

    /// The guest comes to serve, and shows every key as it must be.
    fn begin(&mut self, life: &Life) -> Result<(), Failure> {
        self.simulation.world(|world| life.begin(world));
        self.until_ready()?;
        self.check_all(life)?;
        self.book.settle();
        self.check_held()
    }

    fn live(&mut self, life: &mut Life) -> Result<(), Failure> {
        self.begin(life)?;
        self.simulation.world(|world| life.worsen(world));
        let mut sessions = self.simulation.world(clients::sessions);
        let end = self.simulation.steps + 200 + self.random.below(3000);
        while self.simulation.steps < end {
            let book = &mut self.book;
            self.simulation.world(|world| {
                let mut sessions = sessions.iter_mut();
                sessions.try_for_each(|session| session.step(world, book, life))
            })?;
            life.step(&mut self.simulation, &mut self.random)?;
            self.simulation.step()?;
        }
        if life.is_calm() {
            self.check_held()?;
        }
        self.check_memory()?;
        match &faults(&self.simulation)[..] {
            [] => Ok(()),
            told => Err(wrong(format!("the guest did what no guest may: {told:?}"))),
        }
    }

    fn end(&mut self, end: End, life: &mut Life) -> Result<(), Failure> {
        let cut = match end {
            End::Killed(cut) => cut,
            End::PoweredOff => {
                self.power_off(life)?;
                Cut::Power
            }
        };
        let now_ns = self.simulation.world(|world| {
            world.domain.note(|| format!("the life ends: {end:?}"));
            world.domain.now_ns
        });
        self.book.killed(now_ns);
        self.simulation.restart(cut);
        Ok(())
    }

    /// The toolstack asks, and the domain ends.
    fn power_off(&mut self, life: &mut Life) -> Result<(), Failure> {
        self.simulation.world(|world| {
            life.mend(world);
            let path = format!("/local/domain/{DOMID}/control/shutdown");
            world.domain.xenstored.write(&path, b"poweroff");
        });
        match self.simulation.run(2 * LIMIT_NS, |_| false) {
            Err(Stuck::Ended(Ended::Poweroff)) => Ok(()),
            Err(stuck) => Err(missing(format!("poweroff was asked for: {stuck:?}"))),
            Ok(()) => unreachable!("it is never done"),
        }
    }

    fn until_ready(&mut self) -> Result<(), Failure> {
        // A store that such a disk leaves may refuse to write, or to open, and says so.
        let target = match self.nature {
            Nature::Honest => "/readyz?for=write",
            _ => "/healthz",
        };
        let end_ns = self.simulation.world(|world| world.domain.now_ns) + READY_NS_MAX;
        loop {
            match request(&mut self.simulation, "GET", target, b"") {
                Outcome::Answer(answer) if answer.status == 200 => return Ok(()),
                _ => {}
            }
            self.simulation.pass(PAUSE_NS)?;
            if self.simulation.world(|world| world.domain.now_ns) > end_ns {
                return Err(missing(format!("{target} is never answered with 200")));
            }
        }
    }

    /// Every key holds what was acknowledged last, or what was open when the guest was killed.
    fn check_all(&mut self, life: &Life) -> Result<(), Failure> {
        let mut client = self.simulation.world(Client::connect);
        let owned = self.book.owned_keys().into_iter().map(|key| (key, false));
        let shared = self.book.shared_keys().into_iter().map(|key| (key, true));
        for (key, is_shared) in owned.chain(shared).collect::<Vec<_>>() {
            let asked_ns = self.simulation.world(|world| {
                client.ask(world, "GET", &format!("/kv/b/{key}"), b"");
                world.domain.now_ns
            });
            let mut outcome = None;
            let ran = self.simulation.run(LIMIT_NS, |world| {
                outcome = client.answer(world);
                outcome.is_some()
            });
            // A value that such a disk has spoilt is broken off, and its connection with it. That
            // is told once: a peer who waits does not learn of it if the frame is lost.
            let is_broken_off = match &outcome {
                Some(Outcome::Lost(_)) => true,
                Some(Outcome::Answer(_)) => false,
                None => life.loses_frames() && matches!(ran, Err(Stuck::Forever)),
            };
            if is_broken_off && self.nature != Nature::Honest {
                client = self.simulation.world(Client::connect);
                continue;
            }
            let Some(Outcome::Answer(answer)) = outcome else {
                return Err(missing(format!("key {key}: {outcome:?}, {ran:?}")));
            };
            if answer.status >= 500 && life.may_fail() {
                continue;
            }
            if is_shared {
                let now_ns = self.simulation.world(|world| world.domain.now_ns);
                self.book.shared_reads(key, &answer, (asked_ns, now_ns))?;
            } else {
                self.book.reads(key, &answer)?;
            }
        }
        self.simulation.world(|world| client.abort(world));
        Ok(())
    }

    /// The guest's heap has never been larger than the one its image would have had.
    fn check_memory(&self) -> Result<(), Failure> {
        let (held, heap) = (
            self.simulation.heap().peak_bytes,
            self.simulation.heap_bytes(),
        );
        if held <= heap {
            return Ok(());
        }
        Err(wrong(format!("it held {held} bytes of a heap of {heap}")))
    }

    fn check_held(&mut self) -> Result<(), Failure> {
        if self.nature != Nature::Honest {
            return Ok(());
        }
        let held = self.simulation.world(|world| Held::by(world));
        let first = *self.held.get_or_insert(held);
        if held == first {
            return Ok(());
        }
        Err(wrong(format!("it holds {held:?}, and at first {first:?}")))
    }
}
