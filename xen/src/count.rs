//! How often each hypercall was made.
//!
//! A hypercall costs a VM exit, so their number belongs to what an operator may
//! ask; it is one relaxed add beside each.

use core::sync::atomic::{AtomicU64, Ordering};
use xen_sys::hypercall::{
    HYPERVISOR_EVENT_CHANNEL_OP, HYPERVISOR_GRANT_TABLE_OP, HYPERVISOR_HVM_OP,
    HYPERVISOR_MEMORY_OP, HYPERVISOR_SCHED_OP, HYPERVISOR_SET_TIMER_OP, HYPERVISOR_VCPU_OP,
    HYPERVISOR_XEN_VERSION,
};

/// The hypercalls in use, with their names in `xen.h`.
const NAMES: [(usize, &str); 8] = [
    (HYPERVISOR_EVENT_CHANNEL_OP, "event_channel_op"),
    (HYPERVISOR_SET_TIMER_OP, "set_timer_op"),
    (HYPERVISOR_HVM_OP, "hvm_op"),
    (HYPERVISOR_MEMORY_OP, "memory_op"),
    (HYPERVISOR_GRANT_TABLE_OP, "grant_table_op"),
    (HYPERVISOR_VCPU_OP, "vcpu_op"),
    (HYPERVISOR_SCHED_OP, "sched_op"),
    (HYPERVISOR_XEN_VERSION, "xen_version"),
];

/// One count for each hypercall in use.
#[derive(Debug)]
pub struct HypercallCounts([AtomicU64; NAMES.len()]);

impl HypercallCounts {
    /// None made yet.
    #[expect(
        clippy::new_without_default,
        reason = "there is one, and it is a static"
    )]
    pub const fn new() -> HypercallCounts {
        HypercallCounts([const { AtomicU64::new(0) }; NAMES.len()])
    }

    /// Counts one hypercall.
    pub(crate) fn count(&self, op: usize) {
        if let Some(index) = NAMES.iter().position(|(number, _)| *number == op) {
            self.0[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each hypercall's name and count.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = NAMES.iter().zip(&self.0);
        counts.map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }
}
