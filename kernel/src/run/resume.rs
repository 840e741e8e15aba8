//! Saved by the toolstack, and going on, here or in another domain.

use super::{Appliance, Phase, Serving};
use crate::entropy::Entropy;
use crate::machine::{Alarm, Seed};
use crate::publish::Publisher;
use crate::report;
use alloc::boxed::Box;
use store::{Now, State};
use xen::Suspended;
use xen::page::MapFrame;

impl Appliance {
    pub(super) fn begin_suspend(&mut self, now: Now) {
        if self.shutdown.is_asked() {
            log::warn!("lifecycle: a domain that ends is not suspended");
            return;
        }
        self.suspension.begin(self.phase.vbd(), now.monotonic_ns);
    }

    /// Whether a suspend was asked for, and nothing is in flight any more.
    pub(super) fn rests(&mut self) -> bool {
        let timers = &self.attachment.timers;
        self.suspension.is_ready(self.phase.vbd(), timers)
    }

    /// Lets the toolstack save the domain; whether this is another one then. `arrived` is called
    /// in that first of all, and finds out how to call its hypervisor, and a seed.
    ///
    /// # Panics
    /// If the hypervisor of the other domain refuses what this one has given.
    pub fn suspend(
        &mut self,
        mapper: &mut dyn MapFrame,
        arrived: &mut dyn FnMut() -> Seed,
    ) -> bool {
        // Whoever saves the domain takes as long as it takes.
        let alarm = self.host.alarm.as_deref();
        self.watchdog.rest(self.attachment.xen, alarm);
        let suspended = self.attachment.xen.suspend();
        self.suspension.end(self.phase.vbd());
        match suspended {
            Err(error) => {
                log::error!(
                    "lifecycle: the hypervisor refuses to suspend ({error}); the domain goes on, \
                     and xl save fails"
                );
            }
            Ok(Suspended::Cancelled) => {
                log::warn!("lifecycle: the suspend was cancelled; the domain goes on");
            }
            Ok(Suspended::Resumed) => {
                let seed = arrived();
                if let Err(error) = self.attachment.resume(mapper) {
                    panic!("{error}");
                }
                self.go_on(&seed);
                return true;
            }
        }
        false
    }

    /// What watches the loop from now on.
    pub fn watch_by(&mut self, alarm: Option<Box<dyn Alarm>>) {
        self.host.alarm = alarm;
    }

    /// All that others knew of us has to be said again.
    fn go_on(&mut self, seed: &Seed) {
        let epoch = self.attachment.epoch;
        log::info!("lifecycle: resumed in another domain, the {epoch}. of this appliance");
        self.entropy.reseed(seed);
        self.toolstack.introduce();
        let memory_kib = self.host.ram_bytes / 1024;
        self.publisher.introduce(report::VERSION, memory_kib);
        if let Phase::Serving(serving) = &mut self.phase {
            serving.go_on(self.entropy.draw(), &mut self.publisher);
            serving.go_on_in_tls(&mut self.entropy);
        }
    }
}

impl Serving {
    /// This is another domain: devices are connected anew, and news are said again.
    fn go_on(&mut self, seed: [u8; 32], publisher: &mut Publisher) {
        if let Some(vbd) = &self.vbd {
            vbd.borrow_mut().renew();
        }
        if let Some(vif) = &self.vif {
            vif.borrow_mut().renew();
        }
        self.stack.reseed(&seed);
        self.lease = None;
        self.state = State::Opening;
        if let Some((token, ..)) = &self.token_shown {
            publisher.set("data/lampion/token", token);
        }
    }

    /// Sessions end before anything else is done, and others begin with other randomness.
    fn go_on_in_tls(&mut self, entropy: &mut Entropy) {
        self.secure_end = true;
        self.service.forget_tickets();
        match entropy.is_strong() {
            true => tls::random::seed(entropy.draw()),
            false => log::error!(
                "tls: this host's CPU has neither RDRAND nor RDSEED, so https.port is not served \
                 here: move it to a host that has one, or let a proxy speak TLS"
            ),
        }
        self.service.hold_sessions(!entropy.is_strong());
    }
}
