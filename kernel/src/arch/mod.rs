//! The CPU: its tables, its instructions, and nothing else's policy.

pub(crate) mod acpi;
pub(crate) mod alarm;
mod apic;
pub(crate) mod cpu;
pub(crate) mod entropy;
mod fault;
pub(crate) mod hypervisor;
mod memory_functions;
pub(crate) mod paging;
mod tables;
mod upcall;

use alloc::boxed::Box;
use kernel::machine::{Alarm, Upcalls};
use xen::Attachment;

/// The boot CPU: one shard of the appliance runs on it.
const BOOT_VCPU: u32 = 0;

/// Loads this CPU's tables: from now on a fault is said, not a triple fault.
pub(crate) fn catch_faults() {
    tables::load();
}

/// Has the hypervisor interrupt us for events; with that, what can watch the loop.
pub(crate) fn deliver_upcalls(
    attachment: &Attachment,
    mapper: &mut paging::Mapper,
) -> (Upcalls, Option<Box<dyn Alarm>>) {
    let (xen, apic) = (attachment.xen, apic::Apic::enable(mapper));
    let upcalls = upcall::deliver(xen, BOOT_VCPU, apic);
    // The domain-wide vector knows no priorities: it would come in the middle of the loop.
    if upcalls == Upcalls::DomainWide {
        return (upcalls, None);
    }
    let alarm = alarm::LoopAlarm::new(xen, apic, attachment.clock.last());
    (upcalls, Some(Box::new(alarm)))
}
