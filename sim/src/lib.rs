//! A Xen made of ordinary memory: the other side of every interface.
//!
//! Its place in the workspace is kept: it depends on the layouts of `xen-sys`
//! and on nothing else of ours, so that it cannot agree with our mistakes. There
//! is no code yet.

#![forbid(unsafe_code)]
