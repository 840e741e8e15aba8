//! Disks of earlier releases, kept as they were written: each opens, and shows what was put there.
//!
//! There is one life for each version of the format (`docs/data-layout.md`), told in
//! `life.rs`, and two images of it: closed, and killed. What they show is written out here and
//! not computed by the life, so that a change of both together is seen.
//!
//! A golden image is never made again for a version that has one: a release that cannot open it
//! is wrong. A new version of the format adds its own beside those that are there, and so does
//! what is written otherwise within one.

#![forbid(unsafe_code)]

mod life;
mod look;
mod pack;
mod version1;
