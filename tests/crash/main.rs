//! The store, crashed everywhere and failed everywhere, and looked at from outside.

#![forbid(unsafe_code)]

mod explore;
mod image;
mod look;
mod model;
mod pages;
mod points;
mod rig;
mod shape;
mod worker;
