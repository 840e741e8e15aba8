//! Words that stand for something unfinished, and names that say nothing.

use super::code::{self, words};
use super::finding::{self, Finding};
use super::tree;

/// Modules of these names collect what has no place.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "misc", "helpers", "types"];

/// Put together, so that this file is not found by itself.
const LEFTOVERS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("HA", "CK"),
];
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Files of others' words.
const FOREIGN: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "Cargo.lock"];

fn leftover_words(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in LEFTOVERS {
        findings.extend(words(text, word).map(|at| {
            let mend = format!("`{word}` is no place to keep work: do it, or open an issue");
            Finding::new(path, code::line_of(text, at), mend)
        }));
    }
    findings
}

fn unfinished_code(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in UNFINISHED {
        findings.extend(code.match_indices(name).map(|(at, _)| {
            Finding::new(
                path,
                code::line_of(code, at),
                format!("finish what `{name}` stands for"),
            )
        }));
    }
    findings
}

fn mutable_statics(path: &str, code: &str) -> Vec<Finding> {
    let is_mutable = |at: &usize| {
        let lifetime = code[..*at].ends_with('\'');
        let rest = code[at + "static".len()..].trim_start();
        !lifetime && rest.starts_with("mut ")
    };
    let found = words(code, "static").filter(is_mutable);
    let mend = "no mutable statics: hand it in, or use an atomic in the kernel";
    found
        .map(|at| Finding::new(path, code::line_of(code, at), mend))
        .collect()
}

fn empty_names(path: &str, code: &str) -> Vec<Finding> {
    let mend = |name: &str| format!("`{name}` says nothing: name it after what it does");
    let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = stem.split('/').filter(|part| EMPTY_NAMES.contains(part));
    let mut findings: Vec<Finding> = parts
        .map(|name| Finding::new(path, 1, mend(name)))
        .collect();
    for at in words(code, "mod") {
        let rest = code[at + "mod".len()..].trim_start();
        let name = rest
            .split(|char: char| !char.is_alphanumeric() && char != '_')
            .next();
        let name = name.filter(|name| EMPTY_NAMES.contains(name));
        findings.extend(name.map(|name| Finding::new(path, code::line_of(code, at), mend(name))));
    }
    findings
}

#[test]
fn nothing_is_left_over() {
    let files = tree::files()
        .iter()
        .filter(|file| !FOREIGN.contains(&&*file.path));
    let mut findings: Vec<Finding> = files
        .flat_map(|file| leftover_words(&file.path, &file.text))
        .collect();
    let sources = tree::rust().iter();
    findings.extend(sources.flat_map(|(file, code)| unfinished_code(&file.path, code.text())));
    finding::none(findings);
}

#[test]
fn statics_do_not_change() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .flat_map(|(file, code)| mutable_statics(&file.path, code.text()))
            .collect(),
    );
}

#[test]
fn modules_have_names() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .flat_map(|(file, code)| empty_names(&file.path, code.text()))
            .collect(),
    );
}

#[test]
fn leftovers_are_found() {
    let text = format!("good\n// {}: later\n", LEFTOVERS[0]);
    assert_eq!(finding::lines(&leftover_words("a.md", &text)), [2]);
    assert_eq!(leftover_words("a.md", "mktemp XXXXXX, TODOS"), []);
    let code = format!("fn a() {{\n    {}()\n}}\n", UNFINISHED[0]);
    assert_eq!(finding::lines(&unfinished_code("a.rs", &code)), [2]);
}

#[test]
fn a_mutable_static_is_found() {
    let code = "static A: u8 = 0;\nfn f(a: &'static mut u8) {}\nstatic mut B: u8 = 0;\n";
    assert_eq!(finding::lines(&mutable_statics("a.rs", code)), [3]);
}

#[test]
fn an_empty_name_is_found() {
    assert_eq!(empty_names("net/src/utils.rs", "").len(), 1);
    assert_eq!(empty_names("net/src/misc/mod.rs", "").len(), 1);
    assert_eq!(
        finding::lines(&empty_names("net/src/lib.rs", "mod a;\nmod types {}\n")),
        [2]
    );
    assert_eq!(empty_names("xen-sys/src/io/netif.rs", "mod module;"), []);
}
