//! What may go wrong, how often, and the draws that decide it.

use crate::random::Random;
use std::fmt;

/// Of this many cases a chance counts how many.
const MILLION: u64 = 1_000_000;

/// Every other time.
pub(super) const HALF: u32 = 500_000;

/// What a flush does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// All that was written before is durable when it ends.
    #[default]
    Works,
    /// It ends well and has made nothing durable.
    Lies,
    /// It fails, each time.
    Fails,
    /// The disk does not know the request.
    NotOffered,
}

/// Why a request did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// It reaches beyond the disk's end.
    OutOfRange,
    /// It is not one or more whole sectors.
    Unaligned,
    /// The disk tried, and may have done any part of it.
    Failed,
    /// The disk does not know such requests.
    NotOffered,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoError::OutOfRange => "beyond the end of the disk",
            IoError::Unaligned => "not whole sectors",
            IoError::Failed => "the disk failed",
            IoError::NotOffered => "not offered by the disk",
        })
    }
}

impl std::error::Error for IoError {}

/// How [`super::Disk::fail_nth`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailNth {
    /// That request alone.
    Once,
    /// That request and all that follow.
    FromThenOn,
}

/// How long requests take, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub min_ns: u64,
    /// The longest; not below `min_ns`.
    pub max_ns: u64,
}

/// What may go wrong. Chances are per million, and of one request each unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A read fails, and the next one of the same sectors need not.
    pub read_error: u32,
    /// A write or a discard fails, with any of its sectors written.
    pub write_error: u32,
    /// A flush fails, with nothing made durable.
    pub flush_error: u32,
    /// Of failed flushes: later ones end well without what this one should have made durable.
    pub forgetful_flush_error: u32,
    /// A write ends well and nothing was written.
    pub lost_write: u32,
    /// A write ends well elsewhere, if there is an elsewhere.
    pub misdirected_write: u32,
    /// A read is answered with what is elsewhere, if there is an elsewhere.
    pub misdirected_read: u32,
    /// One bit of a write is another on the medium than it is in the cache.
    pub corrupt_write: u32,
    /// One sector of a read becomes unreadable until something else is durable there.
    pub latent_error: u32,
    /// Of each sector of a discard: it stays as it was.
    pub ignored_discard: u32,
    /// Of each unflushed sector at a [`super::Disk::crash`]: it becomes unreadable.
    pub unreadable_at_crash: u32,
    /// What flushes do.
    pub flush: Flush,
    /// The disk does not know discards.
    pub no_discard: bool,
    /// How long requests take.
    pub slow: Latency,
}

/// The draws of a disk.
///
/// Each purpose has a stream of its own, and each request one for its faults, so that a
/// latency, a crash or a failure more leaves the other faults of a seed where they were.
#[derive(Clone)]
pub(super) struct Chances {
    requests: Random,
    /// Of the last request.
    request: Random,
    crashes: Random,
    latencies: Random,
    io_count: u64,
    armed: Option<(u64, FailNth)>,
}

impl Chances {
    pub(super) fn new(random: &mut Random) -> Chances {
        Chances {
            requests: random.fork(),
            request: random.fork(),
            crashes: random.fork(),
            latencies: random.fork(),
            io_count: 0,
            armed: None,
        }
    }

    /// Begins a request; whether it fails.
    pub(super) fn fails(&mut self, chance: u32) -> bool {
        let io = self.io_count;
        self.io_count += 1;
        self.request = self.requests.fork();
        let armed = self.armed.is_some_and(|(nth, how)| match how {
            FailNth::Once => io == nth,
            FailNth::FromThenOn => io >= nth,
        });
        armed || self.strikes(chance)
    }

    pub(super) fn strikes(&mut self, chance: u32) -> bool {
        self.request.chance(chance.into(), MILLION)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.request.below(bound)
    }

    /// Fills a buffer whose request failed, for a reader that looks nevertheless.
    pub(super) fn garble(&mut self, into: &mut [u8]) {
        self.request.fill(into);
    }

    pub(super) fn latency_ns(&mut self, range: Latency) -> u64 {
        assert!(
            range.min_ns <= range.max_ns,
            "the longest is not the shorter"
        );
        let span = range.max_ns - range.min_ns;
        range.min_ns + self.latencies.below(span.saturating_add(1))
    }

    /// A stream for one crash.
    pub(super) fn crash(&mut self) -> Random {
        self.crashes.fork()
    }

    pub(super) fn arm(&mut self, n: u64, how: FailNth) {
        self.armed = Some((self.io_count.saturating_add(n), how));
    }

    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    pub(super) fn io_count(&self) -> u64 {
        self.io_count
    }
}

/// Whether a sector becomes unreadable at a crash.
pub(super) fn is_torn(random: &mut Random, chance: u32) -> bool {
    random.chance(chance.into(), MILLION)
}
