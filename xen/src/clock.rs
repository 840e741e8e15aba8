//! Monotonic and wall time from the pages Xen keeps.
//!
//! A TSC value is handed in; the vCPU's time record turns it into system time.
//! Both records are guarded by a version that is odd while Xen writes.
//!
//! Another host's system time may be far ahead or behind. Ours goes on where it was when the
//! domain is resumed, so that no deadline is missed and none is far away.
//!
//! Source: `xen/include/public/xen.h` (`vcpu_time_info`, `wc_*`), Xen 4.17.

use crate::page::SharedPage;
use alloc::rc::Rc;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};
use xen_sys::shared_info::{SharedInfo, VcpuInfo, VcpuTimeInfo};

const TIME: usize = offset_of!(VcpuInfo, time);
const NS_PER_S: u64 = 1_000_000_000;
/// Xen writes for some dozen instructions; a record that stays odd longer is not being written.
const ATTEMPTS: u32 = 1000;

/// The domain's clocks.
#[derive(Debug)]
pub struct Clock {
    shared_info: Rc<SharedPage>,
    /// Never goes back, whatever the records say.
    last_ns: Cell<u64>,
    /// What is added to the hypervisor's system time, modulo 2^64.
    ahead_ns: Cell<u64>,
    /// The next record is the first of another life.
    is_renewed: Cell<bool>,
}

impl Clock {
    pub(crate) fn new(shared_info: Rc<SharedPage>) -> Self {
        Clock {
            shared_info,
            last_ns: Cell::new(0),
            ahead_ns: Cell::new(0),
            is_renewed: Cell::new(false),
        }
    }

    /// The domain was resumed: time goes on where it was.
    pub(crate) fn renew(&self) {
        self.is_renewed.set(true);
    }

    /// The hypervisor's system time at a time of ours that has not gone by.
    pub fn system_ns(&self, monotonic_ns: u64) -> u64 {
        let monotonic_ns = monotonic_ns.max(self.last_ns.get());
        monotonic_ns.wrapping_sub(self.ahead_ns.get())
    }

    /// The clock for a guest that dies.
    pub fn last(&self) -> LastClock {
        LastClock(self.shared_info.alias())
    }

    /// Time at `tsc` in ns, at first since the hypervisor booted; never goes back.
    pub fn monotonic_ns(&self, tsc: u64) -> u64 {
        if let Some(now) = system_ns(&self.shared_info, tsc) {
            let last = self.last_ns.get();
            if self.is_renewed.take() {
                self.ahead_ns.set(last.wrapping_sub(now));
            }
            self.last_ns
                .set(last.max(now.wrapping_add(self.ahead_ns.get())));
        }
        self.last_ns.get()
    }

    /// Wall time at a time of ours that has not gone by, in ns since 1970.
    pub fn wall_ns(&self, monotonic_ns: u64) -> u64 {
        let info = &self.shared_info;
        let u32_at = |field: usize| info.load_u32(field, Ordering::Relaxed);
        let version_at = offset_of!(SharedInfo, wc_version);
        for _ in 0..ATTEMPTS {
            let version = info.load_u32(version_at, Ordering::Acquire);
            let low = u64::from(u32_at(offset_of!(SharedInfo, wc_sec)));
            let high = u64::from(u32_at(offset_of!(SharedInfo, wc_sec_hi)));
            let nsec = u64::from(u32_at(offset_of!(SharedInfo, wc_nsec)));
            fence(Ordering::Acquire);
            if version & 1 == 0 && u32_at(version_at) == version {
                let seconds = high << 32 | low;
                let base = seconds.saturating_mul(NS_PER_S).saturating_add(nsec);
                return base.saturating_add(self.system_ns(monotonic_ns));
            }
        }
        monotonic_ns
    }
}

/// The hypervisor's system time at `tsc`; `None` while it is being written.
fn system_ns(info: &SharedPage, tsc: u64) -> Option<u64> {
    let version_at = TIME + offset_of!(VcpuTimeInfo, version);
    let u64_at = |field: usize| info.load_u64(TIME + field, Ordering::Relaxed);
    for _ in 0..ATTEMPTS {
        let version = info.load_u32(version_at, Ordering::Acquire);
        let stamp = u64_at(offset_of!(VcpuTimeInfo, tsc_timestamp));
        let system = u64_at(offset_of!(VcpuTimeInfo, system_time));
        let mul_at = TIME + offset_of!(VcpuTimeInfo, tsc_to_system_mul);
        let mul = info.load_u32(mul_at, Ordering::Relaxed);
        let shift_at = TIME + offset_of!(VcpuTimeInfo, tsc_shift);
        let shift = info.load_u8(shift_at, Ordering::Relaxed).cast_signed();
        fence(Ordering::Acquire);
        if version & 1 == 0 && info.load_u32(version_at, Ordering::Relaxed) == version {
            return Some(system.wrapping_add(scale(tsc.saturating_sub(stamp), mul, shift)));
        }
    }
    None
}

/// The hypervisor's system time, for a guest that dies.
#[derive(Debug)]
pub struct LastClock(SharedPage);

impl LastClock {
    /// In ns at `tsc`; `None` if the hypervisor's record makes no sense.
    pub fn system_ns(&self, tsc: u64) -> Option<u64> {
        system_ns(&self.0, tsc)
    }
}

/// Ticks to nanoseconds as the time record says.
fn scale(ticks: u64, mul: u32, shift: i8) -> u64 {
    let shifted = match shift {
        0.. => u128::from(ticks) << shift.min(63),
        _ => u128::from(ticks) >> shift.unsigned_abs().min(63),
    };
    (shifted.saturating_mul(u128::from(mul)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::scale;

    #[test]
    fn ticks_scale_both_ways() {
        // 1 GHz: one tick is one nanosecond (mul 2^31, shift 1).
        assert_eq!(scale(12_345, 1 << 31, 1), 12_345);
        // 4 GHz: four ticks a nanosecond.
        assert_eq!(scale(4_000, 1 << 31, -1), 1_000);
        assert_eq!(scale(u64::MAX, u32::MAX, 63), scale(u64::MAX, u32::MAX, 63));
        assert_eq!(scale(10, 1 << 31, -128), 0);
    }
}
