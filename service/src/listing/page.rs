//! A page of keys as JSON.

use crate::answer::Answer;
use crate::json;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use store::{Key, Metadata};

/// RAM of a key on a page, and of what is told of it.
const KEY_JSON_BYTES: usize = 96;

/// What is on it.
pub(super) struct Page {
    pub(super) keys: Vec<(Key, Metadata)>,
    /// The target that gives the next one.
    pub(super) next: Option<String>,
    /// The last change it can know of.
    pub(super) seq: u64,
}

impl Page {
    /// The keys alone.
    pub(super) fn into_answer(self) -> Answer {
        let mut out = String::with_capacity(64 + self.keys.len() * KEY_JSON_BYTES);
        begin(&mut out);
        for (index, (key, version)) in self.keys.iter().enumerate() {
            push_key(&mut out, index, (key, version));
            out.push('}');
        }
        self.end(&mut out);
        Answer::text(200, "application/json", out)
    }

    /// Appends what follows the last key.
    pub(super) fn end(&self, out: &mut String) {
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
