//! `/-/incr/BUCKET/KEY`: a value that is an integer, and a number added to it.
//!
//! A value is an integer as Redis has it: decimal digits of 64 bits, a `-` before it or nothing,
//! and no zero in front. What it is goes by everything accepted before, durable or not, so that of
//! many who add at once each gets a number of its own.

use crate::auth::Intent;
use crate::http::head::Request;
use crate::kv::{self, Place, Written};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Accepted, Action};
use crate::service::{Pending, Service};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use store::{Accepted as Before, Batch, Change, Condition, Headers, Metadata, Now, Reader, Seq};

/// Digits of an integer and its sign: a longer value is none, and need not be read.
const INTEGER_BYTES_MAX: usize = 20;
/// What a counter is to a browser that nobody told.
const COUNTER_TYPE: &str = "text/plain; charset=utf-8";

/// An addition that has to wait.
pub(crate) struct Increment {
    place: Place,
    by: i64,
    /// What has to hold, or that it does not.
    condition: Result<Condition, Problem>,
    pub(crate) waits: Waits,
}

/// What an addition waits for.
pub(crate) enum Waits {
    /// Nothing.
    Not,
    /// Until it can be told which value the key has.
    Told(Pending),
    /// For a value and its headers.
    Value(Box<Reading>),
}

/// A value that is being read.
pub(crate) struct Reading {
    pub(crate) reader: Reader,
    seq: Seq,
    pub(crate) headers: Headers,
    pub(crate) value: Vec<u8>,
}

/// `POST /-/incr/BUCKET/KEY?by=N`.
pub(crate) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    place: Place,
    now: Now,
) -> Result<Action, Problem> {
    let [by] = kv::parameters(request, ["by"])?;
    route::admit(service, request, Intent::Write)?;
    route::refuse_body(request.framing)?;
    let by = match &by {
        None => 1,
        Some(text) => integer(text).ok_or_else(|| {
            let detail = "`by` is an integer of 64 bits: digits, and a - before them or nothing.";
            Problem::new(Kind::BadParameter, detail)
        })?,
    };
    let condition = match kv::condition(service, request, &place, now) {
        Err(problem) if problem.kind != Kind::ConditionFailed => return Err(problem),
        told => told,
    };
    let increment = Increment {
        place,
        by,
        condition,
        waits: Waits::Not,
    };
    go_on(service, increment)
}

/// Adds, if it is known to what; if not, what has to be waited for.
///
/// # Errors
/// The refusal to answer with.
pub(crate) fn go_on(service: &mut Service, increment: Increment) -> Result<Action, Problem> {
    let Place { bucket, key } = &increment.place;
    let before = service.store.accepted(bucket, key);
    let read = match &increment.waits {
        Waits::Value(reading) => Some(&**reading),
        Waits::Not | Waits::Told(_) => None,
    };
    match before.map_err(refusal::problem)? {
        Before::Absent => add(service, &increment, Some(0), counter()),
        Before::Known { value, headers, .. } => add(service, &increment, integer(&value), headers),
        Before::Unread { version, .. } if version.len_bytes > INTEGER_BYTES_MAX as u64 => {
            add(service, &increment, None, counter())
        }
        Before::Unread { version, reader } => match read.filter(|read| read.seq == version.seq) {
            Some(read) => {
                let headers = read.headers.clone();
                add(service, &increment, integer(&read.value), headers)
            }
            None => Ok(wait(increment, reading(&version, *reader))),
        },
        Before::Later(ticket) => {
            let pending = service.pending(ticket);
            Ok(wait(increment, Waits::Told(pending)))
        }
    }
}

fn reading(version: &Metadata, reader: Reader) -> Waits {
    Waits::Value(Box::new(Reading {
        reader,
        seq: version.seq,
        headers: Headers::default(),
        value: Vec::new(),
    }))
}

fn wait(increment: Increment, waits: Waits) -> Action {
    Action::Increment(Box::new(Increment { waits, ..increment }))
}

/// Hands the sum in; what is no integer is refused once it is durable that it is none.
fn add(
    service: &mut Service,
    increment: &Increment,
    before: Option<i64>,
    headers: Headers,
) -> Result<Action, Problem> {
    let Some(before) = before else {
        return refused(service, increment, not_an_integer());
    };
    let Some(sum) = before.checked_add(increment.by) else {
        return refused(service, increment, overflow(before, increment.by));
    };
    let condition = match &increment.condition {
        Ok(condition) => condition.clone(),
        // That it is this refusal and no other may be on account of what is not durable.
        Err(problem) => return refused(service, increment, problem.clone()),
    };
    let put = Change::Put {
        value: sum.to_string().into_bytes(),
        headers,
    };
    let accepted = Accepted::Value(Written::Incremented(sum));
    submit(service, &increment.place, (condition, put), accepted)
}

/// A refusal that is told once what it is about is durable. Where it is one without its conditions
/// as well, they do not count (RFC 9110 section 13.2.1).
fn refused(
    service: &mut Service,
    increment: &Increment,
    problem: Problem,
) -> Result<Action, Problem> {
    let seen = (Condition::None, Change::Check);
    submit(
        service,
        &increment.place,
        seen,
        Accepted::Refused(Box::new(problem)),
    )
}

fn submit(
    service: &mut Service,
    place: &Place,
    (condition, change): (Condition, Change),
    accepted: Accepted,
) -> Result<Action, Problem> {
    let changes = Vec::from([(place.bucket.clone(), place.key.clone(), condition, change)]);
    let ticket = service.store.submit(Batch { changes });
    let ticket = ticket.map_err(refusal::problem)?;
    Ok(Action::Commit(service.pending(ticket), accepted))
}

/// What is kept with a counter that was not there.
fn counter() -> Headers {
    Headers {
        content_type: Some(COUNTER_TYPE.into()),
        ..Headers::default()
    }
}

/// The integer that these bytes are, if they are one.
fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = match digits {
        [] => false,
        [b'0'] => digits.len() == text.len(),
        [b'0', ..] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    };
    let text = core::str::from_utf8(text).ok().filter(|_| is_plain)?;
    text.parse().ok()
}

fn not_an_integer() -> Problem {
    let detail = "The value is no integer of 64 bits (digits, and a - before them or nothing); \
                  nothing was written.";
    Problem::new(Kind::NotAnInteger, detail)
}

fn overflow(before: i64, by: i64) -> Problem {
    let detail = format!("{before} and {by} are more than 64 bits hold; nothing was written.");
    Problem::new(Kind::Overflow, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_redis() {
        for (text, expect) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            ("-01", None),
            ("1 ", None),
            (" 1", None),
            ("1\n", None),
            ("1.0", None),
            ("0x1", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expect, "{text:?}");
        }
    }
}
