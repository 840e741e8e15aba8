//! What the RFCs ask of a server, as cases: bytes that are sent, and answers that have to come.
//!
//! The cases are text, one file for each RFC, in the order of its sections (`tests/conformance/`).
//! Who runs them brings the connections: the service alone, at every split of the bytes, or an
//! image over a network, or any other server.

#![forbid(unsafe_code)]

mod answers;
mod case;
mod judge;
mod requests;

pub use answers::{Answer, read};
pub use case::{Case, Door, Wanted, parse};
pub use judge::{is_at_rest, is_complete, judge};

/// The files, and what is in them.
const FILES: [(&str, &str); 3] = [
    ("rfc9110.txt", include_str!("../rfc9110.txt")),
    ("rfc9111.txt", include_str!("../rfc9111.txt")),
    ("rfc9112.txt", include_str!("../rfc9112.txt")),
];

/// All cases.
///
/// # Panics
/// If a file is not written as it has to be.
pub fn cases() -> Vec<Case> {
    let all = FILES
        .iter()
        .flat_map(|(file, text)| parse(text).unwrap_or_else(|error| panic!("{file}: {error}")));
    all.collect()
}
