//! `/-/admin/crash`: what earlier guests on this disk have died of, until it is acknowledged.

use crate::answer::Answer;
use crate::json;
use crate::problem::Problem;
use crate::refusal;
use crate::service::Service;
use alloc::format;
use alloc::string::String;

/// All that are not acknowledged, the oldest first.
pub(super) fn show(service: &Service) -> Result<Answer, Problem> {
    refusal::refuse_unreadable(&service.store)?;
    Ok(list(service, 200))
}

/// They are known now; what is erased is shown until that is durable.
pub(super) fn acknowledge(service: &mut Service) -> Result<Answer, Problem> {
    service
        .store
        .acknowledge_crashes()
        .map_err(refusal::problem)?;
    Ok(list(service, 202))
}

fn list(service: &Service, status_code: u16) -> Answer {
    let mut text = String::from("{\"crashes\":[");
    for (index, crash) in service.store.crashes().iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!(
            "{comma}{{\"number\":{},\"wall_ms\":{},\"uptime_ms\":{},",
            crash.number,
            crash.wall_ns / 1_000_000,
            crash.uptime_ns / 1_000_000
        ));
        json::push_member(&mut text, "text", &crash.text);
        text.push('}');
    }
    text.push_str("]}\n");
    Answer::text(status_code, "application/json", text)
}
