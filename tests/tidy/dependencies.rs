//! Every package from outside has a row in `docs/dependencies.md`: why it, and what else could be.
//!
//! The row's column "used by" is the list of crates that may import it. So the
//! TCP stack stays in `net`, and a package that spreads needs a word.

use super::finding::{self, Finding};
use super::manifests::{self, Manifest};
use super::{markdown, tree};
use std::collections::BTreeMap;
use toml::Value;

const DOCUMENT: &str = "docs/dependencies.md";
/// The headings with tables of packages: in the image, and on the host.
const HEADINGS: [&str; 2] = ["In the image", "On the host"];

/// What the document says of a package.
struct Row {
    version: String,
    users: Vec<String>,
    line: usize,
}

fn rows(document: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for heading in HEADINGS {
        for row in markdown::rows_after(document, heading) {
            let users = row.cell(2).split(',');
            let users = users.map(|user| markdown::bare(user.trim()).to_owned());
            let entry = Row {
                version: row.cell(1).to_owned(),
                users: users.collect(),
                line: row.line,
            };
            rows.insert(markdown::bare(row.cell(0)).to_owned(), entry);
        }
    }
    rows
}

/// The version asked for; `None` for what does not come from the registry.
fn version(value: &Value) -> Option<&str> {
    let elsewhere = ["path", "git", "registry", "package"]
        .iter()
        .any(|key| value.get(key).is_some());
    let version = value.as_str().or_else(|| value.get("version")?.as_str());
    version.filter(|_| !elsewhere)
}

fn undocumented(packages: &[Manifest], document: &str) -> Vec<Finding> {
    let rows = rows(document);
    let mut findings = Vec::new();
    let mut used: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        for dependency in package.dependencies() {
            let (name, at) = (dependency.name, dependency.line);
            if manifests::is_ours(name) {
                continue;
            }
            used.entry(name).or_default().push(&package.name);
            let mut find = |mend: String| findings.push(Finding::new(&package.path, at, mend));
            let Some(version) = version(dependency.value) else {
                find(format!(
                    "write `{name}` with a version, from the registry and nowhere else"
                ));
                continue;
            };
            let Some(row) = rows.get(name) else {
                find(format!(
                    "`{name}` has no row in {DOCUMENT}: say why, and what else could be"
                ));
                continue;
            };
            if row.version != version {
                let told = &row.version;
                find(format!(
                    "`{name}` is {version} here and {told} in {DOCUMENT}:{}",
                    row.line
                ));
            }
            if !row.users.contains(&package.name) {
                let users = row.users.join(", ");
                find(format!(
                    "`{name}` is for {users} alone, as {DOCUMENT}:{} says",
                    row.line
                ));
            }
        }
    }
    for (name, row) in &rows {
        let users = used.get(name.as_str()).cloned().unwrap_or_default();
        let gone = row
            .users
            .iter()
            .filter(|user| !users.contains(&user.as_str()));
        findings.extend(gone.map(|user| {
            Finding::new(
                DOCUMENT,
                row.line,
                format!("`{name}` is not used by `{user}` any more"),
            )
        }));
    }
    findings
}

#[test]
fn every_dependency_has_its_row() {
    let document = &tree::file(DOCUMENT).text;
    finding::none(undocumented(&manifests::packages(), document));
}

#[test]
fn a_dependency_without_a_row_is_found() {
    let document = "## In the image\n\n| a | b | c |\n|---|---|---|\n| `smoltcp` | 0.14 | `net` |\n\
                    | `gone` | 1 | `net` |\n";
    let manifest = |name: &str, line: &str| {
        let text = format!("[package]\nname = \"{name}\"\n[dependencies]\n{line}\n");
        Manifest::parse(&format!("{name}/Cargo.toml"), &text)
    };
    let found = |name: &str, line: &str| {
        let net = manifest("net", "smoltcp = \"0.14\"\ngone = \"1\"");
        let findings = undocumented(&[net, manifest(name, line)], document);
        findings
            .into_iter()
            .map(|finding| finding.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("xtask", ""), Vec::<String>::new());
    assert!(found("service", "smoltcp = \"0.14\"")[0].contains("for net alone"));
    assert!(found("service", "left-pad = \"1\"")[0].contains("has no row"));
    assert!(found("service", "left-pad = { git = \"x\" }")[0].contains("with a version"));
    let older = undocumented(&[manifest("net", "smoltcp = \"0.13\"")], document);
    assert_eq!(
        older.len(),
        2,
        "the version, and the row of what is gone: {older:?}"
    );
}
