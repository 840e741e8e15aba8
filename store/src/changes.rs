//! The last changes that became durable, for who watches.
//!
//! They are kept in memory alone, as many as fit a budget: who was away for longer, or was there
//! before this boot, is told from where on they are known, and looks at everything anew.
//!
//! # Invariants
//!
//! - Events are in the order of their sequences, and all there were after the floor are there.
//! - Nothing of the appliance's own bucket is told, nor of what nobody sees.

use crate::index::views::NOW;
use crate::name::{BucketName, Key};
use crate::queue::{Body, Op};
use crate::request::Seq;
use crate::store::Store;
use alloc::collections::VecDeque;

/// RAM of an event beside its names: its place in a ring that doubles as it grows, and what two
/// allocations cost.
const EVENT_BYTES: u64 = 3 * size_of::<Event>() as u64 + 48;

/// A change that became durable.
#[derive(Debug)]
pub struct Event {
    /// Its number.
    pub seq: Seq,
    /// Its bucket; `None` if it is of all.
    pub bucket: Option<BucketName>,
    /// What it did.
    pub what: What,
    /// Whether it is the last that its batch tells of.
    pub ends_batch: bool,
}

/// What a change did.
#[derive(Debug)]
pub enum What {
    /// There is a value under a key.
    Put {
        /// The key.
        key: Key,
        /// Length of the value.
        len_bytes: u64,
    },
    /// There is none any more.
    Deleted {
        /// The key.
        key: Key,
    },
    /// Keys became others all at once: by a rollback, a restore, or as the bucket was emptied.
    Reset,
}

/// The events that are kept.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    events: VecDeque<Event>,
    bytes: u64,
    /// The last one that is not kept.
    floor: u64,
}

/// What was shown before a change of views, and what that was.
#[derive(Clone, Copy)]
struct Turned {
    was_shown: u64,
    is_shown: u64,
}

impl Event {
    fn bytes(&self) -> u64 {
        let name = self.bucket.as_ref().map_or(0, |name| name.as_str().len());
        let key = match &self.what {
            What::Put { key, .. } | What::Deleted { key } => key.as_bytes().len(),
            What::Reset => 0,
        };
        EVENT_BYTES + (name + key) as u64
    }
}

impl Changes {
    fn push(&mut self, event: Event, budget_bytes: u64) {
        self.bytes += event.bytes();
        self.events.push_back(event);
        while self.bytes > budget_bytes
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.floor = oldest.seq.0;
        }
    }

    /// Nothing up to this sequence will be told: it is of before this boot.
    pub(crate) fn begin_after(&mut self, seq: u64) {
        self.floor = self.floor.max(seq);
    }

    /// The last sequence that is not told any more.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The batch has no more to tell.
    pub(crate) fn end_batch(&mut self) {
        if let Some(last) = self.events.back_mut() {
            last.ends_batch = true;
        }
    }
}

impl Store {
    /// The changes after `seq` that became durable, in order.
    ///
    /// # Errors
    /// The floor, if changes after `seq` are not known any more, or there was no `seq` yet.
    pub fn changes_after(&self, seq: Seq) -> Result<impl Iterator<Item = &Event> + Clone, Seq> {
        let floor = self.changes_floor();
        if seq < floor || seq > self.durable_seq() {
            return Err(floor);
        }
        let events = &self.changes.events;
        let first = events.partition_point(|event| event.seq <= seq);
        Ok(events.range(first..))
    }

    /// The first sequence after which all changes are known.
    pub fn changes_floor(&self) -> Seq {
        Seq(self.changes.floor())
    }

    /// RAM that may be used for it.
    pub(crate) fn changes_budget(&self) -> u64 {
        (self.options.memory_bytes / 64).min(1 << 20)
    }

    /// An op has become durable; `was_shown` is which state was shown before.
    pub(crate) fn note_change(&mut self, op: Op, was_shown: u64) {
        let turned = Turned {
            was_shown,
            is_shown: self.index.views().shown(),
        };
        if let Some(event) = event_of(op, turned) {
            let budget_bytes = self.changes_budget();
            self.changes.push(event, budget_bytes);
        }
    }
}

/// What is told of an op.
fn event_of(op: Op, shown: Turned) -> Option<Event> {
    let (bucket, what) = match (op.body, op.key) {
        (Body::Views(change), _) => {
            let bucket = match (shown.was_shown, shown.is_shown, change.undoes) {
                (NOW, NOW, Some(undone)) => undone,
                // A restore is shown; one that was given up was never seen.
                (NOW, ..) | (_, _, Some(_)) => return None,
                (_, NOW, None) => None,
                _ => return None,
            };
            (bucket, What::Reset)
        }
        _ if shown.is_shown != NOW || op.bucket.is_system() => return None,
        (Body::Put { value }, Some(key)) => {
            let len_bytes = value.len() as u64;
            (Some(op.bucket), What::Put { key, len_bytes })
        }
        (Body::Manifest { value_len, .. }, Some(key)) => {
            let len_bytes = value_len;
            (Some(op.bucket), What::Put { key, len_bytes })
        }
        (Body::Delete, Some(key)) => (Some(op.bucket), What::Deleted { key }),
        (Body::Quota { .. }, _) | (_, None) => return None,
    };
    Some(Event {
        seq: Seq(op.seq),
        bucket,
        what,
        ends_batch: false,
    })
}
