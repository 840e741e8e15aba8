//! The stack against a peer, an enemy and a DHCP server, all in memory.
//!
//! No threads, no sleeping, no network: time is a number that the world moves
//! to the next thing that is due, and faults come from a seeded generator.

#![forbid(unsafe_code)]

mod address;
mod closing;
mod datagrams;
mod fuzz;
mod hostile;
mod journal;
mod many;
mod raw;
mod transfer;
mod world;
