//! One connection: requests in, answers out, nothing kept that need not be.
//!
//! A connection is in one [`Phase`] at a time. A step sends what waits, then
//! takes one turn of the phase, and so on until somebody else has to move
//! (the peer, the store) or the step's budget is used up. Input stays in the
//! transport until the phase can use it; a value is read from the store piece
//! by piece as the transport has room. So neither a slow peer nor a slow disk
//! makes a connection grow; what the answers of lists and batches take is
//! counted ([`crate::allowance`]) until it is sent.

mod at_once;
mod awaiting;
mod backing_up;
mod collecting;
mod exchange;
mod head_buffer;
mod holding;
mod incrementing;
mod listing;
mod output;
mod pace;
mod receiving;
mod secured;
mod sending;
mod sink;
mod stake;
mod streaming;
mod turns;
mod watching;

use crate::access::Line;
use crate::awaited::Awaited;
use crate::channel::Channel;
use crate::gauge::Counted;
use crate::incr::Increment;
use crate::listing::Values;
use crate::plane::Plane;
use crate::problem::Problem;
use crate::route::Accepted;
use crate::segment;
use crate::segment::{Input, Progress, Transport};
use crate::service::{Pending, Service};
use crate::value::Fetch;
use alloc::boxed::Box;
use alloc::vec::Vec;
use backing_up::BackingUp;
use collecting::Collecting;
use core::net::SocketAddr;
use exchange::{After, Exchange, HeadOnly};
use head_buffer::HeadBuffer;
use holding::Held;
use output::Output;
pub(crate) use pace::BYTES_PER_S_MIN;
use pace::Pace;
use receiving::Receiving;
use secured::Secure;
use sending::Sending;
pub(crate) use sink::Sink;
pub(crate) use stake::STAKES;
pub use stake::Stake;
use store::Now;
use watching::Watching;

/// Turns of one step.
const TURNS_MAX: u32 = 64;
/// Bytes in and out after which a step yields.
const STEP_BYTES_MAX: usize = 256 * 1024;

/// One connection's state machine.
///
/// Idle it is its own size and nothing more: all else is allocated while a request needs it.
pub struct Connection {
    peer: SocketAddr,
    plane: Plane,
    phase: Phase,
    head: HeadBuffer,
    exchange: Exchange,
    output: Output,
    deadline_ns: u64,
    /// How long the peer may go on as slow as it is.
    pace: Pace,
    failed_logins: u8,
    /// Whether a request has been answered: a connection without one may still bring its first.
    fresh: Fresh,
    counted: Option<Counted>,
    busy: Option<Counted>,
    /// What the access log is told of the request in progress.
    line: Option<Box<Line>>,
    channel: Channel,
    /// Its TLS, unless its bytes are carried as they are.
    secure: Option<Box<Secure>>,
}

/// Thousands of idle connections are to fit a MiB.
const _: () = assert!(size_of::<Connection>() <= 256);

/// Whether a connection has had a request yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

/// What a connection is doing, once its output is sent.
enum Phase {
    /// Waiting for a head, or for the rest of it.
    Head,
    /// Waiting for the store with this head, to judge it anew.
    Again(Box<Unjudged>),
    /// Keeping a refused guess waiting.
    Delay(Box<Problem>),
    /// Taking a body into the store.
    Receive(Box<Receiving>),
    /// Taking a short body into memory.
    Collect(Box<Collecting>),
    /// Waiting for a change to be durable.
    Commit(Box<Commit>),
    /// Waiting until what the answer saw is durable.
    Hold(Box<Held>),
    /// Waiting for the headers of a value.
    Fetch(Box<Fetch>),
    /// Sending a value.
    Send(Box<Sending>),
    /// Sending a backup.
    BackUp(Box<BackingUp>),
    /// Waiting for the value that a number is added to.
    Increment(Box<Increment>),
    /// Putting a page of values together.
    List(Box<Values>),
    /// Waiting for what comes about in any case.
    Await(Awaited),
    /// Telling changes.
    Watch(Box<Watching>),
    /// An answer is complete.
    Flush(After),
    /// Reading a body nobody wants.
    Drop(crate::http::body::Body),
    /// Reading what comes after the last answer; so many bytes at most.
    Linger(u64),
    /// Over; the peer has everything.
    Finished,
    /// Over, and broken off.
    Aborted,
}

/// A head whose answer cannot be said yet.
struct Unjudged(Vec<u8>);

/// A change, and what it is.
struct Commit {
    pending: Pending,
    accepted: Accepted,
}

/// What a turn led to.
enum Turn {
    /// Another turn can be taken.
    Again,
    /// The peer has to move.
    Peer,
    /// The store has to move.
    Store,
    /// A change of the store has to become durable.
    Change,
}

/// What a turn works with.
struct Context<'c> {
    service: &'c mut Service,
    transport: &'c mut dyn Transport,
    now: Now,
    moved_bytes: usize,
}

impl Context<'_> {
    /// Offers input to `take`, and counts it.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8]) -> usize) -> Input {
        let input = self.transport.receive(take);
        if let Input::Bytes(count) = input {
            self.moved_bytes += count;
            self.service.counters.received_bytes += count as u64;
        }
        input
    }

    fn is_past(&self, deadline_ns: u64) -> bool {
        self.now.monotonic_ns >= deadline_ns
    }

    fn after(&self, duration_ns: u64) -> u64 {
        self.now.monotonic_ns.saturating_add(duration_ns)
    }
}

impl Connection {
    /// A connection just accepted from `peer` by the door of `plane`.
    pub fn new(peer: SocketAddr, plane: Plane, now: Now) -> Self {
        Connection {
            peer,
            plane,
            phase: Phase::Head,
            head: HeadBuffer::default(),
            exchange: Exchange::broken(HeadOnly::No),
            output: Output::default(),
            deadline_ns: now.monotonic_ns,
            pace: Pace::default(),
            failed_logins: 0,
            fresh: Fresh::Yes,
            counted: None,
            busy: None,
            line: None,
            channel: Channel::Plain,
            secure: None,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether it waits for a request.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.head.is_empty() && self.output.is_empty()
    }

    /// Does what can be done now; the answer says when to step again.
    ///
    /// After [`Progress::Finish`] or [`Progress::Abort`] the connection is over and is to be
    /// dropped; stepping it again repeats the answer.
    pub fn step(
        &mut self,
        service: &mut Service,
        transport: &mut dyn segment::Transport,
        now: Now,
    ) -> Progress {
        match self.channel {
            Channel::Plain => self.step_plain(service, transport, now),
            Channel::Secure => self.step_in(service, transport, now),
        }
    }

    fn step_plain(
        &mut self,
        service: &mut Service,
        transport: &mut dyn segment::Transport,
        now: Now,
    ) -> Progress {
        if self.counted.is_none() {
            self.enter(service);
        }
        let mut cx = Context {
            service,
            transport,
            now,
            moved_bytes: 0,
        };
        self.notice_loss(&mut cx);
        for _ in 0..TURNS_MAX {
            if cx.moved_bytes > STEP_BYTES_MAX {
                break;
            }
            let waits = !self.output.is_empty();
            if waits && !self.wants_more_output(&cx) && !self.flush(&mut cx) {
                if cx.is_past(self.deadline_ns) {
                    cx.service.counters.timeouts += 1;
                    self.tell_of_backup("it takes no more");
                    self.abort();
                    return self.over(cx.service, now, Progress::Abort);
                }
                return Progress::Peer {
                    deadline_ns: self.deadline_ns,
                };
            }
            match self.phase {
                Phase::Finished => return self.over(cx.service, now, Progress::Finish),
                Phase::Aborted => return self.over(cx.service, now, Progress::Abort),
                _ => {}
            }
            let turn = match self.phase {
                Phase::Head => self.answer_at_once(&mut cx),
                _ => None,
            };
            match turn.unwrap_or_else(|| self.turn(&mut cx)) {
                Turn::Again => {}
                Turn::Peer => {
                    return Progress::Peer {
                        deadline_ns: self.deadline_ns,
                    };
                }
                Turn::Change => {
                    return Progress::Change {
                        deadline_ns: self.deadline_ns,
                    };
                }
                Turn::Store => {
                    self.flush(&mut cx);
                    return Progress::Store {
                        deadline_ns: self.deadline_ns,
                    };
                }
            }
        }
        Progress::Again
    }

    /// Counts as a connection from its first step on.
    #[cold]
    fn enter(&mut self, service: &mut Service) {
        self.counted = Some(service.open.enter());
        service.counters.connections += 1;
        let limits = &service.config.limits;
        let patience_ns = match self.channel {
            Channel::Plain => limits.idle_timeout_ns,
            // So long for the handshake.
            Channel::Secure => limits.head_timeout_ns,
        };
        self.deadline_ns = self.deadline_ns.saturating_add(patience_ns);
    }

    /// Ends what is in progress when the peer is gone.
    fn notice_loss(&mut self, cx: &mut Context<'_>) {
        // The other phases look at the input anyway.
        let blind = matches!(
            self.phase,
            Phase::Delay(_)
                | Phase::Again(_)
                | Phase::Commit(_)
                | Phase::Hold(_)
                | Phase::Fetch(_)
                | Phase::Send(_)
                | Phase::BackUp(_)
                | Phase::Increment(_)
                | Phase::List(_)
                | Phase::Await(_)
                | Phase::Watch(_)
                | Phase::Flush(_)
        );
        if (blind || !self.output.is_empty()) && cx.transport.receive(&mut |_| 0) == Input::Gone {
            self.abort();
        }
    }

    /// Whether more of the value should be queued first, so that it goes with what waits.
    fn wants_more_output(&self, cx: &Context<'_>) -> bool {
        matches!(self.phase, Phase::Send(_) | Phase::BackUp(_))
            && self.output.piece_count() < 2
            && cx.transport.send_room() > self.output.len_bytes()
    }

    /// Sends what waits; whether all is sent.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.output.is_empty() {
            return true;
        }
        let sent = self.output.send(cx.transport);
        if sent > 0 {
            cx.moved_bytes += sent;
            cx.service.counters.sent_bytes += sent as u64;
            if let Some(line) = &mut self.line {
                line.sent(sent);
            }
            let limits = &cx.service.config.limits;
            let patience_ns = match self.phase {
                Phase::Receive(_) | Phase::Collect(_) => limits.body_timeout_ns,
                _ => limits.answer_timeout_ns,
            };
            self.deadline_ns = self.pace.moved(sent, cx.now.monotonic_ns, patience_ns);
            if self.output.is_empty() {
                // Whoever is waited for now is not to have less time for this peer's.
                self.pace.end();
                self.deadline_ns = cx.after(patience_ns);
            }
        }
        self.output.is_empty()
    }

    /// One turn of the phase. Each sets the phase anew; one that forgets has aborted.
    fn turn(&mut self, cx: &mut Context<'_>) -> Turn {
        match core::mem::replace(&mut self.phase, Phase::Aborted) {
            Phase::Head => self.turn_head(cx),
            Phase::Again(head) => self.turn_again(cx, *head),
            Phase::Delay(problem) => self.turn_delay(cx, problem),
            Phase::Receive(receiving) => self.turn_receive(cx, receiving),
            Phase::Collect(collecting) => self.turn_collect(cx, collecting),
            Phase::Commit(commit) => self.turn_commit(cx, commit),
            Phase::Hold(held) => self.turn_hold(cx, held),
            Phase::Fetch(fetch) => self.turn_fetch(cx, fetch),
            Phase::Send(sending) => self.turn_send(cx, sending),
            Phase::BackUp(backing_up) => self.turn_back_up(cx, backing_up),
            Phase::Increment(increment) => self.turn_increment(cx, increment),
            Phase::List(values) => self.turn_list(cx, values),
            Phase::Await(awaited) => self.turn_await(cx, awaited),
            Phase::Watch(watching) => self.turn_watch(cx, watching),
            Phase::Flush(after) => self.turn_flush(cx, after),
            Phase::Drop(body) => self.turn_drop(cx, body),
            Phase::Linger(left_bytes) => self.turn_linger(cx, left_bytes),
            Phase::Finished => self.become_phase(Phase::Finished),
            Phase::Aborted => Turn::Again,
        }
    }

    /// Begins the access log's line of a request with this head.
    fn begin_line(&mut self, cx: &Context<'_>, head: &[u8]) {
        if self.line.is_none() && cx.service.logs_access() {
            let line = Line::of(self.peer.ip(), cx.now.wall_ns, head);
            self.line = Some(Box::new(line));
        }
    }

    /// The connection ends so, whatever was in progress.
    #[cold]
    fn over(&mut self, service: &mut Service, now: Now, progress: Progress) -> Progress {
        self.log_line(service, now);
        progress
    }

    /// Ends it.
    fn log_line(&mut self, service: &mut Service, now: Now) {
        if let Some(line) = self.line.take() {
            service.log_access(&line, now);
        }
    }

    /// Waits for a head, as it may do already.
    fn expect_head(&mut self) {
        if !matches!(self.phase, Phase::Head) {
            self.phase = Phase::Head;
        }
    }

    fn become_phase(&mut self, phase: Phase) -> Turn {
        self.phase = phase;
        Turn::Again
    }

    /// Gives up everything held for the peer.
    fn abort(&mut self) {
        self.phase = Phase::Aborted;
        self.output.clear();
        self.busy = None;
    }
}
