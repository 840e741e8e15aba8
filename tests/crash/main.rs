//! The store, crashed everywhere and failed everywhere, and looked at from outside.

#![forbid(unsafe_code)]

mod ends;
mod explore;
mod forgetful;
mod generations;
mod hunt;
mod image;
mod io;
mod look;
mod memory;
mod model;
mod pages;
mod phase;
mod points;
mod restore;
mod rig;
mod shape;
mod undo;
mod worker;
