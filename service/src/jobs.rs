//! What takes long, and how far it is: backups, restores, scrubs and pushes of sites.
//!
//! # Invariants
//!
//! - A job that is dropped before its end has been told was stopped, or has failed.
//! - All that run are in the list, and the last that have ended.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::net::SocketAddr;
use store::backup::Stop;

/// Jobs that have ended and are still told of.
const ENDED_MAX: u64 = 16;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Backup,
    Restore,
    Scrub,
    Site,
}

/// How it is going, or how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Done,
    Stopped,
    Failed,
    /// Nobody waited for its end, and it may have come to it.
    Unknown,
}

/// One job; times are milliseconds since 1970, and 0 where there is none yet.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// Whose connection it is, if it is one's.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) begun_ms: u64,
    /// When it last came further.
    pub(crate) moved_ms: u64,
    pub(crate) ended_ms: u64,
    pub(crate) done_bytes: u64,
    /// 0 if nobody knows.
    pub(crate) all_bytes: u64,
    pub(crate) stop: Stop,
    /// The how-manieth to end.
    ended_nth: u64,
}

#[derive(Debug, Default)]
struct List {
    last_id: u64,
    ended: u64,
    now_ms: u64,
    jobs: VecDeque<Job>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Rc<RefCell<List>>);

/// A job under way, in the hands of who does it.
#[derive(Debug)]
pub(crate) struct Running {
    id: u64,
    list: Rc<RefCell<List>>,
}

impl Jobs {
    /// It is so late.
    pub(crate) fn note_time(&self, wall_ns: u64) {
        self.0.borrow_mut().now_ms = wall_ns / 1_000_000;
    }

    /// One more.
    pub(crate) fn begin(&self, kind: Kind, peer: Option<SocketAddr>, stop: Stop) -> Running {
        let mut list = self.0.borrow_mut();
        list.last_id += 1;
        let (id, now_ms) = (list.last_id, list.now_ms);
        list.jobs.push_back(Job {
            id,
            kind,
            state: State::Running,
            peer,
            begun_ms: now_ms,
            moved_ms: now_ms,
            ended_ms: 0,
            done_bytes: 0,
            all_bytes: 0,
            stop,
            ended_nth: 0,
        });
        Running {
            id,
            list: Rc::clone(&self.0),
        }
    }

    /// All that are told of, in the order they began.
    pub(crate) fn all(&self) -> VecDeque<Job> {
        self.0.borrow().jobs.clone()
    }

    /// One of them.
    pub(crate) fn get(&self, id: u64) -> Option<Job> {
        let list = self.0.borrow();
        list.jobs.iter().find(|job| job.id == id).cloned()
    }
}

impl List {
    fn job(&mut self, id: u64) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn end(&mut self, id: u64, state: State) {
        let (now_ms, nth) = (self.now_ms, self.ended + 1);
        if let Some(job) = self.job(id).filter(|job| job.state == State::Running) {
            job.state = state;
            job.ended_ms = now_ms;
            job.ended_nth = nth;
            self.ended = nth;
        }
        let last_told = self.ended.saturating_sub(ENDED_MAX);
        self.jobs
            .retain(|job| job.state == State::Running || job.ended_nth > last_told);
    }
}

impl Running {
    /// It has come so far.
    pub(crate) fn note(&self, done_bytes: u64, all_bytes: u64) {
        let mut list = self.list.borrow_mut();
        let now_ms = list.now_ms;
        if let Some(job) = list.job(self.id) {
            if job.done_bytes != done_bytes {
                job.moved_ms = now_ms;
            }
            (job.done_bytes, job.all_bytes) = (done_bytes, all_bytes);
        }
    }

    /// Whether it is to be stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        let mut list = self.list.borrow_mut();
        list.job(self.id).is_some_and(|job| job.stop.is_stopped())
    }

    /// All is done.
    pub(crate) fn done(self) {
        self.list.borrow_mut().end(self.id, State::Done);
    }

    /// It goes on without anybody who waits for it.
    pub(crate) fn unknown(self) {
        self.list.borrow_mut().end(self.id, State::Unknown);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let state = match self.is_stopped() {
            true => State::Stopped,
            false => State::Failed,
        };
        self.list.borrow_mut().end(self.id, state);
    }
}
