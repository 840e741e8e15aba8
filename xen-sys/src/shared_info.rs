//! The shared info page and each vCPU's part of it.
//! Mirrors `xen/include/public/xen.h` and `arch-x86/xen.h`, Xen 4.17.
//!
//! These layouts are never overlaid as references: Xen writes the page at any
//! time, so they serve for offsets only.

/// A vCPU's clock.
#[repr(C)]
pub struct VcpuTimeInfo {
    /// Odd while Xen is writing.
    pub version: u32,
    /// Padding.
    pub pad0: u32,
    /// TSC when `system_time` was taken.
    pub tsc_timestamp: u64,
    /// Nanoseconds since Xen booted.
    pub system_time: u64,
    /// Fraction of a nanosecond per (shifted) tick.
    pub tsc_to_system_mul: u32,
    /// Shift of ticks, either way.
    pub tsc_shift: i8,
    /// Bit 0: the TSC is stable across vCPUs.
    pub flags: u8,
    /// Padding.
    pub pad1: [u8; 2],
}
layout!(
    VcpuTimeInfo as ["struct vcpu_time_info"], 32,
    version @ 0, pad0 @ 4, tsc_timestamp @ 8, system_time @ 16, tsc_to_system_mul @ 24,
    tsc_shift @ 28, flags @ 29, pad1 @ 30,
);

/// A vCPU's event state and clock.
#[repr(C)]
pub struct VcpuInfo {
    /// Non-zero: an upcall is due, and is injected again as long as this is set.
    pub evtchn_upcall_pending: u8,
    /// Without effect for HVM guests.
    pub evtchn_upcall_mask: u8,
    /// Padding.
    pub pad: [u8; 6],
    /// Which words of `evtchn_pending` have news.
    pub evtchn_pending_sel: u64,
    /// CR2 and padding.
    pub arch: [u64; 2],
    /// The clock.
    pub time: VcpuTimeInfo,
}
layout!(
    VcpuInfo as ["struct vcpu_info"], 64,
    evtchn_upcall_pending @ 0, evtchn_upcall_mask @ 1, pad @ 2 as _, evtchn_pending_sel @ 8,
    arch @ 16, time @ 32,
);

/// The page Xen shares with the whole domain.
#[repr(C)]
pub struct SharedInfo {
    /// For vCPUs that registered no place of their own.
    pub vcpu_info: [VcpuInfo; 32],
    /// Pending ports.
    pub evtchn_pending: [u64; 64],
    /// Masked ports.
    pub evtchn_mask: [u64; 64],
    /// Odd while Xen writes the wall clock.
    pub wc_version: u32,
    /// Wall clock at system time 0, seconds since 1970 (low half).
    pub wc_sec: u32,
    /// And nanoseconds.
    pub wc_nsec: u32,
    /// Seconds, high half.
    pub wc_sec_hi: u32,
    /// The rest is of no use here.
    pub arch: [u64; 6],
}
layout!(
    SharedInfo as ["struct shared_info"], 3136,
    vcpu_info @ 0, evtchn_pending @ 2048, evtchn_mask @ 2560, wc_version @ 3072, wc_sec @ 3076,
    wc_nsec @ 3080, wc_sec_hi @ 3084, arch @ 3088,
);

mirror! {
    ["xen.h"]
    layouts [VcpuTimeInfo, VcpuInfo, SharedInfo]
    numbers []
}
