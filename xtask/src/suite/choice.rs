//! Which of its target's tests a suite runs.

use std::process::Command;

use anyhow::Result;

use super::{Suite, build_tests};
use crate::bed::command;

/// A long target's tests are parted, by the modules they are in, so that two machines take them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Share {
    Whole,
    Of(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Share {
    fn has(self, test: &str) -> bool {
        let module = test.split("::").next().unwrap_or(test);
        let is_named = self.modules().contains(&module);
        match self {
            Share::Whole => true,
            Share::Of(_) => is_named,
            Share::AllBut(_) => !is_named,
        }
    }

    /// The modules that it names.
    pub(super) const fn modules(self) -> &'static [&'static str] {
        match self {
            Share::Whole => &[],
            Share::Of(modules) | Share::AllBut(modules) => modules,
        }
    }

    /// What comes behind the suite's name.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Share::Whole => "",
            Share::Of(_) => " (1 of 2)",
            Share::AllBut(_) => " (2 of 2)",
        }
    }
}

impl Suite {
    /// The names of those of its tests that are asked for: of a filter, or without one the brief
    /// ones, or in full all.
    pub(crate) fn tests(&self, filter: Option<&str>, full: bool) -> Result<Vec<String>> {
        let is_asked = |test: &&str| match filter {
            Some(filter) => test.contains(filter),
            None if full || self.brief.is_empty() => true,
            None => self.brief.iter().any(|word| test.contains(word)),
        };
        let listed = self.listed()?;
        let tests = listed.iter().map(String::as_str);
        let tests = tests.filter(|test| self.share.has(test)).filter(is_asked);
        Ok(tests.map(str::to_owned).collect())
    }

    /// All tests of its target.
    fn listed(&self) -> Result<Vec<String>> {
        let mut list = Command::new(build_tests(self.target)?);
        list.args(["--list", "--format=terse"]);
        let list = command::output(&mut list)?;
        let tests = list.lines().filter_map(|line| line.strip_suffix(": test"));
        Ok(tests.map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SUITES;
    use super::Share;

    #[test]
    fn two_shares_have_each_test_once() {
        let modules: &[&str] = &["crash", "values"];
        let (first, second) = (Share::Of(modules), Share::AllBut(modules));
        for test in [
            "crash::a",
            "crashes::a",
            "values::crash",
            "a",
            "b::crash::c",
        ] {
            assert_ne!(first.has(test), second.has(test), "{test}");
        }
        assert!(first.has("crash::a") && first.has("values::crash"));
        assert!(second.has("crashes::a") && second.has("b::crash::c"));
    }

    /// A suite that is parted and lost its other part would leave tests out, and nobody be told.
    #[test]
    fn each_part_has_its_other_part() {
        let parts = |label: &str| {
            let suites = SUITES.iter().filter(|suite| suite.share.label() == label);
            let mut parts: Vec<_> = suites
                .map(|suite| (suite.target, suite.hypervisor.name(), suite.share.modules()))
                .collect();
            parts.sort_unstable();
            parts
        };
        let (first, second) = (parts(" (1 of 2)"), parts(" (2 of 2)"));
        assert_eq!(first, second);
        assert!(!first.is_empty());
    }
}
