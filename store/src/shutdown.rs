//! Ending: by choice, with a clean mark, or because writing must stop.

use crate::cache;
use crate::disk::Moved;
use crate::draft::Writes;
use crate::format::superblock::{Superblock, Tail};
use crate::name::{BucketName, Key};
use crate::options::State;
use crate::request::{At, NoSpace, Refusal, Unavailable};
use crate::store::{Phase, Store};
use alloc::format;
use core::task::Poll;

/// What a person does about a store that has stopped to write.
pub(crate) const RESTART: &str = "restart the VM to open the store again";

/// Closing under way.
pub(crate) enum Closing {
    /// What waits is being committed.
    Draining,
    /// The clean mark is being written.
    Marking(Writes),
}

impl Store {
    /// Whether this store still writes.
    pub(crate) fn is_writing(&self) -> bool {
        self.disk.is_writing()
    }

    /// No more writes in this life: pending requests have an unknown outcome.
    pub(crate) fn stop_writing(&mut self, what: &str, todo: &str) {
        if !self.is_writing() {
            return;
        }
        let sentence = format!("{what}; {todo}");
        if let Phase::Closing(_) = self.phase {
            // The state that follows does not tell it.
            log::error!("store: not closed cleanly: {sentence}");
        }
        self.state = State::ReadOnly(sentence.into());
        self.disk.stop_writing();
        if let Some(in_flight) = self.in_flight.take() {
            for batch in in_flight.contents.batches {
                *batch.outcome.borrow_mut() = Some(Err(Refusal::OutcomeUnknown));
            }
        }
        self.drop_all_uploads();
        self.queue.fail_all(&Refusal::OutcomeUnknown);
        if let Phase::Closing(_) = self.phase {
            self.state = State::Closed;
        }
    }

    pub(crate) fn begin_closing(&mut self) {
        match (&self.phase, &self.state) {
            (Phase::Closing(_), _) | (_, State::Closed) => {}
            (Phase::Open, State::Ready) => self.phase = Phase::Closing(Closing::Draining),
            _ => {
                // Nothing was acknowledged, or nothing can be written: as after a crash.
                self.disk.stop_writing();
                self.phase = Phase::Open;
                self.state = State::Closed;
            }
        }
    }

    /// Whether a write may be accepted.
    pub(crate) fn writable(&self) -> Result<(), Refusal> {
        let closed = || Unavailable::Refused("the store is closed".into());
        Err(Refusal::Unavailable(match (&self.state, &self.phase) {
            (State::Ready, Phase::Closing(_)) => closed(),
            (State::Ready, _) => return self.reachable().map_err(Refusal::Unavailable),
            (State::Opening, _) => Unavailable::Opening,
            (State::ReadOnly(why), _) => Unavailable::ReadOnly(why.clone()),
            (State::Refused(why), _) => Unavailable::Refused(why.clone()),
            (State::Closed, _) => closed(),
        }))
    }

    /// Whether it is worth waiting for the disk.
    pub(crate) fn reachable(&self) -> Result<(), Unavailable> {
        match self.disk.is_overdue() {
            true => Err(Unavailable::Away),
            false => Ok(()),
        }
    }

    /// Only the disk of this superblock is the right one from now on.
    pub(crate) fn expect_disk(&mut self) {
        if let Some(superblock) = &self.superblock {
            self.disk.expect(superblock);
        }
    }

    /// Whether reads are answered.
    pub(crate) fn readable(&self) -> Result<(), Unavailable> {
        match &self.state {
            State::Ready | State::ReadOnly(_) => Ok(()),
            State::Opening => Err(Unavailable::Opening),
            State::Refused(why) => Err(Unavailable::Refused(why.clone())),
            State::Closed => Err(Unavailable::Refused("the store is closed".into())),
        }
    }

    /// Whether the clean mark is being written: nothing may follow it.
    pub(crate) fn is_marking(&self) -> bool {
        matches!(self.phase, Phase::Closing(Closing::Marking(_)))
    }

    /// Whether nothing waits any more on the way to the clean mark.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Closing(_)) && self.queue.is_empty()
    }

    pub(crate) fn advance_closing(&mut self) -> Moved {
        let Phase::Closing(closing) = &mut self.phase else {
            return Moved::No;
        };
        match closing {
            Closing::Draining => {
                self.drop_idle_uploads();
                if self.queue.is_empty() {
                    self.compaction.abandon();
                }
                if !self.is_growing() {
                    self.growth = None;
                }
                let idle = self.in_flight.is_none() && !self.is_growing();
                let drained = self.queue.is_empty() && idle;
                if !drained || self.epoch_check() == Poll::Pending || !self.is_writing() {
                    return Moved::No;
                }
                let writes = self.clean_mark();
                self.phase = Phase::Closing(Closing::Marking(writes));
                Moved::Yes
            }
            Closing::Marking(writes) => match writes.step(&mut self.disk) {
                Poll::Pending => Moved::No,
                Poll::Ready(result) => {
                    if result.is_err() {
                        log::error!("store: the clean mark could not be written");
                    }
                    self.disk.stop_writing();
                    self.state = State::Closed;
                    Moved::Yes
                }
            },
        }
    }

    fn clean_mark(&mut self) -> Writes {
        let log = self.log();
        let tail = Tail {
            generation: log.generation,
            offset: log.at,
            chain: log.chain,
        };
        let next_seq = log.next_seq;
        let old = self
            .superblock
            .clone()
            .expect("a store that writes has a superblock");
        let superblock = Superblock {
            counter: old.counter + 1,
            next_seq,
            key_count: self.index.totals_at(self.shown(At::NOW)).keys,
            index_bytes: self.index.bytes() + self.large.bytes(),
            clean: Some(tail),
            ..old
        };
        let writes = self.superblock_writes(&superblock);
        self.superblock = Some(superblock);
        writes
    }

    /// What waits for room that nothing can make is refused: the limit should
    /// have refused it earlier, so this is the last resort against waiting for ever.
    pub(crate) fn refuse_what_is_stuck(&mut self) -> Moved {
        let waits = !self.queue.waiting.is_empty() || self.uploads_wait();
        let available = self.segments.available();
        let hope = self.in_flight.is_some()
            || self.pace.held_until_ns().is_some()
            || self.may_gain()
            || self.guard.is_busy()
            || self.disk.is_starved()
            || self.disk.away_since_ns().is_some()
            || available < self.segments.free_count();
        if !waits || hope {
            return Moved::No;
        }
        let (limit_bytes, used_bytes) = (self.limit_bytes(), self.projected_bytes());
        log::error!("store: {used_bytes} of {limit_bytes} bytes used, and no room can be made");
        let full = self.no_space(limit_bytes, used_bytes);
        self.drop_all_uploads();
        self.queue.fail_all(&full);
        // No request of the disk tells of it.
        self.uploads.has_news = true;
        Moved::Yes
    }

    /// A refusal for a disk that may hold so much, and does.
    pub(crate) fn no_space(&self, limit_bytes: u64, used_bytes: u64) -> Refusal {
        Refusal::NoSpace(NoSpace::Disk {
            limit_bytes,
            used_bytes,
            held_bytes: self.index.held(),
        })
    }

    /// A refusal if the index may not grow by `bytes`.
    pub(crate) fn memory_refusal(&self, bytes: u64) -> Option<Refusal> {
        let limit_bytes = self.index_limit_bytes();
        let used_bytes = self.index.bytes() + self.large.bytes() + self.queue.growth;
        let full = used_bytes.saturating_add(bytes) > limit_bytes;
        full.then_some(Refusal::NoSpace(NoSpace::Memory {
            limit_bytes,
            used_bytes,
        }))
    }

    /// RAM that the index may take.
    pub(crate) fn index_limit_bytes(&self) -> u64 {
        self.options.memory_bytes / 8 * 7
    }

    /// RAM that is to be given where the index takes so much.
    pub(crate) fn memory_for_index(&self, index_bytes: u64) -> u64 {
        index_bytes.div_ceil(7).saturating_mul(8)
    }

    /// Whether nothing is left out of the index.
    pub(crate) fn is_whole(&self) -> Result<(), Unavailable> {
        match (&self.state, self.index.is_whole()) {
            (State::ReadOnly(why), false) => Err(Unavailable::InPart(why.clone())),
            _ => Ok(()),
        }
    }

    /// Whether it is known if there is such a key.
    pub(crate) fn is_known(&self, bucket: &BucketName, key: &Key) -> Result<(), Unavailable> {
        match self.index.is_known(bucket.as_str(), key.as_bytes()) {
            true => Ok(()),
            false => self.is_whole(),
        }
    }

    /// Bytes of values that may wait.
    pub(crate) fn waiting_max(&self) -> u64 {
        (self.options.memory_bytes / 8).clamp(1 << 20, 16 << 20)
    }

    /// What the cache may take, the index and a summary that is being put together considered.
    pub(crate) fn cache_budget(&self) -> u64 {
        let index = self.index.bytes() + self.large.bytes();
        let rest = self.options.memory_bytes.saturating_sub(index);
        let summary = 2 * summary_memory_bytes(self.options.memory_bytes);
        (self.options.memory_bytes / 4)
            .min(rest)
            .saturating_sub(summary + cache::RECENT_BYTES + self.changes_budget())
    }

    /// Live bytes once everything accepted is durable.
    pub(crate) fn projected_bytes(&self) -> u64 {
        let live = self.segments.live_total() + self.queue.reserved;
        u64::try_from(live as i64 + self.queue.delta).unwrap_or(0)
    }

    pub(crate) fn layout(&self) -> crate::format::layout::Layout {
        self.identity
            .expect("a store that is open knows its layout")
            .0
    }

    pub(crate) fn seeds(&self) -> crate::format::checksum::Seeds {
        self.identity
            .expect("a store that is open knows its seeds")
            .1
    }

    pub(crate) fn log(&self) -> &crate::head::Log {
        self.log.as_ref().expect("a store that writes has a log")
    }

    pub(crate) fn log_mut(&mut self) -> &mut crate::head::Log {
        self.log.as_mut().expect("a store that writes has a log")
    }
}

/// RAM that gathering a segment's summary may take; once more while it is written.
pub(crate) fn summary_memory_bytes(memory_bytes: u64) -> u64 {
    (memory_bytes / 16).min(4 << 20)
}
