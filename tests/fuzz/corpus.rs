//! Every input of the corpus, past findings among them, does no harm.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What keeps a corpus readable: files of one target, and bytes of all of them.
const FILES_MAX: usize = 60;
const BYTES_MAX: usize = 64 << 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn inputs(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let mut inputs = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        inputs.push((name.into_owned(), fs::read(&path).expect("a file")));
    }
    inputs.sort();
    inputs
}

/// The names of the inputs that make a target panic.
fn harmful(target: fn(&[u8]), inputs: &[(String, Vec<u8>)]) -> Vec<String> {
    let is_harmful = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err();
    let harmful = inputs.iter().filter(|(_, bytes)| is_harmful(bytes));
    harmful.map(|(name, _)| name.clone()).collect()
}

fn check(name: &str) {
    let inputs = inputs(&corpus().join(name));
    assert!(!inputs.is_empty(), "no input: nothing was replayed");
    let target = fuzz::target(name).expect("a target of this name");
    let harmful = harmful(target, &inputs);
    let mend = format!("cargo xtask fuzz {name} --replay tests/fuzz/corpus/{name}/FILE");
    assert_eq!(harmful, [""; 0], "these do harm: {mend}");
    let bytes: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
    let small = inputs.len() <= FILES_MAX && bytes <= BYTES_MAX;
    assert!(small, "{} files of {bytes} bytes: merge them", inputs.len());
}

#[test]
fn each_target_has_its_corpus() {
    let entries = fs::read_dir(corpus()).expect("there is a corpus");
    let names = entries.map(|entry| entry.expect("it can be read").file_name());
    let directories: BTreeSet<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let targets = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(directories, targets.collect());
}

#[test]
fn an_input_that_does_harm_is_named() {
    let inputs = [("good", b"a"), ("bad", b"b")];
    let inputs = inputs.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    let target = |bytes: &[u8]| assert_ne!(bytes, b"b");
    assert_eq!(harmful(target, &inputs), ["bad"]);
}

#[test]
fn blkfront_survives_its_corpus() {
    check("blkfront");
}

#[test]
fn command_line_survives_its_corpus() {
    check("command_line");
}

#[test]
fn disk_survives_its_corpus() {
    check("disk");
}

#[test]
fn http_survives_its_corpus() {
    check("http");
}

#[test]
fn netfront_survives_its_corpus() {
    check("netfront");
}

#[test]
fn start_info_survives_its_corpus() {
    check("start_info");
}

#[test]
fn tls_survives_its_corpus() {
    check("tls");
}

#[test]
fn xenstore_survives_its_corpus() {
    check("xenstore");
}
