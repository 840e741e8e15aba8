//! Answers that saw a value whose time is over, before that is durable.

use super::{Connection, Context, Phase, Turn};
use crate::problem::Problem;
use crate::refusal;
use crate::route::Action;
use crate::service::Pending;
use alloc::boxed::Box;
use core::task::Poll;
use store::Unavailable;

/// What a request led to, held back.
pub(super) struct Held {
    pending: Pending,
    result: Result<Action, Problem>,
}

impl Connection {
    /// Holds back what a request led to.
    pub(super) fn hold(
        &mut self,
        cx: &mut Context<'_>,
        pending: Pending,
        result: Result<Action, Problem>,
    ) -> Turn {
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
        self.become_phase(Phase::Hold(Box::new(Held { pending, result })))
    }

    /// Goes on once what was seen is durable, or never will be: then the clock alone decides.
    pub(super) fn turn_hold(&mut self, cx: &mut Context<'_>, mut held: Box<Held>) -> Turn {
        match held.pending.outcome(&mut cx.service.store) {
            Poll::Ready(_) => self.go_on(cx, held.result),
            Poll::Pending if cx.is_past(self.deadline_ns) => {
                let problem = match held.result {
                    // It has been handed in.
                    Ok(Action::Commit(..) | Action::Await(_)) => refusal::outcome_unknown(),
                    _ => refusal::unavailable(Unavailable::Busy),
                };
                self.refuse(cx, problem)
            }
            Poll::Pending => {
                self.phase = Phase::Hold(held);
                Turn::Store
            }
        }
    }
}
