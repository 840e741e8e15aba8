//! Backends that lie, on real Xen: the device is broken with one line, and the guest goes on.
//!
//! The backend is a program of ours in dom0 (`tests/hostile/backend/`), which is honest until a
//! test tells it to lie. What is seen is seen from outside: the console, the network, xl, and
//! the guest's pages as the program has them mapped.

#![forbid(unsafe_code)]

mod attached;
mod disk;
mod network;
mod nodes;
mod simulated;
