//! The loop: all pending work within budgets, then say when to run again.
//!
//! [`Appliance::step`] does what can be done now and never waits; the image
//! loops it, and so does a simulator. Its order is the life of a request: what
//! the toolstack and the devices say, the store, the network in, the service,
//! the store and the network out, then one notification for each device.

use crate::disk::Disk;
use crate::entropy::Entropy;
use crate::ether::{Ether, NoEther};
use crate::http::Http;
use crate::lifecycle::End;
use crate::machine::Host;
use crate::operator::{Command, Operator};
use crate::publish::Publisher;
use crate::rotation::{self, Rotating};
use crate::shutdown::Shutdown;
use crate::startup::{Parts, Startup};
use crate::suspend::Suspension;
use crate::token::{self, FirstToken};
use crate::toolstack::{Asked, Toolstack};
use crate::watchdog::Watchdog;
use crate::{logger, report, status};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;
use core::net::Ipv4Addr;
use drivers::blkfront::Blkfront;
use drivers::netfront::Netfront;
use net::{Lease, Link, SmolStack, Stack};
use service::{Plane, Service};
use store::MemoryDisk;
use store::block::BlockDevice;
use store::{Now, State};
use xen::Attachment;

mod flight;
mod resume;

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
}

enum Phase {
    Starting(Box<Startup>),
    Serving(Box<Serving>),
}

/// What serves, once the settings and devices are known.
struct Serving {
    vif: Option<Rc<RefCell<Netfront>>>,
    vbd: Option<Rc<RefCell<Blkfront>>>,
    stack: SmolStack,
    service: Service,
    http: Http,
    token: FirstToken,
    rotating: Option<Rotating>,
    /// The token that the owner can read, until when, and how often somebody had logged in before.
    token_shown: Option<(String, u64, u64)>,
    linked: bool,
    lease: Option<Lease>,
    state: State,
    domid: Option<u32>,
}

impl Phase {
    fn vbd(&self) -> Option<&RefCell<Blkfront>> {
        match self {
            Phase::Serving(serving) => serving.vbd.as_deref(),
            Phase::Starting(_) => None,
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
        let Some(reason) = self
            .shutdown
            .step(service, now.monotonic_ns, &self.attachment)
        else {
            return false;
        };
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
        let mut service = Service::new(config, store);
        service.set_environment(report::environment(
            &parts,
            report::Sources {
                vif: vif.clone(),
                vbd: vbd.clone(),
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
        let http = Http::listen(&mut stack, settings.http_port, settings.admin_port);
        Serving {
            vif,
            vbd,
            stack,
            service,
            http,
            token: FirstToken::Waiting,
            rotating: None,
            token_shown: None,
            linked: false,
            lease: None,
            state: State::Opening,
            domid: parts.domid.filter(|_| !self.host.emulated),
        }
    }
}

impl Serving {
    /// One round; whether there is more to do at once.
    fn step(
        &mut self,
        now: Now,
        entropy: &mut Entropy,
        publisher: &mut Publisher,
        attachment: &Attachment,
    ) -> bool {
        if let Some(vbd) = &self.vbd {
            vbd.borrow_mut().step();
        }
        if let Some(vif) = &self.vif {
            vif.borrow_mut().step();
        }
        self.follow_link();
        let mut more = self.step_store(now, attachment);
        self.show_token(now, entropy, publisher, attachment);
        more |= self.step_network(now, attachment);
        more |= self.http.step(&mut self.stack, &mut self.service, now);
        more |= self.service.wants_rotation();
        // Hands disk and network what the connections asked for. What comes in
        // meanwhile is news for connections that have had their turn: another step.
        let ended = self.ended_requests();
        more |= self.step_store(now, attachment);
        let news = self.vbd.is_none() || self.ended_requests() != ended;
        let has_token_under_way = self.rotating.is_some() || self.token.is_under_way();
        more |= news && (has_token_under_way || self.http.waits_for(self.service.store()));
        let received = self.stack.statistics().frames_received;
        more |= self.step_network(now, attachment);
        more |= self.stack.statistics().frames_received != received;
        if let Some(vbd) = &self.vbd {
            more |= vbd.borrow_mut().flush();
        }
        if let Some(vif) = &self.vif {
            more |= vif.borrow_mut().flush();
        }
        self.say_news(publisher);
        more
    }

    /// Disk requests that have ended since boot.
    fn ended_requests(&self) -> u64 {
        self.vbd
            .as_ref()
            .map_or(0, |vbd| vbd.borrow().counters().ended())
    }

    fn step_store(&mut self, now: Now, attachment: &Attachment) -> bool {
        match self.service.step_store(now) {
            store::Wake::Now => true,
            store::Wake::At(deadline) => {
                deadline
                    .into_iter()
                    .for_each(|deadline| attachment.timers.register(deadline));
                false
            }
        }
    }

    fn step_network(&mut self, now: Now, attachment: &Attachment) -> bool {
        let deadline = match &self.vif {
            Some(vif) => self
                .stack
                .step(now.monotonic_ns, &mut Ether(&mut vif.borrow_mut())),
            None => self.stack.step(now.monotonic_ns, &mut NoEther),
        };
        deadline
            .into_iter()
            .for_each(|deadline| attachment.timers.register(deadline));
        deadline.is_some_and(|deadline| deadline <= now.monotonic_ns)
    }

    /// Tells the stack when the link comes and goes.
    fn follow_link(&mut self) {
        let link = self.vif.as_ref().and_then(|vif| vif.borrow().link());
        if link.is_some() != self.linked {
            self.linked = link.is_some();
            self.stack.set_link(link.map(|link| Link {
                mac: link.mac,
                mtu_bytes: link.mtu_bytes,
            }));
            // Whoever knew another place for our address learns this one.
            self.stack.announce();
        }
    }

    fn show_token(
        &mut self,
        now: Now,
        entropy: &mut Entropy,
        publisher: &mut Publisher,
        attachment: &Attachment,
    ) {
        let mut new = None;
        if let Some(token) = self.token.step(&mut self.service, entropy) {
            log::info!("{}", token::announce(&token, self.domid));
            new = Some(token);
        }
        new = rotation::step(&mut self.rotating, &mut self.service, entropy).or(new);
        let logins = self.service.login_count();
        if let Some(token) = new {
            publisher.set("data/lampion/token", &token);
            self.token_shown = Some((token, now.monotonic_ns + token::SHOWN_NS, logins));
        }
        let Some((_, until_ns, logins_before)) = self.token_shown else {
            return;
        };
        if now.monotonic_ns >= until_ns || logins > logins_before {
            publisher.remove("data/lampion/token");
            self.token_shown = None;
        } else {
            attachment.timers.register(until_ns);
        }
    }

    /// Says on the console where the service can be reached.
    fn say_doors(&self, address: Ipv4Addr) {
        match self.http.port_of(Plane::Data) {
            Some(80) => log::info!("http: ready at http://{address}/"),
            Some(port) => log::info!("http: ready at http://{address}:{port}/"),
            None => log::info!("http: off on {address}"),
        }
        match self.http.port_of(Plane::Admin) {
            Some(port) => log::info!("admin: ready at http://{address}:{port}/"),
            None => log::info!("admin: off on {address}"),
        }
    }

    /// Says on the console and in xenstore what has changed.
    fn say_news(&mut self, publisher: &mut Publisher) {
        let lease = self.stack.lease();
        if lease != self.lease {
            self.lease = lease;
            if let Some(lease) = lease {
                publisher.set("attr/vif/0/ipv4/0", lease.address.address);
                publisher.set("data/updated", 1);
                self.say_doors(lease.address.address);
            }
        }
        if self.service.store().state() != &self.state {
            self.state = self.service.store().state().clone();
            let text = report::state_text(&self.state);
            match &self.state {
                State::Ready | State::Opening | State::Closed => log::info!("store: {text}"),
                State::ReadOnly(_) | State::Refused(_) => log::error!("store: {text}"),
            }
            publisher.set("data/lampion/state", format!("store {text}"));
            status::log_crashes(self.service.store());
        }
    }
}
