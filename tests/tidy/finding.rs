//! What a rule finds, and how it is told.

use std::fmt;

/// A place where a rule is broken, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) path: String,
    /// From 1; 0 is the file as a whole.
    pub(super) line: usize,
    pub(super) mend: String,
}

impl Finding {
    pub(super) fn new(path: &str, line: usize, mend: impl Into<String>) -> Finding {
        let (path, mend) = (path.to_owned(), mend.into());
        Finding { path, line, mend }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line.max(1), self.mend)
    }
}

/// Fails the rule's test when there are findings, and shows all of them.
pub(super) fn none(mut findings: Vec<Finding>) {
    findings.sort();
    findings.dedup();
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(
        findings.is_empty(),
        "{} found:\n{}\n",
        findings.len(),
        lines.join("\n")
    );
}

/// The lines at which something was found, for the rules' own tests.
pub(super) fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}
