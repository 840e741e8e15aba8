//! GDT, TSS and IDT of one CPU.
//!
//! Every fault runs on a stack of its own: the stack it interrupts may be the
//! reason for it, and the precompiled `core` keeps data in the red zone.
//!
//! Source: Intel SDM vol. 3, 6.14 (64-bit IDT), 7.7 (64-bit TSS).
#![expect(unsafe_code, reason = "descriptor tables are loaded by address")]

use super::{fault, upcall};
use alloc::boxed::Box;
use alloc::vec;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

const STACK_BYTES: usize = 16 * 1024;
/// The stack that is in use. An interrupt that is delivered a second time before its stub has
/// begun, as nested emulation does, puts its frame below the first one's; on a stack of its own
/// it would overwrite that, and return to its own beginning for ever.
const NO_IST: u8 = 0;
/// Places in the TSS's interrupt stack table, as gates count them (from 1).
const IST_FAULT: u8 = 1;
const IST_DOUBLE_FAULT: u8 = 2;
const IST_NMI: u8 = 3;
const VECTOR_NMI: usize = 2;
const VECTOR_DOUBLE_FAULT: usize = 8;
const GATES: usize = 256;

/// One CPU's tables; they stay for ever.
struct Tables {
    gdt: GlobalDescriptorTable,
    tss: TaskStateSegment,
    idt: [Gate; GATES],
}

/// A 64-bit interrupt gate.
#[repr(C)]
#[derive(Clone, Copy)]
struct Gate([u64; 2]);

impl Gate {
    const ABSENT: Gate = Gate([0; 2]);

    /// Present, ring 0, interrupts off on entry.
    fn interrupt(handler: u64, code: SegmentSelector, ist: u8) -> Gate {
        let low = handler & 0xffff
            | u64::from(code.0) << 16
            | u64::from(ist) << 32
            | 0x8e << 40
            | (handler >> 16 & 0xffff) << 48;
        Gate([low, handler >> 32])
    }
}

/// A stack that is never freed; its top.
fn stack() -> VirtAddr {
    let stack: &'static mut [u8] = Box::leak(vec![0; STACK_BYTES].into_boxed_slice());
    VirtAddr::from_ptr(stack.as_ptr_range().end).align_down(16u64)
}

/// Makes the tables of the CPU this runs on, and makes it use them.
pub(super) fn load() {
    let idt = [Gate::ABSENT; GATES];
    let (gdt, tss) = (GlobalDescriptorTable::new(), TaskStateSegment::new());
    let Tables { gdt, tss, idt } = Box::leak(Box::new(Tables { gdt, tss, idt }));
    for ist in [IST_FAULT, IST_DOUBLE_FAULT, IST_NMI] {
        tss.interrupt_stack_table[usize::from(ist) - 1] = stack();
    }
    let code = gdt.append(Descriptor::kernel_code_segment());
    gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(tss));
    gdt.load();
    // SAFETY: the selector is the code segment of the table just loaded.
    unsafe { CS::set_reg(code) };
    // SAFETY: the selector is the TSS of the table just loaded, which stays for ever.
    unsafe { load_tss(task) };

    for (vector, gate) in idt.iter_mut().enumerate() {
        let ist = if vector == VECTOR_DOUBLE_FAULT {
            IST_DOUBLE_FAULT
        } else {
            IST_FAULT
        };
        *gate = match vector {
            VECTOR_NMI => Gate::interrupt(fault::nmi_entry(), code, IST_NMI),
            0..32 => Gate::interrupt(fault::stub(vector), code, ist),
            _ => Gate::interrupt(upcall::stub(vector as u8), code, NO_IST),
        };
    }
    let limit = (size_of::<[Gate; GATES]>() - 1) as u16;
    let pointer = DescriptorTablePointer {
        limit,
        base: VirtAddr::from_ptr(idt),
    };
    // SAFETY: all gates lead to stubs of ours, and the table stays for ever.
    unsafe { lidt(&pointer) };
}
