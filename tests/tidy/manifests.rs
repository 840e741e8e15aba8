//! Which of our crates may import which, and what every manifest says.
//!
//! The table is the design: two columns that never meet (`xen-sys`, `xen`,
//! `drivers` and `store`, `service`, with `net` and `tls` beside them) under one roof.

use super::finding::{self, Finding};
use super::tree;
use std::collections::BTreeSet;
use toml::{Table, Value};

/// A crate, what it may import of ours, and what its tests may import besides.
const MAY_IMPORT: [(&str, &[&str], &[&str]); 16] = [
    ("xen-sys", &[], &[]),
    ("xen", &["xen-sys"], &["sim"]),
    ("drivers", &["xen"], &["sim"]),
    ("store", &[], &["sim"]),
    ("net", &[], &[]),
    ("tls", &[], &["tls-client"]),
    ("service", &["store", "tls"], &["conformance", "tls-client"]),
    (
        "kernel",
        &[
            "xen-sys", "xen", "drivers", "net", "store", "service", "tls",
        ],
        &["sim"],
    ),
    ("sim", &["xen-sys"], &[]),
    (
        "tests",
        &[
            "xen-sys", "xen", "drivers", "store", "net", "service", "kernel", "sim",
        ],
        &["conformance", "tls", "tls-client"],
    ),
    ("conformance", &[], &[]),
    ("tls-client", &[], &[]),
    (
        "fuzz",
        &[
            "xen-sys", "xen", "drivers", "store", "service", "tls", "kernel", "sim",
        ],
        &[],
    ),
    ("bench", &["store", "service"], &[]),
    ("compare", &["store"], &[]),
    ("xtask", &["store"], &[]),
];

/// The one feature there is: it gates the image's binary, and no code asks for it.
const FEATURE: (&str, &str) = ("kernel", "boot");

/// The tables of a manifest that name dependencies; `true` for those of tests.
const TABLES: [(&str, bool); 3] = [
    ("dependencies", false),
    ("build-dependencies", false),
    ("dev-dependencies", true),
];

/// A manifest.
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) name: String,
    text: String,
    table: Table,
}

/// A dependency as a manifest states it.
pub(super) struct Dependency<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) value: &'a Value,
    for_tests: bool,
}

impl Manifest {
    pub(super) fn parse(path: &str, text: &str) -> Manifest {
        let table: Table = text
            .parse()
            .unwrap_or_else(|error| panic!("{path}:1: {error}"));
        let name = table.get("package").and_then(|package| package.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        let (path, text) = (path.to_owned(), text.to_owned());
        Manifest {
            path,
            name,
            text,
            table,
        }
    }

    pub(super) fn dependencies(&self) -> Vec<Dependency<'_>> {
        let mut found = Vec::new();
        for (table, for_tests) in TABLES {
            let entries = self.table.get(table).and_then(Value::as_table);
            for (name, value) in entries.into_iter().flatten() {
                let line = self.line_of(name);
                found.push(Dependency {
                    name,
                    line,
                    value,
                    for_tests,
                });
            }
        }
        found
    }

    /// The line that begins with the key.
    fn line_of(&self, key: &str) -> usize {
        let begins = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with([' ', '=', '.']))
        };
        self.text
            .lines()
            .position(begins)
            .map_or(1, |index| index + 1)
    }

    fn get(&self, table: &str, key: &str) -> Option<&Value> {
        self.table.get(table)?.get(key)
    }
}

/// Every package's manifest.
pub(super) fn packages() -> Vec<Manifest> {
    let manifests = tree::files().iter().filter(|file| file.is("/Cargo.toml"));
    manifests
        .map(|file| Manifest::parse(&file.path, &file.text))
        .collect()
}

/// Whether it is a crate of ours.
pub(super) fn is_ours(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(ours, ..)| *ours == name)
}

fn forbidden_imports(manifest: &Manifest) -> Vec<Finding> {
    let path = &manifest.path;
    let rule = MAY_IMPORT.iter().find(|(name, ..)| *name == manifest.name);
    let Some((_, all, tests)) = rule else {
        let mend =
            "a new crate: say in tests/tidy/manifests.rs and ARCHITECTURE.md what it may import";
        return vec![Finding::new(path, 1, mend)];
    };
    let mut findings = Vec::new();
    for dependency in manifest.dependencies() {
        let name = dependency.name;
        let allowed = all.contains(&name) || (dependency.for_tests && tests.contains(&name));
        if is_ours(name) && !allowed {
            let mend = format!(
                "`{}` may not import `{name}`: it may import {all:?}, its tests also {tests:?}",
                manifest.name
            );
            findings.push(Finding::new(path, dependency.line, mend));
        }
    }
    if manifest.table.contains_key("target") {
        let mend = "dependencies do not differ by target: there is one image";
        findings.push(Finding::new(path, manifest.line_of("[target"), mend));
    }
    findings
}

fn features(manifest: &Manifest) -> Vec<Finding> {
    let features = manifest.table.get("features").and_then(Value::as_table);
    let names = features.into_iter().flatten().map(|(name, _)| name);
    let others = names.filter(|name| (&*manifest.name, name.as_str()) != FEATURE);
    let mend = "no features but the kernel's `boot`: there is one image";
    others
        .map(|name| Finding::new(&manifest.path, manifest.line_of(name), mend))
        .collect()
}

/// What is the same in all manifests.
fn uniform(manifest: &Manifest) -> Vec<Finding> {
    let inherits = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    let wanted: [(&str, Value); 2] = [
        ("version", Value::from("0.0.0")),
        ("publish", Value::from(false)),
    ];
    let mut findings = Vec::new();
    for (key, wanted) in wanted {
        let stated = manifest.get("package", key);
        if !stated.is_some_and(|value| inherits(value) || *value == wanted) {
            let mend = format!("write `{key}.workspace = true`");
            findings.push(Finding::new(&manifest.path, manifest.line_of(key), mend));
        }
    }
    if !manifest.table.get("lints").is_some_and(inherits) {
        let mend = "write `[lints]` with `workspace = true`";
        findings.push(Finding::new(&manifest.path, 1, mend));
    }
    findings
}

/// What the workspace's own manifest says.
fn workspace(text: &str, packages: &BTreeSet<String>) -> Vec<Finding> {
    let manifest = Manifest::parse("Cargo.toml", text);
    let package = manifest.get("workspace", "package");
    let stated = |key: &str| package.and_then(|package| package.get(key));
    let mut findings = Vec::new();
    if stated("version").and_then(Value::as_str) != Some("0.0.0") {
        findings.push(Finding::new(
            "Cargo.toml",
            manifest.line_of("version"),
            "write \"0.0.0\"",
        ));
    }
    if stated("publish").and_then(Value::as_bool) != Some(false) {
        findings.push(Finding::new(
            "Cargo.toml",
            manifest.line_of("publish"),
            "write false",
        ));
    }
    let members = manifest
        .get("workspace", "members")
        .and_then(Value::as_array);
    let members: BTreeSet<&str> = members
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let lost = packages
        .iter()
        .filter(|package| !members.contains(&***package));
    findings.extend(lost.map(|package| {
        let mend = format!("`{package}` is no member of the workspace");
        Finding::new("Cargo.toml", manifest.line_of("members"), mend)
    }));
    findings
}

#[test]
fn crates_import_what_the_design_says() {
    finding::none(packages().iter().flat_map(forbidden_imports).collect());
}

#[test]
fn there_is_one_feature() {
    finding::none(packages().iter().flat_map(features).collect());
}

#[test]
fn manifests_are_uniform() {
    let packages = packages();
    let directory = |manifest: &Manifest| manifest.path.trim_end_matches("/Cargo.toml").to_owned();
    let directories = packages.iter().map(directory).collect();
    let mut findings = workspace(&tree::file("Cargo.toml").text, &directories);
    findings.extend(packages.iter().flat_map(uniform));
    finding::none(findings);
}

#[test]
fn a_column_that_reaches_over_is_found() {
    let bad = "[package]\nname = \"store\"\n[dependencies]\nlog = \"0.4\"\nxen.workspace = true\n";
    let found = forbidden_imports(&Manifest::parse("store/Cargo.toml", bad));
    assert_eq!(finding::lines(&found), [5]);
    let for_tests = bad.replace("xen.", "sim.").replace("[dep", "[dev-dep");
    assert_eq!(
        forbidden_imports(&Manifest::parse("store/Cargo.toml", &for_tests)),
        []
    );
    let unknown = Manifest::parse("util/Cargo.toml", "[package]\nname = \"extra\"\n");
    assert_eq!(finding::lines(&forbidden_imports(&unknown)), [1]);
    let target = "[package]\nname = \"store\"\n[target.'cfg(unix)'.dependencies]\nlog = \"0.4\"\n";
    assert_eq!(
        forbidden_imports(&Manifest::parse("store/Cargo.toml", target)).len(),
        1
    );
}

#[test]
fn a_second_feature_is_found() {
    let text = "[package]\nname = \"kernel\"\n[features]\nboot = []\nfast = []\n";
    assert_eq!(
        finding::lines(&features(&Manifest::parse("kernel/Cargo.toml", text))),
        [5]
    );
}

#[test]
fn a_manifest_of_its_own_kind_is_found() {
    let good = "[package]\nname = \"a\"\nversion.workspace = true\npublish = false\n[lints]\nworkspace = true\n";
    assert_eq!(uniform(&Manifest::parse("a/Cargo.toml", good)), []);
    let bad = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
    assert_eq!(uniform(&Manifest::parse("a/Cargo.toml", bad)).len(), 3);
    let root = "[workspace]\nmembers = [\"a\"]\n[workspace.package]\nversion = \"0.1.0\"\npublish = false\n";
    let packages = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(finding::lines(&workspace(root, &packages)), [4, 2]);
}
