//! The turns that are about requests as a whole: heads, refusals, ends.

use super::backing_up::BackingUp;
use super::collecting::Collecting;
use super::exchange::{After, DROPPED_BYTES_MAX, Exchange, HeadOnly};
use super::head_buffer::Collected;
use super::receiving::Receiving;
use super::{Commit, Connection, Context, Fresh, Phase, Turn, Unjudged};
use crate::http::body::Body;
use crate::http::head::{self, FIELDS_MAX, HeadError};
use crate::http::response;
use crate::jobs;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Action};
use crate::segment::{Input, Segment};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::task::Poll;
use store::Unavailable;

/// How long a first wrong guess waits; each further one twice as long.
const DELAY_FIRST_NS: u64 = 125_000_000;
/// How long any wrong guess waits at most.
pub(super) const DELAY_MAX_NS: u64 = 1_000_000_000;
/// How long the peer has to read the last answer while its input is dropped.
const LINGER_NS: u64 = 500_000_000;
/// How much input is dropped meanwhile.
const LINGER_BYTES_MAX: u64 = 256 * 1024;

impl Connection {
    /// Collects a head; with a complete one the request begins.
    pub(super) fn turn_head(&mut self, cx: &mut Context<'_>) -> Turn {
        let was_empty = self.head.is_empty();
        let mut collected = Collected::Partial;
        let buffer = &mut self.head;
        let input = cx.receive(&mut |bytes| {
            // The head may end where a piece of the transport's ring ends.
            if collected != Collected::Partial {
                return 0;
            }
            let (used, state) = buffer.take(bytes);
            collected = state;
            used
        });
        if was_empty && !self.head.is_empty() {
            self.deadline_ns = cx.after(cx.service.config.limits.head_timeout_ns);
            self.busy = Some(cx.service.busy.enter());
        }
        match (collected, input) {
            (_, Input::Gone) => self.become_phase(Phase::Aborted),
            (Collected::Complete, _) => self.begin(cx),
            (Collected::Broken(error), _) => {
                let bytes = self.head.finish();
                self.refuse_head(cx, &bytes, error)
            }
            (Collected::Partial, Input::Finished) => {
                self.busy = None;
                self.become_phase(Phase::Finished)
            }
            (Collected::Partial, Input::Bytes(count)) if count > 0 => {
                self.become_phase(Phase::Head)
            }
            (Collected::Partial, _) => self.wait_for_head(cx),
        }
    }

    pub(super) fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Turn {
        let idle = self.head.is_empty();
        let late = cx.is_past(self.deadline_ns);
        let leaving = cx.service.is_draining() && self.fresh == Fresh::No;
        if idle && (late || leaving) {
            return self.become_phase(Phase::Finished);
        }
        if late {
            return self.refuse_late(cx);
        }
        self.expect_head();
        Turn::Peer
    }

    /// Judges a complete head and begins what it asks for.
    fn begin(&mut self, cx: &mut Context<'_>) -> Turn {
        let mut bytes = self.head.finish();
        self.begin_line(cx, &bytes);
        head::lower_version(&mut bytes);
        self.deadline_ns = cx.after(cx.service.config.limits.answer_timeout_ns);
        self.judge(cx, bytes)
    }

    /// Judges a head again, the store having moved.
    pub(super) fn turn_again(&mut self, cx: &mut Context<'_>, head: Unjudged) -> Turn {
        if cx.is_past(self.deadline_ns) {
            self.exchange.close();
            let detail = "The disk did not give in time what the answer depends on; try again.";
            return self.refuse(cx, Problem::new(Kind::StoreSlow, detail));
        }
        self.judge(cx, head.0)
    }

    fn judge(&mut self, cx: &mut Context<'_>, bytes: Vec<u8>) -> Turn {
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let request = match head::parse(&bytes, &mut lines, self.channel) {
            Ok(request) => request,
            Err(error) => return self.refuse_head(cx, &bytes, error),
        };
        self.exchange = Exchange::new(&request);
        let result = route::dispatch(cx.service, &request, self.plane, cx.now);
        if matches!(result, Ok(Action::Later)) {
            // What was seen on the way is seen again.
            drop(cx.service.observed());
            self.phase = Phase::Again(Box::new(Unjudged(bytes)));
            return Turn::Store;
        }
        self.go_on_observed(cx, result)
    }

    /// Begins what a request led to, once what was seen on the way may be told.
    pub(super) fn go_on_observed(
        &mut self,
        cx: &mut Context<'_>,
        result: Result<Action, Problem>,
    ) -> Turn {
        match cx.service.observed() {
            Some(pending) => self.hold(cx, pending, result),
            None => self.go_on(cx, result),
        }
    }

    /// Begins what a request led to.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>, result: Result<Action, Problem>) -> Turn {
        match result {
            Ok(action) => self.act(cx, action),
            Err(problem) if problem.kind == Kind::TokenWrong => self.delay(cx, problem),
            Err(problem) => self.refuse(cx, problem),
        }
    }

    pub(super) fn act(&mut self, cx: &mut Context<'_>, action: Action) -> Turn {
        let limits = cx.service.config.limits;
        self.deadline_ns = cx.after(limits.answer_timeout_ns);
        match action {
            Action::Answer(answer) => self.answer(cx, answer),
            // Whoever gives that out has a head to come back with.
            Action::Later => self.refuse(cx, refusal::unavailable(Unavailable::Busy)),
            Action::BackUp(backup) => {
                let (peer, stop) = (Some(self.peer), backup.stop());
                let job = cx.service.jobs.begin(jobs::Kind::Backup, peer, stop);
                let backing_up = BackingUp::new(*backup, job);
                self.become_phase(Phase::BackUp(Box::new(backing_up)))
            }
            Action::Increment(increment) => self.become_phase(Phase::Increment(increment)),
            Action::List(values) => self.become_phase(Phase::List(values)),
            Action::Watch(watch) => self.watch(cx, *watch),
            Action::Await(awaited) => self.become_phase(Phase::Await(awaited)),
            Action::Fetch(fetch) => self.become_phase(Phase::Fetch(fetch)),
            Action::Commit(pending, accepted) => {
                let commit = Commit { pending, accepted };
                self.become_phase(Phase::Commit(Box::new(commit)))
            }
            Action::Collect(subject) => {
                self.invite_body(cx);
                let collecting = Collecting::new(subject, self.exchange.unread);
                self.become_phase(Phase::Collect(Box::new(collecting)))
            }
            Action::Receive(sink) => {
                self.invite_body(cx);
                let job = sink.job().map(|(kind, stop)| {
                    let peer = Some(self.peer);
                    cx.service.jobs.begin(kind, peer, stop)
                });
                let receiving = Receiving::new(sink, self.exchange.unread, job);
                self.become_phase(Phase::Receive(Box::new(receiving)))
            }
        }
    }

    /// All that can be judged ahead has been: the body may come.
    fn invite_body(&mut self, cx: &Context<'_>) {
        if core::mem::take(&mut self.exchange.continue_owed) {
            self.output.push(Segment::Static(response::CONTINUE));
        }
        self.pace.end();
        self.deadline_ns = cx.after(cx.service.config.limits.body_timeout_ns);
    }

    /// Waits until a change is durable, and says how it ended.
    pub(super) fn turn_commit(&mut self, cx: &mut Context<'_>, mut commit: Box<Commit>) -> Turn {
        match commit.pending.outcome(&mut cx.service.store) {
            Poll::Ready(Ok(_)) if let Some(next) = commit.accepted.next() => {
                commit.pending = next;
                self.become_phase(Phase::Commit(commit))
            }
            Poll::Ready(outcome) => match route::ended(cx.service, commit.accepted, outcome) {
                Ok(answer) => self.answer(cx, answer),
                Err(problem) => self.refuse(cx, problem),
            },
            Poll::Pending if cx.is_past(self.deadline_ns) => {
                self.exchange.close();
                self.refuse(cx, refusal::outcome_unknown())
            }
            Poll::Pending => {
                self.phase = Phase::Commit(commit);
                Turn::Store
            }
        }
    }

    /// Keeps who guesses tokens waiting, longer each time.
    fn delay(&mut self, cx: &mut Context<'_>, problem: Problem) -> Turn {
        let doubled = DELAY_FIRST_NS << self.failed_logins.min(8);
        self.failed_logins = self.failed_logins.saturating_add(1);
        self.deadline_ns = cx.after(doubled.min(DELAY_MAX_NS));
        self.become_phase(Phase::Delay(Box::new(problem)))
    }

    pub(super) fn turn_delay(&mut self, cx: &mut Context<'_>, problem: Box<Problem>) -> Turn {
        if cx.is_past(self.deadline_ns) {
            return self.refuse(cx, *problem);
        }
        self.phase = Phase::Delay(problem);
        Turn::Peer
    }

    /// Refuses what is no request; the connection ends.
    fn refuse_head(&mut self, cx: &mut Context<'_>, head: &[u8], error: HeadError) -> Turn {
        self.begin_line(cx, head);
        self.exchange = Exchange::broken(HeadOnly::of(head));
        let (kind, detail) = match error {
            HeadError::Syntax(why) => (Kind::BadRequest, why),
            HeadError::Framing(why) => (Kind::BadFraming, why),
            HeadError::Host => (Kind::BadHost, "HTTP/1.1 needs exactly one valid Host field"),
            HeadError::Target => (
                Kind::BadTarget,
                "the target is /PATH or http://HOST/PATH, other characters percent-encoded",
            ),
            HeadError::Misdirected => (
                Kind::Misdirected,
                "what is asked of https:// is served on `https.port`, and what is asked of http:// \
                 on `http.port`",
            ),
            HeadError::LineTooLong => {
                (Kind::TargetTooLong, "a request line is at most 10240 bytes")
            }
            HeadError::TooLarge => (
                Kind::HeadTooLarge,
                "a head is at most 16384 bytes and 96 header lines",
            ),
            HeadError::Method => (
                Kind::MethodUnknown,
                "the methods are GET, HEAD, PUT, DELETE, POST and OPTIONS",
            ),
            HeadError::Version => (Kind::VersionUnknown, "write HTTP/1.1 in the request line"),
            HeadError::Coding => (Kind::CodingUnknown, "write `Transfer-Encoding: chunked`"),
            HeadError::Expectation => (Kind::ExpectationUnknown, "write `Expect: 100-continue`"),
        };
        self.refuse(
            cx,
            Problem::new(kind, alloc::format!("It was refused since {detail}.")),
        )
    }

    /// Refuses a request that did not arrive in time; the connection ends.
    pub(super) fn refuse_late(&mut self, cx: &mut Context<'_>) -> Turn {
        cx.service.counters.timeouts += 1;
        let head = self.head.finish();
        self.begin_line(cx, &head);
        self.exchange = match head.is_empty() {
            true => self.exchange.given_up(),
            false => Exchange::broken(HeadOnly::of(&head)),
        };
        let detail = "The peer stopped sending in the middle of a request.";
        self.refuse(cx, Problem::new(Kind::RequestTimeout, detail))
    }

    /// Goes on after an answer that is sent.
    pub(super) fn turn_flush(&mut self, cx: &mut Context<'_>, after: After) -> Turn {
        if self.line.is_some() {
            self.log_line(cx.service, cx.now);
        }
        match after {
            After::Next => self.next_request(cx),
            After::Drop(body) => {
                self.deadline_ns = cx.after(cx.service.config.limits.body_timeout_ns);
                self.become_phase(Phase::Drop(body))
            }
            After::Finish => {
                self.busy = None;
                self.become_phase(Phase::Finished)
            }
            After::Linger => {
                self.busy = None;
                self.deadline_ns = cx.after(LINGER_NS);
                self.become_phase(Phase::Linger(LINGER_BYTES_MAX))
            }
        }
    }

    pub(super) fn next_request(&mut self, cx: &mut Context<'_>) -> Turn {
        self.busy = None;
        self.fresh = Fresh::No;
        self.deadline_ns = cx.after(cx.service.config.limits.idle_timeout_ns);
        self.expect_head();
        Turn::Again
    }

    /// Reads the rest of a body nobody wants; it is short, as [`Exchange::after`] saw to.
    pub(super) fn turn_drop(&mut self, cx: &mut Context<'_>, mut body: Body) -> Turn {
        debug_assert!(matches!(body, Body::Length(left) if left <= DROPPED_BYTES_MAX));
        let input = cx.receive(&mut |bytes| body.read(bytes, &mut <[u8]>::len).unwrap_or(0));
        if body == Body::Complete {
            return self.next_request(cx);
        }
        match input {
            Input::Bytes(count) if count > 0 => self.become_phase(Phase::Drop(body)),
            Input::Finished | Input::Gone => self.become_phase(Phase::Finished),
            _ if cx.is_past(self.deadline_ns) => self.become_phase(Phase::Finished),
            _ => {
                self.phase = Phase::Drop(body);
                Turn::Peer
            }
        }
    }

    /// Drops what still comes, so that the answer is not lost to a reset.
    pub(super) fn turn_linger(&mut self, cx: &mut Context<'_>, left_bytes: u64) -> Turn {
        let mut left_bytes = left_bytes;
        let input = cx.receive(&mut |bytes| {
            let taken = (bytes.len() as u64).min(left_bytes);
            left_bytes -= taken;
            taken as usize
        });
        let over = left_bytes == 0 || cx.is_past(self.deadline_ns);
        match input {
            Input::Finished | Input::Gone => self.become_phase(Phase::Finished),
            _ if over => self.become_phase(Phase::Finished),
            Input::Bytes(_) => self.become_phase(Phase::Linger(left_bytes)),
            Input::Nothing => {
                self.phase = Phase::Linger(left_bytes);
                Turn::Peer
            }
        }
    }
}
