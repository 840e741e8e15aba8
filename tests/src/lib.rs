//! Fixtures of the black-box tests: the bed, a guest in it, and an HTTP client.
//!
//! A test talks to the bed's agent (one TCP connection, one shell command) and
//! to the guest's HTTP port, as a user would. What it needs to know of its bed
//! stands in the environment; `cargo xtask test` sets it.

#![deny(unsafe_code)]

pub mod bed;
pub mod data;
pub mod guest;
pub mod http;
pub mod offline;
pub mod play;
pub mod simulated;
