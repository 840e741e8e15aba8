//! A backup on its way out, a block at a time, while the store serves.

use super::block::{self, MAGIC};
use super::item::{self, BucketHead, End, EntryHead, Header, Loss};
use super::pins::Shared;
use super::stop::Stop;
use crate::index::views::NOW;
use crate::name::{BucketName, Key, SnapshotName};
use crate::options::State;
use crate::reader::Reader;
use crate::request::{At, KeyQuery, Metadata, ReadError, Refusal, Seq, Ticket};
use crate::store::Store;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Poll;
use xxhash_rust::xxh3::Xxh3;

/// Keys that are listed ahead.
const PAGE_KEYS: usize = 16;

/// Why a backup ends before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupError {
    /// It could not begin, or the store cannot be read any more.
    Refused(Refusal),
    /// Nobody read it for two minutes, and it held space: begin again.
    Cut,
    /// It was ended by [`Stop`].
    Stopped,
}

enum Stage {
    Pinning(Ticket),
    Header,
    Bucket,
    Keys,
    Entry(Box<Entry>),
    Ended,
    Failed(BackupError),
}

struct Entry {
    head: EntryHead,
    reader: Reader,
    begun: bool,
}

/// A backup on its way; dropped, it leaves nothing behind.
pub struct Backup {
    stage: Stage,
    at: At,
    seq: u64,
    taken_wall_ms: u64,
    of: Option<SnapshotName>,
    shared: Option<Rc<Shared>>,
    stop: Stop,
    buckets: VecDeque<BucketName>,
    bucket: Option<BucketName>,
    query: KeyQuery,
    more: bool,
    keys: VecDeque<(Key, Metadata)>,
    number: u64,
    seed: u32,
    hash: Box<Xxh3>,
    sums: End,
}

impl Store {
    /// Begins a backup of the state there is now, or of a snapshot.
    ///
    /// Until it is dropped, or has not been read for two minutes, what it is of stays readable: the
    /// list of snapshots shows it as `!backup-N`. The appliance's own bucket is not in it.
    ///
    /// # Errors
    /// [`Refusal::NoSuchSnapshot`], [`Refusal::TooManySnapshots`], or as [`Store::submit`]; a
    /// store that is only read can be backed up, too.
    pub fn begin_backup(&mut self, of: Option<&SnapshotName>) -> Result<Backup, Refusal> {
        let whole = self.readable().and_then(|()| self.is_whole());
        whole.map_err(Refusal::Unavailable)?;
        let now_ms = self.now.wall_ns / 1_000_000;
        let (stage, seq, taken_wall_ms, shared) = match &self.state {
            // Nothing will change any more.
            State::ReadOnly(_) => match of.map(|of| self.index.views().snapshot(of)) {
                Some(None) => return Err(Refusal::NoSuchSnapshot),
                Some(Some(snapshot)) => (Stage::Header, snapshot.seq, snapshot.wall_ms, None),
                None => (Stage::Header, NOW, now_ms, None),
            },
            _ => {
                let pinned = self.pin(of)?;
                let stage = Stage::Pinning(pinned.ticket);
                (stage, pinned.seq, pinned.wall_ms, Some(pinned.shared))
            }
        };
        let stop = shared.as_ref().map(|shared| shared.stop.clone());
        Ok(Backup {
            stop: stop.unwrap_or_default(),
            stage,
            at: At(seq),
            seq,
            taken_wall_ms,
            of: of.cloned(),
            shared,
            buckets: VecDeque::new(),
            bucket: None,
            query: KeyQuery::default(),
            more: false,
            keys: VecDeque::new(),
            number: 0,
            seed: 0,
            hash: Box::new(Xxh3::new()),
            sums: End::default(),
        })
    }

    /// Appends the next block of the stream to `out`, at most 70 KiB; `false` once it was the last.
    ///
    /// `Pending` means come back after a step.
    ///
    /// # Errors
    /// The backup is over, and what there is of it is no backup.
    pub fn read_backup(
        &mut self,
        backup: &mut Backup,
        out: &mut Vec<u8>,
    ) -> Poll<Result<bool, BackupError>> {
        if backup.stop.is_stopped() {
            return Poll::Ready(Err(BackupError::Stopped));
        }
        if let Some(shared) = &backup.shared {
            if shared.cut.get() {
                return Poll::Ready(Err(BackupError::Cut));
            }
            shared.read_ns.set(self.now.monotonic_ns);
        }
        if let Err(unavailable) = self.readable() {
            return Poll::Ready(Err(BackupError::Refused(Refusal::Unavailable(unavailable))));
        }
        let before = out.len();
        while out.len() == before {
            match core::mem::replace(&mut backup.stage, Stage::Ended) {
                Stage::Pinning(ticket) => match self.outcome(&ticket) {
                    Poll::Pending => {
                        backup.stage = Stage::Pinning(ticket);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(_)) => backup.stage = Stage::Header,
                    Poll::Ready(Err(refusal)) => {
                        backup.stage = Stage::Failed(BackupError::Refused(refusal));
                    }
                },
                Stage::Header => self.back_up_header(backup, out),
                Stage::Bucket => self.back_up_bucket(backup, out),
                Stage::Keys => self.back_up_keys(backup),
                Stage::Entry(entry) => match self.back_up_entry(backup, entry, out) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {}
                },
                Stage::Ended => return Poll::Ready(Ok(false)),
                Stage::Failed(error) => {
                    backup.stage = Stage::Failed(error.clone());
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(!matches!(backup.stage, Stage::Ended)))
    }

    fn back_up_header(&mut self, backup: &mut Backup, out: &mut Vec<u8>) {
        let (totals, names) = self.index.shown_at(self.shown(At(backup.seq)));
        backup.buckets = names.into();
        let header = Header {
            store_id: self.id.unwrap_or_default(),
            seq: match backup.seq {
                NOW => self.durable_seq(),
                seq => Seq(seq),
            },
            taken_wall_ms: backup.taken_wall_ms,
            keys: totals.keys,
            live_bytes: totals.charged_bytes,
            index_bytes: self.index.bytes() + self.large.bytes(),
            buckets: backup.buckets.len() as u32,
            device_bytes: self
                .disk
                .known_geometry()
                .map_or(0, |found| found.len_bytes),
            snapshot: backup.of.as_ref().map(|name| name.as_str().into()),
            trouble: match &self.state {
                State::ReadOnly(why) if self.counts.findings > 0 => Some(why.clone()),
                _ => None,
            },
        };
        backup.hash.update(&MAGIC);
        out.extend_from_slice(&MAGIC);
        backup.seed = backup.put(out, item::HEADER, &header.encode());
        backup.stage = Stage::Bucket;
    }

    fn back_up_bucket(&mut self, backup: &mut Backup, out: &mut Vec<u8>) {
        let Some(name) = backup.buckets.pop_front() else {
            let end = End {
                hash: backup.hash.digest(),
                ..backup.sums
            };
            backup.put(out, item::END, &end.encode());
            backup.stage = Stage::Ended;
            return;
        };
        let (quota, _) = self.quota(&name);
        let head = BucketHead {
            name: name.clone(),
            quota,
        };
        backup.put(out, item::BUCKET, &head.encode());
        backup.bucket = Some(name);
        backup.query = KeyQuery {
            limit: PAGE_KEYS,
            at: backup.at,
            ..KeyQuery::default()
        };
        backup.more = true;
        backup.stage = Stage::Keys;
    }

    /// The next key of the bucket, or the next bucket.
    fn back_up_keys(&mut self, backup: &mut Backup) {
        let Some(bucket) = backup.bucket.clone() else {
            backup.stage = Stage::Bucket;
            return;
        };
        if backup.keys.is_empty() && backup.more {
            // What is over has no tombstone yet in a store that cannot write: it is in the sums.
            let shown = (self.shown(backup.at), 0);
            let (page, _) = self.index.page(&bucket, &backup.query, shown, usize::MAX);
            backup.more = page.more;
            backup.keys = page.keys.into();
            if let Some((last, _)) = backup.keys.back() {
                let mut start = last.as_bytes().to_vec();
                start.push(0);
                backup.query.start = Some(start);
            }
        }
        let Some((key, metadata)) = backup.keys.pop_front() else {
            backup.stage = Stage::Bucket;
            return;
        };
        let reader = self.reader_at(backup.at, &bucket, &key);
        let reader = reader.expect("a listed key has a version as long as it is pinned");
        let head = EntryHead {
            key,
            seq: metadata.seq,
            modified_wall_ns: metadata.modified_wall_ns,
            len_bytes: metadata.len_bytes,
            checksum: metadata.checksum,
            headers: crate::request::Headers::default(),
        };
        backup.sums.entries += 1;
        backup.stage = Stage::Entry(Box::new(Entry {
            head,
            reader,
            begun: false,
        }));
    }

    fn back_up_entry(
        &mut self,
        backup: &mut Backup,
        mut entry: Box<Entry>,
        out: &mut Vec<u8>,
    ) -> Poll<()> {
        let piece = match self.read(&mut entry.reader) {
            Poll::Pending | Poll::Ready(Err(ReadError::Memory)) => {
                backup.stage = Stage::Entry(entry);
                return Poll::Pending;
            }
            Poll::Ready(Ok(piece)) => piece,
            Poll::Ready(Err(error)) => {
                backup.lose(&entry, &error, out);
                backup.stage = Stage::Keys;
                return Poll::Ready(());
            }
        };
        let bytes = piece.as_deref().unwrap_or_default();
        backup.sums.data_bytes += bytes.len() as u64;
        if !entry.begun {
            entry.begun = true;
            entry.head.headers = entry.reader.known_headers();
            backup.put(out, item::ENTRY, &entry.head.encode(bytes));
        } else if !bytes.is_empty() {
            backup.put(out, item::DATA, bytes);
        }
        backup.stage = match piece {
            Some(_) => Stage::Entry(entry),
            None => Stage::Keys,
        };
        Poll::Ready(())
    }
}

impl Backup {
    /// Ends it from elsewhere.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Values so far that could not be read.
    pub fn lost(&self) -> u64 {
        self.sums.lost
    }

    /// Appends a block; its checksum.
    fn put(&mut self, out: &mut Vec<u8>, kind: u8, body: &[u8]) -> u32 {
        let start = out.len();
        let crc = block::put(out, (self.seed, self.number), kind, body);
        self.hash.update(&out[start..]);
        self.number += 1;
        crc
    }

    /// A value that cannot be read is named, and the others go on.
    fn lose(&mut self, entry: &Entry, error: &ReadError, out: &mut Vec<u8>) {
        let Some(loss) = Loss::of(error) else { return };
        if !entry.begun {
            self.put(out, item::ENTRY, &entry.head.encode(&[]));
        }
        self.put(out, item::LOST, &loss.encode());
        self.sums.lost += 1;
    }
}
