//! The CPU: its tables, its instructions, and nothing else's policy.

pub(crate) mod acpi;
pub(crate) mod cpu;
pub(crate) mod entropy;
mod fault;
pub(crate) mod hypervisor;
mod lapic;
mod memory_functions;
pub(crate) mod paging;
mod tables;

use kernel::machine::Upcalls;
use xen::Xen;

/// The boot CPU: one shard of the appliance runs on it.
const BOOT_VCPU: u32 = 0;

/// Loads this CPU's tables: from now on a fault is said, not a triple fault.
pub(crate) fn catch_faults() {
    tables::load();
}

/// Has the hypervisor interrupt us for events.
pub(crate) fn deliver_upcalls(xen: Xen, mapper: &mut paging::Mapper) -> Upcalls {
    lapic::deliver(xen, BOOT_VCPU, mapper)
}
