//! TLS 1.3 (RFC 8446) for connections of the service: bytes in, bytes out.
//!
//! The protocol is rustls's, the cryptography RustCrypto's; what is here joins them, holds what
//! one connection has on its way ([`Session`]), and makes or takes the certificate that clients
//! are shown ([`Identity`]). Nothing here knows of sockets: randomness and the time are handed in.
//!
//! # Invariants
//!
//! - No session begins before [`random::seed`] was called with bytes nobody can guess.
//! - A session holds at most one record that came in, and its own part of a handshake that is not
//!   sent ([`Session::BYTES_MAX`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod identity;
mod provider;
pub mod random;
mod self_signed;
mod session;
mod tickets;

pub use identity::{Identity, IdentityError};
pub use self_signed::{Pem, self_signed};
pub use session::{Failure, Session};
