//! What is lost with a connection that has to make room for others.

use super::turns::DELAY_MAX_NS;
use super::{Connection, Fresh, Phase};
use crate::segment::Progress;
use crate::service::Service;
use store::Now;

/// What a connection is in the middle of, from what is lost least with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stake {
    /// It never had a request.
    Silent,
    /// A part of a request's head has come.
    Head,
    /// All is said and taken, but for the end of it.
    Ending,
    /// Its TLS begins.
    Handshake,
    /// It waits for another request.
    Idle,
    /// It watches, and can go on where it was.
    Watch,
    /// A request or an answer is under way.
    Transfer,
    /// The appliance has to move, and not the peer.
    Work,
}

/// Their names, in order.
pub(crate) const STAKES: [&str; 8] = [
    "silent",
    "head",
    "ending",
    "handshake",
    "idle",
    "watch",
    "transfer",
    "work",
];

impl Service {
    /// A connection has made room.
    pub fn displaced(&mut self, stake: Stake) {
        self.counters.displaced[stake as usize] += 1;
    }
}

impl Connection {
    /// What is lost with it, and since when its peer has not done what it should; `None` if it
    /// has nothing to do. Whether it is its turn is what [`Progress`] said last.
    pub fn stake(&self, service: &Service) -> (Stake, Option<u64>) {
        let limits = &service.config().limits;
        let is_sent = self.output.is_empty();
        let (stake, patience_ns) = match &self.phase {
            Phase::Head if self.is_before_session() => (Stake::Silent, limits.head_timeout_ns),
            Phase::Head if self.is_in_handshake() => (Stake::Handshake, limits.head_timeout_ns),
            Phase::Head if !is_sent => (Stake::Transfer, limits.answer_timeout_ns),
            Phase::Head if !self.head.is_empty() => (Stake::Head, limits.head_timeout_ns),
            Phase::Head if self.fresh == Fresh::Yes => (Stake::Silent, limits.idle_timeout_ns),
            Phase::Head => (Stake::Idle, limits.idle_timeout_ns),
            Phase::Flush(_) if !is_sent => (Stake::Transfer, limits.answer_timeout_ns),
            // Who guesses tokens is kept waiting, and loses nothing.
            Phase::Delay(_) => (Stake::Head, DELAY_MAX_NS),
            Phase::Flush(_) | Phase::Linger(_) | Phase::Finished | Phase::Aborted => {
                return (Stake::Ending, self.ends_since_ns());
            }
            Phase::Watch(_) => (Stake::Watch, limits.answer_timeout_ns),
            Phase::Receive(_) | Phase::Collect(_) | Phase::Drop(_) => {
                (Stake::Transfer, limits.body_timeout_ns)
            }
            Phase::Send(_) | Phase::BackUp(_) => (Stake::Transfer, limits.answer_timeout_ns),
            Phase::Again(_)
            | Phase::Commit(_)
            | Phase::Hold(_)
            | Phase::Fetch(_)
            | Phase::Increment(_)
            | Phase::List(_)
            | Phase::Await(_) => return (Stake::Work, None),
        };
        // Its first step sets its deadline.
        let is_new = self.counted.is_none();
        let since_ns = self.deadline_ns.saturating_sub(patience_ns);
        (stake, Some(since_ns).filter(|_| !is_new))
    }

    /// Ends it, so that others have room; it is to be aborted, and dropped.
    pub fn give_way(&mut self, service: &mut Service, now: Now) {
        let (stake, _) = self.stake(service);
        service.displaced(stake);
        self.end(service, now, "others needed its place");
    }

    /// Ends it before its time; it is to be aborted, and dropped.
    pub fn end(&mut self, service: &mut Service, now: Now, why: &str) {
        self.tell_of_backup(why);
        self.abort();
        self.over(service, now, Progress::Abort);
    }
}
