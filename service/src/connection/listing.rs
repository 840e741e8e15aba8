//! A page of values that is put together.

use super::{Connection, Context, Phase, Turn};
use crate::listing::Values;
use crate::problem::{Kind, Problem};
use alloc::boxed::Box;
use core::task::Poll;

impl Connection {
    /// Answers once all of its values are read.
    pub(super) fn turn_list(&mut self, cx: &mut Context<'_>, mut values: Box<Values>) -> Turn {
        match values.step(&mut cx.service.store) {
            Poll::Ready(answer) => self.answer(cx, answer),
            Poll::Pending if cx.is_past(self.deadline_ns) => {
                let detail = "The disk did not give the values in time; try again.";
                self.refuse(cx, Problem::new(Kind::StoreSlow, detail))
            }
            Poll::Pending => {
                self.phase = Phase::List(values);
                Turn::Store
            }
        }
    }
}
