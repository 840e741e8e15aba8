//! `/-/admin/power/off` and `/-/admin/power/reboot`: the end of this boot, in good order.

use crate::answer::Answer;
use crate::service::{Power, Service};
use alloc::format;

/// Asks the roof for it. 202: requests in progress are answered and the store is closed first.
pub(super) fn ask(service: &mut Service, power: Power) -> Answer {
    service.ask_power(power);
    let word = match power {
        Power::Off => "off",
        Power::Reboot => "reboot",
    };
    let text = format!("{{\"power\":\"{word}\"}}\n");
    Answer::text(202, "application/json", text)
}
