//! What a key holds once everything accepted is durable: what the next change goes on from.
//!
//! # Invariants
//!
//! - A change that is handed in before anything else happens to the store, under the condition
//!   that the key is at the version told here, is not refused for that condition.

use crate::format::layout::CHUNK_BYTES;
use crate::metadata;
use crate::name::{BucketName, Key};
use crate::queue::{Body, Op, Waiting};
use crate::reader::Reader;
use crate::request::{At, Committed, Headers, Metadata, Refusal, Ticket};
use crate::store::Store;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Poll;

/// A key as it will be once everything accepted is durable.
#[derive(Debug)]
pub enum Accepted {
    /// It has no value.
    Absent,
    /// Its value is in memory.
    Known {
        /// Its version.
        version: Metadata,
        /// The value, of at most 64 KiB.
        value: Vec<u8>,
        /// Kept with it.
        headers: Headers,
    },
    /// Its value has to be read: ask again after that, for it may be another by then.
    Unread {
        /// Its version.
        version: Metadata,
        /// Reads it.
        reader: Box<Reader>,
    },
    /// Which value it will be can be told when this has an outcome: ask again then.
    Later(Ticket),
}

impl Store {
    /// What a key holds once everything accepted is durable.
    ///
    /// It may be told to others once a [`Change::Check`](crate::Change::Check) of the key that was
    /// handed in after this has an outcome.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn accepted(&mut self, bucket: &BucketName, key: &Key) -> Result<Accepted, Refusal> {
        self.changeable()?;
        self.is_known(bucket, key).map_err(Refusal::Unavailable)?;
        let current = self.accepted_version(bucket, key);
        let Some(version) = current.metadata else {
            return Ok(Accepted::Absent);
        };
        let Some(batch) = current.observed else {
            return self.durable_value(bucket, key);
        };
        let known = self
            .pending_op(batch, bucket, key)
            .and_then(|op| pending_value(version, op));
        Ok(known.unwrap_or_else(|| self.later(batch)))
    }

    fn durable_value(&mut self, bucket: &BucketName, key: &Key) -> Result<Accepted, Refusal> {
        let opened = self.open_value(At::NOW, bucket, key);
        let Some((version, mut reader)) = opened.map_err(Refusal::Unavailable)? else {
            return Ok(Accepted::Absent);
        };
        if !reader.is_cached() || version.len_bytes > CHUNK_BYTES as u64 {
            return Ok(Accepted::Unread {
                version,
                reader: Box::new(reader),
            });
        }
        let headers = reader.known_headers();
        Ok(match self.read(&mut reader) {
            Poll::Ready(Ok(piece)) => Accepted::Known {
                version,
                value: piece.map_or_else(Vec::new, |piece| piece.to_vec()),
                headers,
            },
            Poll::Ready(Err(_)) | Poll::Pending => Accepted::Unread {
                version,
                reader: Box::new(reader),
            },
        })
    }

    /// The change of a key in a batch that is not durable.
    fn pending_op(&self, batch: u64, bucket: &BucketName, key: &Key) -> Option<&Op> {
        let in_flight = self.in_flight.iter();
        let in_flight = in_flight.flat_map(|group| &group.contents.batches);
        let mut batches = in_flight.chain(&self.queue.waiting);
        let found: &Waiting = batches.find(|waiting| waiting.id == batch)?;
        let is_of_key = |op: &&Op| op.key.as_ref() == Some(key) && op.bucket == *bucket;
        found.ops.iter().rev().find(is_of_key)
    }

    fn later(&mut self, batch: u64) -> Accepted {
        Accepted::Later(self.queue.defer(batch, Ok(Committed::default())))
    }
}

/// A value that waits to be written, if all of it is in memory.
fn pending_value(version: Metadata, op: &Op) -> Option<Accepted> {
    let Body::Put { value } = &op.body else {
        return None;
    };
    Some(Accepted::Known {
        version,
        value: value.clone(),
        headers: metadata::decode(&op.metadata)?,
    })
}
