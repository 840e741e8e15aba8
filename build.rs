//! The kernel's build script: hands linker.ld to the image's link step.

use std::path::Path;
use std::{env, fs};

fn main() {
    let crate_dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out_dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let script = Path::new(&crate_dir).join("../linker.ld");
    println!("cargo:rerun-if-changed={}", script.display());

    // The host triple says `unix`, so some crates ask for libc, and the link
    // would silently become dynamic. Empty stand-ins turn a real call into an
    // undefined symbol instead.
    for library in ["c", "m", "rt", "pthread", "dl", "util", "gcc", "gcc_s"] {
        fs::write(format!("{out_dir}/lib{library}.a"), b"!<arch>\n")
            .expect("OUT_DIR can be written");
    }
    // For the binary only: host tests link the real libraries.
    println!("cargo:rustc-link-arg-bins=-L{out_dir}");
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,noexecstack",
        "-Wl,--no-eh-frame-hdr",
        "-Wl,--gc-sections",
        "-Wl,--orphan-handling=error",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
}
