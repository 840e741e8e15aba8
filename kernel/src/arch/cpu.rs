//! Single instructions with a reason: time, ports, sleep, model-specific registers.
#![expect(unsafe_code, reason = "instructions Rust has no word for")]

use core::arch::asm;
use core::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};
use kernel::run::{Appliance, Wake};

unsafe extern "C" {
    /// Sleeps with interrupts on; see `upcall.s`.
    fn idle_wait();
}

/// The time stamp counter, not read ahead of what comes before.
pub(crate) fn tsc() -> u64 {
    // SAFETY: both instructions exist on every 64-bit CPU.
    unsafe { _mm_lfence() };
    // SAFETY: as above.
    unsafe { _rdtsc() }
}

/// One CPUID leaf: EAX, EBX, ECX, EDX.
pub(crate) fn cpuid(leaf: u32) -> [u32; 4] {
    let result = __cpuid(leaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// Writes a byte to an I/O port.
pub(crate) fn outb(port: u16, value: u8) {
    // SAFETY: port writes reach only what the hypervisor emulates; no memory is touched.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) };
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist and the value must not break what the compiler relies on.
pub(crate) unsafe fn write_msr(register: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: passed on to the caller.
    unsafe { asm!("wrmsr", in("ecx") register, in("eax") low, in("edx") high, options(nostack)) };
}

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist.
pub(crate) unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: passed on to the caller.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack));
    };
    u64::from(high) << 32 | u64::from(low)
}

/// No interrupt comes from here on.
pub(crate) fn interrupts_off() {
    x86_64::instructions::interrupts::disable();
}

/// Sleeps until an event, unless one is pending already or there is more to do.
///
/// No interrupt that returns is let through anywhere but in `idle_wait`. It is called, so no red
/// zone is live when an upcall pushes its frame.
pub(crate) fn idle_until(appliance: &Appliance, wake: Wake) {
    if !appliance.arm(wake) {
        return;
    }
    // SAFETY: a function of `upcall.s` that keeps to the C ABI; the upcall stub
    // saves all it uses, and no event is lost around the `hlt`.
    unsafe { idle_wait() };
}

/// Stops this CPU for good; the hypervisor counts it as an end of the domain.
pub(crate) fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off nothing follows.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Frame pointers up the stack from the caller's, as return addresses.
pub(crate) fn backtrace(mut frame: u64, stack: core::ops::Range<u64>, mut each: impl FnMut(u64)) {
    for _ in 0..32 {
        let in_stack =
            frame >= stack.start && frame.checked_add(16).is_some_and(|e| e <= stack.end);
        if !in_stack || !frame.is_multiple_of(8) {
            return;
        }
        let words = core::ptr::with_exposed_provenance::<[u64; 2]>(frame as usize);
        // SAFETY: aligned and inside the stack, which is mapped and ours.
        let [next, return_address] = unsafe { words.read() };
        if return_address == 0 {
            return;
        }
        each(return_address);
        if next <= frame {
            return;
        }
        frame = next;
    }
}

/// The current frame pointer.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    let frame: u64;
    // SAFETY: copies a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
    frame
}
