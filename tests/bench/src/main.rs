//! `bench WORK SIZE TIMES`: prepares something of that size, then does a piece of work so often.
//!
//! Whoever counts runs it twice, and divides the difference by the difference in `TIMES`: what
//! is prepared costs the same both times.

#![forbid(unsafe_code)]

mod opening;
mod serving;
mod storing;
mod wire;

use rlsf::SmallGlobalTlsf;
use std::process::ExitCode;

/// As in the image: two-level segregated fit.
#[global_allocator]
static HEAP: SmallGlobalTlsf = SmallGlobalTlsf::new();

/// A piece of work, with its size and how often it is done.
type Work = fn(usize, usize);

/// By the names that `cargo xtask count` uses.
const WORKS: [(&str, Work); 6] = [
    ("get", serving::get),
    ("put", serving::put),
    ("store-get", storing::get),
    ("store-put", storing::put),
    ("open-closed", opening::closed),
    ("open-killed", opening::killed),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, size, times] = &words[..] else {
        eprintln!("usage: bench WORK SIZE TIMES");
        return ExitCode::from(2);
    };
    let work = WORKS.iter().find(|(known, _)| known == name);
    let (Some((_, work)), Ok(size), Ok(times)) = (work, size.parse(), times.parse()) else {
        let known = WORKS.map(|(name, _)| name).join(", ");
        eprintln!("SIZE and TIMES are numbers, and WORK is one of: {known}");
        return ExitCode::from(2);
    };
    work(size, times);
    ExitCode::SUCCESS
}
