//! `/-/admin/scrub`: reading and checking all records on the disk, while others work.

use crate::answer::Answer;
use crate::jobs::Kind;
use crate::problem::Problem;
use crate::refusal;
use crate::service::Service;
use alloc::format;
use store::ScrubStatus;
use store::backup::Stop;

/// How far it is, or what the last one came to.
pub(super) fn show(service: &Service) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    Ok(object(200, &service.store.scrub_status()))
}

/// Begins one.
pub(super) fn begin(service: &mut Service) -> Result<Answer, Problem> {
    service.store.begin_scrub().map_err(refusal::problem)?;
    let job = service.jobs.begin(Kind::Scrub, None, Stop::default());
    service.scrub = Some(job);
    Ok(object(202, &service.store.scrub_status()))
}

fn object(status_code: u16, status: &ScrubStatus) -> Answer {
    let ms = |wall_ns: u64| wall_ns / 1_000_000;
    let ScrubStatus {
        is_running,
        begun_wall_ns,
        ended_wall_ns,
        all_bytes,
        checked_bytes,
        findings,
        is_complete,
    } = *status;
    let (begun_ms, ended_ms) = (ms(begun_wall_ns), ms(ended_wall_ns));
    let text = format!(
        "{{\"running\":{is_running},\"begun_ms\":{begun_ms},\"ended_ms\":{ended_ms},\
         \"all_bytes\":{all_bytes},\"checked_bytes\":{checked_bytes},\"findings\":{findings},\"complete\":{is_complete}}}\n"
    );
    Answer::text(status_code, "application/json", text)
}
