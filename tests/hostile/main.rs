//! Backends that lie, on real Xen.

#![forbid(unsafe_code)]

mod simulated;
