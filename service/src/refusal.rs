//! The store's refusals, said to a peer.

use crate::kv;
use crate::problem::{Kind, Problem};
use alloc::format;
use store::{Batch, NoSpace, ReadError, Refusal, State, Store, Unavailable};

/// Why a change did not happen, or may not have.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Condition { current, .. } => kv::condition_failed(current.as_ref()),
        Refusal::NotFound => Problem::new(Kind::NoSuchKey, "Nothing is stored under this key."),
        Refusal::NoSpace(space) => no_space(space),
        Refusal::TooLarge { limit_bytes } => {
            let detail = format!("A value is at most {limit_bytes} bytes here.");
            Problem::new(Kind::ValueTooLarge, detail).number("limit_bytes", limit_bytes)
        }
        Refusal::TooManyBuckets { limit } => {
            let detail = format!("There can be {limit} buckets, and there are.");
            Problem::new(Kind::TooManyBuckets, detail).number("limit", limit.into())
        }
        Refusal::NoSuchSnapshot => Problem::new(
            Kind::NoSuchSnapshot,
            "There is no snapshot of this name; GET the list of those there are.",
        ),
        Refusal::SnapshotExists => Problem::new(
            Kind::SnapshotExists,
            "There is a snapshot of this name; delete it first, or take another name.",
        ),
        Refusal::TooManySnapshots { count } => {
            let detail = format!(
                "The list of snapshots and rollbacks is full with {count} snapshots; delete some."
            );
            Problem::new(Kind::TooManySnapshots, detail).number("count", count.into())
        }
        Refusal::Unavailable(why) => unavailable(why),
        Refusal::OutcomeUnknown => outcome_unknown(),
    }
}

/// Refuses while nothing can be changed: what is handed in to hear that is a batch of nothing.
///
/// # Errors
/// Why not.
pub(crate) fn refuse_unwritable(store: &mut Store) -> Result<(), Problem> {
    store.submit(Batch::default()).map(|_| ()).map_err(problem)
}

/// Refuses while there is nothing to look at.
///
/// # Errors
/// A store that is opening or was refused.
pub(crate) fn refuse_unreadable(store: &Store) -> Result<(), Problem> {
    match store.state() {
        State::Opening => Err(unavailable(Unavailable::Opening)),
        State::Refused(why) => Err(unavailable(Unavailable::Refused(why.clone()))),
        State::Ready | State::ReadOnly(_) | State::Closed => Ok(()),
    }
}

/// Why nothing can be read or written now.
pub(crate) fn unavailable(why: Unavailable) -> Problem {
    match why {
        Unavailable::Opening => Problem::new(
            Kind::StoreOpening,
            "The store reads its log; try again soon.",
        ),
        Unavailable::ReadOnly(why) => Problem::new(Kind::StoreReadOnly, why),
        Unavailable::Refused(why) => Problem::new(Kind::StoreRefused, why),
        Unavailable::InPart(why) => Problem::new(Kind::StoreInPart, why),
        Unavailable::Busy => Problem::new(
            Kind::StoreBusy,
            "Too many requests wait for the store; try again soon.",
        ),
        Unavailable::Slow => Problem::new(
            Kind::StoreBusy,
            "The value came too slowly (fewer than 16 KiB a second) while others waited for the \
             memory it held; nothing was written. Try again.",
        ),
        Unavailable::Away => Problem::new(
            Kind::DiskAway,
            "The disk is away (`/readyz` says why), so nothing can be written, nor read that is not \
             in memory; nothing was changed. Attach it again, or wait for its backend: work goes \
             on by itself then.",
        ),
        Unavailable::Restoring => Problem::new(
            Kind::StoreRestoring,
            "A backup is being restored; until that has ended, what was there can be read, \
             and nothing else be changed.",
        ),
    }
}

/// The write may or may not be there after the next start.
pub(crate) fn outcome_unknown() -> Problem {
    Problem::new(
        Kind::WriteOutcomeUnknown,
        "The disk did not confirm the write, so it may or may not have happened. \
         Read the key again before you repeat it.",
    )
}

/// Why a value could not be read.
pub(crate) fn unreadable(error: ReadError) -> Problem {
    match error {
        ReadError::Corrupt { offset_bytes } => {
            let detail = format!(
                "The bytes at {offset_bytes} of the disk are not those that were written; \
                 they are not given out."
            );
            Problem::new(Kind::ValueCorrupt, detail).number("offset_bytes", offset_bytes)
        }
        ReadError::Io { offset_bytes } => {
            let detail = format!("The disk failed to read at {offset_bytes}.");
            Problem::new(Kind::ReadFailed, detail).number("offset_bytes", offset_bytes)
        }
        ReadError::Memory => Problem::new(
            Kind::NoMemory,
            "There is no memory to read it into now; try again soon.",
        ),
    }
}

fn no_space(space: NoSpace) -> Problem {
    let sentence = format!("Nothing was written: {space}.");
    let (kind, limit_bytes, used_bytes) = match space {
        NoSpace::Disk {
            limit_bytes,
            used_bytes,
            held_bytes,
        } => {
            let problem = Problem::new(Kind::NoSpaceDisk, sentence)
                .number("limit_bytes", limit_bytes)
                .number("used_bytes", used_bytes);
            return match held_bytes {
                Some(held_bytes) => problem.number("held_bytes", held_bytes),
                None => problem,
            };
        }
        NoSpace::Memory {
            limit_bytes,
            used_bytes,
        } => (Kind::NoSpaceMemory, limit_bytes, used_bytes),
        NoSpace::Quota {
            limit_bytes,
            used_bytes,
        } => (Kind::NoSpaceQuota, limit_bytes, used_bytes),
        NoSpace::QuotaKeys { limit, used } => {
            return Problem::new(Kind::NoSpaceQuota, sentence)
                .number("limit_keys", limit)
                .number("used_keys", used);
        }
    };
    Problem::new(kind, sentence)
        .number("limit_bytes", limit_bytes)
        .number("used_bytes", used_bytes)
}
