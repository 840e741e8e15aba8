//! One order taken away, to see that a model notices.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is wrong with the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// Full fences do nothing.
    NoFence,
    /// What releases does not: an index may be seen before the slot it shows.
    NoRelease,
    /// What acquires does not: a slot may be read before the index that shows it.
    NoAcquire,
    /// Unmasking does not look for what is pending already.
    NoSecondLook,
}

thread_local! {
    static FLAW: Cell<Flaw> = const { Cell::new(Flaw::None) };
}

/// Whether this is what is wrong. All threads of a model are one thread here.
pub(crate) fn is(flaw: Flaw) -> bool {
    FLAW.get() == flaw
}

/// Steps away from the next one to run that a schedule takes at most. Three find every lost
/// wake-up here, and keep the number of schedules small.
const PREEMPTIONS_MAX: usize = 3;

/// Runs a model under every schedule.
fn explore(flaw: Flaw, model: fn()) {
    FLAW.set(flaw);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

/// The model holds.
pub(crate) fn check(model: fn()) {
    explore(Flaw::None, model);
}

/// The model does not hold with that flaw.
pub(crate) fn check_is_found(flaw: Flaw, model: fn()) {
    let explored = catch_unwind(AssertUnwindSafe(|| explore(flaw, model)));
    FLAW.set(Flaw::None);
    assert!(
        explored.is_err(),
        "{flaw:?} makes no difference to the model"
    );
}
