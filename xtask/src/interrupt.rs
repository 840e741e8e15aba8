//! Ctrl-C (and SIGTERM): counted, so that the rest can end in good order.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// From now on an interrupt is counted and ends nothing by itself.
pub(crate) fn listen() -> Result<()> {
    let handler = || {
        COUNT.fetch_add(1, Ordering::SeqCst);
    };
    ctrlc::set_handler(handler).context("Ctrl-C cannot be caught")
}

/// How many there were.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::SeqCst)
}
