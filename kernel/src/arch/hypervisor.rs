//! Which hypervisor this is, and how to call it.
//!
//! Source: `docs/misc/pvh.pandoc` and `xen/include/public/arch-x86/cpuid.h`, Xen 4.17.
#![expect(unsafe_code, reason = "the hypercall MSR")]

use super::cpu::{cpuid, write_msr};
use core::sync::atomic::{AtomicBool, Ordering};
use xen::count::HypercallCounts;
use xen::{Errno, Xen};
use xen_sys::hypercall::{Hypercall, Vmcall, Vmmcall};

/// Where hypervisors put their CPUID leaves.
const LEAVES: core::ops::Range<u32> = 0x4000_0000..0x4001_0000;

/// A page for the hypervisor's own stubs, which are never called (XSA-466): the
/// write is what latches 64-bit mode. Filled with `int3` until then, and never executable.
#[repr(C, align(4096))]
struct HypercallPage(core::cell::UnsafeCell<[u8; 4096]>);

// SAFETY: only the hypervisor writes it, nobody reads it.
unsafe impl Sync for HypercallPage {}

/// The instruction of the CPU that was found last: a resume may be on another maker's.
struct Chosen;

static IS_INTEL: AtomicBool = AtomicBool::new(false);

// SAFETY: whichever is chosen implements the ABI.
unsafe impl Hypercall for Chosen {
    unsafe fn hypercall(&self, op: usize, args: [usize; 5]) -> isize {
        let is_intel = IS_INTEL.load(Ordering::Relaxed);
        let chosen: &dyn Hypercall = if is_intel { &Vmcall } else { &Vmmcall };
        // SAFETY: passed on from the caller.
        unsafe { chosen.hypercall(op, args) }
    }
}

/// Hypercalls made since boot, the panic path's included.
static HYPERCALLS: HypercallCounts = HypercallCounts::new();

static HYPERCALL_PAGE: HypercallPage = HypercallPage(core::cell::UnsafeCell::new([0xcc; 4096]));

/// Finds Xen's CPUID leaves, latches 64-bit mode, chooses the hypercall instruction.
///
/// # Panics
/// When there is no Xen: nothing of this image works without.
pub(crate) fn detect() -> Xen {
    latch();
    instruction()
}

/// The domain was resumed, maybe on another CPU: the same for handles that are there.
pub(crate) fn detect_again() {
    latch();
    choose();
}

fn latch() {
    let Some(base) = leaves() else {
        panic!(
            "no Xen hypervisor found in CPUID; boot this image with xl create (type=\"pvh\") or \
             with QEMU's -accel kvm,xen-version=0x40011,kernel-irqchip=split"
        );
    };
    let [_, register, ..] = cpuid(base + 2);
    let page = HYPERCALL_PAGE.0.get().expose_provenance() as u64;
    // SAFETY: the register is Xen's, and the page is ours to give.
    unsafe { write_msr(register, page) };
}

/// Xen, for a panic before [`detect`]: nothing is latched, none is no panic.
pub(crate) fn detect_quietly() -> Option<Xen> {
    leaves().map(|_| instruction())
}

fn instruction() -> Xen {
    choose();
    Xen::new(&Chosen, &HYPERCALLS)
}

fn choose() {
    IS_INTEL.store(is_intel(), Ordering::Relaxed);
}

/// The first of Xen's CPUID leaves; other hypervisors' may come before it.
fn leaves() -> Option<u32> {
    LEAVES.step_by(0x100).find(|base| is_xen(*base))
}

/// Whether this is QEMU's emulation, where there is no dom0: alone it has no memory map call.
pub(crate) fn is_emulated(xen: Xen) -> bool {
    xen.ram(|_, _| ()) == Err(Errno::ENOSYS)
}

fn is_xen(base: u32) -> bool {
    let [last, b, c, d] = cpuid(base);
    [b, c, d].map(u32::to_le_bytes).as_flattened() == b"XenVMMXenVMM" && last >= base + 2
}

fn is_intel() -> bool {
    let [_, b, c, d] = cpuid(0);
    matches!(
        [b, d, c].map(u32::to_le_bytes).as_flattened(),
        b"GenuineIntel" | b"CentaurHauls" | b"  Shanghai  "
    )
}
