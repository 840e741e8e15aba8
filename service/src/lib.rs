//! HTTP over the store: bytes in, bytes out; no sockets, no clock.
//!
//! The roof hands each connection's bytes to a [`Connection`] and the store's
//! progress to all that wait for it; time and randomness come in as arguments.
//!
//! # The roof's loop
//!
//! 1. [`Service::step_store`], then [`Connection::step`] of every connection
//!    whose last [`Progress`] was [`Progress::Store`], and, if `Store::durable_seq` is another
//!    than at the last time, of those whose last was [`Progress::Change`].
//! 2. [`Connection::step`] of every connection with news from its peer (more
//!    bytes than before, more room than before, its end), whose deadline has
//!    passed, or which said [`Progress::Again`]. Bytes that a connection left in
//!    its transport are not news.
//! 3. [`Service::step_store`] again if any of them moved: what they handed in is
//!    written then. If it says [`store::Wake::Now`], or `Store::ended_requests` is another than
//!    before, what waits for the store is stepped again.
//! 4. A connection is stepped until it says [`Progress::Finish`] or
//!    [`Progress::Abort`], then dropped.
//!
//! # Invariants
//!
//! - A connection holds at most one head (16 KiB) of input and two pieces of
//!   one answer; everything else waits in the transport or in the store.
//! - Requests of one connection are answered one after the other, in order.
//! - What cannot be framed without doubt is answered 400 and closed.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod admin;
mod allowance;
mod answer;
mod at;
mod auth;
mod awaited;
mod batch;
mod bucket;
mod certificate;
mod channel;
mod config;
mod connection;
mod cors;
mod gauge;
mod health;
mod http;
mod incr;
mod jobs;
mod json;
mod kv;
mod listing;
mod metrics;
mod openapi;
mod plane;
mod problem;
mod refusal;
mod rotation;
mod route;
mod segment;
mod service;
mod site;
mod value;
mod visibility;
mod watch;
mod welcome;

pub use access::{ACCESS_TARGET, AccessLog, SYSLOG_TARGET};
pub use certificate::certificate_key;
pub use config::{
    AuthMode, Config, Limits, MetricsMode, Plaintext, SetError, Sites, Token, ValueError,
};
pub use connection::{Connection, Stake};
pub use http::date::civil_date;
pub use json::Members;
pub use plane::Plane;
pub use rotation::Unrotated;
pub use segment::{Input, Progress, Segment, Transport};
pub use service::{Environment, MetricsSource, Power, Service, StatusSource};
