//! The orderly end, phase by phase, each with its limit.

use crate::lifecycle::{CLOSE_NS, DRAIN_NS, End};
use service::Service;
use store::State;
use xen::{Attachment, ShutdownReason};

/// How far the end is.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    phase: Phase,
    /// vCPU time when it was asked for, by the hypervisor's account.
    asked_running_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    NotAsked,
    Draining {
        end: End,
        until_ns: u64,
    },
    Closing {
        end: End,
        until_ns: u64,
    },
    /// The hypervisor was told; QEMU's emulation still lets us run for a moment.
    Told,
}

impl Shutdown {
    /// An end was asked for; a second request changes nothing.
    pub(crate) fn begin(&mut self, end: End, now_ns: u64, running_ns: Option<u64>) {
        if self.phase == Phase::NotAsked {
            self.phase = Phase::Draining {
                end,
                until_ns: now_ns + DRAIN_NS,
            };
            self.asked_running_ns = running_ns;
        }
    }

    /// Whether an end was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.phase != Phase::NotAsked
    }

    /// Advances; the reason to tell the hypervisor when all is done.
    pub(crate) fn step(
        &mut self,
        service: Option<&mut Service>,
        now_ns: u64,
        attachment: &Attachment,
    ) -> Option<ShutdownReason> {
        let Some(service) = service else {
            let Phase::Draining { end, .. } = self.phase else {
                return None;
            };
            self.phase = Phase::Told;
            return Some(end.reason());
        };
        if let Phase::Draining { end, until_ns } = self.phase {
            let late = now_ns >= until_ns;
            if !service.is_drained() && !late {
                attachment.timers.register(until_ns);
                return None;
            }
            if late {
                let left = service.request_count();
                log::warn!("lifecycle: {left} requests did not end in time and are cut off");
            }
            service.store_mut().close();
            // The store's turns of this step are over, and nothing else need ever bring another.
            attachment.timers.register(now_ns);
            self.phase = Phase::Closing {
                end,
                until_ns: now_ns + CLOSE_NS,
            };
        }
        let Phase::Closing { end, until_ns } = self.phase else {
            return None;
        };
        let closed = matches!(service.store().state(), State::Closed | State::Refused(_));
        if !closed && now_ns < until_ns {
            attachment.timers.register(until_ns);
            return None;
        }
        if !closed {
            log::error!("lifecycle: the disk did not answer in time; the next start will recover");
        }
        let spent = self.spent_ns(attachment);
        self.phase = Phase::Told;
        log::info!("lifecycle: {end:?} now, after {spent} ns of vCPU time since it was asked");
        Some(end.reason())
    }

    fn spent_ns(&self, attachment: &Attachment) -> u64 {
        let now = attachment.xen.vcpu_running_ns(0);
        now.zip(self.asked_running_ns)
            .map_or(0, |(now, asked)| now.saturating_sub(asked))
    }
}
