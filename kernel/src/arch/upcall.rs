//! The event upcall's vector.
//!
//! Preferred is the per-vCPU vector, which the local APIC delivers and which
//! wants an EOI; where the hypervisor has no such operation the domain-wide
//! vector serves, which bypasses the APIC.
//!
//! Source: `xen/include/public/hvm/{hvm_op,params}.h`, Xen 4.17.
#![expect(unsafe_code, reason = "what the upcall stub reads")]

use super::alarm;
use super::apic::Apic;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::machine::Upcalls;
use xen::Xen;
use xen_sys::hvm::{HVM_PARAM_CALLBACK_IRQ, callback_vector};

global_asm!(include_str!("upcall.s"));

const UPCALL_VECTOR: u8 = 0x40;

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
    let entry = match vector {
        alarm::VECTOR => return alarm::entry(),
        UPCALL_VECTOR => &raw const UPCALL_ENTRY,
        _ => &raw const IGNORED_ENTRY,
    };
    entry.addr() as u64
}

/// Has events of `vcpu` delivered.
pub(super) fn deliver(xen: Xen, vcpu: u32, apic: Apic) -> Upcalls {
    UPCALL_PENDING_BYTE.store(crate::mem::WINDOW.0 * 4096, Ordering::Relaxed);
    if xen.set_upcall_vector(vcpu, UPCALL_VECTOR).is_ok() {
        UPCALL_EOI.store(apic.end_of_interrupt(), Ordering::Relaxed);
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
