//! `watchdog=SECONDS`: a domain whose main loop does not turn any more is ended.
//!
//! Two count. The guest's own alarm interrupts the loop and says where it stands; the hypervisor
//! waits a little longer, and ends a guest that cannot even do that, and one that is paused.
//! It is off unless it is asked for, and while the domain is saved.
//!
//! Source: `xen/include/public/sched.h`, `SCHEDOP_watchdog`, Xen 4.17.

use crate::flight::WAIT_NS;
use crate::machine::Alarm;
use xen::task::Timers;
use xen::{Errno, Xen};

const NS_PER_S: u64 = 1_000_000_000;
/// It is fed so often in the time that it takes to run out.
const MEALS: u64 = 4;
/// What the alarm needs for its record before the hypervisor ends the domain.
const LAST_WORDS_S: u32 = (WAIT_NS / NS_PER_S) as u32 + 2;

/// The watchdog.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// What was asked for, in seconds.
    timeout_s: Option<u32>,
    fed: Option<Fed>,
}

/// Who counts, and since when.
#[derive(Clone, Copy, Debug)]
struct Fed {
    at_ns: u64,
    has_alarm: bool,
    /// The hypervisor's number for it.
    id: Result<u32, Errno>,
}

impl Watchdog {
    /// From now on the domain is ended if [`Watchdog::feed`] is not called for so long.
    pub(crate) fn set(&mut self, timeout_s: Option<u32>) {
        self.timeout_s = timeout_s;
    }

    /// The loop turns.
    pub(crate) fn feed(&mut self, xen: Xen, timers: &Timers, alarm: Option<&dyn Alarm>) {
        let Some(timeout_s) = self.timeout_s else {
            return;
        };
        let (now_ns, every_ns) = (timers.now_ns(), u64::from(timeout_s) * NS_PER_S / MEALS);
        let is_sated = |fed: &Fed| now_ns.saturating_sub(fed.at_ns) < every_ns;
        let fed = match self.fed.filter(is_sated) {
            Some(fed) => fed,
            None => {
                let fed = wind(self.fed, xen, (now_ns, timeout_s), alarm);
                say(self.fed, fed, timeout_s);
                fed
            }
        };
        self.fed = Some(fed);
        if fed.id.is_err() && !fed.has_alarm {
            (self.timeout_s, self.fed) = (None, None);
            return;
        }
        timers.register(fed.at_ns.saturating_add(every_ns));
    }

    /// Nobody counts until it is fed again.
    pub(crate) fn rest(&mut self, xen: Xen, alarm: Option<&dyn Alarm>) {
        if let Some(alarm) = alarm {
            alarm.stop();
        }
        if let Some(Ok(id)) = self.fed.take().map(|fed| fed.id)
            && let Err(error) = xen.watchdog(id, 0)
        {
            log::warn!("watchdog: it cannot be called off ({error})");
        }
    }
}

/// Has both count from now on.
fn wind(
    before: Option<Fed>,
    xen: Xen,
    (at_ns, timeout_s): (u64, u32),
    alarm: Option<&dyn Alarm>,
) -> Fed {
    let timeout_ns = u64::from(timeout_s) * NS_PER_S;
    let has_alarm = alarm.is_some_and(|alarm| alarm.set(at_ns, timeout_ns));
    let patience_s = timeout_s + if has_alarm { LAST_WORDS_S } else { 0 };
    let id = before.map_or(Ok(0), |before| before.id);
    Fed {
        at_ns,
        has_alarm,
        id: id.and_then(|id| xen.watchdog(id, patience_s)),
    }
}

/// Says who counts, if that is news.
fn say(before: Option<Fed>, fed: Fed, timeout_s: u32) {
    let who = |fed: Fed| (fed.id, fed.has_alarm);
    if before.is_some_and(|before| who(before) == who(fed)) {
        return;
    }
    let what = format_args!("a loop that stands still for {timeout_s} s ends the domain");
    match (fed.id, fed.has_alarm) {
        (Ok(_), true) => log::info!("watchdog: {what}, and says where it stands"),
        (Err(error), true) => log::info!(
            "watchdog: {what}, and says where it stands; nobody ends one that cannot say it, for \
             this hypervisor has no watchdog ({error})"
        ),
        (Ok(_), false) => log::info!(
            "watchdog: {what}; where it stands is not said, for no timer here counts so far"
        ),
        (Err(error), false) => log::error!(
            "watchdog: this hypervisor has none ({error}), and no timer here counts so far; nobody \
             notices a loop that stands still; write watchdog=off if that is to be so"
        ),
    }
}
