//! The form of a Rust source: its first line, its length, its columns, its `cfg`s.

use super::code::{self, Code, words};
use super::finding::{self, Finding};
use super::tree;

/// Columns of a line.
const COLUMNS_MAX: usize = 100;
/// Lines of a file before its tests: told at the first, refused above the second.
const LINES_TOLD: usize = 500;
const LINES_MAX: usize = 700;
/// Lines of tests at the end of a file, before they move to a file of their own: told.
const TEST_LINES_TOLD: usize = 200;
/// The image's table of contents.
const CONTENTS: (&str, usize) = ("kernel/src/main.rs", 60);

/// What a `cfg` may ask.
const CFG_WORDS: [&str; 5] = ["test", "debug_assertions", "not", "all", "any"];

fn tagline(path: &str, text: &str) -> Option<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let sentence = first
        .strip_prefix("//! ")
        .is_some_and(|rest| rest.ends_with('.'));
    let mend = if !sentence {
        "begin with one line `//! …` that is a sentence and ends with a full stop"
    } else if first.chars().count() > COLUMNS_MAX {
        "the first line is longer than 100 columns: say it shorter, and the rest below"
    } else {
        return None;
    };
    Some(Finding::new(path, 1, mend))
}

/// Lines before the tests, and lines of the tests.
fn lengths(text: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let tests = (0..lines.len()).find(|at| {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        lines[*at] == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{')
    });
    let before = tests.unwrap_or(lines.len());
    (before, lines.len() - before)
}

fn too_long(path: &str, text: &str) -> Option<Finding> {
    let (before, _) = lengths(text);
    let limit = if path == CONTENTS.0 {
        CONTENTS.1
    } else {
        LINES_MAX
    };
    let mend = format!("{before} lines before its tests, {limit} at most: part it");
    (before > limit).then(|| Finding::new(path, limit + 1, mend))
}

/// What is not refused yet.
fn getting_long(path: &str, text: &str) -> Option<String> {
    let (before, tests) = lengths(text);
    if before > LINES_TOLD {
        return Some(format!(
            "{path}:1: {before} lines before its tests; {LINES_MAX} are too many"
        ));
    }
    let mend = "move them to a file of their own";
    (tests > TEST_LINES_TOLD)
        .then(|| format!("{path}:{}: {tests} lines of tests; {mend}", before + 1))
}

/// rustfmt breaks code, not comments; a sentence in a string may be as long as it is.
fn too_wide(path: &str, code: &Code) -> Vec<Finding> {
    let lines = code.columns().into_iter().enumerate();
    let wide = lines.filter(|(_, (_, counted))| *counted > COLUMNS_MAX);
    let mend = |columns: usize| format!("{columns} columns, {COLUMNS_MAX} at most: break the line");
    wide.map(|(index, (columns, _))| Finding::new(path, index + 1, mend(columns)))
        .collect()
}

/// Every `cfg(…)`, `cfg!(…)` and `cfg_attr(…, …)` asks only what it may.
fn foreign_cfgs(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in ["cfg", "cfg_attr"] {
        for at in words(code, name) {
            let rest = code[at + name.len()..].trim_start_matches(['!', ' ']);
            let Some(condition) = rest.strip_prefix('(') else {
                continue;
            };
            let end = closing(condition, name == "cfg_attr");
            let asked = condition[..end].split(|char: char| !char.is_alphanumeric() && char != '_');
            let foreign = asked.filter(|word| !word.is_empty() && !CFG_WORDS.contains(word));
            findings.extend(foreign.map(|word| {
                let mend = format!("`{word}` is no question: only test and debug_assertions are");
                Finding::new(path, code::line_of(code, at), mend)
            }));
        }
    }
    findings
}

/// Where the condition ends: at its closing parenthesis, or at its first comma.
fn closing(condition: &str, at_comma: bool) -> usize {
    let mut depth = 0;
    for (at, char) in condition.char_indices() {
        match char {
            '(' => depth += 1,
            ')' if depth == 0 => return at,
            ')' => depth -= 1,
            ',' if depth == 0 && at_comma => return at,
            _ => {}
        }
    }
    condition.len()
}

#[test]
fn sources_begin_with_a_sentence() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .filter_map(|(file, _)| tagline(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn files_are_short() {
    for note in tree::rust()
        .iter()
        .filter_map(|(file, _)| getting_long(&file.path, &file.text))
    {
        println!("warning: {note}");
    }
    let sources = tree::rust().iter();
    finding::none(
        sources
            .filter_map(|(file, _)| too_long(&file.path, &file.text))
            .collect(),
    );
}

#[test]
fn lines_are_short() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .flat_map(|(file, code)| too_wide(&file.path, code))
            .collect(),
    );
}

#[test]
fn one_image_has_no_variants() {
    let sources = tree::rust().iter();
    finding::none(
        sources
            .flat_map(|(file, code)| foreign_cfgs(&file.path, code.text()))
            .collect(),
    );
}

#[test]
fn a_first_line_without_an_end_is_found() {
    assert!(tagline("a.rs", "//! What goes on\n//! below.\n").is_some());
    assert!(tagline("a.rs", "use core::fmt;\n").is_some());
    assert!(tagline("a.rs", "").is_some());
    assert!(tagline("a.rs", &format!("//! {}.\n", "x".repeat(100))).is_some());
    assert!(tagline("a.rs", "//! What it is.\n").is_none());
}

#[test]
fn a_long_file_is_found() {
    let long = "line\n".repeat(LINES_MAX + 1);
    assert!(too_long("a.rs", &long).is_some());
    assert!(too_long(CONTENTS.0, &"line\n".repeat(CONTENTS.1 + 1)).is_some());
    let tests = format!("line\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(too_long("a.rs", &tests).is_none());
    assert!(getting_long("a.rs", &tests).is_some());
    assert!(getting_long("a.rs", &"line\n".repeat(LINES_TOLD + 1)).is_some());
}

#[test]
fn a_wide_line_is_found() {
    let x = "x".repeat(100);
    let source = format!("// {x}\nlet a = \"{x}\";\nlet {x} = 1;\n");
    assert_eq!(
        finding::lines(&too_wide("a.rs", &Code::new(&source))),
        [1, 3]
    );
}

#[test]
fn a_cfg_that_makes_variants_is_found() {
    let good = "#[cfg(test)] #[cfg(all(test, not(debug_assertions)))] #[cfg_attr(test, expect(x))]";
    assert_eq!(foreign_cfgs("a.rs", good), []);
    for bad in ["#[cfg(feature)]", "cfg!(unix)", "#[cfg_attr(miri, ignore)]"] {
        assert_eq!(foreign_cfgs("a.rs", bad).len(), 1, "{bad}");
    }
}
