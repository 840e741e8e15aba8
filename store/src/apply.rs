//! A durable group becomes visible.
//!
//! # Invariants
//!
//! - Called only with what a completed flush covers.
//! - A record that stops counting is taken off its segment's live bytes and out
//!   of the cache in the same breath.

use crate::blob::Blob;
use crate::cache::Cached;
use crate::compact::Subject;
use crate::format::codec::varint_len;
use crate::format::layout::CHUNK_BYTES;
use crate::gather::{ChunkWritten, Contents, Copied};
use crate::index::{Form, Quota, Retired, Version};
use crate::metadata;
use crate::pressure;
use crate::queue::{Body, Op};
use crate::store::Store;
use alloc::rc::Rc;
use alloc::vec::Vec;

impl Store {
    pub(crate) fn apply(&mut self, contents: Contents) {
        let touched = pressure::touched(&contents);
        if let Some(relogged) = contents.relogged {
            self.relogged = Some(relogged);
        }
        for copied in contents.copies {
            self.apply_copy(&copied);
        }
        for chunk in contents.chunks {
            self.apply_chunk(&chunk);
        }
        let mut last_batch = None;
        for batch in contents.batches {
            self.counts.changes += batch.ops.len() as u64;
            for op in batch.ops {
                self.queue.settle_op(batch.id, &op);
                let (seq, was_shown) = (op.seq, self.index.views().shown());
                self.apply_op(&op);
                let log = self.log_mut();
                log.durable_seq = log.durable_seq.max(seq);
                self.note_change(op, was_shown);
            }
            self.changes.end_batch();
            *batch.outcome.borrow_mut() = Some(Ok(batch.committed));
            last_batch = Some(batch.id);
        }
        if let Some(batch) = last_batch {
            self.queue.durable_through(batch);
            self.note_expired(batch);
        }
        for number in contents.frees {
            self.segments.release(number);
            self.compaction.note_freed();
            self.discard(number);
        }
        self.watch_limits(touched);
    }

    fn discard(&mut self, number: u32) {
        let offered = self
            .disk
            .known_geometry()
            .is_some_and(|geometry| geometry.discard);
        if offered
            && !self.segments.is_held(number)
            && self.segments.available() > crate::format::layout::RESERVE_SEGMENTS
        {
            let (layout, hold) = (self.layout(), self.segments.hold_free(number));
            self.disk
                .discard(layout.start(number), layout.segment_bytes, hold);
        }
    }

    fn apply_copy(&mut self, copied: &Copied) {
        let Copied {
            what,
            from,
            to,
            len,
        } = copied;
        let moved = match what {
            Subject::Version {
                bucket, key, seq, ..
            } => self
                .index
                .relocate(bucket.as_str(), (key, *seq), *from, *to),
            Subject::Quota { bucket } => self.index.relocate_quota(bucket.as_str(), *from, *to),
            Subject::Chunk {
                upload,
                number,
                data_len,
            } => {
                let current = self.large.position(*upload, *number) == Some(*from);
                if current {
                    self.large.set(*upload, *number, *to, *data_len);
                }
                current
            }
        };
        if moved {
            self.segments.remove_live(*from, *len);
            self.segments.add_live(*to, *len);
            self.cache.relocate(*from, *to);
        }
        self.compaction.note_applied();
    }

    fn apply_chunk(&mut self, chunk: &ChunkWritten) {
        if !self.uploads.chunk_durable(chunk, &mut self.queue.reserved) {
            return;
        }
        self.large
            .set(chunk.upload, chunk.number, chunk.pos, chunk.data_len);
        self.segments.add_live(chunk.pos, chunk.record_len);
    }

    fn apply_op(&mut self, op: &Op) {
        let bucket = op.bucket.as_str();
        let key = op.key.as_ref().map_or(&[][..], |key| key.as_bytes());
        let (pos, record_len) = (op.pos, op.record_len);
        let retired = match &op.body {
            Body::Put { value } => {
                let version = version_of(op, value.len() as u64, Form::Whole);
                self.index.write(bucket, key, version)
            }
            Body::Manifest {
                upload,
                value_len,
                upload_id,
            } => {
                let version = Version {
                    upload_len: varint_len(*upload) as u8,
                    ..version_of(op, *value_len, Form::Chunked)
                };
                self.large.manifests.insert(op.seq, *upload);
                self.uploads.committed(*upload_id, &mut self.queue.reserved);
                self.index.write(bucket, key, version)
            }
            Body::Delete => self.index.write(bucket, key, version_of(op, 0, Form::Tomb)),
            Body::Views(change) => return self.index.set_views(change.views.clone()),
            Body::Quota { limits } => {
                let quota = Quota {
                    pos,
                    seq: op.seq,
                    record_len,
                    limits: *limits,
                };
                if let Some(old) = self.index.set_quota(bucket, quota) {
                    self.segments
                        .remove_live(old.pos, u64::from(old.record_len));
                }
                Vec::new()
            }
        };
        self.segments.add_live(pos, u64::from(record_len));
        self.retire(&retired);
        if let Body::Put { value } = &op.body {
            self.cache_committed(pos, value, &op.metadata);
        }
    }

    fn cache_committed(&mut self, pos: u64, value: &[u8], metadata: &[u8]) {
        assert!(value.len() <= CHUNK_BYTES);
        if value.is_empty() {
            return;
        }
        self.cache.shrink_to(self.cache_budget());
        let Some(mut run) = self.disk.take_run(value.len()) else {
            return;
        };
        run.bytes_mut().copy_from_slice(value);
        let cached = Cached {
            value: Blob::new(run, 0..value.len()),
            metadata: Rc::from(metadata),
        };
        self.cache.insert(pos, cached, value.len() as u64);
    }

    /// What no view sees any more counts no longer.
    pub(crate) fn retire(&mut self, retired: &[Retired]) {
        for record in retired {
            self.segments.remove_live(record.pos, record.len);
            self.cache.remove(record.pos);
            if record.form == Form::Chunked
                && let Some(upload) = self.large.manifests.remove(&record.seq)
            {
                self.retire_chunks(upload);
            }
        }
    }

    /// The chunks of an upload count no longer.
    pub(crate) fn retire_chunks(&mut self, upload: u64) {
        if let Some(table) = self.large.remove(upload) {
            for (pos, len) in table.records(upload) {
                self.segments.remove_live(pos, len);
            }
        }
    }
}

fn version_of(op: &Op, value_len: u64, form: Form) -> Version {
    Version {
        pos: op.pos,
        seq: op.seq,
        modified_ms: op.modified_wall_ns / 1_000_000,
        expires_ms: metadata::expires_ms(&op.metadata),
        value_len: value_len as u32,
        checksum: op.value_crc,
        metadata_len: op.metadata.len() as u16,
        form,
        upload_len: 0,
        dead: 0,
    }
}
