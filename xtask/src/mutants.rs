//! `cargo xtask sim --mutants`: known bugs, planted one by one, must be found.
//!
//! A checker that finds nothing may be one that can find nothing. So each file of
//! `tests/mutants/` is a bug as somebody could write it, and names the check that
//! must fail when it is there. The bugs are planted in a copy of the checkout,
//! `target/mutants/tree`, which has a target directory of its own beside it.

mod check;
mod mutant;
mod tree;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use check::{Check, Verdict};
use mutant::Mutant;
use tree::Tree;

/// Plants the bug called `name`, or each of them, and tells which were found and how.
///
/// # Errors
/// Not all were found, or nothing could be shown.
pub(crate) fn run(name: Option<&str>) -> Result<()> {
    let checkout = crate::checkout();
    let mut mutants = mutant::all(&checkout)?;
    if let Some(name) = name {
        let known: Vec<String> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
        mutants.retain(|mutant| mutant.name == name);
        let known = known.join(", ");
        ensure!(
            !mutants.is_empty(),
            "no mutant is called {name}; there are {known}"
        );
    }
    let tree = Tree::of(&checkout)?;
    pass_unchanged(&tree, &mutants)?;
    let mut missed = Vec::new();
    for mutant in &mutants {
        let begun = Instant::now();
        let verdict = plant(&tree, mutant)?;
        tell(mutant, &verdict, begun.elapsed());
        if !matches!(verdict, Verdict::Failed(_)) {
            missed.push(mutant.name.as_str());
        }
    }
    let found = mutants.len() - missed.len();
    if !missed.is_empty() {
        let (count, names) = (missed.len(), missed.join(", "));
        bail!("{found} found, {count} not found: {names}");
    }
    println!("{found} found, 0 not found");
    Ok(())
}

/// Without a bug every check passes; else its failure would show nothing.
fn pass_unchanged(tree: &Tree, mutants: &[Mutant]) -> Result<()> {
    let mut checks: BTreeMap<String, &Check> = BTreeMap::new();
    for mutant in mutants {
        checks.insert(mutant.check.to_string(), &mutant.check);
    }
    for (shown, check) in checks {
        let begun = Instant::now();
        let log = tree.log("unchanged");
        let verdict = check.run(tree, &log)?;
        let seconds = seconds(begun.elapsed());
        match verdict {
            Verdict::Passed(tests) => {
                println!("without a bug: {tests} tests pass, {seconds} s: {shown}");
            }
            other => bail!(
                "without a bug the check must pass, and {}: {shown}; see {}",
                other.said(),
                log.display()
            ),
        }
    }
    Ok(())
}

/// Plants one bug, runs its check, and takes the bug out again.
fn plant(tree: &Tree, mutant: &Mutant) -> Result<Verdict> {
    let whole = tree.read(&mutant.file)?;
    let Some(broken) = mutant.applied_to(&whole) else {
        return Ok(Verdict::TextMissing);
    };
    tree.write(&mutant.file, &broken)?;
    let verdict = mutant.check.run(tree, &tree.log(&mutant.name));
    tree.write(&mutant.file, &whole)?;
    verdict.with_context(|| format!("the check of {}", mutant.name))
}

fn tell(mutant: &Mutant, verdict: &Verdict, took: Duration) {
    let found = match verdict {
        Verdict::Failed(_) => "found",
        _ => "NOT FOUND",
    };
    println!(
        "{}: {found}: {}, {} s",
        mutant.name,
        verdict.said(),
        seconds(took)
    );
    if found != "found" {
        println!("  the bug: {}", mutant.bug);
        println!("  the check: {}", mutant.check);
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
