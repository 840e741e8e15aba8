//! A page of keys as JSON.

use crate::allowance::Held;
use crate::answer::Answer;
use crate::json;
use crate::problem::{Kind, Problem};
use crate::service::Service;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{Key, Metadata};

/// What is told of a key beside its name, as JSON.
const JSON_BYTES: u64 = 192;
/// RAM of a key beside its name, before.
const KEY_BYTES: u64 = 128;
/// RAM of what is around the keys: the link to the next page.
const AROUND_BYTES: u64 = 12 * 1024;
/// RAM of a page, or of one object on it.
const PAGE_BYTES: u64 = 256 * 1024;

/// What is on it.
pub(super) struct Page {
    pub(super) keys: Vec<(Key, Metadata)>,
    /// The target that gives the next one.
    pub(super) next: Option<String>,
    /// The last change it can know of.
    pub(super) seq: u64,
    /// What it takes of the memory for bodies.
    pub(super) held: Held,
    /// How long it is as JSON, at most.
    pub(super) json_bytes: u64,
}

/// What an object takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// As JSON, at most.
    pub(super) json_bytes: u64,
    /// Beside that.
    pub(super) other_bytes: u64,
}

impl Cost {
    fn bytes(self) -> u64 {
        self.json_bytes + self.other_bytes
    }
}

/// What a key takes.
pub(super) fn key_cost(key: &Key) -> Cost {
    let plain = |byte: &&u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let len = key.as_bytes().len() as u64;
    let plain = key.as_bytes().iter().filter(plain).count() as u64;
    Cost {
        json_bytes: JSON_BYTES + plain + (len - plain) * 6,
        other_bytes: KEY_BYTES + len,
    }
}

/// How many of these objects make a page, and what that takes: a fourth at most of what all pages
/// may take.
pub(super) fn as_many_as_fit(
    objects: impl Iterator<Item = Cost>,
    limit_bytes: u64,
) -> (usize, Cost) {
    let limit_bytes = PAGE_BYTES.min(limit_bytes / 4);
    let (mut count, mut all) = (
        0,
        Cost {
            json_bytes: AROUND_BYTES,
            other_bytes: 0,
        },
    );
    for more in objects {
        if count > 0 && all.bytes() + more.bytes() > limit_bytes {
            break;
        }
        count += 1;
        all.json_bytes += more.json_bytes;
        all.other_bytes += more.other_bytes;
    }
    (count, all)
}

/// Takes memory for a page.
pub(super) fn hold(service: &Service, has_token: bool, cost: Cost) -> Result<Held, Problem> {
    let mut held = service.bodies.hold(has_token);
    if held.grow(cost.bytes(), service.config.limits.bodies_bytes) {
        return Ok(held);
    }
    let detail = "There is no memory left for the pages that are on their way; try again soon, or \
                  with a smaller `limit`.";
    Err(Problem::new(Kind::NoMemory, detail))
}

impl Page {
    /// The keys alone.
    pub(super) fn into_answer(self) -> Answer {
        let mut out = self.begin();
        for (index, (key, version)) in self.keys.iter().enumerate() {
            push_key(&mut out, index, (key, version));
            out.push('}');
        }
        self.answer(out)
    }

    /// What comes before the first key; there is room for all.
    pub(super) fn begin(&self) -> String {
        let mut out = String::with_capacity(self.json_bytes as usize);
        out.push_str("{\"keys\":[");
        out
    }

    /// The answer that begins so; what it does not take of what was counted is given back.
    pub(super) fn answer(mut self, mut out: String) -> Answer {
        self.end(&mut out);
        out.shrink_to_fit();
        self.held.shrink_to(out.capacity() as u64);
        let mut answer = Answer::text(200, "application/json", out);
        answer.held = Some(Rc::new(self.held));
        answer
    }

    /// Appends what follows the last key.
    fn end(&self, out: &mut String) {
        out.push_str("],\"next\":");
        match &self.next {
            Some(link) => json::push_string(out, link),
            None => out.push_str("null"),
        }
        let _ = writeln!(out, ",\"seq\":{}}}", self.seq);
    }
}

/// Appends the object of the key with this index, but for its end.
pub(super) fn push_key(out: &mut String, index: usize, (key, version): (&Key, &Metadata)) {
    out.push_str(if index == 0 { "{" } else { ",{" });
    json::push_bytes(out, "key", key.as_bytes());
    let modified_ms = version.modified_wall_ns / 1_000_000;
    let (len_bytes, seq) = (version.len_bytes, version.seq.0);
    let _ = write!(
        out,
        ",\"size\":{len_bytes},\"seq\":{seq},\"modified_ms\":{modified_ms}"
    );
    if let Some(expires_ms) = version.expires_wall_ms {
        let _ = write!(out, ",\"expires_ms\":{expires_ms}");
    }
}
