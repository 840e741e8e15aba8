//! `/-/admin/power/off` and `/-/admin/power/reboot`: the end of this boot, in good order.

use crate::answer::Answer;
use crate::problem::{Kind, Problem};
use crate::service::{Power, Service};
use alloc::format;

/// Asks the roof for it. 202: requests in progress are answered and the store is closed first.
/// Which end it will be is told: one that was asked for before stands.
///
/// # Errors
/// [`Kind::Ending`], if somebody else has asked for one.
pub(super) fn ask(service: &mut Service, power: Power) -> Result<Answer, Problem> {
    if service.is_draining() && service.asked_power().is_none() {
        let detail = "The toolstack or the console has asked for an end already; it comes.";
        return Err(Problem::new(Kind::Ending, detail));
    }
    let word = match service.ask_power(power) {
        Power::Off => "off",
        Power::Reboot => "reboot",
    };
    let text = format!("{{\"power\":\"{word}\"}}\n");
    Ok(Answer::text(202, "application/json", text))
}
