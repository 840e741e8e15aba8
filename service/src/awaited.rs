//! What an answer waits for, and what comes about though nobody waits any more.

use crate::answer::Answer;
use crate::certificate::Keeping;
use crate::problem::{Kind, Problem};
use crate::rotation::Rotation;

/// What it is.
pub(crate) enum Awaited {
    /// Another token.
    Token(Rotation),
    /// Another certificate.
    Certificate(Keeping),
}

impl Awaited {
    /// The answer, once there is one.
    pub(crate) fn outcome(&self) -> Option<Result<Answer, Problem>> {
        match self {
            Awaited::Token(rotation) => rotation.outcome(),
            Awaited::Certificate(keeping) => keeping.outcome(),
        }
    }

    /// It took too long to be waited for.
    pub(crate) fn late(&self) -> Problem {
        let detail = match self {
            Awaited::Token(_) => {
                "The disk did not take the new token in time; it may still. It is in \
                 data/lampion/token then, for dom0 to read."
            }
            Awaited::Certificate(_) => {
                "The disk did not take the new certificate in time; it may still: GET \
                 /-/admin/tls tells which one is shown."
            }
        };
        Problem::new(Kind::WriteOutcomeUnknown, detail)
    }
}
