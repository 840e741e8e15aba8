//! Frontends of Xen's split drivers, in safe Rust.
//!
//! A frontend is a state machine advanced by `step`: it connects, works, and
//! when its backend goes away begins again where it began at boot. What the
//! backend writes is copied once and validated; a backend that lies is a
//! [`BackendFault`]: its device is broken, said once, and the guest goes on.
//!
//! TX and RX, read and write are always from the guest's point of view.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod blkfront;
mod fault;
pub mod netfront;
mod resources;
mod session;

pub use fault::BackendFault;
pub use session::Phase;
