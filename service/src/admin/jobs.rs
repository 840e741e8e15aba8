//! `/-/admin/jobs`: what takes long, how far it is, and how to stop it.

use crate::answer::Answer;
use crate::jobs::{Job, Kind, Running, State};
use crate::json;
use crate::problem::{Kind as ProblemKind, Problem};
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// All of them, in the order they began; those that have ended stay for a while.
pub(super) fn list(service: &Service) -> Answer {
    let mut out = String::from("{\"jobs\":[");
    for (index, job) in service.jobs.all().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, job);
    }
    out.push_str("]}\n");
    Answer::text(200, "application/json", out)
}

/// One of them.
pub(super) fn show(service: &Service, id: u64) -> Result<Answer, Problem> {
    Ok(object(200, &found(service, id)?))
}

/// Stops one that runs. 202: it gives back what it holds with the next step of the store, and its
/// connection ends when it moves, or is late.
pub(super) fn stop(service: &mut Service, id: u64) -> Result<Answer, Problem> {
    let job = found(service, id)?;
    if job.state != State::Running {
        let detail = "This job has ended; there is nothing to stop.";
        return Err(Problem::new(ProblemKind::JobEnded, detail));
    }
    job.stop.stop();
    service.look_after_scrub();
    Ok(object(202, &found(service, id)?))
}

/// Why somebody's job ends before its end.
pub(crate) fn stopped() -> Problem {
    let detail = "The owner has stopped this job; nothing of it is left.";
    Problem::new(ProblemKind::JobStopped, detail)
}

fn found(service: &Service, id: u64) -> Result<Job, Problem> {
    service.jobs.get(id).ok_or_else(|| {
        let detail = "There is no job of this number; GET the list of those there are.";
        Problem::new(ProblemKind::NoSuchJob, detail)
    })
}

impl Service {
    /// The store does a scrub by itself: takes over how far it is, and that it is to stop.
    pub(crate) fn look_after_scrub(&mut self) {
        let Some(job) = self.scrub.take() else { return };
        if job.is_stopped() {
            self.store.stop_scrub();
        }
        let status = self.store.scrub_status();
        job.note(status.checked_bytes, status.all_bytes);
        match (status.is_running, status.is_complete) {
            (true, _) => self.scrub = Some(job),
            (false, true) => job.done(),
            (false, false) => drop::<Running>(job),
        }
    }
}

fn object(status_code: u16, job: &Job) -> Answer {
    let mut out = String::new();
    push(&mut out, job);
    out.push('\n');
    Answer::text(status_code, "application/json", out)
}

fn push(out: &mut String, job: &Job) {
    let kind = match job.kind {
        Kind::Backup => "backup",
        Kind::Restore => "restore",
        Kind::Scrub => "scrub",
        Kind::Site => "site",
    };
    let state = match job.state {
        State::Running if job.stop.is_stopped() => "stopping",
        State::Running => "running",
        State::Done => "done",
        State::Stopped => "stopped",
        State::Failed => "failed",
        State::Unknown => "unknown",
    };
    let _ = write!(out, "{{\"id\":{},", job.id);
    json::push_member(out, "kind", kind);
    out.push(',');
    json::push_member(out, "state", state);
    if let Some(peer) = job.peer {
        out.push(',');
        json::push_member(out, "peer", &format!("{peer}"));
    }
    let Job {
        begun_ms,
        moved_ms,
        ended_ms,
        done_bytes,
        all_bytes,
        ..
    } = job;
    let _ = write!(
        out,
        ",\"begun_ms\":{begun_ms},\"moved_ms\":{moved_ms},\"ended_ms\":{ended_ms},\
         \"done_bytes\":{done_bytes},\"all_bytes\":{all_bytes}}}"
    );
}
