//! What strangers can write, and what must hold for all of it.
//!
//! Each target is a function from any bytes to nothing: it returns, whatever
//! the bytes are. `cargo xtask fuzz` drives them with libFuzzer, which looks
//! for bytes that reach new code; `cargo test` replays the corpus, in which
//! every past finding stays.

#![deny(unsafe_code)]

mod attach;
mod command_line;
mod disk;
mod guest;
mod http;
mod ring;
mod script;
mod start_info;
mod tls;
mod xenstore;

#[path = "../../../service/tests/http/harness.rs"]
#[expect(dead_code, reason = "the bench of the service's own tests, in part")]
mod harness;
#[path = "../../../service/tests/http/replies.rs"]
#[expect(dead_code, reason = "as the harness")]
mod replies;

/// A target: its name, and what is done with the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. Each has a directory of its name under `corpus/`.
pub const TARGETS: [Target; 8] = [
    ("blkfront", ring::blk::run),
    ("command_line", command_line::run),
    ("disk", disk::run),
    ("http", http::run),
    ("netfront", ring::net::run),
    ("start_info", start_info::run),
    ("tls", tls::run),
    ("xenstore", xenstore::run),
];

/// The target of that name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, run)| *run)
}
