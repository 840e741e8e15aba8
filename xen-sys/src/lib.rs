//! The Xen guest ABI: layouts, numbers, and the hypercall instruction.
//!
//! No policy, no allocation, no safe wrappers: each file is named after the
//! public header it mirrors and keeps its constants' spelling, so that grep
//! works both ways. Base release: Xen 4.17; a field newer than that says so.
//! Every layout is asserted at compile time beside its definition.

#![no_std]
#![deny(unsafe_code)]

/// Asserts a layout at compile time: size, then fields with their offsets in bytes.
macro_rules! layout {
    ($t:ty, $size:expr $(, $field:ident @ $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$t>() == $size);
            $(assert!(core::mem::offset_of!($t, $field) == $offset);)*
        };
    };
}

pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod grant_table;
pub mod hvm;
pub mod hypercall;
pub mod io;
pub mod memory;
pub mod sched;
pub mod shared_info;
pub mod start_info;
pub mod vcpu;
pub mod version;

pub use hypercall::Hypercall;

/// Our own domain, in every hypercall that takes a domain id (`DOMID_SELF`, xen.h).
pub const DOMID_SELF: u16 = 0x7ff0;
