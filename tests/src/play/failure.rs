//! How a seed fails: three kinds, told apart by whoever runs many.

use crate::simulated::Stuck;
use std::fmt;

/// What went wrong, by what its finder has to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest panicked, or ended unasked.
    Crash,
    /// Something that must happen did not, within its bound.
    Liveness,
    /// Something happened that must not: lost, phantom or wrong bytes, an order that no order
    /// of the requests explains, something held for good, a protocol broken.
    Correctness,
}

impl Kind {
    /// The exit code of a run that ended so.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Crash => 10,
            Kind::Liveness => 11,
            Kind::Correctness => 12,
        }
    }
}

/// A seed's failure.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

impl From<Stuck> for Failure {
    fn from(stuck: Stuck) -> Failure {
        let kind = match stuck {
            Stuck::Ended(_) => Kind::Crash,
            Stuck::Forever | Stuck::Still | Stuck::TooLate => Kind::Liveness,
        };
        let what = format!("{stuck:?}");
        Failure { kind, what }
    }
}

/// Something that must not be.
pub(super) fn wrong(what: impl Into<String>) -> Failure {
    let (kind, what) = (Kind::Correctness, what.into());
    Failure { kind, what }
}

/// Something that did not come.
pub(super) fn missing(what: impl Into<String>) -> Failure {
    let (kind, what) = (Kind::Liveness, what.into());
    Failure { kind, what }
}
