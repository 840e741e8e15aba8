//! Where `unsafe` may stand, and how much of it.
//!
//! `ARCHITECTURE.md` lists every module that contains it, with how many blocks
//! and impls. The number may fall freely; it rises only with its row there.

use super::code::{self, Code, words};
use super::finding::{self, Finding};
use super::{markdown, tree};
use std::collections::BTreeMap;

/// The only places: files, and directories with all they contain.
const FENCED: [&str; 14] = [
    "xen-sys/src/hypercall.rs",
    "xen/src/call.rs",
    "xen/src/page.rs",
    "xen/src/tests/machine.rs",
    "kernel/src/boot/",
    "kernel/src/arch/",
    "kernel/src/mem/",
    "sim/src/arena.rs",
    "sim/src/hypervisor.rs",
    "sim/src/machine.rs",
    "tests/src/simulated/attach.rs",
    "tests/src/simulated/heap.rs",
    "tests/compare/src/lmdb.rs",
    "tests/fuzz/src/attach.rs",
];

/// Crate roots of which some module has `unsafe`: they deny it, the modules expect it.
const DENYING: [&str; 7] = [
    "xen-sys/src/lib.rs",
    "xen/src/lib.rs",
    "kernel/src/main.rs",
    "sim/src/lib.rs",
    "tests/src/lib.rs",
    "tests/compare/src/main.rs",
    "tests/fuzz/src/lib.rs",
];

const LIST: &str = "ARCHITECTURE.md";

fn outside_the_fence(path: &str, code: &str) -> Vec<Finding> {
    if FENCED.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let mend = "`unsafe` may not stand here: use what xen::page, xen::call or the kernel's arch \
                modules offer";
    let found = words(code, "unsafe").map(|at| Finding::new(path, code::line_of(code, at), mend));
    found.collect()
}

/// Blocks and impls: the places where we promise something.
fn count(code: &str) -> usize {
    let promises = |at: &usize| {
        let rest = code[at + "unsafe".len()..].trim_start();
        rest.starts_with('{') || rest.starts_with("impl")
    };
    words(code, "unsafe").filter(promises).count()
}

/// Compares what there is with the table.
fn over_budget(counted: &BTreeMap<&str, usize>, table: &str) -> Vec<Finding> {
    let mut budgets = BTreeMap::new();
    let mut findings = Vec::new();
    for row in markdown::rows_after(table, "Modules with `unsafe`") {
        let (path, budget) = (markdown::bare(row.cell(0)), row.cell(1).parse::<usize>());
        match budget {
            Ok(budget) => drop(budgets.insert(path, (budget, row.line))),
            Err(_) => findings.push(Finding::new(LIST, row.line, "write a number of blocks")),
        }
    }
    for (path, count) in counted {
        match budgets.get(path) {
            None => findings.push(Finding::new(
                path,
                1,
                format!("has `unsafe` and no row in {LIST}: add one with {count} and why"),
            )),
            Some((budget, _)) if count > budget => findings.push(Finding::new(
                path,
                1,
                format!(
                    "has {count} unsafe blocks and impls, {LIST} allows {budget}: take one away, \
                     or raise the row and say why"
                ),
            )),
            Some(_) => {}
        }
    }
    for (path, (_, line)) in &budgets {
        if !counted.contains_key(path) {
            let mend = format!("`{path}` has no `unsafe`: take the row away");
            findings.push(Finding::new(LIST, *line, mend));
        }
    }
    findings
}

/// What a crate root must say about `unsafe`.
fn unguarded_root(path: &str, code: &str) -> Option<Finding> {
    let level = if DENYING.contains(&path) {
        "deny"
    } else {
        "forbid"
    };
    let line = format!("#![{level}(unsafe_code)]");
    let said = code.contains(&line);
    (!said).then(|| Finding::new(path, 1, format!("write `{line}` after the documentation")))
}

fn is_root(path: &str) -> bool {
    path == "tests/tidy.rs" || path.ends_with("/lib.rs") || path.ends_with("/main.rs")
}

#[test]
fn unsafe_stands_behind_the_fence() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .flat_map(|(file, code)| outside_the_fence(&file.path, code.text()))
            .collect(),
    );
}

#[test]
fn unsafe_keeps_to_its_budget() {
    let mut counted = BTreeMap::new();
    for (file, code) in tree::rust() {
        if words(code.text(), "unsafe").next().is_some() {
            counted.insert(&*file.path, count(code.text()));
        }
    }
    finding::none(over_budget(&counted, &tree::file(LIST).text));
}

#[test]
fn crate_roots_guard_against_unsafe() {
    let roots = tree::rust().iter().filter(|(file, _)| is_root(&file.path));
    finding::none(
        roots
            .filter_map(|(file, code)| unguarded_root(&file.path, code.text()))
            .collect(),
    );
}

#[test]
fn unsafe_is_found_where_it_may_not_be() {
    let code = Code::new("// unsafe\nlet a = \"unsafe\";\nunsafe { b() }\n");
    let found = outside_the_fence("store/src/lib.rs", code.text());
    assert_eq!(finding::lines(&found), [3]);
    assert_eq!(outside_the_fence("kernel/src/mem/heap.rs", code.text()), []);
}

#[test]
fn a_rise_needs_a_row() {
    let code = "unsafe { a }; unsafe fn f() {} unsafe impl S for T {} unsafe {\n}";
    assert_eq!(count(code), 3);
    let table =
        "## Modules with `unsafe`\n\n| m | n |\n|---|---|\n| `a.rs` | 2 |\n| `b.rs` | 1 |\n";
    let found =
        |counted: &[(&'static str, usize)]| over_budget(&counted.iter().copied().collect(), table);
    assert_eq!(found(&[("a.rs", 1), ("b.rs", 0)]), []);
    assert_eq!(found(&[("a.rs", 3), ("b.rs", 1)])[0].path, "a.rs");
    assert_eq!(
        found(&[("a.rs", 2), ("b.rs", 1), ("c.rs", 1)])[0].path,
        "c.rs"
    );
    assert_eq!(finding::lines(&found(&[("a.rs", 2)])), [6]);
}

#[test]
fn a_root_without_a_guard_is_found() {
    assert!(unguarded_root("net/src/lib.rs", "#![no_std]\n").is_some());
    assert!(unguarded_root("net/src/lib.rs", "#![deny(unsafe_code)]\n").is_some());
    assert!(unguarded_root("net/src/lib.rs", "#![forbid(unsafe_code)]\n").is_none());
    assert!(unguarded_root("xen/src/lib.rs", "#![deny(unsafe_code)]\n").is_none());
}
