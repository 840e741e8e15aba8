//! The orders of the rings and of the event scan, under every schedule that memory allows.
//!
//! The sources judged are the product's own, `xen/src/ring.rs` and
//! `xen/src/event.rs`, included by their path; what they stand on is made of
//! loom's atomics here. The other side (a backend, the hypervisor) is written
//! from Xen's headers. Each model is also run with one order taken away, and
//! must then be seen to fail.

#![forbid(unsafe_code)]

extern crate alloc;

mod backend;
mod events;
mod flaw;
pub mod grant;
mod hypervisor;
pub mod page;
mod requests;
mod responses;

#[path = "../../xen/src/event.rs"]
#[expect(dead_code, unreachable_pub, reason = "the product's source, in part")]
mod event;
#[path = "../../xen/src/ring.rs"]
pub mod ring;

use hypervisor::Xen;
use xen_sys::errno::Errno;

/// A domain's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Domid(u16);
