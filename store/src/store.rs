//! The store itself: its parts, its steps, and its public face.
//!
//! # Invariants
//!
//! - What `index` shows is durable; what is not lies in `queue`.
//! - Once writing has stopped it does not begin again in this life.

use crate::Now;
use crate::backup::Pins;
use crate::blob::Blob;
use crate::block::{BlockDevice, Durability};
use crate::cache::Cache;
use crate::changes::Changes;
use crate::commit::InFlight;
use crate::compact::Compaction;
use crate::disk::{Disk, Moved};
use crate::expiry::Expiry;
use crate::flight::Flight;
use crate::format::checksum::Seeds;
use crate::format::layout::Layout;
use crate::format::superblock::Superblock;
use crate::growth::Growth;
use crate::guard::Guard;
use crate::head::Log;
use crate::index::{Index, PAGE_OVER_MAX};
use crate::large::Large;
use crate::name::{BucketName, Key};
use crate::opening::Opening;
use crate::pace::Pace;
use crate::pressure::Pressure;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::request::{
    At, Batch, Committed, Condition, Headers, KeyPage, KeyQuery, Metadata, QuotaLimits, ReadError,
    Refusal, Seq, Ticket, Unavailable, Upload,
};
use crate::scrub::Scrub;
use crate::segments::Segments;
use crate::shutdown::{Closing, RESTART};
use crate::staging::Staging;
use crate::uploads::Uploads;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Poll;

use crate::options::{FormatPermission, Options, State, Statistics, Wake};

/// What a step is busy with.
pub(crate) enum Phase {
    Opening(Box<Opening>),
    Open,
    Closing(Closing),
}

/// What is counted and nowhere else known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) groups: u64,
    pub(crate) changes: u64,
    pub(crate) compactions: u64,
    pub(crate) corruptions: u64,
    /// Places found damaged while opening.
    pub(crate) findings: u64,
    pub(crate) uploads_displaced: u64,
}

/// A key-value store; see the crate documentation.
pub struct Store {
    pub(crate) state: State,
    pub(crate) phase: Phase,
    pub(crate) options: Choices,
    pub(crate) now: Now,
    pub(crate) disk: Disk,
    pub(crate) id: Option<[u8; 16]>,
    /// Geometry and seeds, once the superblock has been read.
    pub(crate) identity: Option<(Layout, Seeds)>,
    /// As last written.
    pub(crate) superblock: Option<Superblock>,
    pub(crate) log: Option<Log>,
    pub(crate) segments: Segments,
    pub(crate) index: Index,
    pub(crate) large: Large,
    pub(crate) cache: Cache,
    pub(crate) queue: Queue,
    pub(crate) uploads: Uploads,
    pub(crate) compaction: Compaction,
    pub(crate) expiry: Expiry,
    pub(crate) changes: Changes,
    pub(crate) pins: Pins,
    pub(crate) staging: Staging,
    pub(crate) pressure: Pressure,
    pub(crate) scrub: Scrub,
    pub(crate) guard: Guard,
    pub(crate) flight: Flight,
    pub(crate) growth: Option<Growth>,
    /// What was told of last: see [`Statistics::unusable_bytes`].
    pub(crate) unusable_bytes: u64,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) pace: Pace,
    /// Where the records of an earlier epoch's last group were logged again.
    pub(crate) relogged: Option<(u64, Vec<u8>, u32)>,
    pub(crate) last_seq: u64,
    pub(crate) counts: Counts,
}

/// The options that are needed after opening began.
pub(crate) struct Choices {
    pub(crate) format: FormatPermission,
    pub(crate) unit_bytes: Option<u32>,
    pub(crate) memory_bytes: u64,
    pub(crate) seed: [u8; 32],
}

/// Rounds of one step.
///
/// Each is at most a few hundred completions, one group and one slice of compaction.
const ROUNDS_PER_STEP: u32 = 16;
/// When to try again after memory was missing.
const STARVED_RETRY_NS: u64 = 1_000_000;

impl Store {
    /// Begins to open the store on `device`; [`Store::step`] does the work.
    pub fn opening(device: Box<dyn BlockDevice>, options: Options) -> Self {
        let Options {
            format,
            unit_bytes,
            memory_bytes,
            seed,
            pages,
        } = options;
        Store {
            state: State::Opening,
            phase: Phase::Opening(Box::new(Opening::new())),
            options: Choices {
                format,
                unit_bytes,
                memory_bytes,
                seed,
            },
            now: Now {
                monotonic_ns: 0,
                wall_ns: 0,
            },
            disk: Disk::new(device, pages),
            id: None,
            identity: None,
            superblock: None,
            log: None,
            segments: Segments::none(),
            index: Index::default(),
            large: Large::default(),
            cache: Cache::new(memory_bytes / 4),
            queue: Queue::default(),
            uploads: Uploads::default(),
            compaction: Compaction::default(),
            expiry: Expiry::default(),
            changes: Changes::default(),
            pins: Pins::default(),
            staging: Staging::default(),
            pressure: Pressure::default(),
            scrub: Scrub::default(),
            guard: Guard::default(),
            flight: Flight::default(),
            growth: None,
            unusable_bytes: 0,
            in_flight: None,
            pace: Pace::default(),
            relogged: None,
            last_seq: 0,
            counts: Counts::default(),
        }
    }

    /// Does what can be done now, within a budget, without waiting.
    pub fn step(&mut self, now: Now) -> Wake {
        self.note_time(now);
        self.disk.note_time(now.monotonic_ns);
        self.disk.pump();
        self.sweep_uploads();
        for _ in 0..ROUNDS_PER_STEP {
            let moved = match self.phase {
                Phase::Opening(_) if self.disk.take_fresh() => self.open_anew(),
                Phase::Opening(_) => self.advance_opening(),
                Phase::Open | Phase::Closing(_) => self.advance(),
            };
            // What was just begun has to be handed to the device before we rest.
            let pumped = self.disk.pump();
            if pumped == Moved::No && moved == Moved::No {
                let room = self.make_upload_room();
                if self.uploads.take_news() {
                    return Wake::Now;
                }
                let retry = now.monotonic_ns.saturating_add(STARVED_RETRY_NS);
                let retry = self.disk.take_starved().then_some(retry);
                let expiry = self.next_expiry_ns();
                let (cut, scrub) = (self.next_cut_ns(), self.next_scrub_ns());
                let (undoing, group) = (self.next_undoing_ns(), self.next_group_ns());
                let wakes = retry.into_iter().chain(expiry).chain(cut);
                let wakes = wakes.chain(scrub).chain(undoing).chain(group);
                let wakes = wakes.chain(self.disk.link_at_ns()).chain(room);
                return Wake::At(wakes.min());
            }
        }
        Wake::Now
    }

    fn advance(&mut self) -> Moved {
        if !self.is_writing() {
            return self.advance_scrub();
        }
        if self.disk.is_gone() {
            self.stop_writing("the disk went away", RESTART);
            return Moved::Yes;
        }
        if let Some(failure) = self.disk.take_failure() {
            self.stop_writing(&failure, RESTART);
            return Moved::Yes;
        }
        if let Some((was, is)) = self.disk.cropped()
            && is < self.layout().end()
        {
            let what =
                alloc::format!("the disk became smaller: it had {was} bytes and has {is} now");
            self.stop_writing(&what, "make it as large as it was, and restart");
            return Moved::Yes;
        }
        if self.is_marking() {
            return self.advance_closing();
        }
        let expired = self.expire_due();
        let swept = self.sweep_pins();
        let given_up = self.sweep_staging();
        let committed = self.advance_commit();
        if !self.is_writing() {
            return Moved::Yes;
        }
        if self.index.is_reaping() {
            let retired = self.index.reap();
            self.retire(&retired);
            return Moved::Yes;
        }
        let (compacted, grown) = match self.is_draining() {
            true if self.is_growing() => (Moved::No, self.advance_growth()),
            true => (Moved::No, Moved::No),
            false => (self.advance_compaction(), self.advance_growth()),
        };
        if !self.is_writing() {
            return Moved::Yes;
        }
        let closed = self.advance_closing();
        let scrubbed = self.advance_scrub() | self.advance_flight();
        if [
            expired, swept, given_up, committed, compacted, grown, closed, scrubbed,
        ]
        .contains(&Moved::Yes)
        {
            return Moved::Yes;
        }
        self.refuse_what_is_stuck()
    }

    /// How far the store is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The store's id once known; it is printed and used in `disk.format=`.
    pub fn id(&self) -> Option<[u8; 16]> {
        self.id
    }

    /// What the device promises about durability, once known.
    pub fn durability(&self) -> Option<Durability> {
        self.disk
            .known_geometry()
            .map(|geometry| geometry.durability)
    }

    /// Why the disk that is to come back is not there, in words.
    pub fn disk_absence(&self) -> Option<&'static str> {
        self.disk.absence()
    }

    /// How many requests the disk has ended: what waits for the store may go on with another.
    pub fn ended_requests(&self) -> u64 {
        self.disk.ended
    }

    /// Numbers.
    pub fn statistics(&self) -> Statistics {
        let progress = self.compaction_progress();
        let Some((layout, _)) = self.identity else {
            return Statistics::default();
        };
        let used = layout.segment_count - self.segments.free_count();
        let shown = self.index.totals_at(self.shown(At::NOW));
        Statistics {
            in_part: !self.index.is_whole(),
            keys: shown.keys,
            live_bytes: shown.charged_bytes,
            used_bytes: u64::from(used) * layout.segment_bytes,
            limit_bytes: self.limit_bytes(),
            index_bytes: self.index.bytes() + self.large.bytes(),
            cache_bytes: self.cache.bytes(),
            segments: layout.segment_count,
            segments_free: self.segments.free_count(),
            groups: self.counts.groups,
            changes: self.counts.changes,
            written_bytes: self.disk.written_bytes,
            flushes: self.disk.flushes,
            compactions: self.counts.compactions,
            dead_bytes: progress.dead_bytes,
            compaction_debt_bytes: progress.debt_bytes,
            compaction_left_bytes: progress.left_bytes,
            held_bytes: self.index.held(),
            unusable_bytes: self.unusable(),
            expired: self.expiry.expired,
            clock_steps: self.expiry.clock_steps,
            corruptions: self.counts.corruptions,
            waiting: (self.queue.waiting.len() + self.uploads.len()) as u64,
            upload_bytes: self.uploads.room_bytes,
            upload_limit_bytes: self.upload_room_bytes(),
            uploads_displaced: self.counts.uploads_displaced,
        }
    }

    /// The version of a key in a durable state.
    ///
    /// If it is not there since its time is over, see [`Store::observed`], as after each read.
    ///
    /// # Errors
    /// [`Unavailable`] while opening, when refused, or where nothing is known of the key.
    pub fn lookup(
        &mut self,
        at: At,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<Option<Metadata>, Unavailable> {
        self.readable()?;
        self.is_known(bucket, key)?;
        let shown = self.shown(at);
        let found = self.index.get_at(bucket.as_str(), key.as_bytes(), shown);
        let found = found.filter(|version| self.shows(at, (bucket, key), version));
        Ok(found.map(|version| version.metadata()))
    }

    /// Begins to read the version of a key in a durable state.
    ///
    /// Its metadata comes now, headers and value by [`Store::read`].
    ///
    /// # Errors
    /// [`Unavailable`] while opening, when refused, or where nothing is known of the key.
    pub fn open_value(
        &mut self,
        at: At,
        bucket: &BucketName,
        key: &Key,
    ) -> Result<Option<(Metadata, Reader)>, Unavailable> {
        self.readable()?;
        self.is_known(bucket, key)?;
        let begun = self.begin_reader(at, bucket, key);
        match &begun {
            Some((_, reader)) if !reader.is_cached() => self.reachable()?,
            _ => {}
        }
        Ok(begun)
    }

    /// The headers of the value, once the first record has been read.
    pub fn headers(&mut self, reader: &mut Reader) -> Poll<Result<Headers, ReadError>> {
        self.poll_first(reader).map_ok(|()| reader.known_headers())
    }

    /// The next piece of the value (checked, in order, at most 64 KiB), or `None` at its end.
    pub fn read(&mut self, reader: &mut Reader) -> Poll<Result<Option<Blob>, ReadError>> {
        self.poll_value(reader)
    }

    /// A page of keys of one bucket, from durable state.
    ///
    /// # Errors
    /// [`Unavailable`] while opening or when refused, where it is not known which keys there are,
    /// and while so many keys are over at once that they have to be removed first.
    pub fn keys(&mut self, bucket: &BucketName, query: &KeyQuery) -> Result<KeyPage, Unavailable> {
        self.readable()?;
        let now_ms = self.expiry_now_ms();
        let shown = self.shown(query.at);
        let (mut page, over) = self
            .index
            .page(bucket, query, (shown, now_ms), PAGE_OVER_MAX);
        let many = over.len() >= PAGE_OVER_MAX;
        if !over.is_empty() {
            let named = |key: Key| (bucket.clone(), key);
            self.observe(over.into_iter().map(named).collect());
        }
        if many && self.is_removing() {
            return Err(Unavailable::Busy);
        }
        if many {
            // Where nothing can be removed, nothing is gained by waiting.
            (page, _) = self.index.page(bucket, query, (shown, now_ms), usize::MAX);
        }
        if !self.index.knows_all(bucket, query) {
            // Backwards it would begin in the middle; forwards it ends where knowledge does.
            match page.more || page.keys.len() >= query.limit {
                true if !query.reverse => page.more = true,
                _ => self.is_whole()?,
            }
        }
        Ok(KeyPage {
            seq: self.durable_seq().min(Seq(query.at.0)),
            ..page
        })
    }

    /// The buckets there are, in order.
    ///
    /// # Errors
    /// [`Unavailable::InPart`].
    pub fn buckets(&self) -> Result<Vec<BucketName>, Unavailable> {
        self.is_whole()?;
        let listed = |name: &BucketName, live: bool| live && !name.is_system();
        let live = self.index.buckets.iter();
        let live =
            live.filter(|(name, bucket)| listed(name, self.shown_totals(name, bucket).keys > 0));
        Ok(live.map(|(name, _)| name.clone()).collect())
    }

    /// The buckets that have a key or a quota, in order.
    ///
    /// # Errors
    /// [`Unavailable::InPart`].
    pub fn known_buckets(&self) -> Result<Vec<BucketName>, Unavailable> {
        self.is_whole()?;
        let all = self.index.buckets.iter();
        let known = all.filter(|(name, bucket)| {
            let limits = bucket.quota.map(|quota| quota.limits).unwrap_or_default();
            let shown = self.shown_totals(name, bucket);
            let known = shown.keys > 0 || limits != QuotaLimits::default();
            known && !name.is_system()
        });
        Ok(known.map(|(name, _)| name.clone()).collect())
    }

    /// Hands in a batch; its conditions are judged now, against everything accepted before.
    ///
    /// A delete of a key that is not there writes nothing; if the batch writes
    /// nothing else either, it is [`Refusal::NotFound`].
    ///
    /// # Errors
    /// What can be refused without observing pending state is refused at once.
    pub fn submit(&mut self, batch: Batch) -> Result<Ticket, Refusal> {
        self.changeable()?;
        self.submit_batch(batch)
    }

    /// How the batch ended: `Pending` until that may be known.
    ///
    /// Consumes the ticket's place when ready.
    pub fn outcome(&mut self, ticket: &Ticket) -> Poll<Result<Committed, Refusal>> {
        match ticket.0.borrow_mut().take() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }

    /// Begins a value of any length up to the limit.
    ///
    /// `len_bytes` if it is known ahead, so that what cannot fit is refused now.
    ///
    /// # Errors
    /// Refused before the first byte where it can be: too large, no space, condition.
    pub fn begin_upload(
        &mut self,
        bucket: BucketName,
        key: Key,
        condition: Condition,
        headers: Headers,
        len_bytes: Option<u64>,
    ) -> Result<Upload, Refusal> {
        self.changeable()?;
        self.admit_upload((bucket, key), condition, &headers, len_bytes)
    }

    /// Takes some bytes of the value, as many as there is room for now.
    ///
    /// 0 means come back after a step.
    ///
    /// # Errors
    /// The upload is over: too large, no space, too slow beside others that want its room, or the
    /// store stopped writing.
    pub fn upload(&mut self, upload: &mut Upload, bytes: &[u8]) -> Result<usize, Refusal> {
        self.changeable()?;
        self.take_bytes(upload.id, bytes)
    }

    /// The value is complete: commits it under its condition, judged (again) now.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn commit_upload(&mut self, upload: Upload) -> Result<Ticket, Refusal> {
        self.changeable()?;
        self.finish_upload(upload)
    }

    /// Stops taking writes, commits what waits, marks the disk clean.
    ///
    /// Then the state is [`State::Closed`].
    pub fn close(&mut self) {
        self.begin_closing();
    }

    /// The last durable change, or after an opening the last number that was ever given to one.
    pub fn durable_seq(&self) -> Seq {
        let written = self.log.as_ref().map_or(0, |log| log.durable_seq);
        Seq(written.max(self.last_seq).max(self.changes.floor()))
    }

    /// Gives the device back (the kernel needs it to detach).
    pub fn device(&mut self) -> &mut dyn BlockDevice {
        self.disk.device()
    }
}
