//! The program that libFuzzer drives; `LAMPION_FUZZ_TARGET` says which target.
//!
//! libFuzzer's own `main` is linked in, so there is none here.

#![no_main]

use std::sync::OnceLock;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() -> fn(&[u8]) {
    let name = std::env::var("LAMPION_FUZZ_TARGET").unwrap_or_default();
    let known = fuzz::TARGETS.map(|(name, _)| name).join(", ");
    fuzz::target(&name).unwrap_or_else(|| {
        panic!("LAMPION_FUZZ_TARGET is `{name}`: set it to one of {known}, or use cargo xtask fuzz")
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| RUN.get_or_init(choose)(bytes));
