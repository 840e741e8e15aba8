//! What became of a batch, line by line.

use super::line::Item;
use crate::allowance::Held;
use crate::answer::Answer;
use crate::http::etag;
use crate::json;
use crate::problem::{Kind, Problem};
use crate::refusal;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{Change, Committed, Metadata, Refusal};

/// RAM of one result as JSON.
const RESULT_BYTES: usize = 96;

/// What was asked for, to tell what became of it.
#[derive(Debug)]
pub(crate) struct Asked {
    lines: Vec<(What, u64)>,
    /// What the batch took while it came in, its results take until they are sent.
    held: Rc<Held>,
}

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Put,
    Delete,
    Check,
}

impl Asked {
    pub(super) fn new(held: Held) -> Self {
        Asked {
            lines: Vec::new(),
            held: Rc::new(held),
        }
    }

    /// One line more.
    pub(super) fn push(&mut self, item: &Item) {
        let what = match item.change {
            Change::Put { .. } => What::Put,
            Change::Delete => What::Delete,
            Change::Check => What::Check,
        };
        self.lines.push((what, item.nth));
    }

    /// The line of the change with this index.
    fn line(&self, index: usize) -> u64 {
        self.lines.get(index).map_or(0, |(_, nth)| *nth)
    }
}

/// The answer to a batch that is durable: of each line the status it would have had alone, and
/// the version that is there now.
pub(crate) fn answer(asked: &Asked, committed: &Committed) -> Answer {
    let mut out = String::with_capacity(16 + asked.lines.len() * RESULT_BYTES);
    out.push_str("{\"results\":[");
    for (index, ((what, _), result)) in asked.lines.iter().zip(&committed.results).enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(&mut out, *what, result);
    }
    out.push_str("]}\n");
    let mut answer = Answer::text(200, "application/json", out);
    answer.held = Some(Rc::clone(&asked.held));
    answer
}

fn push(out: &mut String, what: What, (version, existed): &(Option<Metadata>, bool)) {
    let status = match (what, existed) {
        (What::Put, false) => 201,
        (What::Put | What::Delete, true) => 204,
        (What::Check, true) => 200,
        (What::Delete | What::Check, false) => 404,
    };
    let _ = write!(out, "{{\"status\":{status}");
    if let Some(version) = version {
        out.push(',');
        json::push_member(out, "etag", &etag::write(version));
        let _ = write!(out, ",\"seq\":{}", version.seq.0);
    }
    out.push('}');
}

/// The answer to a batch that the store did not take.
///
/// # Errors
/// The refusal to answer with; nothing was written.
pub(crate) fn refused(asked: &Asked, refusal: Refusal) -> Result<Answer, Problem> {
    match refusal {
        // Deletes, and none of their keys was there.
        Refusal::NotFound => {
            let results = Vec::from_iter(asked.lines.iter().map(|_| (None, false)));
            Ok(answer(asked, &Committed { results }))
        }
        Refusal::Condition { index, .. } => {
            let nth = asked.line(index);
            let about = format!("Nothing was written, since of line {nth} the condition fails.");
            Err(refusal::problem(refusal).about(&about).number("line", nth))
        }
        Refusal::TooLarge { limit_bytes } => {
            let detail = format!("What a batch writes is at most {limit_bytes} bytes here.");
            Err(Problem::new(Kind::BodyTooLarge, detail).number("limit_bytes", limit_bytes))
        }
        other => Err(refusal::problem(other)),
    }
}
