//! Documents name what is there: files, functions, types, each other.

use super::code::words;
use super::finding::{self, Finding};
use super::tree::{self, File};
use super::{code, markdown};
use std::collections::HashSet;

/// Trees of others, cited by the paths they have there, and what a build makes.
const ELSEWHERE: [&str; 6] = [
    "xen/include/public/",
    "docs/misc/",
    "docs/man/",
    "docs/guest-guide/",
    "docs/system/",
    "target/",
];

/// Endings by which a path is one of ours even if it begins like none.
const ENDINGS: [&str; 6] = [".rs", ".s", ".md", ".toml", ".ld", ".cfg"];

/// Lines of the one document that everybody reads.
const READABLE: (&str, usize) = ("ARCHITECTURE.md", 400);

fn documents() -> impl Iterator<Item = &'static File> {
    let files = tree::files().iter();
    files.filter(|file| {
        file.is(".md") && (file.path.starts_with("docs/") || !file.path.contains('/'))
    })
}

/// Whether a code span names a path of the project.
fn is_path(span: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-{},".contains(char);
    let Some((first, _)) = span.split_once('/') else {
        return false;
    };
    let foreign = ELSEWHERE.iter().any(|place| span.starts_with(place));
    let ours = !first.is_empty() && tree::exists(first);
    let file = ENDINGS.iter().any(|ending| span.ends_with(ending)) && !first.is_empty();
    span.chars().all(plain) && !foreign && (ours || file)
}

/// `a/{b,c}.rs` is two paths.
fn expanded(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| {
        let (names, after) = rest.split_once('}')?;
        Some((before, names, after))
    });
    let Some((before, names, after)) = parts else {
        return vec![path.to_owned()];
    };
    let names = names.split(',');
    names
        .flat_map(|name| expanded(&format!("{before}{name}{after}")))
        .collect()
}

fn missing_files(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, span) in markdown::spans(text) {
        if !is_path(span) {
            continue;
        }
        let missing = expanded(span)
            .into_iter()
            .filter(|path| !tree::exists(path));
        findings.extend(missing.map(|missing| {
            let mend = format!("there is no `{missing}`: name what there is, from the root");
            Finding::new(path, line, mend)
        }));
    }
    findings
}

/// Links and bare names of documents lead somewhere.
fn missing_documents(path: &str, text: &str) -> Vec<Finding> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let outside = |target: &str| target.contains("://") || target.starts_with('#');
    let links = markdown::links(text)
        .into_iter()
        .filter(|(_, target)| !outside(target));
    let links = links.map(|(line, target)| {
        let target = target.split('#').next().unwrap_or(target);
        let from_here = format!("{directory}/{target}");
        (line, from_here.trim_start_matches('/').to_owned())
    });
    let spans = markdown::spans(text).into_iter();
    let bare = spans.filter(|(_, span)| span.ends_with(".md") && !span.contains('/'));
    let bare = bare.map(|(line, span)| (line, span.to_owned()));
    let missing = links
        .chain(bare)
        .filter(|(_, target)| !tree::exists(target));
    let mend = |target: &str| format!("there is no document `{target}`");
    missing
        .map(|(line, target)| Finding::new(path, line, mend(&target)))
        .collect()
}

/// Whether a code span names something of Rust: words with `::` between.
fn is_item(span: &str) -> bool {
    let word = |word: &str| {
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
        !word.is_empty() && word.chars().all(plain)
    };
    let standard = ["core::", "alloc::", "std::"]
        .iter()
        .any(|name| span.starts_with(name));
    span.contains("::") && span.split("::").all(word) && !standard
}

fn missing_items(path: &str, text: &str, known: &HashSet<&str>) -> Vec<Finding> {
    let spans = markdown::spans(text).into_iter();
    let spans = spans.filter(|(_, span)| is_item(span));
    let missing = spans.filter(|(_, span)| span.split("::").any(|word| !known.contains(word)));
    let mend = |span: &str| format!("the sources do not know `{span}`: name what there is");
    missing
        .map(|(line, span)| Finding::new(path, line, mend(span)))
        .collect()
}

/// Every word of every source's code, and every crate.
fn known_words() -> HashSet<&'static str> {
    let mut known = HashSet::new();
    for (_, code) in tree::rust() {
        known.extend(
            code.text()
                .split(|char: char| !char.is_alphanumeric() && char != '_'),
        );
    }
    known
}

#[test]
fn documents_name_files_that_exist() {
    finding::none(
        documents()
            .flat_map(|file| missing_files(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn documents_name_documents_that_exist() {
    finding::none(
        documents()
            .flat_map(|file| missing_documents(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn documents_name_items_that_exist() {
    let known = known_words();
    finding::none(
        documents()
            .flat_map(|file| missing_items(&file.path, &file.text, &known))
            .collect(),
    );
}

#[test]
fn the_architecture_can_be_read() {
    let lines = tree::file(READABLE.0).text.lines().count();
    let mend = format!(
        "{lines} lines, {} at most: move details to docs/",
        READABLE.1
    );
    let long = lines > READABLE.1;
    finding::none(
        long.then(|| Finding::new(READABLE.0, READABLE.1, mend))
            .into_iter()
            .collect(),
    );
}

#[test]
fn the_project_names_no_unfinished_document() {
    // A document that is a heading only would pass all of the above.
    let empty = documents().filter(|file| file.text.lines().count() < 5);
    finding::none(
        empty
            .map(|file| Finding::new(&file.path, 1, "say something"))
            .collect(),
    );
}

#[test]
fn a_file_that_is_not_there_is_found() {
    let text = "`xen/src/page.rs`\n`xen/src/{page,nothing}.rs`\n`smol/step.rs`\n\
                `xen/include/public/xen.h` `device/vif/0` `/kv/a.md` `a / b`\n";
    assert_eq!(finding::lines(&missing_files("a.md", text)), [2, 3]);
}

#[test]
fn a_document_that_is_not_there_is_found() {
    let text = "[a](STYLE.md)\n[b](docs/nothing.md#there)\n`ARCHITECTURE.md` `NOTHING.md`\n";
    assert_eq!(
        finding::lines(&missing_documents("README.md", text)),
        [2, 3]
    );
    let text = "[a](xen.md) [b](#here)\n[c](STYLE.md)\n";
    assert_eq!(
        finding::lines(&missing_documents("docs/boot.md", text)),
        [2]
    );
}

#[test]
fn an_item_that_is_not_there_is_found() {
    let known = ["Store", "step"].into();
    let text = "`Store::step` `core::fmt`\n`Store::leap`\n`key::value=x`\n";
    assert_eq!(finding::lines(&missing_items("a.md", text, &known)), [2]);
}

#[test]
fn words_of_code_are_known() {
    let known = known_words();
    assert!(known.contains("known_words") && !known.contains("no_such_word_in_code"));
    assert_eq!(words("fn known_words()", "known_words").count(), 1);
    assert_eq!(code::line_of("a\nb", 2), 2);
}
