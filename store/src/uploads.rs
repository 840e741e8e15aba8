//! Large values on their way in.
//!
//! Bytes gather in a buffer of one chunk; a full one waits to go into a group,
//! so that an upload holds at most two chunks of memory here. Nothing of it can
//! be seen before its manifest is durable. A value that turns out to fit one
//! record becomes an ordinary put.
//!
//! # Invariants
//!
//! - `reserved` of an upload is part of the queue's sum until its chunks are
//!   durable or it is over.

use crate::draft::Draft;
use crate::format::checksum::crc32c;
use crate::format::layout::CHUNK_BYTES;
use crate::format::record::{self, Record};
use crate::format::summary;
use crate::gather::{ChunkWritten, Contents};
use crate::name::{BucketName, Key};
use crate::queue::{Body, Waiting};
use crate::request::{Condition, Refusal, Ticket, Upload};
use crate::store::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;

/// One upload.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bucket: BucketName,
    pub(crate) key: Key,
    pub(crate) condition: Condition,
    pub(crate) metadata: Vec<u8>,
    /// When it was written, if not now.
    pub(crate) modified_wall_ns: Option<u64>,
    alive: Weak<()>,
    /// Its number on the disk.
    pub(crate) upload: u64,
    buffer: Vec<u8>,
    ready: VecDeque<(u32, Vec<u8>)>,
    next_number: u32,
    pub(crate) value_len: u64,
    pub(crate) crc: u32,
    reserved: u64,
    /// Its manifest waits in the queue.
    committing: bool,
}

/// All uploads.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    states: BTreeMap<u64, State>,
    next_id: u64,
}

/// What all chunks of a value of `len_bytes` take, at most.
fn stored_bound(len_bytes: u64) -> u64 {
    let chunks = len_bytes.div_ceil(CHUNK_BYTES as u64);
    len_bytes + chunks * 24
}

impl Uploads {
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// Length of the record of the next chunk that waits.
    pub(crate) fn first_ready_len(&self) -> Option<u64> {
        self.states.values().find_map(|state| {
            let (number, data) = state.ready.front()?;
            Some(record::chunk_len(state.upload, *number, data.len()) as u64)
        })
    }

    /// Whether all chunks the batch needs are in groups already.
    pub(crate) fn is_ready(&self, batch: &Waiting) -> bool {
        batch.ops.iter().all(|op| match op.body {
            Body::Manifest { upload_id, .. } => self
                .states
                .get(&upload_id)
                .is_none_or(|state| state.ready.is_empty()),
            _ => true,
        })
    }

    /// A chunk is durable; whether its upload still wants it.
    pub(crate) fn chunk_durable(&mut self, chunk: &ChunkWritten, reserved: &mut u64) -> bool {
        let Some(state) = self.states.get_mut(&chunk.upload_id) else {
            return false;
        };
        let freed = state.reserved.min(chunk.record_len);
        state.reserved -= freed;
        *reserved -= freed;
        true
    }

    /// The manifest is durable: the upload is over, its chunks stay.
    pub(crate) fn committed(&mut self, id: u64, reserved: &mut u64) {
        if let Some(state) = self.states.remove(&id) {
            *reserved -= state.reserved;
        }
    }

    /// Uploads nobody holds any more.
    fn abandoned(&self) -> Vec<u64> {
        let gone = |state: &State| state.alive.strong_count() == 0 && !state.committing;
        self.states
            .iter()
            .filter(|(_, state)| gone(state))
            .map(|(id, _)| *id)
            .collect()
    }
}

impl Store {
    /// Takes in an upload whose beginning was admitted.
    pub(crate) fn add_upload(
        &mut self,
        (bucket, key): (BucketName, Key),
        condition: Condition,
        metadata: Vec<u8>,
        len_bytes: Option<u64>,
    ) -> Result<Upload, Refusal> {
        let reserved = match len_bytes {
            Some(len_bytes) if len_bytes > CHUNK_BYTES as u64 => stored_bound(len_bytes),
            _ => 0,
        };
        self.reserve(reserved)?;
        let log = self.log_mut();
        let upload = log.next_seq;
        log.next_seq += 1;
        let id = self.uploads.next_id;
        self.uploads.next_id += 1;
        let alive = Rc::new(());
        let state = State {
            bucket,
            key,
            condition,
            metadata,
            modified_wall_ns: None,
            alive: Rc::downgrade(&alive),
            upload,
            buffer: Vec::new(),
            ready: VecDeque::new(),
            next_number: 0,
            value_len: 0,
            crc: 0,
            reserved,
            committing: false,
        };
        self.uploads.states.insert(id, state);
        Ok(Upload { id, _alive: alive })
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        let (limit_bytes, used_bytes) = (self.limit_bytes(), self.projected_bytes());
        if bytes > 0 && used_bytes + bytes > limit_bytes {
            return Err(self.no_space(limit_bytes, used_bytes));
        }
        self.queue.reserved += bytes;
        Ok(())
    }

    /// Takes some bytes; an error ends the upload.
    pub(crate) fn take_bytes(&mut self, id: u64, bytes: &[u8]) -> Result<usize, Refusal> {
        let limit_bytes = self.layout().value_bytes_max();
        let Some(state) = self.uploads.states.get(&id) else {
            return Err(Refusal::OutcomeUnknown);
        };
        if state.value_len + bytes.len() as u64 > limit_bytes {
            self.drop_upload(id);
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let mut taken = 0;
        while taken < bytes.len() {
            let full = self.uploads.states[&id].buffer.len() == CHUNK_BYTES;
            if full {
                if !self.uploads.states[&id].ready.is_empty() {
                    break;
                }
                if let Err(refusal) = self.queue_chunk(id) {
                    self.drop_upload(id);
                    return Err(refusal);
                }
            }
            let Some(state) = self.uploads.states.get_mut(&id) else {
                break;
            };
            let count = (CHUNK_BYTES - state.buffer.len()).min(bytes.len() - taken);
            if state.buffer.try_reserve(count).is_err() {
                break;
            }
            let piece = &bytes[taken..taken + count];
            state.crc = crc32c(state.crc, piece);
            state.buffer.extend_from_slice(piece);
            state.value_len += count as u64;
            taken += count;
        }
        Ok(taken)
    }

    /// The buffer becomes a chunk that waits for a group.
    fn queue_chunk(&mut self, id: u64) -> Result<(), Refusal> {
        let memory = self.memory_refusal(16);
        let Some(state) = self.uploads.states.get(&id) else {
            return Ok(());
        };
        let in_ready: u64 = state
            .ready
            .iter()
            .map(|(_, data)| stored_bound(data.len() as u64))
            .sum();
        let need = in_ready + stored_bound(state.buffer.len() as u64);
        let missing = need.saturating_sub(state.reserved);
        if let Some(refusal) = memory {
            return Err(refusal);
        }
        self.reserve(missing)?;
        let Some(state) = self.uploads.states.get_mut(&id) else {
            return Ok(());
        };
        state.reserved += missing;
        let data = core::mem::take(&mut state.buffer);
        state.ready.push_back((state.next_number, data));
        state.next_number += 1;
        Ok(())
    }

    /// Adds chunks to a group.
    pub(crate) fn fill_chunks(&mut self, draft: &mut Draft, contents: &mut Contents) {
        let soft = self.layout().group_bytes_soft();
        let mut taken = 0;
        for (id, state) in &mut self.uploads.states {
            while let Some((number, data)) = state.ready.front() {
                let (upload, number) = (state.upload, *number);
                let record_len = record::chunk_len(upload, number, data.len()) as u64;
                if !draft.fits(record_len, summary::CHUNK_BYTES_MAX)
                    || (taken > 0 && taken + record_len > soft)
                {
                    return;
                }
                taken += record_len;
                let pos = draft.push(&Record::Chunk {
                    upload,
                    number,
                    data,
                });
                let (upload_id, data_len) = (*id, data.len());
                let chunk = ChunkWritten {
                    upload_id,
                    upload,
                    number,
                    data_len,
                    pos,
                    record_len,
                };
                contents.chunks.push(chunk);
                state.ready.pop_front();
            }
        }
    }

    /// The value is complete.
    pub(crate) fn finish_upload(&mut self, upload: Upload) -> Result<Ticket, Refusal> {
        let id = upload.id;
        let Some(state) = self.uploads.states.get_mut(&id) else {
            return Err(Refusal::OutcomeUnknown);
        };
        if state.next_number == 0 {
            let value = core::mem::take(&mut state.buffer);
            let (bucket, key) = (state.bucket.clone(), state.key.clone());
            let condition = state.condition.clone();
            let metadata = core::mem::take(&mut state.metadata);
            let modified_wall_ns = state.modified_wall_ns;
            self.drop_upload(id);
            let kept = (metadata, modified_wall_ns);
            return self.submit_value((bucket, key), condition, kept, value);
        }
        if !state.buffer.is_empty()
            && let Err(refusal) = self.queue_chunk(id)
        {
            self.drop_upload(id);
            return Err(refusal);
        }
        match self.submit_manifest(id) {
            Ok(Submitted::Accepted(ticket)) => {
                if let Some(state) = self.uploads.states.get_mut(&id) {
                    state.committing = true;
                }
                Ok(ticket)
            }
            Ok(Submitted::Deferred(ticket)) => {
                self.drop_upload(id);
                Ok(ticket)
            }
            Err(refusal) => {
                self.drop_upload(id);
                Err(refusal)
            }
        }
    }

    /// The value was written then: it comes out of a backup.
    pub fn date_upload(&mut self, upload: &Upload, modified_wall_ns: u64) {
        if let Some(state) = self.uploads.states.get_mut(&upload.id) {
            state.modified_wall_ns = Some(modified_wall_ns);
        }
    }

    pub(crate) fn upload_state(&self, id: u64) -> Option<&State> {
        self.uploads.states.get(&id)
    }

    /// Ends an upload without a value: its chunks are garbage.
    pub(crate) fn drop_upload(&mut self, id: u64) {
        if let Some(state) = self.uploads.states.remove(&id) {
            self.queue.reserved -= state.reserved;
            self.retire_chunks(state.upload);
        }
    }

    /// Whether any upload still has something to write.
    pub(crate) fn uploads_wait(&self) -> bool {
        self.uploads.first_ready_len().is_some()
    }

    /// Ends uploads that are not being committed: the store closes.
    pub(crate) fn drop_idle_uploads(&mut self) {
        let idle = self
            .uploads
            .states
            .iter()
            .filter(|(_, state)| !state.committing);
        for id in idle.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.drop_upload(id);
        }
    }

    /// Ends all uploads.
    pub(crate) fn drop_all_uploads(&mut self) {
        for id in self.uploads.states.keys().copied().collect::<Vec<_>>() {
            self.drop_upload(id);
        }
    }

    /// Ends uploads whose owner is gone.
    pub(crate) fn sweep_uploads(&mut self) {
        for id in self.uploads.abandoned() {
            self.drop_upload(id);
        }
    }
}

impl State {
    /// Bytes of all chunk records of the complete value.
    pub(crate) fn stored_len(&self) -> u64 {
        let whole = CHUNK_BYTES as u64;
        (0..self.next_number)
            .map(|number| {
                let data = (self.value_len - u64::from(number) * whole).min(whole);
                record::chunk_len(self.upload, number, data as usize) as u64
            })
            .sum()
    }
}

/// How a submission was taken.
pub(crate) enum Submitted {
    /// It will be written.
    Accepted(Ticket),
    /// It is refused, and the refusal waits for what it observed.
    Deferred(Ticket),
}
