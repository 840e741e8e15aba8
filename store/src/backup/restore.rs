//! A backup on its way into a store that serves: all of it, or nothing.
//!
//! What was there stays shown until the last byte has been checked and is durable. Then the state
//! of the backup is shown instead, with one record.

use super::decoder::{Broken, Decoder};
use super::item::{BucketHead, EntryHead, Header, Item, Loss};
use super::stop::Stop;
use crate::admit::BUCKETS_MAX;
use crate::index;
use crate::name::{BucketName, Key, SnapshotName};
use crate::request::{Condition, QuotaLimits, Refusal, Seq, Ticket, Unavailable, Upload};
use crate::snapshots::NewState;
use crate::staging::Staged;
use crate::store::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::task::Poll;

/// Values that may be on their way to the disk.
const WAITING_MAX: usize = 64;

/// Why nothing was restored. What was there before is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The stream is no backup, or not a whole one.
    Broken(Broken),
    /// The store takes no restore, or not this.
    Refused(Refusal),
    /// It was ended by [`Stop`].
    Stopped,
    /// The store did not take a value.
    Value {
        /// Its bucket.
        bucket: BucketName,
        /// Its key.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
    /// The backup lacks a value, which could not be read when it was taken.
    Lossy {
        /// Its bucket.
        bucket: BucketName,
        /// Its key.
        key: Key,
        /// Why it could not be read.
        loss: Loss,
    },
}

/// How far a restore has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreProgress {
    /// Keys of the backup, once that is known.
    pub keys: u64,
    /// Keys taken in.
    pub keys_taken: u64,
    /// Values that the backup lacks.
    pub lost: u64,
}

/// A restore that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What was there before is in this snapshot.
    pub before: SnapshotName,
    /// Keys that are there now.
    pub keys: u64,
    /// Values that the backup lacks.
    pub lost: u64,
    /// The state the backup is of.
    pub of: Seq,
}

/// Where a restore stands.
enum Stage {
    /// The stream comes.
    Taking,
    /// The record that shows it is on its way.
    Showing(Ticket, SnapshotName),
    Ended(Restored),
    Failed(RestoreError),
}

/// A restore on its way; dropped before its end, it leaves all as it was.
pub struct Restore {
    decoder: Decoder,
    lossy: bool,
    stage: Stage,
    staged: Option<Staged>,
    stop: Stop,
    header: Option<Header>,
    /// What could not be done yet.
    item: Option<Item>,
    bucket: Option<BucketName>,
    key: Option<Key>,
    upload: Option<Upload>,
    /// Bytes that the upload has not taken yet.
    bytes: Vec<u8>,
    waiting: VecDeque<(BucketName, Key, Ticket)>,
    quotas: BTreeMap<BucketName, QuotaLimits>,
    progress: RestoreProgress,
}

/// What became of an item.
enum Step {
    Done,
    /// Come back after a step of the store.
    Wait,
}

impl Store {
    /// Begins to put the state of a backup in the place of all there is, but the appliance's own.
    ///
    /// Nothing happens before its first block has come. From there on reads show what was there,
    /// and other changes are refused with [`Unavailable::Restoring`], until the restore has ended
    /// or is dropped. `lossy` restores a backup without the values that it lacks.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn begin_restore(&mut self, lossy: bool) -> Result<Restore, Refusal> {
        self.changeable()?;
        Ok(Restore {
            decoder: Decoder::default(),
            lossy,
            stage: Stage::Taking,
            staged: None,
            stop: Stop::default(),
            header: None,
            item: None,
            bucket: None,
            key: None,
            upload: None,
            bytes: Vec::new(),
            waiting: VecDeque::new(),
            quotas: BTreeMap::new(),
            progress: RestoreProgress::default(),
        })
    }

    /// Takes some bytes of the backup, as many as there is room for now; none once its end is told.
    ///
    /// Fewer than all of them means come back with the rest after a step.
    ///
    /// # Errors
    /// The restore is over.
    pub fn take_backup(
        &mut self,
        restore: &mut Restore,
        bytes: &[u8],
    ) -> Result<usize, RestoreError> {
        if let Stage::Failed(error) = &restore.stage {
            return Err(error.clone());
        }
        if !matches!(restore.stage, Stage::Taking) {
            return Ok(0);
        }
        let taken = match restore.stop.is_stopped() {
            true => Err(RestoreError::Stopped),
            false => self.take_in(restore, bytes),
        };
        if let Err(error) = &taken {
            restore.fail(error.clone());
        }
        taken
    }

    /// The stream has ended: shows what it had, once all of it is durable.
    ///
    /// `Pending` means come back after a step.
    ///
    /// # Errors
    /// The restore is over.
    pub fn end_restore(&mut self, restore: &mut Restore) -> Poll<Result<Restored, RestoreError>> {
        let ended = match &restore.stage {
            Stage::Ended(restored) => return Poll::Ready(Ok(restored.clone())),
            Stage::Failed(error) => return Poll::Ready(Err(error.clone())),
            Stage::Taking if restore.stop.is_stopped() => Err(RestoreError::Stopped),
            Stage::Taking => self.begin_showing(restore),
            Stage::Showing(ticket, before) => match self.outcome(ticket) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(refusal)) => Err(RestoreError::Refused(refusal)),
                Poll::Ready(Ok(_)) => {
                    let restored = restore.restored(before.clone());
                    restore.stage = Stage::Ended(restored.clone());
                    return Poll::Ready(Ok(restored));
                }
            },
        };
        match ended {
            Ok(()) => Poll::Pending,
            Err(error) => {
                restore.fail(error.clone());
                Poll::Ready(Err(error))
            }
        }
    }

    fn take_in(&mut self, restore: &mut Restore, bytes: &[u8]) -> Result<usize, RestoreError> {
        let mut taken = 0;
        loop {
            self.settle_values(restore)?;
            if let Some(item) = restore.item.take()
                && let Step::Wait = self.take_item(restore, item)?
            {
                return Ok(taken);
            }
            if let Step::Wait = self.feed(restore)? {
                return Ok(taken);
            }
            let pushed = restore.decoder.push(&bytes[taken..]);
            let (count, item) = pushed.map_err(RestoreError::Broken)?;
            taken += count;
            restore.item = item;
            if restore.item.is_none() && taken == bytes.len() {
                return Ok(taken);
            }
        }
    }

    /// An item that cannot be done now is left for later.
    fn take_item(&mut self, restore: &mut Restore, item: Item) -> Result<Step, RestoreError> {
        match item {
            Item::Header(header) => return self.take_header(restore, header),
            Item::Bucket(BucketHead { name, quota }) => {
                if quota != QuotaLimits::default() {
                    restore.quotas.insert(name.clone(), quota);
                }
                restore.bucket = Some(name);
            }
            Item::Entry(head) => return self.take_entry(restore, head),
            Item::Data(bytes) => restore.bytes = bytes,
            Item::Complete => return self.take_complete(restore),
            Item::Lost(loss) => {
                let (bucket, key) = restore.name();
                if !restore.lossy {
                    return Err(RestoreError::Lossy { bucket, key, loss });
                }
                restore.upload = None;
                restore.progress.lost += 1;
            }
            Item::End(_) => {}
        }
        Ok(Step::Done)
    }

    fn take_header(&mut self, restore: &mut Restore, header: Header) -> Result<Step, RestoreError> {
        if header.buckets > BUCKETS_MAX {
            let limit = BUCKETS_MAX;
            return Err(RestoreError::Refused(Refusal::TooManyBuckets { limit }));
        }
        let least = NewState {
            live_bytes: header.live_bytes,
            index_bytes: header.keys.saturating_mul(index::growth(&[0])),
        };
        match self.stage(least, restore.stop.clone()) {
            Ok(staged) => {
                restore.staged = Some(staged);
                restore.progress.keys = header.keys;
                restore.header = Some(header);
                Ok(Step::Done)
            }
            Err(Refusal::Unavailable(Unavailable::Busy)) => {
                restore.item = Some(Item::Header(header));
                Ok(Step::Wait)
            }
            Err(refusal) => Err(RestoreError::Refused(refusal)),
        }
    }

    fn take_entry(&mut self, restore: &mut Restore, head: EntryHead) -> Result<Step, RestoreError> {
        if restore.is_staging() {
            restore.item = Some(Item::Entry(head));
            return Ok(Step::Wait);
        }
        restore.key = Some(head.key.clone());
        let name = restore.name();
        let (headers, len_bytes) = (&head.headers, Some(head.len_bytes));
        let admitted = self.admit_upload(name.clone(), Condition::None, headers, len_bytes);
        match admitted {
            Ok(upload) => {
                self.date_upload(&upload, head.modified_wall_ns);
                self.keep_upload(&upload);
                restore.upload = Some(upload);
                Ok(Step::Done)
            }
            Err(Refusal::Unavailable(Unavailable::Busy)) => {
                restore.item = Some(Item::Entry(head));
                Ok(Step::Wait)
            }
            Err(refusal) => Err(self.of_value(name, refusal)),
        }
    }

    /// Hands bytes on to the value they belong to.
    fn feed(&mut self, restore: &mut Restore) -> Result<Step, RestoreError> {
        if restore.bytes.is_empty() {
            return Ok(Step::Done);
        }
        let id = restore.upload.as_ref().map(|upload| upload.id);
        let id = id.expect("the decoder gives bytes only of an entry");
        let taken = self.take_bytes(id, &restore.bytes);
        let taken = taken.map_err(|refusal| self.of_value(restore.name(), refusal))?;
        restore.bytes.drain(..taken);
        Ok(match restore.bytes.is_empty() {
            true => Step::Done,
            false => Step::Wait,
        })
    }

    fn take_complete(&mut self, restore: &mut Restore) -> Result<Step, RestoreError> {
        if restore.waiting.len() >= WAITING_MAX || self.is_queue_full() {
            restore.item = Some(Item::Complete);
            return Ok(Step::Wait);
        }
        let upload = restore.upload.take();
        let upload = upload.expect("the decoder completes only what was begun");
        let (bucket, key) = restore.name();
        match self.finish_upload(upload) {
            Ok(ticket) => restore.waiting.push_back((bucket, key, ticket)),
            Err(refusal) => return Err(self.of_value((bucket, key), refusal)),
        }
        restore.progress.keys_taken += 1;
        Ok(Step::Done)
    }

    /// Takes note of values that are durable.
    fn settle_values(&mut self, restore: &mut Restore) -> Result<(), RestoreError> {
        if let Some(staged) = &mut restore.staged
            && let Some(ticket) = staged.ticket.take()
        {
            match self.outcome(&ticket) {
                Poll::Pending => staged.ticket = Some(ticket),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(refusal)) => return Err(RestoreError::Refused(refusal)),
            }
        }
        while let Some((bucket, key, ticket)) = restore.waiting.pop_front() {
            match self.outcome(&ticket) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(refusal)) => return Err(self.of_value((bucket, key), refusal)),
                Poll::Pending => {
                    restore.waiting.push_front((bucket, key, ticket));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Why a value was not taken. What becomes of it is of no account: it is never shown.
    fn of_value(&self, (bucket, key): (BucketName, Key), refusal: Refusal) -> RestoreError {
        if refusal == Refusal::OutcomeUnknown {
            let why = self.writable().err();
            return RestoreError::Refused(why.unwrap_or(Refusal::Unavailable(Unavailable::Busy)));
        }
        RestoreError::Value {
            bucket,
            key,
            refusal,
        }
    }

    /// Submits the record that shows all of it, if all of it has come.
    fn begin_showing(&mut self, restore: &mut Restore) -> Result<(), RestoreError> {
        self.take_in(restore, &[])?;
        if restore.item.is_some() || !restore.bytes.is_empty() {
            return Ok(());
        }
        restore.decoder.finish().map_err(RestoreError::Broken)?;
        if !restore.waiting.is_empty() || restore.is_staging() {
            return Ok(());
        }
        match self.show_staged(&restore.quotas) {
            Ok((ticket, before)) => restore.stage = Stage::Showing(ticket, before),
            Err(Refusal::Unavailable(Unavailable::Busy)) => {}
            Err(refusal) => return Err(RestoreError::Refused(refusal)),
        }
        Ok(())
    }
}

impl Restore {
    /// How far it has come.
    pub fn progress(&self) -> RestoreProgress {
        self.progress
    }

    /// Ends it from elsewhere.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Whether all of it is there, and the record that shows it is on its way: it may be shown
    /// even if nobody waits for that any more.
    pub fn is_showing(&self) -> bool {
        matches!(self.stage, Stage::Showing(..))
    }

    /// Whether what is written might still be shown.
    fn is_staging(&self) -> bool {
        let staged = self.staged.as_ref();
        staged.is_none_or(|staged| staged.ticket.is_some())
    }

    /// The entry that is being taken in.
    fn name(&self) -> (BucketName, Key) {
        let name = self.bucket.clone().zip(self.key.clone());
        name.expect("the decoder gives an entry only in a bucket")
    }

    fn restored(&self, before: SnapshotName) -> Restored {
        Restored {
            before,
            keys: self.progress.keys_taken,
            lost: self.progress.lost,
            of: self
                .header
                .as_ref()
                .map(|header| header.seq)
                .unwrap_or_default(),
        }
    }

    /// Lets go of everything, so that all is as it was.
    fn fail(&mut self, error: RestoreError) {
        self.stage = Stage::Failed(error);
        self.upload = None;
        self.waiting.clear();
        self.staged = None;
    }
}
