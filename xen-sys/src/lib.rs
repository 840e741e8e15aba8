//! The Xen guest ABI: layouts, numbers, and the hypercall instruction.
//!
//! No policy, no allocation, no safe wrappers: each file is named after the
//! public header it mirrors and keeps its constants' spelling, so that grep
//! works both ways. Base release: Xen 4.17; a field newer than that says so.
//! Every layout is asserted at compile time beside its definition, and [`abi`]
//! lists all of it with the headers' names, to be compared with them.

#![no_std]
#![deny(unsafe_code)]

#[macro_use]
pub mod abi;
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

mirror! {
    ["xen.h"]
    layouts []
    numbers [
        DOMID_SELF,
    ]
}
