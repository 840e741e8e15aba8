//! A bug to be planted: what it is, where, and the check that must find it.
//!
//! The form of a file of `tests/mutants/`, whose name is the mutant's:
//!
//! ```text
//! bug: One sentence.
//! file: store/src/draft.rs
//! check: -p store --lib -- words of a test's name
//! seeds: 12
//!
//!  a line that stays
//! -a line as it should be
//! +a line as it is planted
//! ```
//!
//! `seeds` is there where the check plays seeds, and says how many at most. Hunks are
//! parted by empty lines; the text of each must occur exactly once in the file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::check::Check;

/// Where the mutants are.
const DIRECTORY: &str = "tests/mutants";

/// A bug to be planted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    pub(super) name: String,
    /// What is wrong then.
    pub(super) bug: String,
    /// The file that is changed.
    pub(super) file: String,
    pub(super) check: Check,
    hunks: Vec<Hunk>,
}

/// Lines as they should be, and as they are planted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hunk {
    right: String,
    wrong: String,
}

/// All mutants of the checkout, by name.
pub(super) fn all(checkout: &Path) -> Result<Vec<Mutant>> {
    let directory = checkout.join(DIRECTORY);
    let mut mutants = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mutant = Mutant::parse(&name, &fs::read_to_string(&path)?);
        mutants.push(mutant.with_context(|| format!("{DIRECTORY}/{name}"))?);
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

impl Mutant {
    fn parse(name: &str, text: &str) -> Result<Mutant> {
        let (head, body) = text
            .split_once("\n\n")
            .context("an empty line parts the head from the text to change")?;
        let field = |key: &str| {
            let values = head.lines().filter_map(|line| line.strip_prefix(key));
            let mut values = values.filter_map(|rest| rest.strip_prefix(": "));
            values.next()
        };
        let needed = |key| field(key).with_context(|| format!("`{key}: …` is missing"));
        let seeds = field("seeds").map(str::parse).transpose();
        let hunks = body.trim_end().split("\n\n").map(Hunk::parse);
        Ok(Mutant {
            name: name.to_owned(),
            bug: needed("bug")?.to_owned(),
            file: needed("file")?.to_owned(),
            check: Check::parse(needed("check")?, seeds.context("`seeds` is a number")?)?,
            hunks: hunks.collect::<Result<_>>()?,
        })
    }

    /// The file with the bug in it; `None` if a hunk's text is not in it exactly once.
    pub(super) fn applied_to(&self, whole: &str) -> Option<String> {
        let mut text = whole.to_owned();
        for hunk in &self.hunks {
            if text.matches(&hunk.right).count() != 1 {
                return None;
            }
            text = text.replacen(&hunk.right, &hunk.wrong, 1);
        }
        Some(text)
    }
}

impl Hunk {
    fn parse(text: &str) -> Result<Hunk> {
        let mut hunk = Hunk::default();
        for line in text.lines() {
            let (sign, rest) = line.split_at_checked(1).unwrap_or(("", ""));
            let rest = format!("{rest}\n");
            match sign {
                " " => {
                    hunk.right.push_str(&rest);
                    hunk.wrong.push_str(&rest);
                }
                "-" => hunk.right.push_str(&rest),
                "+" => hunk.wrong.push_str(&rest),
                _ => bail!("a line begins with ` `, `-` or `+`, not as `{line}`"),
            }
        }
        ensure!(hunk.right != hunk.wrong, "a hunk changes something");
        ensure!(!hunk.right.is_empty(), "a hunk says where it belongs");
        Ok(hunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "bug: It is wrong.\nfile: a.rs\ncheck: -p store --lib -- crash\n\
                          seeds: 3\n\n a\n-b\n+c\n\n-d\n+\n";

    #[test]
    fn each_hunk_is_put_where_its_text_stands_alone() {
        let mutant = Mutant::parse("m", SAMPLE).unwrap();
        assert_eq!(mutant.applied_to("a\nb\nd\n").unwrap(), "a\nc\n\n");
        for missing in ["a\nx\nd\n", "a\nb\n", "a\nb\nd\nd\n"] {
            assert_eq!(mutant.applied_to(missing), None, "{missing:?}");
        }
    }

    #[test]
    fn a_file_that_lacks_something_says_what() {
        for (from, to, words) in [
            ("bug: It", "bag: It", "`bug"),
            ("seeds: 3", "seeds: many", "seeds"),
            ("-b", "b", "begins with"),
            ("-d\n+\n", "+d\n", "where it belongs"),
            (" -- crash", "", "--"),
        ] {
            let broken = SAMPLE.replacen(from, to, 1);
            let error = format!("{:#}", Mutant::parse("m", &broken).unwrap_err());
            assert!(error.contains(words), "{to}: {error}");
        }
    }

    /// What is not planted is not found, and nobody would notice.
    #[test]
    fn every_mutant_still_finds_the_text_it_changes() {
        let checkout = crate::checkout();
        let mutants = all(&checkout).unwrap();
        assert!(mutants.len() >= 14, "only {} mutants", mutants.len());
        for mutant in mutants {
            let text = fs::read_to_string(checkout.join(&mutant.file)).unwrap_or_default();
            assert!(
                mutant.applied_to(&text).is_some(),
                "{DIRECTORY}/{}: its text does not occur exactly once in {}: plant the bug anew",
                mutant.name,
                mutant.file
            );
        }
    }

    #[test]
    fn every_mutant_has_its_row_in_the_documents() {
        let checkout = crate::checkout();
        let document = fs::read_to_string(checkout.join("docs/testing.md")).unwrap();
        for mutant in all(&checkout).unwrap() {
            let row = format!("| `{}` |", mutant.name);
            assert!(document.contains(&row), "docs/testing.md lacks {row}");
        }
    }
}
