//! `watchdog=SECONDS`: the hypervisor ends a domain whose main loop does not turn any more.
//!
//! The hypervisor counts, so it ends a guest that is stuck anywhere, and one that is paused for
//! longer, too. It is off unless it is asked for, and while the domain is saved.
//!
//! Source: `xen/include/public/sched.h`, `SCHEDOP_watchdog`, Xen 4.17.

use xen::Xen;
use xen::task::Timers;

const NS_PER_S: u64 = 1_000_000_000;
/// It is fed so often in the time that it takes to run out.
const MEALS: u64 = 4;

/// The watchdog.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// What was asked for, in seconds.
    timeout_s: Option<u32>,
    /// Its number, and when it was fed last.
    armed: Option<(u32, u64)>,
}

impl Watchdog {
    /// From now on the domain is ended if [`Watchdog::feed`] is not called for so long.
    pub(crate) fn set(&mut self, timeout_s: Option<u32>) {
        self.timeout_s = timeout_s;
    }

    /// The loop turns.
    pub(crate) fn feed(&mut self, xen: Xen, timers: &Timers) {
        let Some(timeout_s) = self.timeout_s else {
            return;
        };
        let (now_ns, every_ns) = (timers.now_ns(), u64::from(timeout_s) * NS_PER_S / MEALS);
        let is_hungry = |(_, fed_ns): (u32, u64)| now_ns.saturating_sub(fed_ns) >= every_ns;
        if self.armed.is_none_or(is_hungry) {
            let id = self.armed.map_or(0, |(id, _)| id);
            match xen.watchdog(id, timeout_s) {
                Ok(id) => {
                    if self.armed.is_none() {
                        log::info!(
                            "watchdog: a loop that stands still for {timeout_s} s ends the domain"
                        );
                    }
                    self.armed = Some((id, now_ns));
                }
                Err(error) => {
                    let what = match self.armed {
                        None => "this hypervisor has none",
                        Some(_) => "it cannot be fed any more, and may end the domain",
                    };
                    log::error!(
                        "watchdog: {what} ({error}); nobody notices a loop that stands still; \
                         write watchdog=off if that is to be so"
                    );
                    (self.timeout_s, self.armed) = (None, None);
                    return;
                }
            }
        }
        let fed_ns = self.armed.map_or(now_ns, |(_, fed_ns)| fed_ns);
        timers.register(fed_ns.saturating_add(every_ns));
    }

    /// Nobody counts until it is fed again.
    pub(crate) fn rest(&mut self, xen: Xen) {
        if let Some((id, _)) = self.armed.take()
            && let Err(error) = xen.watchdog(id, 0)
        {
            log::warn!("watchdog: it cannot be called off ({error})");
        }
    }
}
