//! `docs/seams.md` quotes contracts as they stand in the code, word for word.
//!
//! Each Rust block there begins with `// PATH`. Its text, comments and blanks
//! aside, must be part of that file; a line `// …` leaves something out.

use super::code::Code;
use super::finding::{self, Finding};
use super::{markdown, tree};

const DOCUMENT: &str = "docs/seams.md";
const LEFT_OUT: &str = "// …";

/// Without comments, blanks, and the commas that a formatter may add.
fn essence(source: &str) -> String {
    let text = Code::new(source).without_comments();
    let mut text: String = text.split_whitespace().collect();
    for close in [")", "}", ">"] {
        text = text.replace(&format!(",{close}"), close);
    }
    text
}

fn misquoted(document: &str, source_of: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, block) in markdown::fences(document, "rust") {
        let path = block.first().and_then(|first| first.strip_prefix("// "));
        let Some((path, source)) = path.and_then(|path| Some((path, source_of(path)?))) else {
            let mend = "begin the block with `// PATH`, the file it is quoted from";
            findings.push(Finding::new(DOCUMENT, line, mend));
            continue;
        };
        let source = essence(&source);
        let mut from = 1;
        for piece in block[1..].split(|line| line.trim() == LEFT_OUT) {
            let quoted = essence(&piece.join("\n"));
            if !source.contains(&quoted) {
                let mend = format!("{path} does not say this (any more): quote it as it stands");
                findings.push(Finding::new(DOCUMENT, line + from, mend));
            }
            from += piece.len() + 1;
        }
    }
    findings
}

#[test]
fn contracts_are_quoted_as_they_stand() {
    let source_of = |path: &str| {
        let file = tree::files().iter().find(|file| file.path == path);
        file.map(|file| file.text.clone())
    };
    let document = &tree::file(DOCUMENT).text;
    assert!(
        !markdown::fences(document, "rust").is_empty(),
        "{DOCUMENT}:1: quote the contracts"
    );
    finding::none(misquoted(document, source_of));
}

#[test]
fn a_contract_that_changed_is_found() {
    let source = "/// Of ours.\npub trait A {\n    /// b\n    fn b(\n        &self,\n        c: u8,\n    );\n    fn d();\n}\n";
    let found = |block: &str| {
        let document = format!("text\n```rust\n{block}\n```\n");
        let findings = misquoted(&document, |path| {
            (path == "a.rs").then(|| source.to_owned())
        });
        finding::lines(&findings)
    };
    assert_eq!(
        found("// a.rs\npub trait A {\n    fn b(&self, c: u8);\n    // …\n}"),
        []
    );
    assert_eq!(found("// a.rs\npub trait A {\n    fn b(&self);\n}"), [4]);
    assert_eq!(found("// a.rs\npub trait A {\n    // …\n    fn e();"), [6]);
    assert_eq!(found("pub trait A {"), [3]);
}
