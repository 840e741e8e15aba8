//! Waiting for what goes on also without who asked for it.

use super::{Connection, Context, Phase, Turn};
use crate::awaited::Awaited;

impl Connection {
    /// Tells how it ended, once it has.
    pub(super) fn turn_await(&mut self, cx: &mut Context<'_>, awaited: Awaited) -> Turn {
        match awaited.outcome() {
            Some(Ok(answer)) => self.answer(cx, answer),
            Some(Err(problem)) => self.refuse(cx, problem),
            None if cx.is_past(self.deadline_ns) => self.refuse(cx, awaited.late()),
            None => {
                self.phase = Phase::Await(awaited);
                Turn::Store
            }
        }
    }
}
