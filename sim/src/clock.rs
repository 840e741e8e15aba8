//! The guest's clocks: a TSC of changing speed, and a wall clock that people set.
//!
//! A migration or a change of frequency gives the vCPU a new time record; `date -s` in domain 0
//! moves the wall clock either way. System time goes on through all of it.
//!
//! Source: `xen/include/public/xen.h` (`vcpu_time_info`, `wc_*`), Xen 4.17.

use crate::arena::Arena;
use std::mem::offset_of;
use xen_sys::shared_info::{SharedInfo, VcpuInfo, VcpuTimeInfo};

/// Wall time when the system clock began, unless somebody sets it: 2026-01-01, in seconds.
pub const WALL_S: u32 = 1_767_225_600;
/// The fraction of a time record that halves or doubles by its shift alone.
const MUL: u32 = 1 << 31;

/// How fast the TSC ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TscRate {
    /// 1 GHz.
    #[default]
    One,
    /// 2 GHz.
    Two,
    /// 4 GHz.
    Four,
}

impl TscRate {
    /// Ticks of a nanosecond, and the shift that takes them back to one.
    fn ticks_and_shift(self) -> (u64, i8) {
        match self {
            TscRate::One => (1, 1),
            TscRate::Two => (2, 0),
            TscRate::Four => (4, -1),
        }
    }
}

/// Both clocks.
#[derive(Debug)]
pub struct Clock {
    stamp_ns: u64,
    stamp_tsc: u64,
    rate: TscRate,
    wall_s: u32,
    version: u32,
    skew_ns: u64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            stamp_ns: 0,
            stamp_tsc: 0,
            rate: TscRate::default(),
            wall_s: WALL_S,
            version: 0,
            skew_ns: 0,
        }
    }
}

impl Clock {
    /// The TSC at a system time.
    pub fn tsc(&self, now_ns: u64) -> u64 {
        let (ticks, _) = self.rate.ticks_and_shift();
        self.stamp_tsc + (now_ns - self.stamp_ns) * ticks
    }

    /// From now on the TSC ticks at another rate.
    pub(crate) fn set_rate(&mut self, now_ns: u64, rate: TscRate) {
        (self.stamp_tsc, self.stamp_ns) = (self.tsc(now_ns), now_ns);
        self.rate = rate;
    }

    /// The wall clock is moved so that the system clock began at this time.
    pub(crate) fn set_wall(&mut self, wall_s: u32) {
        self.wall_s = wall_s;
    }

    /// The guest sees another system time from now on: so far ahead, modulo 2^64. Its wall clock
    /// stays.
    pub(crate) fn set_skew(&mut self, skew_ns: u64) {
        self.skew_ns = skew_ns;
    }

    /// When it is, of a system time as the guest sees it.
    pub(crate) fn unskewed(&self, system_ns: u64) -> u64 {
        system_ns.wrapping_sub(self.skew_ns)
    }

    /// Wall time when the system clock began that the guest sees: seconds and nanoseconds.
    fn wall_base(&self) -> (u32, u32) {
        const NS_PER_S: i64 = 1_000_000_000;
        let base_ns = i64::from(self.wall_s) * NS_PER_S - self.skew_ns.cast_signed();
        let (seconds, ns) = (base_ns.div_euclid(NS_PER_S), base_ns.rem_euclid(NS_PER_S));
        (seconds as u32, ns as u32)
    }

    /// Writes both records into the shared info page.
    pub(crate) fn show(&mut self, arena: &Arena, gfn: u64) {
        self.version += 2;
        let at = |field: usize| offset_of!(VcpuInfo, time) + field;
        let version_at = at(offset_of!(VcpuTimeInfo, version));
        let (_, shift) = self.rate.ticks_and_shift();
        arena.store_u32(gfn, version_at, self.version - 1);
        arena.store_u64(
            gfn,
            at(offset_of!(VcpuTimeInfo, tsc_timestamp)),
            self.stamp_tsc,
        );
        arena.store_u64(
            gfn,
            at(offset_of!(VcpuTimeInfo, system_time)),
            self.stamp_ns.wrapping_add(self.skew_ns),
        );
        arena.store_u32(gfn, at(offset_of!(VcpuTimeInfo, tsc_to_system_mul)), MUL);
        let shift_at = at(offset_of!(VcpuTimeInfo, tsc_shift));
        arena.store_u8(gfn, shift_at, shift.cast_unsigned());
        arena.store_u32(gfn, version_at, self.version);
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_version), self.version - 1);
        let (wc_sec, wc_nsec) = self.wall_base();
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_sec), wc_sec);
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_nsec), wc_nsec);
        arena.store_u32(gfn, offset_of!(SharedInfo, wc_version), self.version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tsc_goes_on_where_its_rate_changes() {
        let mut clock = Clock::default();
        clock.set_rate(1000, TscRate::Four);
        assert_eq!(clock.tsc(1000), 1000);
        assert_eq!(clock.tsc(1010), 1040);
        clock.set_rate(1010, TscRate::Two);
        assert_eq!(clock.tsc(1011), 1042);
    }
}
