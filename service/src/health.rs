//! `/healthz` and `/readyz`: is the loop turning, and what can be done now.

use crate::answer::Answer;
use crate::http::target;
use crate::problem::{Kind, Problem};
use crate::route;
use crate::service::Service;
use alloc::format;
use alloc::string::String;
use store::State;
use store::block::Durability;

const TEXT: &str = "text/plain; charset=utf-8";

const WAITS: &str =
    "what is asked waits 10 s for it, and what comes later is refused until it is back";

/// `GET /healthz`: that this is answered at all is the answer.
pub(crate) fn healthz() -> Answer {
    Answer::text(200, TEXT, "ok\n".into())
}

/// `GET /readyz[?for=read|write]`: 503 while what is asked for cannot be done.
pub(crate) fn readyz(service: &Service, query: Option<&str>) -> Result<Answer, Problem> {
    let [purpose] = target::parameters(query, ["for"]).map_err(route::bad_query)?;
    let for_write = match purpose.as_deref() {
        None | Some(b"read") => false,
        Some(b"write") => true,
        Some(_) => {
            let detail = "Write `for=read` or `for=write`.";
            return Err(Problem::new(Kind::BadParameter, detail));
        }
    };
    let (reads, writes, why) = match service.store.state() {
        State::Opening => (false, false, "the store is opening"),
        State::Ready => (true, true, ""),
        State::ReadOnly(why) => (true, false, &**why),
        State::Refused(why) => (false, false, &**why),
        State::Closed => (false, false, "the store is closed"),
    };
    let away = service.store.disk_absence().filter(|_| reads || writes);
    let (reads, writes) = (reads && away.is_none(), writes && away.is_none());
    let draining = service.is_draining();
    let ready = !draining && if for_write { writes } else { reads };
    let mut text = String::new();
    line(&mut text, "ready", yes_no(ready));
    line(&mut text, "reads", yes_no(reads));
    line(&mut text, "writes", yes_no(writes));
    if draining {
        line(&mut text, "why", "shutting down");
    }
    if let Some(away) = away {
        line(&mut text, "why", &format!("{away}; {WAITS}"));
    }
    if !why.is_empty() {
        line(&mut text, "why", why);
    }
    match service.store.durability() {
        Some(Durability::Flush) => line(&mut text, "durability", "flush"),
        Some(Durability::Barrier) => line(&mut text, "durability", "barrier"),
        Some(Durability::Backend) => line(&mut text, "durability", "up to the backend"),
        None => {}
    }
    if let Some(note) = &service.environment.note {
        line(&mut text, "note", note);
    }
    Ok(Answer::text(if ready { 200 } else { 503 }, TEXT, text))
}

fn yes_no(condition: bool) -> &'static str {
    if condition { "yes" } else { "no" }
}

/// `name: value`, whatever is in the value, on one line.
fn line(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }));
    out.push('\n');
}
