//! What all connections share: the store, the configuration, the counters.
//!
//! # Invariants
//!
//! - A ticket whose connection is gone is still asked until it is answered, so
//!   that the store can forget it.
//! - Draining is never undone.

use crate::access::Access;
use crate::allowance::Allowance;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::gauge::Gauge;
use crate::http::date::Date;
use crate::http::response::Beginning;
use crate::jobs::{Jobs, Running};
use crate::json::Members;
use crate::metrics::Counters;
use crate::rotation::Rotation;
use crate::site::Sites;
use crate::visibility::Visibility;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::task::Poll;
use store::{Committed, Now, Refusal, Store, Ticket, Wake};

/// Appends lines of Prometheus text (0.0.4) to `/metrics`, each ended by a line feed.
pub trait MetricsSource {
    /// Appends the lines; names begin with `lampion_`.
    fn append(&self, out: &mut String);
}

/// Writes what only the roof knows into `/-/admin/status`.
pub trait StatusSource {
    /// Adds its members; `config` is that of the service.
    fn append(&self, members: &mut Members<'_>, config: &Config);
}

/// How this boot is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// For good.
    Off,
    /// With another.
    Reboot,
}

/// Facts only the roof knows.
#[derive(Default)]
pub struct Environment {
    /// The release, as printed on the console.
    pub version: Box<str>,
    /// What it was built from.
    pub commit: Box<str>,
    /// Where it can be reached, as `ADDRESS` or `ADDRESS:PORT`; the first is used in examples.
    pub addresses: Vec<Box<str>>,
    /// A sentence `/readyz` repeats, such as that everything is in memory only.
    pub note: Option<Box<str>>,
    /// More lines for `/metrics`.
    pub metrics: Option<Box<dyn MetricsSource>>,
    /// More of `/-/admin/status`.
    pub status: Option<Box<dyn StatusSource>>,
}

/// The service: everything connections share.
pub struct Service {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) counters: Counters,
    pub(crate) access: Access,
    /// Connections that exist.
    pub(crate) open: Gauge,
    /// Requests between their first byte and the last byte of their answer.
    pub(crate) busy: Gauge,
    /// Connections that watch a bucket.
    pub(crate) watchers: Gauge,
    /// Those of them that came without a token, where one is asked for.
    pub(crate) strangers_watching: Gauge,
    /// What batches take that come in, and pages with values that are put together.
    pub(crate) bodies: Allowance,
    pub(crate) jobs: Jobs,
    pub(crate) visibility: Visibility,
    pub(crate) sites: Sites,
    /// The scrub that was begun last, while it runs.
    pub(crate) scrub: Option<Running>,
    pub(crate) date: Date,
    pub(crate) beginning: Beginning,
    /// Tokens made here that were put in force.
    pub(crate) tokens_made: u32,
    /// Another one that the owner has asked for, until it is in force.
    pub(crate) rotation: Option<Rotation>,
    pub(crate) certificate: Certificate,
    /// The roof knows of it.
    pub(crate) is_rotating: bool,
    /// What the owner has asked for over HTTP.
    power: Option<Power>,
    /// The roof knows of it.
    power_taken: bool,
    draining: bool,
    orphans: Orphans,
}

/// Tickets nobody waits for any more.
type Orphans = Rc<RefCell<Vec<Ticket>>>;

/// Wraps tickets where there is no service at hand.
#[derive(Clone, Debug)]
pub(crate) struct Keeper(Orphans);

impl Keeper {
    /// As [`Service::pending`].
    pub(crate) fn pending(&self, ticket: Ticket) -> Pending {
        Pending {
            ticket: Some(ticket),
            orphans: Rc::clone(&self.0),
        }
    }
}

/// A submitted change; dropped unanswered, its ticket becomes an orphan.
#[derive(Debug)]
pub(crate) struct Pending {
    ticket: Option<Ticket>,
    orphans: Orphans,
}

impl Service {
    /// A service over `store`, which may still be opening.
    pub fn new(config: Config, store: Store) -> Self {
        let access = Access::new(&config.access_log);
        Service {
            store,
            config,
            environment: Environment::default(),
            counters: Counters::default(),
            access,
            open: Gauge::default(),
            busy: Gauge::default(),
            watchers: Gauge::default(),
            strangers_watching: Gauge::default(),
            bodies: Allowance::default(),
            jobs: Jobs::default(),
            visibility: Visibility::default(),
            sites: Sites::default(),
            scrub: None,
            date: Date::default(),
            beginning: Beginning::default(),
            tokens_made: 0,
            rotation: None,
            certificate: Certificate::default(),
            is_rotating: false,
            power: None,
            power_taken: false,
            draining: false,
            orphans: Orphans::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store, for the roof's own reading and writing, and for closing it.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Steps the store; then step the connections that wait for it.
    pub fn step_store(&mut self, now: Now) -> Wake {
        self.jobs.note_time(now.wall_ns);
        self.note_certificate_time(now.wall_ns);
        let wake = self.store.step(now);
        self.look_after_scrub();
        self.follow_certificates();
        let store = &mut self.store;
        let mut orphans = self.orphans.borrow_mut();
        let before = orphans.len();
        orphans.retain(|ticket| store.outcome(ticket).is_pending());
        let has_ended = orphans.len() < before;
        drop(orphans);
        self.follow_visibility(has_ended);
        if has_ended && core::mem::take(&mut self.sites.is_in_doubt) {
            self.sweep_all_sites();
        }
        let wake = match self.sites.is_at_rest || !self.follow_sites() {
            true => wake,
            false => Wake::Now,
        };
        match self.logs_access() {
            true => wake.or_sooner(self.follow_access(now)),
            false => wake,
        }
    }

    /// Whether something waits to be durable that nobody waits for any more.
    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans.borrow().is_empty()
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Says how many connections there can be: a fourth of them may watch.
    pub fn expect_connections(&mut self, connections_max: u32) {
        let watchers = &mut self.config.limits.watchers;
        *watchers = (connections_max / 4).min(*watchers);
    }

    /// Tells what only the roof knows; may be called again.
    pub fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// Finishes what is in progress and nothing more: every answer says
    /// `Connection: close`, connections idle after a request end at their next
    /// step (step them all now), `/readyz` is 503. A connection without a
    /// request yet may still bring one, so that `/readyz` can be asked; it does
    /// not keep [`Service::is_drained`] from being true.
    pub fn begin_shutdown(&mut self) {
        self.draining = true;
    }

    /// The owner asks for an end; the one that it will be, since the first one stands.
    pub(crate) fn ask_power(&mut self, power: Power) -> Power {
        *self.power.get_or_insert(power)
    }

    /// The end that the owner has asked for.
    pub(crate) fn asked_power(&self) -> Option<Power> {
        self.power
    }

    /// The end that the owner has asked for, once: the roof sees to it.
    pub fn take_power(&mut self) -> Option<Power> {
        self.power
            .filter(|_| !core::mem::replace(&mut self.power_taken, true))
    }

    /// Whether [`Service::begin_shutdown`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether no request is in progress any more after [`Service::begin_shutdown`].
    pub fn is_drained(&self) -> bool {
        let is_answered = self.busy.count() == 0 && !self.has_orphans();
        self.draining && is_answered && self.access.is_at_rest()
    }

    /// Connections that exist.
    pub fn connection_count(&self) -> u32 {
        self.open.count()
    }

    /// Requests in progress.
    pub fn request_count(&self) -> u32 {
        self.busy.count()
    }

    /// Requests that came with the token, so far: the next one after a token was made ends that
    /// one's publication.
    pub fn login_count(&self) -> u64 {
        self.counters.owner_logins
    }

    /// What the answer of the request just judged has to wait for: see [`Store::observed`].
    pub(crate) fn observed(&mut self) -> Option<Pending> {
        let ticket = self.store.observed()?;
        Some(self.pending(ticket))
    }

    /// Wraps a ticket so that it cannot be forgotten.
    pub(crate) fn pending(&self, ticket: Ticket) -> Pending {
        self.keeper().pending(ticket)
    }

    /// What wraps tickets for whoever has no service at hand.
    pub(crate) fn keeper(&self) -> Keeper {
        Keeper(Rc::clone(&self.orphans))
    }
}

impl Pending {
    /// How the change ended, once that may be known.
    pub(crate) fn outcome(&mut self, store: &mut Store) -> Poll<Result<Committed, Refusal>> {
        let ticket = self.ticket.as_ref().expect("an outcome is taken once");
        let outcome = store.outcome(ticket);
        if outcome.is_ready() {
            self.ticket = None;
        }
        outcome
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.orphans.borrow_mut().push(ticket);
        }
    }
}
