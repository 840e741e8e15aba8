//! The image: boot, CPU, memory, then the loop that never ends.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod arch;
mod boot;
mod mem;
mod panic;
mod resume;

use kernel::boot_info::BootInfo;
use kernel::logger;
use kernel::machine::Host;
use kernel::run::{Appliance, Wake};
use xen::Attachment;

/// From the entry, on our own stack, with the boot page tables.
fn kernel_main(mut boot: BootInfo) -> ! {
    logger::start(panic::early);
    let xen = arch::hypervisor::detect();
    if !boot.has_memory_map {
        boot.ask_for_ram(xen);
    }
    let memory = mem::claim(&boot);
    arch::catch_faults();
    let mut mapper = memory.mapper;
    let attachment = Attachment::first(xen, memory.pool, &mut mapper, mem::WINDOW)
        .unwrap_or_else(|error| panic!("{error}"));
    panic::remember(&attachment);
    let (upcalls, alarm) = arch::deliver_upcalls(&attachment, &mut mapper);
    arch::acpi::report(boot.rsdp, &mut mapper);
    log::info!(
        "boot: {} MiB of RAM, Xen {:?}, events {upcalls:?}",
        memory.ram_bytes >> 20,
        xen.version()
    );
    let host = Host {
        seed: arch::entropy::seed(),
        ram_bytes: memory.ram_bytes,
        emulated: arch::hypervisor::is_emulated(xen),
        heap: mem::heap_usage,
        alarm,
    };
    if attachment.console.is_some() {
        logger::end_early();
    }
    let mut appliance = Appliance::new(attachment, boot.command_line(), host);
    loop {
        let wake = arch::alarm::watched(|| appliance.step(arch::cpu::tsc()));
        panic::follow(&mut appliance);
        match wake {
            Wake::Suspend => resume::suspend(&mut appliance, &mut mapper),
            wake => arch::cpu::idle_until(&appliance, wake),
        }
    }
}
