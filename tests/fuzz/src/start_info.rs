//! What a loader hands over at the entry: any bytes, anywhere in memory.
//!
//! The input is memory that lies at two places: at the start info, and up to
//! the very end of the address space, where sums of addresses overflow.

use kernel::boot_info::{BootInfo, COMMAND_LINE_BYTES_MAX, RANGES_MAX};
use kernel::budget::Budget;

const START: u64 = 0x1000;

/// Reads the start info out of the input.
pub(crate) fn run(memory: &[u8]) {
    let top = 0_u64.wrapping_sub(memory.len() as u64);
    let read = |address: u64, into: &mut [u8]| {
        let base = if address >= top { top } else { START };
        let at = address
            .checked_sub(base)
            .and_then(|at| usize::try_from(at).ok());
        let from = at.and_then(|at| memory.get(at..)?.get(..into.len()));
        from.map(|from| into.copy_from_slice(from)).is_some()
    };
    let Ok(info) = BootInfo::parse(&read, START) else {
        return;
    };
    let line = info.command_line();
    assert!(line.len() <= COMMAND_LINE_BYTES_MAX && !line.contains(&0));
    assert!(info.ram().len() <= RANGES_MAX);
    assert!(info.ram().iter().all(|range| range.start < range.end));
    let mut ram_bytes = 0_u64;
    for range in info.ram() {
        ram_bytes = ram_bytes.saturating_add(range.len());
    }
    Budget::from_ram(ram_bytes).memory_disk_bytes();
}
