//! The writes of an opening: the new epoch, then its first group, then ready.

use super::{Next, SEQ_JUMP, Stage, hex, number_of};
use crate::disk::Moved;
use crate::draft::Writes;
use crate::format::group::Joint;
use crate::format::record::{self, Record};
use crate::format::superblock::Superblock;
use crate::head::{First, Log};
use crate::index::views::Views;
use crate::options::State;
use crate::recover::Recovery;
use crate::replay::Replay;
use crate::request::At;
use crate::segments::Segments;
use crate::store::Store;
use crate::walk::Taken;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::Poll;

impl Store {
    pub(super) fn announce(
        &mut self,
        old: Superblock,
        recovery: Recovery,
        aside: Option<Taken>,
    ) -> Next {
        let proven = recovery.tail_is_proven;
        let mut replay = recovery.replay;
        let tail = recovery.tail.expect("a log without findings has a tail");
        let newest = recovery
            .newest
            .expect("a log without findings has a newest segment");
        let (layout, seeds) = self.identity.expect("set when recovery was judged");
        let next_seq = old.next_seq.max(replay.next_seq()) + if proven { 0 } else { SEQ_JUMP };
        let (offset, chain) = match &aside {
            Some(aside) => (aside.offset, aside.chain_before),
            None => (tail.offset, tail.chain),
        };
        let superblock = Superblock {
            counter: old.counter + 1,
            epoch: old.epoch.max(replay.max_epoch()) + 1,
            opener: number_of(&self.options.seed[24..]),
            next_seq,
            layout,
            // It is not added up yet.
            key_count: 0,
            index_bytes: replay.index.bytes() + replay.large.bytes(),
            clean: None,
            ..old
        };
        let last_generation = recovery.max_generation.max(newest.generation);
        let (records, views) = again(aside.as_ref(), &replay);
        self.log = Some(Log {
            seeds,
            epoch: superblock.epoch,
            head: newest.number,
            generation: newest.generation,
            at: layout.span(tail.offset),
            end: tail.offset,
            chain,
            successor: newest.successor,
            abandoned: None,
            next_generation: next_generation(last_generation, superblock.epoch),
            next_seq,
            durable_seq: replay.last_seq,
            first: None,
            proof_wanted: false,
            repairs: recovery.repairs,
            summary: recovery.summary,
        });
        self.segments = core::mem::replace(&mut replay.segments, Segments::new(layout));
        // What only the unproven group frees is not reused before it is logged again.
        let holds = recovery
            .unproven_frees
            .iter()
            .map(|number| self.segments.hold_free(*number));
        let mut holds: Vec<Rc<()>> = holds.collect();
        if aside.is_some() && recovery.head_is_unproven && newest.previous_generation > 0 {
            holds.extend(self.abandon(newest.number, newest.previous_generation));
        }
        let first = First {
            joint: Joint {
                generation: newest.generation,
                offset,
                chain,
            },
            records,
            views,
            _holds: holds,
        };
        self.log_mut().first = Some(first);
        let writes = self.superblock_writes(&superblock);
        self.superblock = Some(superblock);
        Next::Stage(Stage::Announce {
            writes,
            replay: Box::new(replay),
            aside,
        })
    }

    /// Leaves a head whose header may never have been flushed: what is logged again must not
    /// depend on it. Without another segment it stays the head.
    fn abandon(&mut self, head: u32, previous_generation: u64) -> Option<Rc<()>> {
        if self.segments.available() == 0 {
            return None;
        }
        self.log_mut().abandoned = Some(previous_generation);
        self.segments.release(head);
        Some(self.segments.hold_free(head))
    }

    pub(super) fn go_on_announcing(
        &mut self,
        mut writes: Writes,
        replay: Box<Replay>,
        aside: Option<Taken>,
    ) -> Next {
        match writes.step(&mut self.disk) {
            Poll::Pending => Next::Wait(Stage::Announce {
                writes,
                replay,
                aside,
            }),
            Poll::Ready(Ok(())) => Next::Stage(Stage::FirstGroup { replay, aside }),
            Poll::Ready(Err(_)) => self.opening_failed(replay, aside),
        }
    }

    /// Shows what was read, unless some of it was not: a disk that fails both ways may have
    /// hidden the end of the log, and then what is left would be passed off as all there is.
    pub(super) fn opening_failed(&mut self, mut replay: Box<Replay>, aside: Option<Taken>) -> Next {
        if self.disk.unread_sectors > 0 {
            return self.refuse(String::from(
                "the disk could be neither read nor written while the store was opened: check the disk and restart the VM",
            ));
        }
        let (layout, _) = self.identity.expect("set when recovery was judged");
        replay.segments = core::mem::replace(&mut self.segments, Segments::new(layout));
        if let Some(aside) = &aside {
            replay
                .segments
                .resume(aside.offset, aside.header.generation);
        }
        let reason = "the disk could not be written while the store was opened: restart the VM";
        self.open_read_only(*replay, aside, String::from(reason));
        Next::Over
    }

    pub(super) fn go_on_first_group(
        &mut self,
        mut replay: Box<Replay>,
        aside: Option<Taken>,
    ) -> Next {
        let moved = self.advance_commit();
        if !self.is_writing() {
            return self.opening_failed(replay, aside);
        }
        let Some((offset, records, count)) = self.relogged.take() else {
            let stage = Stage::FirstGroup { replay, aside };
            return if moved == Moved::Yes {
                Next::Stage(stage)
            } else {
                Next::Wait(stage)
            };
        };
        let (layout, _) = self.identity.expect("set when recovery was judged");
        replay.segments = core::mem::replace(&mut self.segments, Segments::new(layout));
        replay.records(&records, offset, count);
        self.install(*replay);
        let last_seq = self.last_seq;
        let log = self.log_mut();
        log.durable_seq = last_seq;
        let before = log.next_seq - 1;
        self.changes.begin_after(before);
        let log = self.log_mut();
        log.proof_wanted = !records.is_empty();
        self.expect_disk();
        self.state = State::Ready;
        let buckets = self.index.buckets.keys().cloned().collect();
        self.watch_limits(buckets);
        if let Some(id) = self.id {
            let keys = self.index.totals_at(self.shown(At::NOW)).keys;
            log::info!("store: ready, id {}, {} keys", hex(&id), keys);
        }
        Next::Over
    }
}

/// Generations of an epoch are its own. A crash may have left a part of a group of any epoch
/// where ours is written next, with the same records at the same place: under the same
/// generation it could pass for a part of ours. Below the epoch they go on counting.
fn next_generation(last: u64, epoch: u64) -> u64 {
    let epoch = epoch.min(u64::from(u32::MAX));
    let first = epoch << 32 | u64::from((last as u32).wrapping_add(1));
    first.max(last.saturating_add(1))
}

/// What is logged again, and the snapshots beside it unless they are among it.
fn again(aside: Option<&Taken>, replay: &Replay) -> (Vec<Vec<u8>>, Option<Views>) {
    let records = aside.map_or_else(Vec::new, split);
    let has_views = records.iter().any(|record| is_views(record));
    let views = (!has_views).then(|| replay.index.views().clone());
    (records, views)
}

fn is_views(record: &[u8]) -> bool {
    let found = record::decode_proven(record);
    found.is_some_and(|found| matches!(found.record, Record::Views { .. }))
}

/// The raw records of a group.
fn split(taken: &Taken) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut at = taken.header.header_len;
    while at < taken.bytes.len() {
        let Some(found) = record::decode_proven(&taken.bytes[at..]) else {
            break;
        };
        records.push(taken.bytes[at..at + found.len].to_vec());
        at += found.len;
    }
    records
}
