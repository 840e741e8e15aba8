//! Waiting for another token.

use super::{Connection, Context, Phase, Turn};
use crate::problem::{Kind, Problem};
use crate::rotation::Rotation;

impl Connection {
    /// Tells the token once it is in force.
    pub(super) fn turn_rotate(&mut self, cx: &mut Context<'_>, rotation: Rotation) -> Turn {
        match rotation.outcome() {
            Some(Ok(answer)) => self.answer(cx, answer),
            Some(Err(problem)) => self.refuse(cx, problem),
            None if cx.is_past(self.deadline_ns) => {
                let detail = "The disk did not take the new token in time; it may still. It is \
                              in data/lampion/token then, for dom0 to read.";
                self.refuse(cx, Problem::new(Kind::WriteOutcomeUnknown, detail))
            }
            None => {
                self.phase = Phase::Rotate(rotation);
                Turn::Store
            }
        }
    }
}
