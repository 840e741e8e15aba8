//! The page tables: identity, W^X, nothing at address 0, a hole under the stack.
//!
//! RAM is mapped by 2 MiB pages, writable and never executable; the image by
//! 4 KiB pages with each section's own rights; what Xen gives us by 4 KiB pages
//! on demand.
//!
//! Source: Intel SDM vol. 3, 4.5 (4-level paging).
#![expect(unsafe_code, reason = "page tables")]

use crate::mem::IMAGE;
use core::arch::asm;
use core::ptr::{self, NonNull};
use kernel::boot_info::PhysRange;
use xen::page::{Gfn, MapFrame, PAGE_BYTES};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLED: u64 = 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const PAGE: u64 = PAGE_BYTES as u64;
const LARGE_PAGE: u64 = 2 << 20;

/// The tables in force, and the frames for more of them.
pub(crate) struct Mapper {
    root: u64,
    frames: PhysRange,
}

impl Mapper {
    /// Tables over `ram`, made of `frames` (which lie in RAM that the entry's tables map).
    pub(crate) fn new(ram: &[PhysRange], frames: PhysRange) -> Mapper {
        let mut mapper = Mapper { root: 0, frames };
        mapper.root = mapper.table();
        for range in ram {
            mapper.map_ram(*range);
        }
        for page in IMAGE.pages() {
            let rights = IMAGE.rights(page);
            let flags = PRESENT
                | if rights.write { WRITABLE } else { 0 }
                | if rights.execute { 0 } else { NO_EXECUTE };
            *mapper.entry(page, 1) = if rights.present { page | flags } else { 0 };
        }
        *mapper.entry(0, 1) = 0;
        // SAFETY: the new tables map all that runs now at the same addresses.
        unsafe { asm!("mov cr3, {}", in(reg) mapper.root) };
        mapper
    }

    /// Maps a page of device registers.
    pub(crate) fn map_uncached(&mut self, address: u64) {
        let flags = PRESENT | WRITABLE | NO_EXECUTE | CACHE_DISABLED | WRITE_THROUGH;
        self.map_page(address, flags);
    }

    /// Maps a page of tables somebody else made, for reading.
    pub(crate) fn map_read_only(&mut self, address: u64) {
        if *self.entry(address & ADDRESS, 1) & PRESENT == 0 {
            self.map_page(address, PRESENT | NO_EXECUTE);
        }
    }

    fn map_page(&mut self, address: u64, flags: u64) {
        let page = address & ADDRESS;
        *self.entry(page, 1) = page | flags;
        // SAFETY: drops a translation; the tables say the same or more.
        unsafe { asm!("invlpg [{}]", in(reg) page, options(nostack)) };
    }

    /// Whole 2 MiB pages where the range covers them, 4 KiB pages at its ends.
    fn map_ram(&mut self, range: PhysRange) {
        let mut at = range.start.next_multiple_of(PAGE);
        let end = range.end & !(PAGE - 1);
        while at < end {
            let flags = PRESENT | WRITABLE | NO_EXECUTE;
            if at.is_multiple_of(LARGE_PAGE) && end - at >= LARGE_PAGE {
                *self.entry(at, 2) = at | flags | LARGE;
                at += LARGE_PAGE;
            } else {
                *self.entry(at, 1) = at | flags;
                at += PAGE;
            }
        }
    }

    /// The entry for `address` at `level` (1: 4 KiB, 2: 2 MiB), with the tables above it made.
    fn entry(&mut self, address: u64, level: u32) -> &mut u64 {
        let mut table = self.root;
        for above in (level + 1..=4).rev() {
            let place = slot(table, address, above);
            // SAFETY: a table of ours; no other reference to its entries is alive.
            let mut value = unsafe { place.read() };
            if value & PRESENT == 0 {
                value = self.table() | PRESENT | WRITABLE;
            } else if value & LARGE != 0 {
                value = self.split(value) | PRESENT | WRITABLE;
            }
            // SAFETY: as above.
            unsafe { place.write(value) };
            table = value & ADDRESS;
        }
        // SAFETY: as above; the reference is the only one while `self` is borrowed.
        unsafe { &mut *slot(table, address, level) }
    }

    /// A table of 4 KiB pages that says what one 2 MiB page said.
    fn split(&mut self, large: u64) -> u64 {
        let table = self.table();
        let base = large & ADDRESS;
        let flags = large & !ADDRESS & !LARGE;
        for index in 0..512 {
            let address = base + index * PAGE;
            // SAFETY: the table was just made.
            unsafe { slot(table, address, 1).write(address | flags) };
        }
        table
    }

    /// An empty table.
    fn table(&mut self) -> u64 {
        assert!(self.frames.len() >= PAGE, "no frames left for page tables");
        let table = self.frames.start;
        self.frames.start += PAGE;
        let place = ptr::with_exposed_provenance_mut::<u8>(table as usize);
        // SAFETY: the frame is RAM of ours, mapped, and used by nobody yet.
        unsafe { place.write_bytes(0, PAGE_BYTES) };
        table
    }
}

/// Where a table of `level` keeps the entry for `address`.
fn slot(table: u64, address: u64, level: u32) -> *mut u64 {
    let index = address >> (12 + 9 * (level - 1)) & 511;
    ptr::with_exposed_provenance_mut((table + index * 8) as usize)
}

// SAFETY: frames are identity mapped, write-back, for ever; no reference to them is made.
unsafe impl MapFrame for Mapper {
    fn map(&mut self, gfn: Gfn) -> NonNull<u8> {
        let address = gfn.0 * PAGE;
        self.map_page(address, PRESENT | WRITABLE | NO_EXECUTE);
        let place = ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(place).expect("frame 0 is never given")
    }
}
