//! The alarm: the local APIC's timer, which ends a guest whose main loop stands still.
//!
//! The precompiled `core` keeps data in the red zone, so nothing may interrupt the loop and
//! return to it. The alarm interrupts it and does not return: it says where the loop stands,
//! leaves a record and ends the domain. Everything else is held off meanwhile by its priority.
//!
//! Source: Intel SDM vol. 3, 11.5.4 (timer), 11.8.3.1 (priorities).
#![expect(unsafe_code, reason = "the entry's symbol, which nobody reads")]

use super::apic::{Apic, MASKED, Register};
use super::cpu;
use kernel::alarm::Pace;
use kernel::machine::{Alarm, AlarmState};
use spin::Mutex;
use x86_64::instructions::interrupts;
use xen::Xen;
use xen::clock::LastClock;

/// Its vector; `upcall.s` says the same to `fault.s`.
pub(super) const VECTOR: u8 = 0xe0;
/// What is held off while the loop runs: every vector of a class below the alarm's.
/// CR8 would say it in one instruction, but the QEMU that the bed's machines are made of ends
/// itself when a guest of its guest does that while an interrupt waits.
const HELD_OFF: u32 = 0xd0;
const DIVIDED_BY_128: u32 = 0b1010;
const VCPU: u32 = 0;
/// Count and time belong together if they were read within so long.
const AT_ONCE_NS: u64 = 1_000_000;
const ATTEMPTS: u32 = 10;

/// The one there is: whoever is interrupted by it looks here, and finds it taken at worst.
static TIMER: Mutex<Option<Timer>> = Mutex::new(None);

unsafe extern "C" {
    #[link_name = "alarm_entry"]
    static ALARM_ENTRY: u8;
}

/// Entry of its vector.
pub(super) fn entry() -> u64 {
    (&raw const ALARM_ENTRY).addr() as u64
}

/// Does one turn of the loop, with the alarm listened to if it is on.
pub(crate) fn watched<T>(turn: impl FnOnce() -> T) -> T {
    let apic = {
        let timer = TIMER.lock();
        timer
            .as_ref()
            .filter(|timer| timer.is_on)
            .map(|timer| timer.apic)
    };
    let Some(apic) = apic else {
        return turn();
    };
    apic.write(Register::TaskPriority, HELD_OFF);
    interrupts::enable();
    let result = turn();
    interrupts::disable();
    apic.write(Register::TaskPriority, 0);
    result
}

/// How long the loop has not turned.
pub(crate) struct Standstill {
    pub(crate) still_ns: u64,
    /// How much of that the vCPU ran.
    pub(crate) ran_ns: u64,
}

/// What can be said of it when the alarm has gone off.
pub(crate) fn standstill() -> Option<Standstill> {
    let timer = TIMER.try_lock()?;
    let timer = timer.as_ref()?;
    let begun = timer.begun.as_ref()?;
    let now_ns = timer.clock.system_ns(cpu::tsc())?;
    Some(Standstill {
        still_ns: now_ns.saturating_sub(begun.at_ns),
        ran_ns: timer.ran_ns().saturating_sub(begun.ran_ns),
    })
}

struct Timer {
    apic: Apic,
    xen: Xen,
    clock: LastClock,
    pace: Pace,
    begun: Option<Begun>,
    is_on: bool,
}

/// What it counts from, since when by the hypervisor's clock, and how long the vCPU had run.
struct Begun {
    from: u32,
    at_ns: u64,
    ran_ns: u64,
}

impl Timer {
    fn ran_ns(&self) -> u64 {
        self.xen.vcpu_running_ns(VCPU).unwrap_or(0)
    }

    fn count(&mut self, from: u32, is_on: bool) {
        let masked = if is_on { 0 } else { MASKED };
        self.is_on = is_on;
        let ran_ns = self.ran_ns();
        self.apic
            .write(Register::DivideConfiguration, DIVIDED_BY_128);
        self.apic.write(Register::Timer, u32::from(VECTOR) | masked);
        let apic = self.apic;
        let begun = self.at_once(|| apic.write(Register::InitialCount, from));
        self.begun = begun.map(|((), at_ns)| Begun {
            from,
            at_ns,
            ran_ns,
        });
    }

    /// Does something, and says when; `None` if the vCPU lost its CPU in it again and again.
    fn at_once<T>(&self, act: impl Fn() -> T) -> Option<(T, u64)> {
        (0..ATTEMPTS).find_map(|_| {
            let before_ns = self.clock.system_ns(cpu::tsc())?;
            let result = act();
            let took_ns = self.clock.system_ns(cpu::tsc())?.saturating_sub(before_ns);
            (took_ns < AT_ONCE_NS).then_some((result, before_ns))
        })
    }

    /// What it has counted since it was set.
    fn measure(&mut self) {
        let Some(Begun { from, at_ns, .. }) = self.begun else {
            return;
        };
        let apic = self.apic;
        if let Some((left, now_ns)) = self.at_once(|| apic.read(Register::CurrentCount)) {
            let (ticks, took_ns) = (from.saturating_sub(left), now_ns.saturating_sub(at_ns));
            self.pace.measure(ticks, took_ns);
        }
    }
}

/// The handle of it. It is on from the second time that it is set: until then it measures.
pub(super) struct LoopAlarm;

impl LoopAlarm {
    /// There is one timer: whatever was known of it in an earlier domain is forgotten.
    pub(super) fn new(xen: Xen, apic: Apic, clock: LastClock) -> LoopAlarm {
        *TIMER.lock() = Some(Timer {
            apic,
            xen,
            clock,
            pace: Pace::default(),
            begun: None,
            is_on: false,
        });
        LoopAlarm
    }
}

impl Alarm for LoopAlarm {
    fn set(&self, after_ns: u64) -> AlarmState {
        let mut timer = TIMER.lock();
        let Some(timer) = timer.as_mut() else {
            return AlarmState::Unable;
        };
        timer.measure();
        let ticks = timer.pace.ticks(after_ns);
        timer.count(ticks.unwrap_or(u32::MAX), ticks.is_some());
        match ticks {
            Some(_) => AlarmState::On,
            None if timer.pace.is_known() => AlarmState::Unable,
            None => AlarmState::Measuring,
        }
    }

    fn stop(&self) {
        let mut timer = TIMER.lock();
        if let Some(timer) = timer.as_mut() {
            timer.apic.write(Register::Timer, MASKED);
            timer.apic.write(Register::InitialCount, 0);
            (timer.begun, timer.is_on) = (None, false);
        }
    }
}
