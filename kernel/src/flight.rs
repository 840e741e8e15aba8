//! The flight record: what a guest that dies writes to its disk, past everything that runs.
//!
//! Nothing here allocates or waits for a lock: a [`Recorder`] is made beforehand, anew whenever
//! one of its parts has changed, and the record is put together in a buffer of the caller's.

use crate::logger;
use crate::report::VERSION;
use core::fmt::{self, Write};
use drivers::blkfront::{LAST_BYTES_MAX, LastError, LastWrite};
use store::flight::{HEADER_BYTES, RECORD_BYTES, Slot};
use xen::clock::LastClock;
use xen::last::LastRing;
use xen::ring::{NetRx, NetTx};

const _: () = assert!(RECORD_BYTES <= LAST_BYTES_MAX, "one request writes it all");

/// Longest wait for the disk.
pub(crate) const WAIT_NS: u64 = 10_000_000_000;
/// Without a clock, so often is looked for an answer.
const LOOKS_MAX: u32 = 10_000_000;

/// A record that is being put together: text behind the room for its header.
pub struct Draft {
    bytes: [u8; RECORD_BYTES],
    len: usize,
}

impl Draft {
    /// Nothing yet.
    pub const EMPTY: Draft = Draft {
        bytes: [0; RECORD_BYTES],
        len: 0,
    };

    /// Adds bytes, as many as there is room for.
    pub fn push(&mut self, bytes: &[u8]) {
        let start = HEADER_BYTES + self.len;
        let taken = bytes.len().min(RECORD_BYTES - start);
        self.bytes[start..start + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
    }

    fn room(&self) -> usize {
        RECORD_BYTES - HEADER_BYTES - self.len
    }
}

impl Write for Draft {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// What it takes to write a record.
#[derive(Debug)]
pub struct Recorder {
    pub(crate) slot: Slot,
    pub(crate) disk: LastWrite,
    pub(crate) network: Option<(LastRing<NetTx>, LastRing<NetRx>)>,
    pub(crate) clock: LastClock,
    /// Our time when this guest began.
    pub(crate) begun_ns: u64,
    /// By how much our time is ahead of the hypervisor's, modulo 2^64.
    pub(crate) ahead_ns: u64,
    /// By how much the wall clock is ahead of our time.
    pub(crate) wall_ahead_ns: u64,
}

impl Recorder {
    /// Writes a record that begins with what the draft has; its number.
    ///
    /// # Errors
    /// Why there is none.
    pub fn record(&self, draft: &mut Draft, tsc: &dyn Fn() -> u64) -> Result<u64, LastError> {
        // A draft takes what fits.
        let _ = writeln!(
            draft,
            "release {VERSION}, built from {}",
            crate::report::COMMIT
        );
        let _ = writeln!(draft, "vbd ring: {}", self.disk);
        if let Some((tx, rx)) = &self.network {
            let _ = writeln!(draft, "vif tx ring: {tx}\nvif rx ring: {rx}");
        }
        let _ = writeln!(draft, "the log before it:");
        logger::tail_after_panic(draft.room(), &mut |bytes| draft.push(bytes));
        // The step that died may have begun long ago.
        let system_ns = self.clock.system_ns(tsc());
        let now_ns = system_ns.map(|now_ns| now_ns.wrapping_add(self.ahead_ns));
        let now_ns = now_ns.unwrap_or_else(logger::now_ns);
        let times = (
            now_ns.wrapping_add(self.wall_ahead_ns),
            now_ns.saturating_sub(self.begun_ns),
        );
        self.slot.seal(&mut draft.bytes, draft.len, times);
        let end_ns = self.clock.system_ns(tsc()).map(|now_ns| now_ns + WAIT_NS);
        let mut looks = 0;
        let mut may_wait = || {
            looks += 1;
            match (end_ns, self.clock.system_ns(tsc())) {
                (Some(end_ns), Some(now_ns)) => now_ns < end_ns,
                _ => looks < LOOKS_MAX,
            }
        };
        self.disk
            .write(self.slot.sector, &draft.bytes, &mut may_wait)?;
        Ok(self.slot.number())
    }
}
