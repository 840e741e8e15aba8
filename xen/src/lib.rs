//! Safe access to what Xen gives a domain.
//!
//! The only place that touches pages somebody else may write, and the only
//! caller of hypercalls. Two modules contain `unsafe`: [`call`] (hypercalls'
//! arguments) and [`page`] (memory that is not only ours). Everything above is
//! safe and runs unchanged on the host against a simulated Xen.
//!
//! Nothing here waits. What takes several exchanges (a xenstore request, a
//! handshake) is a future that the owner polls from its `step`; dropping it is
//! how it is given up.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod attachment;
pub mod call;
pub mod clock;
pub mod console;
pub mod count;
pub mod event;
pub mod grant;
pub mod last;
pub mod page;
pub mod ring;
pub mod task;
#[cfg(test)]
mod tests;
pub mod xenbus;
pub mod xenstore;

pub use attachment::Attachment;
pub use call::{ShutdownReason, Suspended, Xen};
pub use xen_sys::errno::Errno;
pub use xen_sys::io;

/// A domain's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domid(pub u16);
