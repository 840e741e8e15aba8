//! Per-vCPU operations. Mirrors `xen/include/public/vcpu.h`, Xen 4.17.

/// Time a vCPU spent in each state.
pub const VCPUOP_GET_RUNSTATE_INFO: u32 = 4;

/// Index of the running state in [`VcpuRunstateInfo::time`].
pub const RUNSTATE_RUNNING: usize = 0;

/// Argument of [`VCPUOP_GET_RUNSTATE_INFO`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct VcpuRunstateInfo {
    /// `RUNSTATE_*`.
    pub state: i32,
    /// When it entered that state, system time in ns.
    pub state_entry_time: u64,
    /// Nanoseconds spent in each state.
    pub time: [u64; 4],
}
layout!(
    VcpuRunstateInfo as ["struct vcpu_runstate_info"], 48,
    state @ 0, state_entry_time @ 8, time @ 16,
);

mirror! {
    ["vcpu.h"]
    layouts [VcpuRunstateInfo]
    numbers [
        VCPUOP_GET_RUNSTATE_INFO => "VCPUOP_get_runstate_info",
        RUNSTATE_RUNNING => "RUNSTATE_running",
    ]
}
