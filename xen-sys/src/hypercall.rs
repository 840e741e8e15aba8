//! The hypercall instruction, and one thin shim per hypercall used.
//!
//! The instruction is issued inline (VMCALL on Intel, VMMCALL on AMD) and never
//! through the page Xen writes: that page's stubs end in a plain `ret`
//! (XSA-466). Arguments are guest linear addresses. Debug builds of Xen clobber
//! the argument registers, so all of them are declared clobbered.
//!
//! Source: `docs/guest-guide/x86/hypercall-abi.rst` and `xen/include/public/xen.h`, Xen 4.17.
#![expect(unsafe_code, reason = "the hypercall instruction")]

use crate::errno::Errno;
use core::arch::asm;

/// `__HYPERVISOR_memory_op`.
pub const HYPERVISOR_MEMORY_OP: usize = 12;
/// `__HYPERVISOR_set_timer_op`.
pub const HYPERVISOR_SET_TIMER_OP: usize = 15;
/// `__HYPERVISOR_xen_version`.
pub const HYPERVISOR_XEN_VERSION: usize = 17;
/// `__HYPERVISOR_grant_table_op`.
pub const HYPERVISOR_GRANT_TABLE_OP: usize = 20;
/// `__HYPERVISOR_vcpu_op`.
pub const HYPERVISOR_VCPU_OP: usize = 24;
/// `__HYPERVISOR_sched_op`.
pub const HYPERVISOR_SCHED_OP: usize = 29;
/// `__HYPERVISOR_event_channel_op`.
pub const HYPERVISOR_EVENT_CHANNEL_OP: usize = 32;
/// `__HYPERVISOR_hvm_op`.
pub const HYPERVISOR_HVM_OP: usize = 34;

/// The one thing a simulator replaces: the hypercall instruction.
///
/// # Safety
/// An implementation must read and write only what the ABI of `op` allows.
pub unsafe trait Hypercall: Sync {
    /// Issues hypercall `op`; the result is negative for an error.
    ///
    /// # Safety
    /// `args` must be what the Xen ABI demands for `op`: pointers among them
    /// must be valid for what `op` does with them.
    unsafe fn hypercall(&self, op: usize, args: [usize; 5]) -> isize;
}

/// The hypercall instruction of Intel CPUs.
#[derive(Clone, Copy, Debug)]
pub struct Vmcall;

/// The hypercall instruction of AMD CPUs.
#[derive(Clone, Copy, Debug)]
pub struct Vmmcall;

macro_rules! native {
    ($t:ty, $instruction:literal) => {
        // SAFETY: the hypervisor implements the ABI this crate describes.
        unsafe impl Hypercall for $t {
            unsafe fn hypercall(&self, op: usize, args: [usize; 5]) -> isize {
                let result: isize;
                // SAFETY: the caller vouches for the arguments; registers the
                // hypervisor may change are all declared, memory is clobbered by default.
                unsafe {
                    asm!(
                        $instruction,
                        inlateout("rax") op => result,
                        inlateout("rdi") args[0] => _,
                        inlateout("rsi") args[1] => _,
                        inlateout("rdx") args[2] => _,
                        inlateout("r10") args[3] => _,
                        inlateout("r8") args[4] => _,
                        options(nostack),
                    );
                }
                result
            }
        }
    };
}

native!(Vmcall, "vmcall");
native!(Vmmcall, "vmmcall");

/// A hypercall of the common form `op(command, *argument)`.
///
/// # Errors
/// Xen's error.
///
/// # Safety
/// `argument` must be valid for what `command` of `op` reads and writes.
pub unsafe fn command<T>(
    hypercall: &dyn Hypercall,
    op: usize,
    command: u32,
    argument: *mut T,
) -> Result<usize, Errno> {
    let args = [command as usize, argument.expose_provenance(), 0, 0, 0];
    // SAFETY: passed on from the caller.
    Errno::check(unsafe { hypercall.hypercall(op, args) })
}

/// A hypercall of the form `vcpu_op(command, vcpu, *argument)`.
///
/// # Errors
/// Xen's error.
///
/// # Safety
/// `argument` must be valid for what `command` reads and writes.
pub unsafe fn vcpu_op<T>(
    hypercall: &dyn Hypercall,
    command: u32,
    vcpu: u32,
    argument: *mut T,
) -> Result<usize, Errno> {
    let args = [
        command as usize,
        vcpu as usize,
        argument.expose_provenance(),
        0,
        0,
    ];
    // SAFETY: passed on from the caller.
    Errno::check(unsafe { hypercall.hypercall(HYPERVISOR_VCPU_OP, args) })
}

/// A grant table operation on `count` argument structures.
///
/// # Errors
/// Xen's error.
///
/// # Safety
/// `arguments` must be valid for `count` structures of `command`.
pub unsafe fn grant_table_op<T>(
    hypercall: &dyn Hypercall,
    command: u32,
    arguments: *mut T,
    count: u32,
) -> Result<usize, Errno> {
    let args = [
        command as usize,
        arguments.expose_provenance(),
        count as usize,
        0,
        0,
    ];
    // SAFETY: passed on from the caller.
    Errno::check(unsafe { hypercall.hypercall(HYPERVISOR_GRANT_TABLE_OP, args) })
}

/// Arms this vCPU's one-shot timer at an absolute system time; 0 disarms it.
///
/// # Errors
/// Xen's error.
pub fn set_timer_op(hypercall: &dyn Hypercall, deadline_ns: u64) -> Result<usize, Errno> {
    let args = [deadline_ns as usize, 0, 0, 0, 0];
    // SAFETY: the operation takes no pointer.
    Errno::check(unsafe { hypercall.hypercall(HYPERVISOR_SET_TIMER_OP, args) })
}

mirror! {
    ["xen.h"]
    layouts []
    numbers [
        HYPERVISOR_MEMORY_OP => "__HYPERVISOR_memory_op",
        HYPERVISOR_SET_TIMER_OP => "__HYPERVISOR_set_timer_op",
        HYPERVISOR_XEN_VERSION => "__HYPERVISOR_xen_version",
        HYPERVISOR_GRANT_TABLE_OP => "__HYPERVISOR_grant_table_op",
        HYPERVISOR_VCPU_OP => "__HYPERVISOR_vcpu_op",
        HYPERVISOR_SCHED_OP => "__HYPERVISOR_sched_op",
        HYPERVISOR_EVENT_CHANNEL_OP => "__HYPERVISOR_event_channel_op",
        HYPERVISOR_HVM_OP => "__HYPERVISOR_hvm_op",
    ]
}
