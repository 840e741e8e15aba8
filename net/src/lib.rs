//! The TCP/IP stack behind one trait.
//!
//! Above it nobody knows which stack runs; below it nobody knows there is one.
//! It finds the connection before the stack sees the frame: each connection
//! lives in a socket set of its own, found by its 4-tuple, and only those that
//! are dirty or due are polled, so a request's cost does not grow with idle
//! connections. It waits for nothing: [`Stack::step`] does what can be done at
//! `now`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod deadlines;
mod demux;
mod smol;
mod stack;

pub use address::{AddressConfig, Ipv4Cidr, Lease};
pub use demux::is_unicast;
pub use smol::{Options, SmolStack};
pub use stack::{
    Accepted, ConnectionId, DatagramError, Endpoint, FEW_CONNECTIONS, Frames, Link, ListenError,
    Received, Refused, Stack, Standing, Statistics, Status,
};
