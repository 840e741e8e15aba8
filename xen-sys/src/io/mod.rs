//! The split drivers' protocols, one file per header of `xen/include/public/io/`.

pub mod blkif;
pub mod console;
pub mod netif;
pub mod ring;
pub mod xenbus;
pub mod xs_wire;
