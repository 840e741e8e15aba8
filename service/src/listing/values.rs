//! A page of keys with their values, which may have to be read first.
//!
//! # Invariants
//!
//! - What a page takes is counted before the first value is read ([`cost_of`]), until it is sent.
//! - All values are of the state that the page is of: their readers are there before it begins.

use super::page::{self, Cost, Page};
use crate::answer::Answer;
use crate::json;
use crate::problem::Problem;
use crate::refusal;
use crate::service::Service;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;
use store::{At, BATCH_VALUE_BYTES_MAX, BucketName, Key, Metadata, ReadError, Reader, Store};

/// RAM of what reads a value.
const READER_BYTES: u64 = 512;

/// A page that is put together.
pub(crate) struct Values {
    page: Option<Page>,
    /// Of each key its value; none of one that is too long.
    readers: Vec<Option<Reader>>,
    /// The key whose value is read.
    at: usize,
    value: Vec<u8>,
    out: String,
}

/// Whether a value is shown with its key; a longer one is asked for alone.
fn is_shown(version: &Metadata) -> bool {
    version.len_bytes <= BATCH_VALUE_BYTES_MAX as u64
}

/// What a key with its value takes: the value may be twice as long in JSON, and is there once more
/// while it is read.
pub(super) fn cost_of((key, version): &(Key, Metadata)) -> Cost {
    let value_bytes = if is_shown(version) {
        version.len_bytes
    } else {
        0
    };
    let key = page::key_cost(key);
    Cost {
        json_bytes: key.json_bytes + value_bytes * 2,
        other_bytes: key.other_bytes + READER_BYTES + value_bytes,
    }
}

impl Values {
    /// Before the first value.
    pub(super) fn begin(
        service: &mut Service,
        bucket: &BucketName,
        (page, at): (Page, At),
    ) -> Result<Values, Problem> {
        let mut readers = Vec::with_capacity(page.keys.len());
        for (key, version) in &page.keys {
            let reader = match is_shown(version) {
                true => service.store.open_value(at, bucket, key),
                false => Ok(None),
            };
            let reader = reader.map_err(refusal::unavailable)?;
            readers.push(reader.map(|(_, reader)| reader));
        }
        let out = page.begin();
        Ok(Values {
            page: Some(page),
            readers,
            at: 0,
            value: Vec::new(),
            out,
        })
    }

    /// Goes on, as far as nothing has to be waited for; the answer, once all are read.
    pub(crate) fn step(&mut self, store: &mut Store) -> Poll<Answer> {
        let page = self.page.take().expect("there is no step after the answer");
        while self.at < page.keys.len() {
            let read = match &mut self.readers[self.at] {
                None => Ok(None),
                Some(reader) => match read(store, reader, &mut self.value) {
                    Poll::Ready(result) => result.map(Some),
                    Poll::Pending => {
                        self.page = Some(page);
                        return Poll::Pending;
                    }
                },
            };
            self.push(&page, read);
        }
        Poll::Ready(page.answer(core::mem::take(&mut self.out)))
    }

    /// Appends one key and what came of its value.
    fn push(&mut self, page: &Page, read: Result<Option<()>, ReadError>) {
        let (key, version) = &page.keys[self.at];
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
