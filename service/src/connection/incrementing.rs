//! An addition that waits: for a value that has to be read, or until it is known which one it is.

use super::{Connection, Context, Phase, Turn};
use crate::incr::{self, Increment, Reading, Waits};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::Action;
use alloc::boxed::Box;
use core::task::Poll;
use store::{ReadError, Store};

impl Connection {
    /// Goes on with the addition once what it waits for is there.
    pub(super) fn turn_increment(
        &mut self,
        cx: &mut Context<'_>,
        mut increment: Box<Increment>,
    ) -> Turn {
        let ready = match &mut increment.waits {
            Waits::Not => Poll::Ready(Ok(())),
            // If that fails, it is seen when the value is asked for again.
            Waits::Told(pending) => pending.outcome(&mut cx.service.store).map(|_| Ok(())),
            Waits::Value(reading) => read(&mut cx.service.store, reading),
        };
        match ready {
            Poll::Ready(Ok(())) => match incr::go_on(cx.service, *increment) {
                // Its time goes on, however often it has to wait.
                Ok(Action::Increment(increment)) => self.become_phase(Phase::Increment(increment)),
                Ok(action) => self.act(cx, action),
                Err(problem) => self.refuse(cx, problem),
            },
            Poll::Ready(Err(error)) => self.refuse(cx, refusal::unreadable(error)),
            Poll::Pending if cx.is_past(self.deadline_ns) => {
                let detail = "The disk did not give the value in time; nothing was written.";
                self.refuse(cx, Problem::new(Kind::StoreSlow, detail))
            }
            Poll::Pending => {
                self.phase = Phase::Increment(increment);
                Turn::Store
            }
        }
    }
}

/// Reads the headers, and then all of the value: it is short.
fn read(store: &mut Store, reading: &mut Reading) -> Poll<Result<(), ReadError>> {
    match store.headers(&mut reading.reader) {
        Poll::Ready(Ok(headers)) => reading.headers = headers,
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        Poll::Pending => return Poll::Pending,
    }
    loop {
        match store.read(&mut reading.reader) {
            Poll::Ready(Ok(Some(piece))) => reading.value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
