//! The service as a peer sees it: bytes in, bytes out, over a store in memory.
//!
//! No sockets, no threads, no sleeping: a [`harness::Wire`] is the network, and
//! time passes when a test says so.

#![forbid(unsafe_code)]

mod access;
mod admin;
mod at_once;
mod auth;
mod backup;
mod batch;
mod buckets;
mod certificate;
mod conditions;
mod conformance;
mod cors;
mod deadlines;
mod expiry;
mod framing;
mod fuzz;
mod harness;
mod health;
mod incr;
mod jobs;
mod listing;
mod openapi;
mod pipelining;
mod pressure;
mod push;
mod push_beside;
mod range;
mod replies;
mod restore;
mod scrub;
mod shutdown;
mod site;
mod snapshots;
mod standing;
mod syntax;
mod tls;
mod trouble;
mod values;
mod visibility;
mod watch;
