//! Says what is being done: a spinner on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::ProgressBar;

/// The line of what is being done now.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is done yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// The next thing is begun.
    pub(crate) fn step(&self, message: impl Into<String>) {
        let message = message.into();
        if self.bar.is_hidden() {
            eprintln!("{message}");
        } else {
            self.bar.set_message(message);
        }
    }

    /// A part of it is done: shown where it replaces the line.
    pub(crate) fn detail(&self, message: impl Into<String>) {
        if !self.bar.is_hidden() {
            self.bar.set_message(message.into());
        }
    }

    /// A line that stays.
    pub(crate) fn note(&self, message: &str) {
        self.bar.suspend(|| eprintln!("{message}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
