//! ACPI tables, for what they are good for on a PVH guest.
//!
//! That is the processor list and how power-off is described. Nothing depends on
//! them; a hypervisor that gives none is no error.
#![expect(unsafe_code, reason = "tables are read where the hypervisor put them")]

use super::paging::Mapper;
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};
use core::cell::RefCell;
use core::ptr::{self, NonNull};

/// Maps tables for reading, where they are not mapped yet.
#[derive(Clone)]
struct Handler<'a>(&'a RefCell<&'a mut Mapper>);

impl AcpiHandler for Handler<'_> {
    unsafe fn map_physical_region<T>(
        &self,
        address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let last = address + size.max(1) - 1;
        for page in (address & !4095..=last).step_by(4096) {
            self.0.borrow_mut().map_read_only(page as u64);
        }
        let place = ptr::with_exposed_provenance_mut::<T>(address);
        let place = NonNull::new(place).expect("no table lies at address 0");
        // SAFETY: the region is mapped, identity, for ever.
        unsafe { PhysicalMapping::new(address, place, size, size, self.clone()) }
    }

    fn unmap_physical_region<T>(_region: &PhysicalMapping<Self, T>) {}
}

/// Reads the tables and logs what they say.
pub(crate) fn report(rsdp: Option<u64>, mapper: &mut Mapper) {
    let Some(rsdp) = rsdp else {
        log::info!("acpi: no tables given");
        return;
    };
    let mapper = RefCell::new(mapper);
    // SAFETY: the hypervisor says that the tables are there; the handler maps what is read.
    let tables = unsafe { AcpiTables::from_rsdp(Handler(&mapper), rsdp as usize) };
    let tables = match tables {
        Ok(tables) => tables,
        Err(error) => {
            log::warn!(
                "acpi: the tables at {rsdp:#x} are not usable ({error:?}); going on without"
            );
            return;
        }
    };
    let madt = tables.find_table::<acpi::madt::Madt>();
    let processors = madt.as_ref().map_or(0, |madt| {
        let entries = madt.get().entries();
        entries
            .filter(|entry| matches!(entry, acpi::madt::MadtEntry::LocalApic(_)))
            .count()
    });
    let fadt = tables.find_table::<acpi::fadt::Fadt>();
    let power = if fadt.is_ok() {
        "by FADT"
    } else {
        "by hypercall only"
    };
    log::info!("acpi: {processors} processors listed, power-off described {power}");
}
