//! Memory: which RAM is ours, and what it becomes.
//!
//! Page tables, the pool of shareable pages, the heap.
#![expect(unsafe_code, reason = "hands out raw memory")]

mod heap;

use crate::arch::paging::Mapper;
use core::ptr;
use kernel::boot_info::{BootInfo, PhysRange};
use kernel::budget::Budget;
use xen::page::{Gfn, PAGE_BYTES, PagePool};

pub(crate) use heap::usage as heap_usage;

/// Guest frames for Xen's own pages: in the hole below 4 GiB, where neither
/// hypervisor puts RAM nor a device of ours.
pub(crate) const WINDOW: Gfn = Gfn(0xf800_0000 >> 12);

const PAGE: u64 = PAGE_BYTES as u64;
const GIB: u64 = 1 << 30;
/// Tables besides one for each GiB of RAM: the top ones, and those of 4 KiB pages.
const TABLES_MIN: u64 = 40;
/// The boot tables map this much.
const BOOT_MAPPED: u64 = 4 * GIB;

unsafe extern "C" {
    static __image_start: u8;
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __stack_guard: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __image_end: u8;
}

macro_rules! symbol {
    ($name:ident) => {
        (&raw const $name).addr() as u64
    };
}

/// Where the linker put the image.
pub(crate) struct Image;

/// The image.
pub(crate) const IMAGE: Image = Image;

/// What may be done with a page of the image.
pub(crate) struct Rights {
    pub(crate) present: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Image {
    fn range(&self) -> PhysRange {
        PhysRange {
            start: symbol!(__image_start),
            end: symbol!(__image_end),
        }
    }

    /// Addresses of its pages.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u64> {
        let range = self.range();
        (range.start..range.end).step_by(PAGE_BYTES)
    }

    /// What may be done with the page at `address`: never both written and executed.
    pub(crate) fn rights(&self, address: u64) -> Rights {
        let execute = (symbol!(__text_start)..symbol!(__text_end)).contains(&address);
        let constant = (symbol!(__rodata_start)..symbol!(__rodata_end)).contains(&address);
        let present = address != symbol!(__stack_guard);
        Rights {
            present,
            write: !execute && !constant,
            execute,
        }
    }

    /// The main stack.
    pub(crate) fn stack(&self) -> core::ops::Range<u64> {
        symbol!(__stack_bottom)..symbol!(__stack_top)
    }

    /// Code, for what may be a return address.
    pub(crate) fn text(&self) -> core::ops::Range<u64> {
        symbol!(__text_start)..symbol!(__text_end)
    }
}

/// What the RAM has become.
pub(crate) struct Memory {
    pub(crate) mapper: Mapper,
    pub(crate) pool: PagePool,
    pub(crate) ram_bytes: u64,
}

/// Takes over all RAM.
///
/// # Panics
/// When there is too little: the message says how much is needed.
pub(crate) fn claim(boot: &BootInfo) -> Memory {
    let image = IMAGE.range();
    let ram = boot.ram();
    let ram_bytes: u64 = ram.iter().map(|range| range.len()).sum();
    let top = ram.iter().map(|range| range.end).max().unwrap_or(0);
    let main = ram
        .iter()
        .find(|range| range.start <= image.start && image.end <= range.end);
    let Some(main) = main else {
        panic!(
            "no range of RAM holds the image ({:#x}..{:#x})",
            image.start, image.end
        );
    };
    let mut free = PhysRange {
        start: image.end,
        end: main.end.min(BOOT_MAPPED),
    };

    let budget = Budget::from_ram(ram_bytes);
    let tables = take(&mut free, (TABLES_MIN + top.div_ceil(GIB)) * PAGE);
    let pool = take(&mut free, u64::from(budget.pool_pages) * PAGE);
    if free.len() < budget.heap_bytes_min {
        panic!(
            "too little memory: {} KiB of RAM given; write memory={} (MiB) or more in xl.cfg",
            ram_bytes / 1024,
            Budget::MEMORY_MIN_MIB
        );
    }
    let mapper = Mapper::new(ram, tables);
    // SAFETY: `free` is RAM behind the image, mapped, and handed out only here.
    unsafe { heap::add(free) };
    for other in ram
        .iter()
        .filter(|range| range.start >= image.end && *range != main)
    {
        // SAFETY: RAM apart from the image's range, mapped, handed out only here.
        unsafe { heap::add(*other) };
    }
    let base = ptr::with_exposed_provenance_mut(pool.start as usize);
    let base = ptr::NonNull::new(base).expect("RAM is not at address 0");
    // SAFETY: the pages are RAM of ours, identity mapped, used for nothing else.
    let pool = unsafe { PagePool::new(base, budget.pool_pages, Gfn(pool.start / PAGE)) };
    Memory {
        mapper,
        pool,
        ram_bytes,
    }
}

/// Cuts `len` bytes off the front, as far as there are any.
fn take(free: &mut PhysRange, len: u64) -> PhysRange {
    let end = (free.start + len).min(free.end.max(free.start));
    let taken = PhysRange {
        start: free.start,
        end,
    };
    free.start = end;
    taken
}
