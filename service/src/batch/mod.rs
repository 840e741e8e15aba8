//! `/-/batch`: many changes, a line of JSON each, which happen all or not at all.

mod line;
mod results;

use crate::allowance::Held;
use crate::auth::Intent;
use crate::config;
use crate::connection::Sink;
use crate::http::head::{Framing, Request};
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::route::{self, Accepted, Action};
use crate::service::Service;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use line::{Item, Wanted};
use store::{At, Batch, Condition, Now};

pub(crate) use results::{Asked, answer, refused};

/// Most lines of a batch.
const LINES_MAX: usize = 4_096;
/// Longest body of a batch.
const BODY_BYTES_MAX: u64 = 1 << 20;
/// RAM of a line beside its bytes, from when it is read until its result is sent.
const LINE_BYTES: u64 = 1_024;

/// RAM of a tag, the allocator's part included.
const TAG_BYTES: u64 = 64;

/// A batch on its way in: its lines so far.
pub(crate) struct Collected {
    now: Now,
    items: Vec<Item>,
    /// The beginning of a line.
    begun: Vec<u8>,
    /// Lines that ended, empty ones included.
    lines: u64,
    taken_bytes: u64,
    held: Held,
    limits: Limits,
}

/// How much this batch, and all of them together, may take.
#[derive(Clone, Copy)]
struct Limits {
    body_bytes: u64,
    lines: u64,
    together_bytes: u64,
}

/// Longest body of a batch under these limits.
pub(crate) fn body_bytes_max(limits: &config::Limits) -> u64 {
    BODY_BYTES_MAX.min(limits.bodies_bytes / 4)
}

/// Most lines of a batch under these limits.
pub(crate) fn lines_max(limits: &config::Limits) -> u64 {
    (LINES_MAX as u64).min(limits.bodies_bytes / 2 / LINE_BYTES)
}

/// `POST /-/batch`.
pub(crate) fn begin(
    service: &mut Service,
    request: &Request<'_>,
    now: Now,
) -> Result<Action, Problem> {
    route::no_parameters(request.target.query)?;
    route::admit(service, request, Intent::Write)?;
    route::refuse_unless(request, true, now)?;
    refusal::refuse_unwritable(&mut service.store)?;
    let together_bytes = service.config.limits.bodies_bytes;
    let limits = Limits {
        body_bytes: body_bytes_max(&service.config.limits),
        lines: lines_max(&service.config.limits),
        together_bytes,
    };
    if let Framing::Length(len_bytes) = request.framing
        && len_bytes > limits.body_bytes
    {
        return Err(Problem::body_too_large(limits.body_bytes));
    }
    Ok(Action::Receive(Sink::Batch(Box::new(Collected {
        now,
        items: Vec::new(),
        begun: Vec::new(),
        lines: 0,
        taken_bytes: 0,
        held: service.bodies.hold(true),
        limits,
    }))))
}

impl Collected {
    /// Takes what has come.
    ///
    /// # Errors
    /// The refusal to answer with; nothing was written.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, Problem> {
        self.taken_bytes += bytes.len() as u64;
        if self.taken_bytes > self.limits.body_bytes {
            return Err(Problem::body_too_large(self.limits.body_bytes));
        }
        self.grow(bytes.len() as u64)?;
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.begun.extend_from_slice(&rest[..end]);
            self.end_line()?;
            rest = &rest[end + 1..];
        }
        self.begun.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn grow(&mut self, more_bytes: u64) -> Result<(), Problem> {
        if self.held.grow(more_bytes, self.limits.together_bytes) {
            return Ok(());
        }
        let detail = "There is no memory left for the batches that come in now; nothing was \
                      written. Try again soon, or with a smaller one.";
        Err(Problem::new(Kind::NoMemory, detail))
    }

    fn end_line(&mut self) -> Result<(), Problem> {
        self.lines += 1;
        let line = core::mem::take(&mut self.begun);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let limit = self.limits.lines;
        if self.items.len() as u64 >= limit {
            let detail = format!("A batch has at most {limit} changes here.");
            return Err(Problem::new(Kind::BodyTooLarge, detail).number("limit", limit));
        }
        self.grow(LINE_BYTES)?;
        let item = line::parse(&line, self.now).map_err(|problem| {
            let nth = self.lines;
            let problem = problem.about(&format!("Nothing was written, since of line {nth}:"));
            problem.number("line", nth)
        })?;
        self.grow(item.tag_count() * TAG_BYTES)?;
        self.items.push(Item {
            nth: self.lines,
            ..item
        });
        Ok(())
    }
}

/// All of it has come: hands it in.
///
/// # Errors
/// The refusal to answer with; nothing was written.
pub(crate) fn submit(service: &mut Service, mut collected: Collected) -> Result<Action, Problem> {
    collected.end_line()?;
    let mut asked = Asked::new(collected.held);
    let mut changes = Vec::with_capacity(collected.items.len());
    for item in collected.items {
        let condition = condition(service, &item)?;
        asked.push(&item);
        changes.push((item.bucket, item.key, condition, item.change));
    }
    match service.store.submit(Batch { changes }) {
        Ok(ticket) => {
            let accepted = Accepted::Batch(Box::new(asked));
            Ok(Action::Commit(service.pending(ticket), accepted))
        }
        Err(refusal) => refused(&asked, refusal).map(Action::Answer),
    }
}

/// What has to hold of a line's key.
///
/// A tag can only be known to a client if its version was once durable, so one that is not the
/// durable version's cannot hold.
fn condition(service: &mut Service, item: &Item) -> Result<Condition, Problem> {
    let tags = match &item.wanted {
        Wanted::Nothing => return Ok(Condition::None),
        Wanted::Exists => return Ok(Condition::Exists),
        Wanted::Absent => return Ok(Condition::Absent),
        Wanted::OneOf(tags) => tags,
    };
    let current = service.store.lookup(At::NOW, &item.bucket, &item.key);
    let current = current.map_err(refusal::unavailable)?;
    match &current {
        Some(version) if tags.iter().any(|tag| tag.names(version)) => {
            Ok(Condition::AnyOf(Vec::from([version.seq])))
        }
        // What an earlier line of this batch puts has no tag that anybody knows.
        _ => Ok(Condition::AnyOf(Vec::new())),
    }
}
