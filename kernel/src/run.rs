//! The loop: all pending work within budgets, then say when to run again.
//!
//! [`Appliance::step`] does what can be done now and never waits; the image
//! loops it, and so does a simulator. Its order is the life of a request: what
//! the toolstack and the devices say, the store, the network in, the service,
//! the store and the network out, then one notification for each device.

use crate::certificate::FirstCertificate;
use crate::disk::Disk;
use crate::entropy::Entropy;
use crate::http::Http;
use crate::lifecycle::End;
use crate::machine::Host;
use crate::operator::{Command, Operator};
use crate::publish::Publisher;
use crate::shutdown::Shutdown;
use crate::startup::{Parts, Startup};
use crate::suspend::Suspension;
use crate::syslog::Syslog;
use crate::token::FirstToken;
use crate::toolstack::{Asked, Toolstack};
use crate::watchdog::Watchdog;
use crate::{logger, report, status};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::RefCell;
use drivers::blkfront::Blkfront;
use net::{SmolStack, Stack};
use service::Service;
use store::MemoryDisk;
use store::block::BlockDevice;
use store::{Now, State};
use xen::{Attachment, ShutdownReason};

mod flight;
mod resume;
mod serving;

use serving::Serving;

/// When to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once.
    Now,
    /// At an event, or at this time in ns.
    At(Option<u64>),
    /// When the domain was saved: [`Appliance::suspend`] is next.
    Suspend,
}

/// The whole appliance.
pub struct Appliance {
    attachment: Attachment,
    host: Host,
    entropy: Entropy,
    toolstack: Toolstack,
    operator: Operator,
    publisher: Publisher,
    phase: Phase,
    shutdown: Shutdown,
    suspension: Suspension,
    watchdog: Watchdog,
    /// What a panic was told of last.
    armed: flight::Armed,
    /// The time of the first step.
    begun_ns: Option<u64>,
    /// All is done, but what is said of it is not sent yet: the end is this, and not later.
    last_words: Option<(ShutdownReason, u64)>,
}

/// How long what was said last may take to be sent.
const LAST_WORDS_NS: u64 = 300_000_000;

enum Phase {
    Starting(Box<Startup>),
    Serving(Box<Serving>),
}

impl Phase {
    fn vbd(&self) -> Option<&RefCell<Blkfront>> {
        match self {
            Phase::Serving(serving) => serving.vbd.as_deref(),
            Phase::Starting(_) => None,
        }
    }

    fn has_last_words(&self) -> bool {
        match self {
            Phase::Serving(serving) => serving.has_last_words(),
            Phase::Starting(_) => false,
        }
    }

    fn has_more_to_say(&self) -> bool {
        match self {
            Phase::Serving(serving) => serving.has_more_to_say(),
            Phase::Starting(_) => false,
        }
    }
}

impl Appliance {
    /// All of it, nothing connected yet.
    pub fn new(attachment: Attachment, command_line: &[u8], host: Host) -> Appliance {
        let startup = Startup::begin(attachment.xenstore.clone(), command_line);
        let mut publisher = Publisher::new(attachment.xenstore.clone());
        publisher.introduce(report::VERSION, host.ram_bytes / 1024);
        Appliance {
            toolstack: Toolstack::listen(attachment.xenstore.clone(), &host),
            entropy: Entropy::new(&host.seed),
            attachment,
            host,
            operator: Operator::default(),
            publisher,
            phase: Phase::Starting(Box::new(startup)),
            shutdown: Shutdown::default(),
            suspension: Suspension::default(),
            watchdog: Watchdog::default(),
            armed: flight::Armed::default(),
            begun_ns: None,
            last_words: None,
        }
    }

    /// Does what can be done at `tsc`.
    pub fn step(&mut self, tsc: u64) -> Wake {
        let monotonic_ns = self.attachment.clock.monotonic_ns(tsc);
        let now = Now {
            monotonic_ns,
            wall_ns: self.attachment.clock.wall_ns(monotonic_ns),
        };
        logger::set_now(monotonic_ns);
        self.begun_ns.get_or_insert(monotonic_ns);
        self.attachment.timers.begin(monotonic_ns);
        let Attachment { xen, timers, .. } = &self.attachment;
        let alarm = self.host.alarm.as_deref();
        self.watchdog.feed(*xen, timers, alarm);
        // All that an event can mean is looked at in every step: its port says no more.
        self.attachment.events.take_pending(|_| {});
        if let Some(xenstore) = &self.attachment.xenstore {
            xenstore.step();
        }
        self.listen_to_owners(now);
        let more = match &mut self.phase {
            // Nothing was promised to anybody yet: what ends does not begin to serve.
            Phase::Starting(_) if self.shutdown.is_asked() => false,
            Phase::Starting(startup) => match startup.step() {
                None => false,
                Some(parts) => {
                    self.phase = Phase::Serving(Box::new(self.serve(parts)));
                    true
                }
            },
            Phase::Serving(serving) => {
                let Appliance {
                    entropy,
                    publisher,
                    attachment,
                    ..
                } = self;
                serving.step(now, entropy, publisher, attachment)
            }
        };
        let more = self.listen_to_admin(now) || more;
        self.take_back_grants();
        self.publisher.step();
        let ending = self.end(now);
        let more = more || self.phase.has_more_to_say();
        let suspends = self.rests();
        if let Some(console) = &self.attachment.console {
            logger::drain(|bytes| console.write(bytes));
        }
        if suspends {
            Wake::Suspend
        } else if more || ending {
            Wake::Now
        } else {
            Wake::At(self.deadline_ns())
        }
    }

    /// Sets the timer for `wake`; `false` when there is no time to sleep.
    pub fn arm(&self, wake: Wake) -> bool {
        let Wake::At(deadline) = wake else {
            return false;
        };
        if self.attachment.events.any_pending() {
            return false;
        }
        let clock = &self.attachment.clock;
        let deadline = deadline.map(|deadline| clock.system_ns(deadline));
        self.attachment.xen.set_timer(deadline.unwrap_or(0));
        true
    }

    /// The toolstack, and whoever types on the console.
    fn listen_to_owners(&mut self, now: Now) {
        let mut end = None;
        while let Some(asked) = self.toolstack.step() {
            match asked {
                Asked::End(asked) => end = end.or(Some(asked)),
                Asked::Suspend => self.begin_suspend(now),
                Asked::Status => self.log_status(),
            }
        }
        let console = self.attachment.console.as_ref();
        match console.and_then(|console| self.operator.step(console)) {
            Some(Command::End(asked)) => {
                log::info!("lifecycle: {asked:?} asked on the console");
                end = end.or(Some(asked));
            }
            Some(Command::Status) => self.log_status(),
            None => {}
        }
        if let Some(end) = end {
            self.begin_end(end, now);
        }
    }

    /// Whoever has asked for an end on the admin port; whether anybody has.
    fn listen_to_admin(&mut self, now: Now) -> bool {
        let asked = match &mut self.phase {
            Phase::Serving(serving) => serving.service.take_power(),
            Phase::Starting(_) => None,
        };
        let Some(power) = asked else { return false };
        log::info!("lifecycle: power {power:?} asked on the admin port");
        self.begin_end(End::of(power), now);
        true
    }

    fn begin_end(&mut self, end: End, now: Now) {
        if end == End::Crash {
            panic!("a crash was asked for by the toolstack");
        }
        self.suspension.end(self.phase.vbd());
        self.publisher.set("data/lampion/state", "stopping");
        let running_ns = self.attachment.xen.vcpu_running_ns(0);
        self.shutdown.begin(end, now.monotonic_ns, running_ns);
        if let Phase::Serving(serving) = &mut self.phase {
            serving.service.begin_shutdown();
            serving.http.wake_all();
        }
    }

    /// How things stand, on the console.
    fn log_status(&self) {
        match &self.phase {
            Phase::Starting(_) => log::info!("status: starting"),
            Phase::Serving(serving) => {
                status::log_service(&serving.service, serving.stack.statistics());
                status::log_devices(serving.vif.as_deref(), serving.vbd.as_deref());
            }
        }
        status::log_machine(&self.attachment, (self.host.heap)());
    }

    /// Advances an end that was asked for; whether there is more to do at once.
    fn end(&mut self, now: Now) -> bool {
        let service = match &mut self.phase {
            Phase::Serving(serving) => Some(&mut serving.service),
            Phase::Starting(_) => None,
        };
        let reason = self
            .shutdown
            .step(service, now.monotonic_ns, &self.attachment);
        if let Some(reason) = reason {
            self.last_words = Some((reason, now.monotonic_ns + LAST_WORDS_NS));
        }
        let Some((reason, until_ns)) = self.last_words else {
            return false;
        };
        if now.monotonic_ns < until_ns && self.phase.has_last_words() {
            self.attachment.timers.register(until_ns);
            return false;
        }
        self.last_words = None;
        if let Some(console) = &self.attachment.console {
            logger::drain(|bytes| console.write(bytes));
        }
        self.attachment.xen.shutdown(reason);
        true
    }

    /// What has been given to us.
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Tries again, from time to time, to take back pages that a backend kept mapped.
    fn take_back_grants(&self) {
        const RETRY_NS: u64 = 1_000_000_000;
        let mut grants = self.attachment.grants.borrow_mut();
        if grants.quarantined() > 0 {
            grants.retry_quarantine();
            let timers = &self.attachment.timers;
            timers.register(timers.now_ns() + RETRY_NS);
        }
    }

    /// Gives TLS its randomness; whether there is any that is good enough.
    fn seed_tls(&mut self) -> bool {
        let is_strong = self.entropy.is_strong();
        match is_strong {
            true => tls::random::seed(self.entropy.draw()),
            false => log::error!(
                "tls: this CPU has neither RDRAND nor RDSEED, so https.port is not served: use a \
                 host that has one, or let a proxy speak TLS"
            ),
        }
        is_strong
    }

    fn deadline_ns(&self) -> Option<u64> {
        let serving = match &self.phase {
            Phase::Serving(serving) => serving.http.deadline_ns(),
            Phase::Starting(_) => None,
        };
        let timers = self.attachment.timers.next_ns();
        serving.into_iter().chain(timers).min()
    }

    /// Puts the parts together that startup has found.
    fn serve(&mut self, parts: Parts) -> Serving {
        self.watchdog.set(parts.settings.watchdog_s);
        let budget = self.host.budget();
        let vif = parts
            .netfront(&self.attachment, budget)
            .map(RefCell::new)
            .map(Rc::new);
        let vbd = parts
            .blkfront(&self.attachment, budget)
            .map(RefCell::new)
            .map(Rc::new);
        let device: Box<dyn BlockDevice> = match &vbd {
            Some(front) => Box::new(Disk::new(Rc::clone(front))),
            None => Box::new(MemoryDisk::new(budget.memory_disk_bytes())),
        };
        let memory_bytes = budget.store_memory_bytes(vbd.is_some());
        let store = parts.store(device, memory_bytes, self.entropy.draw());
        let mut config = parts.settings.service.clone();
        config.limits.bodies_bytes = budget.bodies_bytes();
        config.limits.sessions_bytes = budget.sessions_bytes;
        let mut service = Service::new(config, store);
        let net = Rc::default();
        service.set_environment(report::environment(
            &parts,
            report::Sources {
                vif: vif.clone(),
                vbd: vbd.clone(),
                net: Rc::clone(&net),
                grants: Rc::clone(&self.attachment.grants),
                xenstore: self.attachment.xenstore.clone(),
                xen: self.attachment.xen,
                pool: self.attachment.pool,
                heap: self.host.heap,
            },
        ));
        let mut stack = SmolStack::new(parts.stack_options(budget, self.entropy.draw()));
        service.expect_connections(stack.statistics().connections_max);
        let settings = &parts.settings;
        let set = [
            settings.tls_certificate.as_deref(),
            settings.tls_key.as_deref(),
        ];
        let certificate = FirstCertificate::begin(&mut service, set);
        let https_port = settings.https_port.filter(|_| self.seed_tls());
        let http = Http::listen(&mut stack, settings.http_port, settings.admin_port);
        Serving {
            vif,
            vbd,
            stack,
            net,
            service,
            http,
            token: FirstToken::Waiting,
            certificate,
            https_port,
            hostname: settings.hostname.clone(),
            secure_end: false,
            rotating: None,
            token_shown: None,
            linked: false,
            lease: None,
            state: State::Opening,
            domid: parts.domid.filter(|_| !self.host.emulated),
            syslog: Syslog::begin(&parts.settings, self.begun_ns.unwrap_or(0)),
        }
    }
}
