//! The part of the loop that serves, once the settings and devices are known.

use crate::certificate::{FirstCertificate, Maker};
use crate::entropy::Entropy;
use crate::ether::{Ether, NoEther};
use crate::http::{Door, Http};
use crate::logger::CONSOLE_ONLY;
use crate::publish::Publisher;
use crate::rotation::{self, Rotating};
use crate::syslog::Syslog;
use crate::token::{self, FirstToken};
use crate::{report, status};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use drivers::blkfront::Blkfront;
use drivers::netfront::Netfront;
use net::{Lease, Link, SmolStack, Stack};
use service::{Plane, Service};
use store::{Now, State};
use xen::Attachment;

/// What serves.
pub(super) struct Serving {
    pub(super) vif: Option<Rc<RefCell<Netfront>>>,
    pub(super) vbd: Option<Rc<RefCell<Blkfront>>>,
    pub(super) stack: SmolStack,
    /// Its counts, for whoever asks in this step.
    pub(super) net: Rc<Cell<net::Statistics>>,
    pub(super) service: Service,
    pub(super) http: Http,
    pub(super) token: FirstToken,
    pub(super) certificate: FirstCertificate,
    /// `https.port`, until it is listened on.
    pub(super) https_port: Option<u16>,
    pub(super) hostname: String,
    /// The domain has gone on elsewhere: connections in TLS are to be ended.
    pub(super) secure_end: bool,
    pub(super) rotating: Option<Rotating>,
    /// The token that the owner can read, until when, and how often somebody had logged in before.
    pub(super) token_shown: Option<(String, u64, u64)>,
    pub(super) linked: bool,
    pub(super) lease: Option<Lease>,
    pub(super) state: State,
    pub(super) domid: Option<u32>,
    pub(super) syslog: Option<Syslog>,
}

impl Serving {
    /// One round; whether there is more to do at once.
    pub(super) fn step(
        &mut self,
        now: Now,
        entropy: &mut Entropy,
        publisher: &mut Publisher,
        attachment: &Attachment,
    ) -> bool {
        if core::mem::take(&mut self.secure_end) {
            self.http
                .end_secure(&mut self.stack, &mut self.service, now);
        }
        if let Some(vbd) = &self.vbd {
            vbd.borrow_mut().step();
        }
        if let Some(vif) = &self.vif {
            vif.borrow_mut().step();
        }
        self.follow_link();
        let mut more = self.step_store(now, attachment);
        self.step_syslog(now);
        self.show_token(now, entropy, publisher, attachment);
        more |= self.step_network(now, attachment);
        self.follow_certificate(now);
        self.net.set(self.stack.statistics());
        more |= self.http.step(&mut self.stack, &mut self.service, now);
        more |= self.service.wants_rotation();
        // Hands disk and network what the connections asked for. What comes in
        // meanwhile is news for connections that have had their turn: another step.
        let ended = self.service.store().ended_requests();
        more |= self.step_store(now, attachment);
        let news = self.service.store().ended_requests() != ended;
        let has_token_under_way = self.rotating.is_some() || self.token.is_under_way();
        let is_under_way = has_token_under_way || self.certificate.is_under_way();
        more |= news && (is_under_way || self.http.waits_for(self.service.store()));
        self.step_syslog(now);
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

    fn step_syslog(&mut self, now: Now) {
        if let Some(syslog) = &mut self.syslog {
            syslog.step(&mut self.stack, now);
        }
    }

    /// Whether lines that were said behind a step's network want another step.
    pub(super) fn has_more_to_say(&self) -> bool {
        let has_more = |syslog: &Syslog| syslog.has_more(&self.stack);
        self.syslog.as_ref().is_some_and(has_more)
    }

    /// Whether something that was said is still on its way to the network.
    pub(super) fn has_last_words(&self) -> bool {
        let waits = |syslog: &Syslog| syslog.has_any_soon() || self.stack.has_datagrams();
        self.linked && self.syslog.as_ref().is_some_and(waits)
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
            // It may be the token itself, where nobody has another way to it.
            log::info!(target: CONSOLE_ONLY, "{}", token::announce(&token, self.domid));
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

    /// Opens `https.port` once there is a certificate to show.
    fn follow_certificate(&mut self, now: Now) {
        let is_done = self.https_port.is_none() && !self.certificate.is_under_way();
        if is_done || self.service.sessions_are_held() {
            return;
        }
        let address = self.stack.lease().map(|lease| lease.address.address.into());
        let maker = Maker {
            hostname: &self.hostname,
            address,
            unix_s: now.wall_ns / 1_000_000_000,
        };
        self.certificate.step(&mut self.service, maker);
        if self.service.has_certificate() {
            let port = self.https_port.take();
            self.http.open(&mut self.stack, port, Door::Secure);
            if let Some(lease) = self.lease {
                self.say_secure_door(lease.address.address);
            }
        }
    }

    fn say_secure_door(&self, address: Ipv4Addr) {
        if self.service.sessions_are_held() {
            return;
        }
        match self.http.port_of(Door::Secure) {
            Some(443) => log::info!("https: ready at https://{address}/"),
            Some(port) => log::info!("https: ready at https://{address}:{port}/"),
            None => {}
        }
    }

    /// Says on the console where the service can be reached.
    fn say_doors(&self, address: Ipv4Addr) {
        match self.http.port_of(Door::Plain(Plane::Data)) {
            Some(80) => log::info!("http: ready at http://{address}/"),
            Some(port) => log::info!("http: ready at http://{address}:{port}/"),
            None => log::info!("http: off on {address}"),
        }
        match self.http.port_of(Door::Plain(Plane::Admin)) {
            Some(port) => log::info!("admin: ready at http://{address}:{port}/"),
            None => log::info!("admin: off on {address}"),
        }
        self.say_secure_door(address);
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
