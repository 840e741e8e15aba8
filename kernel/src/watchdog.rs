//! `watchdog=SECONDS`: a domain whose main loop does not turn any more is ended.
//!
//! Two count. The guest's own alarm interrupts the loop and says where it stands; the hypervisor
//! waits a little longer, and ends a guest that cannot even do that, and one that is paused.
//! It is off unless it is asked for, and while the domain is saved.
//!
//! Source: `xen/include/public/sched.h`, `SCHEDOP_watchdog`, Xen 4.17.

use crate::flight::WAIT_NS;
use crate::machine::{Alarm, AlarmState};
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
    /// When it was fed last.
    fed_ns: Option<u64>,
    /// The hypervisor's number for it, from when it counts.
    id: Option<u32>,
    /// What was said last of who counts.
    said: Option<Counting>,
}

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counting {
    alarm: AlarmState,
    hypervisor: Result<(), Errno>,
}

impl Watchdog {
    /// From now on the domain is ended if [`Watchdog::feed`] is not called for so long.
    pub(crate) fn set(&mut self, timeout_s: Option<u32>) {
        self.timeout_s = timeout_s;
    }

    /// A turn of the loop begins.
    pub(crate) fn feed(&mut self, xen: Xen, timers: &Timers, alarm: Option<&dyn Alarm>) {
        let Some(timeout_s) = self.timeout_s else {
            return;
        };
        let (now_ns, every_ns) = (timers.now_ns(), u64::from(timeout_s) * NS_PER_S / MEALS);
        let is_sated = |fed_ns: &u64| now_ns.saturating_sub(*fed_ns) < every_ns;
        let fed_ns = self.fed_ns.filter(is_sated).unwrap_or_else(|| {
            let counting = self.wind(xen, timeout_s, alarm);
            self.say(counting, timeout_s);
            now_ns
        });
        self.fed_ns = Some(fed_ns);
        timers.register(fed_ns.saturating_add(every_ns));
    }

    /// Nobody counts until it is fed again.
    pub(crate) fn rest(&mut self, xen: Xen, alarm: Option<&dyn Alarm>) {
        if let Some(alarm) = alarm {
            alarm.stop();
        }
        self.fed_ns = None;
        if let Some(id) = self.id.take()
            && let Err(error) = xen.watchdog(id, 0)
        {
            log::warn!("watchdog: it cannot be called off ({error})");
        }
    }

    /// Has both count from now on.
    fn wind(&mut self, xen: Xen, timeout_s: u32, alarm: Option<&dyn Alarm>) -> Counting {
        let after_ns = u64::from(timeout_s) * NS_PER_S;
        let alarm = alarm.map_or(AlarmState::Unable, |alarm| alarm.set(after_ns));
        let patience_s = match alarm {
            AlarmState::On => timeout_s + LAST_WORDS_S,
            AlarmState::Measuring | AlarmState::Unable => timeout_s,
        };
        let wound = xen.watchdog(self.id.unwrap_or(0), patience_s);
        self.id = wound.ok().or(self.id);
        Counting {
            alarm,
            hypervisor: wound.map(drop),
        }
    }

    /// Says who counts, if that is news. A first measurement is none.
    fn say(&mut self, counting: Counting, timeout_s: u32) {
        let is_news = counting.alarm != AlarmState::Measuring && self.said != Some(counting);
        if !is_news {
            return;
        }
        self.said = Some(counting);
        let what = format_args!("a loop that stands still for {timeout_s} s ends the domain");
        match (counting.hypervisor, counting.alarm) {
            (Err(error), _) if self.id.is_some() => log::error!(
                "watchdog: the hypervisor's cannot be fed any more ({error}), and may end the \
                 domain"
            ),
            (Ok(()), AlarmState::On) => log::info!("watchdog: {what}, and says where it stands"),
            (Ok(()), _) => log::info!(
                "watchdog: {what}; where it stands is not said, for no timer here counts so far"
            ),
            (Err(error), AlarmState::On) => log::info!(
                "watchdog: {what}, and says where it stands; nobody ends one that cannot say it, \
                 for this hypervisor has no watchdog ({error})"
            ),
            (Err(error), _) => log::error!(
                "watchdog: this hypervisor has none ({error}), and no timer here counts so far; \
                 nobody notices a loop that stands still; write watchdog=off if that is to be so"
            ),
        }
    }
}
