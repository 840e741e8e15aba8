//! The event upcall's vector, and the local APIC it may come through.
//!
//! Preferred is the per-vCPU vector, which the local APIC delivers and which
//! wants an EOI; where the hypervisor has no such operation the domain-wide
//! vector serves, which bypasses the APIC.
//!
//! Source: `xen/include/public/hvm/{hvm_op,params}.h`, Xen 4.17; Intel SDM vol. 3, chapter 11.
#![expect(
    unsafe_code,
    reason = "the APIC's registers, and what the upcall stub reads"
)]

use super::cpu::{cpuid, outb, read_msr, write_msr};
use super::paging::Mapper;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::machine::Upcalls;
use xen::Xen;
use xen_sys::hvm::{HVM_PARAM_CALLBACK_IRQ, callback_vector};

global_asm!(include_str!("upcall.s"));

const UPCALL_VECTOR: u8 = 0x40;
const SPURIOUS_VECTOR: u64 = 0xff;
const SOFTWARE_ENABLE: u64 = 1 << 8;
const MASKED: u64 = 1 << 16;

const MSR_APIC_BASE: u32 = 0x1b;
const APIC_BASE_X2APIC: u64 = 1 << 10;
const APIC_BASE_ENABLE: u64 = 1 << 11;
const MSR_X2APIC_TPR: u32 = 0x808;
const MSR_X2APIC_SVR: u32 = 0x80f;
const MSR_X2APIC_LINT0: u32 = 0x835;

const LAPIC: u64 = 0xfee0_0000;
const LAPIC_TPR: u64 = 0x80;
const LAPIC_EOI: u64 = 0xb0;
const LAPIC_SVR: u64 = 0xf0;
const LAPIC_LINT0: u64 = 0x350;

/// Where `upcall.s` finds the vCPU's pending byte: the first of the shared info page.
#[unsafe(no_mangle)]
static UPCALL_PENDING_BYTE: AtomicU64 = AtomicU64::new(0);

/// How `upcall.s` ends the interrupt: 0 not at all, 1 by MSR, else by this address.
#[unsafe(no_mangle)]
static UPCALL_EOI: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    #[link_name = "upcall_entry"]
    static UPCALL_ENTRY: u8;
    #[link_name = "ignored_entry"]
    static IGNORED_ENTRY: u8;
}

/// Entry of a vector above the exceptions.
pub(super) fn stub(vector: u8) -> u64 {
    let ignored = &raw const IGNORED_ENTRY;
    let entry = if vector == UPCALL_VECTOR {
        &raw const UPCALL_ENTRY
    } else {
        ignored
    };
    entry.addr() as u64
}

/// Has events of `vcpu` delivered.
pub(super) fn deliver(xen: Xen, vcpu: u32, mapper: &mut Mapper) -> Upcalls {
    UPCALL_PENDING_BYTE.store(crate::mem::WINDOW.0 * 4096, Ordering::Relaxed);
    let eoi = enable(mapper);
    if xen.set_upcall_vector(vcpu, UPCALL_VECTOR).is_ok() {
        UPCALL_EOI.store(eoi, Ordering::Relaxed);
        // Not 0: the toolstack asks by it whether we answer (a cancelled suspend needs it).
        let _ = xen.set_hvm_param(HVM_PARAM_CALLBACK_IRQ, 1);
        return Upcalls::PerVcpu;
    }
    let vector = callback_vector(UPCALL_VECTOR);
    if let Err(error) = xen.set_hvm_param(HVM_PARAM_CALLBACK_IRQ, vector) {
        panic!("the hypervisor delivers no events: callback vector refused ({error})");
    }
    Upcalls::DomainWide
}

/// Turns the local APIC on; how its interrupts are ended.
///
/// A PC's legacy interrupt controllers, where QEMU has them, are silenced: the
/// firmware leaves their timer running, on vectors of CPU exceptions.
fn enable(mapper: &mut Mapper) -> u64 {
    for pic_mask in [0x21, 0xa1] {
        outb(pic_mask, 0xff);
    }
    if cpuid(1)[2] & 1 << 21 != 0 {
        // SAFETY: the register exists wherever there is a local APIC.
        let base = unsafe { read_msr(MSR_APIC_BASE) };
        // SAFETY: CPUID says x2APIC can be turned on.
        unsafe { write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC) };
        // SAFETY: x2APIC mode is on; no priority is masked.
        unsafe { write_msr(MSR_X2APIC_TPR, 0) };
        // SAFETY: as above.
        unsafe { write_msr(MSR_X2APIC_SVR, SOFTWARE_ENABLE | SPURIOUS_VECTOR) };
        // SAFETY: as above.
        unsafe { write_msr(MSR_X2APIC_LINT0, MASKED) };
        return 1;
    }
    mapper.map_uncached(LAPIC);
    let register =
        |offset: u64| core::ptr::with_exposed_provenance_mut::<u32>((LAPIC + offset) as usize);
    // SAFETY: the APIC's page was just mapped uncached.
    unsafe { register(LAPIC_TPR).write_volatile(0) };
    // SAFETY: as above.
    unsafe { register(LAPIC_SVR).write_volatile((SOFTWARE_ENABLE | SPURIOUS_VECTOR) as u32) };
    // SAFETY: as above.
    unsafe { register(LAPIC_LINT0).write_volatile(MASKED as u32) };
    LAPIC + LAPIC_EOI
}
