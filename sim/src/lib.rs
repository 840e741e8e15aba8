//! A Xen made of ordinary memory: the other side of every interface.
//!
//! It depends on the layouts of `xen-sys` and on nothing else of ours, so that
//! it cannot agree with our mistakes. It has no clock, no thread and no
//! randomness but the seed's: one seed is one run.

#![deny(unsafe_code)]

pub mod arena;
pub mod back_ring;
pub mod blkback;
pub mod clock;
pub mod device;
pub mod disk;
pub mod domain;
pub mod event;
pub mod grant;
pub mod machine;
pub mod netback;
pub mod peer;
pub mod random;
pub mod resume;
pub mod trace;
pub mod wire;
pub mod xenstored;

mod byte_ring;
mod hypervisor;
