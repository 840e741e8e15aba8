//! The alarm: the local APIC's timer, which ends a guest whose main loop stands still.
//!
//! The precompiled `core` keeps data in the red zone, so nothing may interrupt the loop and
//! return to it. The alarm interrupts it and does not return: it says where the loop stands,
//! leaves a record and ends the domain. Everything else is held off meanwhile by its priority.
//!
//! Source: Intel SDM vol. 3, 11.5.4 (timer), 11.8.3.1 (priorities).
#![expect(unsafe_code, reason = "the entry's symbol, which nobody reads")]

use super::apic::{Apic, MASKED, Register};
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel::machine::Alarm;
use spin::Once;
use x86_64::instructions::interrupts;
use xen::Xen;

/// Its vector; `upcall.s` says the same to `fault.s`.
pub(super) const VECTOR: u8 = 0xe0;
/// What is held off while the loop runs: every vector of a class below the alarm's.
/// CR8 would say it in one instruction, but the QEMU that the bed's machines are made of ends
/// itself when a guest of its guest does that while an interrupt waits.
const HELD_OFF: u32 = 0xd0;
const DIVIDED_BY_128: u32 = 0b1010;
const VCPU: u32 = 0;

static APIC: Once<Apic> = Once::new();
/// Whether the loop is to be watched.
static IS_SET: AtomicBool = AtomicBool::new(false);
/// How long it waits, and how long the vCPU had run when it was set last.
static AFTER_NS: AtomicU64 = AtomicU64::new(0);
static RAN_NS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    #[link_name = "alarm_entry"]
    static ALARM_ENTRY: u8;
}

/// Entry of its vector.
pub(super) fn entry() -> u64 {
    (&raw const ALARM_ENTRY).addr() as u64
}

/// Does one turn of the loop, with the alarm listened to if it is set.
pub(crate) fn watched<T>(turn: impl FnOnce() -> T) -> T {
    let is_set = IS_SET.load(Ordering::Relaxed);
    let Some(apic) = APIC.get().filter(|_| is_set) else {
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
    /// What the alarm waited for.
    pub(crate) still_ns: u64,
    /// How much of that the vCPU ran: little of it means that the host was busy.
    pub(crate) ran_ns: Option<u64>,
}

/// What can be said of it when the alarm has gone off.
pub(crate) fn standstill(xen: Option<Xen>) -> Standstill {
    let ran_ns = xen.and_then(|xen| xen.vcpu_running_ns(VCPU));
    Standstill {
        still_ns: AFTER_NS.load(Ordering::Relaxed),
        ran_ns: ran_ns.map(|ran_ns| ran_ns.saturating_sub(RAN_NS.load(Ordering::Relaxed))),
    }
}

/// The timer. How fast it counts is not said anywhere that holds for each hypervisor, so it is
/// measured while it counts, and the alarm is on from the second time that it is set.
pub(crate) struct LoopAlarm {
    apic: Apic,
    xen: Xen,
    /// What it began to count from, and when.
    begun: Cell<Option<(u32, u64)>>,
    /// Ticks and the ns they took, at its fastest: a vCPU that waits for its CPU may lose some.
    pace: Cell<(u32, u64)>,
}

impl LoopAlarm {
    pub(super) fn new(xen: Xen, apic: Apic) -> LoopAlarm {
        LoopAlarm {
            apic: *APIC.call_once(|| apic),
            xen,
            begun: Cell::new(None),
            pace: Cell::new((0, 1)),
        }
    }

    fn count(&self, from: u32, now_ns: u64, is_heard: bool) {
        let masked = if is_heard { 0 } else { MASKED };
        self.apic
            .write(Register::DivideConfiguration, DIVIDED_BY_128);
        self.apic.write(Register::Timer, u32::from(VECTOR) | masked);
        self.apic.write(Register::InitialCount, from);
        self.begun.set(Some((from, now_ns)));
        IS_SET.store(is_heard, Ordering::Relaxed);
    }

    /// What it has counted since, if that is faster than before.
    fn measure(&self, from: u32, begun_ns: u64, now_ns: u64) {
        let ticks = from.saturating_sub(self.apic.read(Register::CurrentCount));
        let took_ns = now_ns.saturating_sub(begun_ns).max(1);
        let (known, known_ns) = self.pace.get();
        if u128::from(ticks) * u128::from(known_ns) > u128::from(known) * u128::from(took_ns) {
            self.pace.set((ticks, took_ns));
        }
    }
}

impl Alarm for LoopAlarm {
    fn set(&self, now_ns: u64, after_ns: u64) -> bool {
        let Some((from, begun_ns)) = self.begun.get() else {
            self.count(u32::MAX, now_ns, false);
            return true;
        };
        self.measure(from, begun_ns, now_ns);
        let (ticks, took_ns) = self.pace.get();
        let ticks = u128::from(after_ns) * u128::from(ticks) / u128::from(took_ns);
        let count = u32::try_from(ticks).ok().filter(|ticks| *ticks > 0);
        let ran_ns = self.xen.vcpu_running_ns(VCPU).unwrap_or(0);
        RAN_NS.store(ran_ns, Ordering::Relaxed);
        AFTER_NS.store(after_ns, Ordering::Relaxed);
        self.count(count.unwrap_or(u32::MAX), now_ns, count.is_some());
        count.is_some()
    }

    fn stop(&self) {
        self.apic.write(Register::Timer, MASKED);
        self.apic.write(Register::InitialCount, 0);
        self.begun.set(None);
        IS_SET.store(false, Ordering::Relaxed);
    }
}
