//! The local APIC's registers: by MSR where it can be an x2APIC, in its page elsewhere.
//!
//! Source: Intel SDM vol. 3, chapter 11 (tables 11-1 and 11-6).
#![expect(unsafe_code, reason = "the APIC's registers")]

use super::cpu::{cpuid, outb, read_msr, write_msr};
use super::paging::Mapper;

/// The vector of interrupts that are none.
const SPURIOUS_VECTOR: u32 = 0xff;
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// In an entry of the local vector table: nothing is delivered.
pub(super) const MASKED: u32 = 1 << 16;

const CPUID_X2APIC: u32 = 1 << 21;
const MSR_APIC_BASE: u32 = 0x1b;
const APIC_BASE_X2APIC: u64 = 1 << 10;
const APIC_BASE_ENABLE: u64 = 1 << 11;
/// The registers' MSRs are in the order of the page, 16 bytes each.
const MSR_X2APIC: u32 = 0x800;
/// The registers' page.
const PAGE: u64 = 0xfee0_0000;

/// A register, as its offset in the page.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Register {
    TaskPriority = 0x80,
    EndOfInterrupt = 0xb0,
    SpuriousVector = 0xf0,
    Timer = 0x320,
    Lint0 = 0x350,
    InitialCount = 0x380,
    CurrentCount = 0x390,
    DivideConfiguration = 0x3e0,
}

/// A local APIC that is turned on.
#[derive(Clone, Copy)]
pub(super) struct Apic {
    is_x2apic: bool,
}

impl Apic {
    /// Turns it on, with no priority held off and nothing but interrupts of ours.
    ///
    /// A PC's legacy interrupt controllers, where QEMU has them, are silenced: the
    /// firmware leaves their timer running, on vectors of CPU exceptions.
    pub(super) fn enable(mapper: &mut Mapper) -> Apic {
        for pic_mask in [0x21, 0xa1] {
            outb(pic_mask, 0xff);
        }
        let is_x2apic = cpuid(1)[2] & CPUID_X2APIC != 0;
        if is_x2apic {
            // SAFETY: the register exists wherever there is a local APIC.
            let base = unsafe { read_msr(MSR_APIC_BASE) };
            // SAFETY: CPUID says x2APIC can be turned on.
            unsafe { write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC) };
        } else {
            mapper.map_uncached(PAGE);
        }
        let apic = Apic { is_x2apic };
        apic.write(Register::TaskPriority, 0);
        apic.write(Register::SpuriousVector, SOFTWARE_ENABLE | SPURIOUS_VECTOR);
        apic.write(Register::Lint0, MASKED);
        apic
    }

    /// How `upcall.s` ends an interrupt: 1 by MSR, else by this address.
    pub(super) fn end_of_interrupt(self) -> u64 {
        if self.is_x2apic {
            return 1;
        }
        PAGE + Register::EndOfInterrupt as u64
    }

    pub(super) fn write(self, register: Register, value: u32) {
        if self.is_x2apic {
            // SAFETY: x2APIC mode is on, and no register of this list reaches memory.
            unsafe { write_msr(msr(register), u64::from(value)) };
        } else {
            // SAFETY: the page was mapped uncached when the APIC was turned on.
            unsafe { place(register).write_volatile(value) };
        }
    }

    pub(super) fn read(self, register: Register) -> u32 {
        if self.is_x2apic {
            // SAFETY: x2APIC mode is on.
            return unsafe { read_msr(msr(register)) } as u32;
        }
        // SAFETY: as for a write.
        unsafe { place(register).read_volatile() }
    }
}

fn msr(register: Register) -> u32 {
    MSR_X2APIC + register as u32 / 16
}

fn place(register: Register) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut((PAGE + register as u64) as usize)
}
