//! From the PVH entry to `kernel_main`.
#![expect(
    unsafe_code,
    reason = "the entry, and reading what the hypervisor left in memory"
)]

use core::arch::global_asm;
use core::ptr;
use kernel::boot_info::BootInfo;

global_asm!(include_str!("entry.s"), options(att_syntax));

/// The entry's tables map this much, identity.
const BOOT_MAPPED_BYTES: u64 = 1 << 32;

/// Called by `entry.s` once, on the boot stack.
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(start_info: u64) -> ! {
    match BootInfo::parse(&read_phys, start_info) {
        Ok(boot) => crate::kernel_main(boot),
        Err(error) => panic!("{error}"),
    }
}

/// Copies physical memory through the entry's identity map.
fn read_phys(address: u64, into: &mut [u8]) -> bool {
    let len = into.len() as u64;
    let in_map = address
        .checked_add(len)
        .is_some_and(|end| end <= BOOT_MAPPED_BYTES);
    if !in_map || address == 0 {
        return false;
    }
    for (at, byte) in (address..).zip(into) {
        let place = ptr::with_exposed_provenance::<u8>(at as usize);
        // SAFETY: identity mapped, and nothing of ours is being written at this time.
        *byte = unsafe { place.read_volatile() };
    }
    true
}
