//! The memory functions the compiler calls.
//!
//! Written in assembly, since a Rust loop would be compiled back into a call of
//! itself.
#![expect(unsafe_code, reason = "symbols the compiler relies on")]

use core::arch::global_asm;

global_asm!(include_str!("memory_functions.s"));

/// Wanted by the precompiled `alloc`, never called: there is no unwinding.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Wanted by the precompiled `alloc`, never called: there is no unwinding.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    crate::panic::die(format_args!("unwinding was asked for"), None, 0)
}
