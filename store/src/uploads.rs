//! Large values on their way in.
//!
//! Bytes gather in a buffer of one chunk; a full one waits to go into a group,
//! so that an upload holds at most two chunks of memory here. Nothing of it can
//! be seen before its manifest is durable. A value that turns out to fit one
//! record becomes an ordinary put. Who may hold how much is said in `crowding`.
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
    pub(crate) buffer: Vec<u8>,
    pub(crate) ready: VecDeque<(u32, Vec<u8>)>,
    next_number: u32,
    /// How long it will be, if that was said.
    pub(crate) len_bytes: Option<u64>,
    pub(crate) value_len: u64,
    pub(crate) crc: u32,
    /// What chunks of it that are durable take.
    pub(crate) written: u64,
    pub(crate) reserved: u64,
    /// Its manifest waits in the queue.
    pub(crate) committing: bool,
    /// It was given less room than it wants.
    pub(crate) wants: bool,
    /// Its place in the line of those that wait, until a chunk is on its way.
    pub(crate) ticket: Option<u64>,
    /// It never gives way.
    pub(crate) is_steady: bool,
    /// Until when it has kept the pace that is expected of it.
    pub(crate) moved_ns: u64,
}

/// All uploads.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    pub(crate) states: BTreeMap<u64, State>,
    pub(crate) next_id: u64,
    pub(crate) room_bytes: u64,
    /// Those that want more than they were given, by ticket: in the order in which they came.
    pub(crate) waiting: BTreeMap<u64, u64>,
    pub(crate) next_ticket: u64,
    /// Whose chunk was the last in a group.
    pub(crate) last_gathered: u64,
    /// Somebody found no place for another.
    pub(crate) place_wanted: bool,
    /// There was no memory for bytes that there was room for.
    pub(crate) is_short: bool,
    pub(crate) ready: usize,
    /// Those that may hold more than there is room for.
    pub(crate) ahead: Vec<u64>,
    /// Room was made that somebody wants.
    pub(crate) has_news: bool,
}

/// What all chunks of a value of `len_bytes` take, at most.
pub(crate) fn stored_bound(len_bytes: u64) -> u64 {
    let chunks = len_bytes.div_ceil(CHUNK_BYTES as u64);
    len_bytes + chunks * 24
}

impl Uploads {
    /// Length of the record of the next chunk that waits.
    pub(crate) fn first_ready_len(&self) -> Option<u64> {
        if self.ready == 0 {
            return None;
        }
        let (_, state) = self.in_order().next()?;
        let (number, data) = state.ready.front()?;
        Some(record::chunk_len(state.upload, *number, data.len()) as u64)
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
        state.written += chunk.record_len;
        *reserved -= freed;
        true
    }

    /// The manifest is durable: the upload is over, its chunks stay.
    pub(crate) fn committed(&mut self, id: u64, reserved: &mut u64) {
        if let Some(state) = self.leave(id) {
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
    ) -> Upload {
        let log = self.log_mut();
        let upload = log.next_seq;
        log.next_seq += 1;
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
            len_bytes,
            value_len: 0,
            crc: 0,
            written: 0,
            reserved: 0,
            committing: false,
            wants: false,
            ticket: None,
            is_steady: false,
            moved_ns: self.now.monotonic_ns,
        };
        let id = self.uploads.enter(state);
        Upload { id, _alive: alive }
    }

    /// Takes some bytes; an error ends the upload.
    pub(crate) fn take_bytes(&mut self, id: u64, bytes: &[u8]) -> Result<usize, Refusal> {
        let limit_bytes = self.layout().value_bytes_max();
        let Some(state) = self.uploads.states.get(&id) else {
            return Err(self.gave_way());
        };
        if state.value_len + bytes.len() as u64 > limit_bytes {
            self.drop_upload(id);
            return Err(Refusal::TooLarge { limit_bytes });
        }
        let (mut taken, mut wants) = (0, false);
        while taken < bytes.len() && !wants {
            let Some(state) = self.uploads.states.get(&id) else {
                break;
            };
            if state.buffer.len() == CHUNK_BYTES {
                if !state.ready.is_empty() {
                    break;
                }
                if let Err(refusal) = self.queue_chunk(id) {
                    self.drop_upload(id);
                    return Err(refusal);
                }
                continue;
            }
            let wanted = (CHUNK_BYTES - state.buffer.len()).min(bytes.len() - taken);
            let limit_bytes = self.upload_room_bytes();
            let granted = self.uploads.granted(id, wanted, limit_bytes);
            let has_grown = self.uploads.append(id, &bytes[taken..taken + granted]);
            wants = granted < wanted || !has_grown;
            taken += if has_grown { granted } else { 0 };
        }
        let now_ns = self.now.monotonic_ns;
        self.uploads.note(id, (taken, bytes.len()), wants, now_ns);
        Ok(taken)
    }

    /// The buffer becomes a chunk that waits for a group.
    fn queue_chunk(&mut self, id: u64) -> Result<(), Refusal> {
        let memory = self.memory_refusal(16);
        let Some(state) = self.uploads.states.get(&id) else {
            return Ok(());
        };
        // All of it that is not durable yet: in the buffer, waiting, or on its way.
        let need = stored_bound(state.value_len).saturating_sub(state.written);
        let missing = need.saturating_sub(state.reserved);
        if let Some(refusal) = memory {
            return Err(refusal);
        }
        self.has_space(missing)?;
        let Some(state) = self.uploads.states.get_mut(&id) else {
            return Ok(());
        };
        self.queue.reserved += missing;
        state.reserved += missing;
        let data = core::mem::take(&mut state.buffer);
        state.ready.push_back((state.next_number, data));
        state.next_number += 1;
        self.uploads.ready += 1;
        self.reserve_earned(id);
        Ok(())
    }

    /// Adds chunks to a group.
    pub(crate) fn fill_chunks(&mut self, draft: &mut Draft, contents: &mut Contents) {
        if self.uploads.ready == 0 {
            return;
        }
        let soft = self.layout().group_bytes_soft();
        let mut taken = 0;
        let mut gathered = Vec::new();
        'group: for (upload_id, state) in self.uploads.in_order() {
            for (number, data) in &state.ready {
                let (upload, number) = (state.upload, *number);
                let record_len = record::chunk_len(upload, number, data.len()) as u64;
                if !draft.fits(record_len, summary::CHUNK_BYTES_MAX)
                    || (taken > 0 && taken + record_len > soft)
                {
                    break 'group;
                }
                taken += record_len;
                let pos = draft.push(&Record::Chunk {
                    upload,
                    number,
                    data,
                });
                gathered.push(ChunkWritten {
                    upload_id,
                    upload,
                    number,
                    data_len: data.len(),
                    pos,
                    record_len,
                });
            }
        }
        for chunk in &gathered {
            self.uploads.chunk_gathered(chunk, self.now.monotonic_ns);
        }
        contents.chunks.append(&mut gathered);
    }

    /// The value is complete.
    pub(crate) fn finish_upload(&mut self, upload: Upload) -> Result<Ticket, Refusal> {
        let id = upload.id;
        let Some(state) = self.uploads.states.get(&id) else {
            return Err(self.gave_way());
        };
        if state.next_number == 0 {
            return match self.end_upload(id) {
                Some(state) => self.submit_whole(state),
                None => Err(self.gave_way()),
            };
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

    /// Hands in a value that fits one record.
    fn submit_whole(&mut self, state: State) -> Result<Ticket, Refusal> {
        let kept = (state.metadata, state.modified_wall_ns);
        let place = (state.bucket, state.key);
        self.submit_value(place, state.condition, kept, state.buffer)
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
        if let Some(state) = self.end_upload(id) {
            self.retire_chunks(state.upload);
        }
    }

    /// An upload is over; chunks of it that are durable are left as they are.
    fn end_upload(&mut self, id: u64) -> Option<State> {
        let state = self.uploads.leave(id)?;
        self.queue.reserved -= state.reserved;
        Some(state)
    }

    /// Whether any upload still has something to write.
    pub(crate) fn uploads_wait(&self) -> bool {
        self.uploads.ready > 0
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
    /// Adds bytes to the buffer; `false` if there is no memory for them.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> bool {
        if self.buffer.try_reserve(bytes.len()).is_err() {
            return false;
        }
        self.crc = crc32c(self.crc, bytes);
        self.buffer.extend_from_slice(bytes);
        self.value_len += bytes.len() as u64;
        true
    }

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
