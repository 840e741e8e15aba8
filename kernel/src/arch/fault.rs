//! CPU exceptions, and interrupts that must not be: all are fatal, and said in one line.
#![expect(unsafe_code, reason = "exception entries")]

use super::alarm;
use core::arch::global_asm;
use core::sync::atomic::AtomicU64;

global_asm!(include_str!("fault.s"));

/// Non-maskable interrupts taken; they mean nothing here.
#[unsafe(no_mangle)]
static NMI_COUNT: AtomicU64 = AtomicU64::new(0);

/// What `fault.s` and the CPU pushed.
#[repr(C)]
struct Frame {
    r15_to_r8: [u64; 8],
    rbp: u64,
    rdi_rsi_rdx_rcx_rbx: [u64; 5],
    rax: u64,
    vector: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

const NAMES: [&str; 22] = [
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no FPU",
    "double fault",
    "FPU segment",
    "invalid TSS",
    "segment not present",
    "stack segment",
    "general protection",
    "page fault",
    "reserved",
    "x87",
    "alignment check",
    "machine check",
    "SIMD",
    "virtualization",
    "control protection",
];

/// As `upcall.s` says them.
const ALARM: u64 = alarm::VECTOR as u64;
const STRAY: u64 = 0x40;

unsafe extern "C" {
    static fault_stubs: [[u8; 16]; 32];
    #[link_name = "nmi_entry"]
    static NMI_ENTRY: u8;
}

/// Entry of an exception.
pub(super) fn stub(vector: usize) -> u64 {
    (&raw const fault_stubs).addr() as u64 + vector as u64 * 16
}

/// Entry of the NMI.
pub(super) fn nmi_entry() -> u64 {
    (&raw const NMI_ENTRY).addr() as u64
}

/// Called by `fault.s`. The page fault's address is left out: some emulators
/// give another control register's value for CR2; RIP and error code say enough.
#[unsafe(no_mangle)]
extern "C" fn fault_handler(frame: &Frame) -> ! {
    match frame.vector {
        ALARM => crate::panic::stood_still(frame.rip, frame.rbp),
        STRAY => crate::panic::die(
            format_args!(
                "the hypervisor delivered an interrupt that was held off, and memory may be \
                 damaged by it: start again, and report this line with the hypervisor's release"
            ),
            Some(frame.rip),
            frame.rbp,
        ),
        _ => {}
    }
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"unknown");
    crate::panic::die(
        format_args!(
            "cpu exception {} ({name}) error_code={:#x} rip={:#x} rsp={:#x} rax={:#x}",
            frame.vector, frame.error_code, frame.rip, frame.rsp, frame.rax
        ),
        Some(frame.rip),
        frame.rbp,
    )
}
