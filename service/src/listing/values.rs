//! A page of keys with their values, which may have to be read first.
//!
//! # Invariants
//!
//! - A page holds at most [`VALUES_BYTES`] of values, or one of them: so much is counted, together
//!   with what it becomes as JSON, before the first one is read.
//! - All values are of the state that the page is of: their readers are there before it begins.

use super::page::{self, Page};
use crate::allowance::Held;
use crate::answer::Answer;
use crate::json;
use crate::problem::{Kind, Problem};
use crate::refusal;
use crate::service::Service;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;
use store::{At, BATCH_VALUE_BYTES_MAX, BucketName, Key, Metadata, ReadError, Reader, Store};

/// Bytes of values on a page.
const VALUES_BYTES: u64 = 128 * 1024;
/// Most keys on a page with values.
const KEYS_MAX: usize = 250;
/// A byte of a value may become two in JSON, and is in memory once more while it is read.
const EXPANSION: u64 = 3;
/// RAM of a key with its reader.
const KEY_BYTES: u64 = 1_024;

/// A page that is put together.
pub(crate) struct Values {
    page: Page,
    /// Of each key its value; none of one that is too long.
    readers: Vec<Option<Reader>>,
    /// The key whose value is read.
    at: usize,
    value: Vec<u8>,
    out: String,
    _held: Held,
}

/// Whether a value is shown with its key; a longer one is asked for alone.
fn is_shown(version: &Metadata) -> bool {
    version.len_bytes <= BATCH_VALUE_BYTES_MAX as u64
}

/// How many of these keys, with their values, make a page.
pub(super) fn as_many_as_fit(keys: &[(Key, Metadata)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, version): &&(Key, Metadata)| {
        bytes += if is_shown(version) {
            version.len_bytes
        } else {
            0
        };
        bytes <= VALUES_BYTES
    };
    let fitting = keys.iter().take(KEYS_MAX).take_while(fits).count();
    fitting.max(1).min(keys.len())
}

impl Values {
    /// Before the first value.
    pub(super) fn begin(
        service: &mut Service,
        bucket: &BucketName,
        (page, at): (Page, At),
    ) -> Result<Values, Problem> {
        let shown = page.keys.iter().filter(|(_, version)| is_shown(version));
        let bytes: u64 = shown.map(|(_, version)| version.len_bytes).sum();
        let bytes = bytes * EXPANSION + page.keys.len() as u64 * KEY_BYTES;
        let mut held = service.bodies.hold();
        if !held.grow(bytes, service.config.limits.bodies_bytes) {
            let detail = "There is no memory left for the pages that are put together now; try \
                          again soon, or without `values`.";
            return Err(Problem::new(Kind::NoMemory, detail));
        }
        let mut readers = Vec::with_capacity(page.keys.len());
        for (key, version) in &page.keys {
            let reader = match is_shown(version) {
                true => service.store.open_value(at, bucket, key),
                false => Ok(None),
            };
            let reader = reader.map_err(refusal::unavailable)?;
            readers.push(reader.map(|(_, reader)| reader));
        }
        let mut out = String::new();
        page::begin(&mut out);
        Ok(Values {
            page,
            readers,
            at: 0,
            value: Vec::new(),
            out,
            _held: held,
        })
    }

    /// Goes on, as far as nothing has to be waited for; the answer, once all are read.
    pub(crate) fn step(&mut self, store: &mut Store) -> Poll<Answer> {
        while self.at < self.page.keys.len() {
            let read = match &mut self.readers[self.at] {
                None => Ok(None),
                Some(reader) => match read(store, reader, &mut self.value) {
                    Poll::Ready(result) => result.map(Some),
                    Poll::Pending => return Poll::Pending,
                },
            };
            self.push(read);
        }
        let mut out = core::mem::take(&mut self.out);
        self.page.end(&mut out);
        Poll::Ready(Answer::text(200, "application/json", out))
    }

    /// Appends one key and what came of its value.
    fn push(&mut self, read: Result<Option<()>, ReadError>) {
        let (key, version) = &self.page.keys[self.at];
        page::push_key(&mut self.out, self.at, (key, version));
        match read {
            Ok(Some(())) => {
                self.out.push(',');
                json::push_plain_bytes(&mut self.out, "value", &self.value);
            }
            Ok(None) => self.out.push_str(",\"value\":null"),
            Err(error) => {
                self.out.push_str(",\"value\":null,");
                let name = refusal::unreadable(error).kind.name();
                json::push_member(&mut self.out, "problem", name);
            }
        }
        self.out.push('}');
        self.value.clear();
        self.readers[self.at] = None;
        self.at += 1;
    }
}

/// All of a value, once it is there.
fn read(
    store: &mut Store,
    reader: &mut Reader,
    value: &mut Vec<u8>,
) -> Poll<Result<(), ReadError>> {
    loop {
        match store.read(reader) {
            Poll::Ready(Ok(Some(piece))) => value.extend_from_slice(&piece),
            Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(ReadError::Memory)) | Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}
