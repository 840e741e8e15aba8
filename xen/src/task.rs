//! Futures without an executor: the owner polls them from its step.
//!
//! A handshake is a walk of several exchanges with waits in between; as an
//! `async fn` it reads as the walk it is. It is polled at every step with a
//! waker that does nothing: the step happens because an event or a deadline
//! woke the main loop.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// A walk in progress; dropped, it is given up.
pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Advances `task` as far as it goes.
pub fn poll<T>(task: &mut Task<T>) -> Poll<T> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The time of the current step, and the earliest deadline anybody waits for.
#[derive(Clone, Debug, Default)]
pub struct Timers(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    now_ns: Cell<u64>,
    next_ns: Cell<Option<u64>>,
}

impl Timers {
    /// Begins a step: deadlines are registered anew by those who still wait.
    pub fn begin(&self, now_ns: u64) {
        self.0.now_ns.set(now_ns);
        self.0.next_ns.set(None);
    }

    /// The time of this step.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns.get()
    }

    /// The earliest deadline registered in this step.
    pub fn next_ns(&self) -> Option<u64> {
        self.0.next_ns.get()
    }

    /// Somebody wants a step at `deadline_ns`.
    pub fn register(&self, deadline_ns: u64) {
        let next = self
            .0
            .next_ns
            .get()
            .map_or(deadline_ns, |next| next.min(deadline_ns));
        self.0.next_ns.set(Some(next));
    }

    /// Whether `deadline_ns` has come; if not, a step is wanted then.
    fn reached(&self, deadline_ns: u64) -> bool {
        let reached = self.now_ns() >= deadline_ns;
        if !reached {
            self.register(deadline_ns);
        }
        reached
    }

    /// Waits that long.
    pub async fn sleep(&self, duration_ns: u64) {
        let deadline_ns = self.now_ns().saturating_add(duration_ns);
        core::future::poll_fn(|_| {
            if self.reached(deadline_ns) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// `future`, or `None` if it takes longer than that.
    pub async fn timeout<T>(&self, duration_ns: u64, future: impl Future<Output = T>) -> Option<T> {
        let deadline_ns = self.now_ns().saturating_add(duration_ns);
        let mut future = core::pin::pin!(future);
        core::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.reached(deadline_ns) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
