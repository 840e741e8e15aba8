//! What waits is gathered into one group: frees, chunks, batches, and copies of compaction.

use crate::draft::Draft;
use crate::format::record::{Owner, Record};
use crate::format::summary;
use crate::format::views;
use crate::queue::{Body, Op, Waiting};
use crate::room::USERS;
use crate::store::Store;
use alloc::vec::Vec;

/// A record moved by compaction.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) what: crate::compact::Subject,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) len: u64,
}

/// A chunk of an upload.
#[derive(Debug)]
pub(crate) struct ChunkWritten {
    pub(crate) upload_id: u64,
    pub(crate) upload: u64,
    pub(crate) number: u32,
    pub(crate) data_len: usize,
    pub(crate) pos: u64,
    pub(crate) record_len: u64,
}

/// What a group holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) batches: Vec<Waiting>,
    pub(crate) chunks: Vec<ChunkWritten>,
    pub(crate) copies: Vec<Copied>,
    pub(crate) frees: Vec<u32>,
    /// Position and records of an earlier epoch's last group.
    pub(crate) relogged: Option<(u64, Vec<u8>, u32)>,
}

/// Longest Free record.
pub(crate) const FREE_RECORD_BYTES: u64 = 24;

impl Store {
    /// Puts together what waits, as far as it fits and may be written.
    pub(crate) fn fill(&mut self) -> (Draft, Contents) {
        let room = self.remaining();
        let layout = self.layout();
        let log = self.log_mut();
        let (first, summary) = (log.first.take(), log.summary.take());
        let joint = first.as_ref().map(|first| first.joint);
        let place = (log.at, log.generation);
        let mut draft = Draft::begin(layout, log.seeds, place, room, joint, summary);
        let mut contents = Contents::default();
        let views = match &first {
            Some(first) => first.views.as_ref(),
            None => Some(self.index.views()),
        };
        let begins = draft.offset == layout.data_start(self.log().head);
        if let Some(views) = views.filter(|views| begins && views.seq > 0) {
            draft.push(&Record::Views {
                seq: views.seq,
                list: &views::encode(views),
            });
        }
        if let Some(first) = first {
            let pos = draft.offset + draft.bytes.len() as u64;
            let from = draft.bytes.len();
            for record in &first.records {
                draft.push_copy(record);
            }
            contents.relogged = Some((
                pos,
                draft.bytes[from..].to_vec(),
                first.records.len() as u32,
            ));
            return (draft, contents);
        }
        self.log_mut().proof_wanted = false;
        self.fill_frees(&mut draft, &mut contents);
        let available = self.segments.available();
        if available >= USERS.here {
            self.fill_chunks(&mut draft, &mut contents);
        }
        self.fill_batches(&mut draft, &mut contents, available);
        self.fill_copies(&mut draft, &mut contents);
        (draft, contents)
    }

    fn fill_frees(&mut self, draft: &mut Draft, contents: &mut Contents) {
        while draft.fits(FREE_RECORD_BYTES, 0) {
            let Some(number) = self.compaction.take_freeable() else {
                return;
            };
            let generation = self.segments.get(number).generation;
            draft.push(&Record::Free { number, generation });
            contents.frees.push(number);
        }
    }

    fn fill_batches(&mut self, draft: &mut Draft, contents: &mut Contents, available: u32) {
        let soft = self.layout().group_bytes_soft();
        let mut taken = 0;
        while let Some(batch) = self.queue.waiting.front() {
            let allowed = available >= Store::batch_claim(batch).here;
            let enough = taken > 0 && taken + batch.bytes > soft;
            let ready = self.uploads.is_ready(batch);
            if !allowed || enough || !ready || !draft.fits(batch.bytes, summary_bytes(batch)) {
                return;
            }
            let mut batch = self
                .queue
                .take_front()
                .expect("the front was just looked at");
            taken += batch.bytes;
            for op in &mut batch.ops {
                op.pos = draft.push(&record_of(op));
            }
            contents.batches.push(batch);
        }
    }
}

/// What the records of a batch add to a summary at most.
pub(crate) fn summary_bytes(batch: &Waiting) -> u64 {
    let ops = batch.ops.iter().map(|op| {
        let key = op.key.as_ref().map_or(0, |key| key.as_bytes().len());
        match op.body {
            Body::Views(_) | Body::Quota { .. } => {
                u64::from(op.record_len) + summary::NUMBERS_BYTES_MAX
            }
            _ => summary::of_name(op.bucket.as_str().len() + key),
        }
    });
    ops.sum()
}

/// The record a change writes.
fn record_of(op: &Op) -> Record<'_> {
    let key = op.key.as_ref().map_or(&[][..], |key| key.as_bytes());
    let owner = Owner {
        seq: op.seq,
        bucket: op.bucket.as_str(),
        key,
        modified_wall_ns: op.modified_wall_ns,
    };
    let (metadata, value_crc) = (op.metadata.as_slice(), op.value_crc);
    match &op.body {
        Body::Put { value } => Record::Put {
            owner,
            metadata,
            value_crc,
            value,
        },
        Body::Delete => Record::Tombstone { owner },
        Body::Manifest {
            upload, value_len, ..
        } => Record::Manifest {
            owner,
            metadata,
            value_crc,
            value_len: *value_len,
            upload: *upload,
        },
        Body::Quota { limits } => Record::Quota {
            seq: op.seq,
            bucket: op.bucket.as_str(),
            limits: *limits,
        },
        Body::Views(change) => Record::Views {
            seq: op.seq,
            list: &change.list,
        },
    }
}

/// How long the record of a change is.
pub(crate) fn record_len(op: &Op) -> u32 {
    crate::format::record::len(&record_of(op)) as u32
}
