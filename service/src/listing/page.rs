//! A page of keys as JSON.

use crate::allowance::Held;
use crate::answer::Answer;
use crate::json;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{Key, Metadata};

/// RAM of what is told of a key beside its name, as JSON and before.
const KEY_BYTES: u64 = 256;
/// Bytes of JSON on a page, or one key.
const PAGE_BYTES: u64 = 256 * 1024;

/// What is on it.
pub(super) struct Page {
    pub(super) keys: Vec<(Key, Metadata)>,
    /// The target that gives the next one.
    pub(super) next: Option<String>,
    /// The last change it can know of.
    pub(super) seq: u64,
    /// What it takes of the memory for bodies.
    pub(super) held: Rc<Held>,
}

/// Bytes of RAM that a key takes as JSON, at most.
pub(super) fn key_bytes(key: &Key) -> u64 {
    let plain = |byte: &&u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let len = key.as_bytes().len() as u64;
    let plain = key.as_bytes().iter().filter(plain).count() as u64;
    KEY_BYTES + plain + (len - plain) * 6
}

/// How many of these objects, of so many bytes each, make a page, and how many bytes that is.
pub(super) fn as_many_as_fit(objects: impl Iterator<Item = u64>) -> (usize, u64) {
    let (mut count, mut bytes) = (0, 0);
    for more in objects {
        if count > 0 && bytes + more > PAGE_BYTES {
            break;
        }
        (count, bytes) = (count + 1, bytes + more);
    }
    (count, bytes)
}

impl Page {
    /// The keys alone.
    pub(super) fn into_answer(self) -> Answer {
        let mut out = String::new();
        begin(&mut out);
        for (index, (key, version)) in self.keys.iter().enumerate() {
            push_key(&mut out, index, (key, version));
            out.push('}');
        }
        self.answer(out)
    }

    /// The answer that begins so.
    pub(super) fn answer(&self, mut out: String) -> Answer {
        self.end(&mut out);
        let mut answer = Answer::text(200, "application/json", out);
        answer.held = Some(Rc::clone(&self.held));
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

/// Appends what comes before the first key.
pub(super) fn begin(out: &mut String) {
    out.push_str("{\"keys\":[");
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
