//! How a look ends.

use super::report::Report;
use alloc::boxed::Box;
use alloc::string::String;

/// The end of a look.
#[derive(Debug)]
pub enum Verdict {
    /// All was looked at; the findings have been shown, and are counted in the report.
    Looked(Box<Report>),
    /// There is nothing to look at, or it cannot be: why, and what to do.
    Unlooked(String),
}

/// Why a look does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The device is no store, or one that this release cannot read.
    Unlooked(String),
    /// What was found says all there is to say.
    Found,
}
