//! The last write of a guest that dies: polled, without memory, whatever was going on.

use super::DiskInfo;
use core::fmt;
use xen::Xen;
use xen::event::Port;
use xen::io::blkif::{
    BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_OKAY, BlkifRequest,
    BlkifRequestSegment, SECTOR_BYTES,
};
use xen::last::{LastPage, LastRing};
use xen::page::PAGE_BYTES;
use xen::ring::Blk;

/// Pages that are kept for it.
pub(super) const LAST_PAGES: usize = 4;
/// What can be written.
pub const LAST_BYTES_MAX: usize = LAST_PAGES * PAGE_BYTES;
/// No slot's life is this one's.
const WIRE_ID: u64 = u64::MAX;

/// What it takes, of one connection; of no use after that.
#[derive(Debug)]
pub struct LastWrite {
    ring: LastRing<Blk>,
    pages: [LastPage; LAST_PAGES],
    xen: Xen,
    port: Port,
    device: u16,
    info: DiskInfo,
}

/// Why nothing may have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastError {
    /// The backend took no request, or answered none, in time.
    Silent,
    /// The backend failed.
    Failed,
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LastError::Silent => "the disk did not answer in time",
            LastError::Failed => "the disk failed to write it",
        })
    }
}

impl core::error::Error for LastError {}

impl LastWrite {
    pub(super) fn new(
        ring: LastRing<Blk>,
        pages: [LastPage; LAST_PAGES],
        (xen, port): (Xen, Port),
        device: u16,
        info: DiskInfo,
    ) -> LastWrite {
        LastWrite {
            ring,
            pages,
            xen,
            port,
            device,
            info,
        }
    }

    /// Writes `bytes` from `sector` on, and flushes, as long as `may_wait` says so.
    ///
    /// # Errors
    /// [`LastError`].
    ///
    /// # Panics
    /// When it is longer than [`LAST_BYTES_MAX`], or not in whole sectors.
    pub fn write(
        &self,
        sector: u64,
        bytes: &[u8],
        may_wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), LastError> {
        assert!(bytes.len() <= LAST_BYTES_MAX && bytes.len().is_multiple_of(512));
        let mut request = BlkifRequest {
            operation: BLKIF_OP_WRITE,
            handle: self.device,
            sector_number: sector,
            ..Default::default()
        };
        for (index, part) in bytes.chunks(PAGE_BYTES).enumerate() {
            self.pages[index].copy_in(part);
            request.nr_segments += 1;
            request.seg[index] = BlkifRequestSegment {
                gref: self.pages[index].reference(),
                first_sect: 0,
                last_sect: (part.len() / SECTOR_BYTES as usize - 1) as u8,
                pad: 0,
            };
        }
        self.ask(request, may_wait)?;
        let operation = match (self.info.flush, self.info.barrier) {
            (true, _) => BLKIF_OP_FLUSH_DISKCACHE,
            (false, true) => BLKIF_OP_WRITE_BARRIER,
            (false, false) => return Ok(()),
        };
        let flush = BlkifRequest {
            operation,
            handle: self.device,
            ..Default::default()
        };
        self.ask(flush, may_wait)
    }

    fn ask(
        &self,
        request: BlkifRequest,
        may_wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), LastError> {
        let mut wait = || match may_wait() {
            true => {
                self.xen.yield_now();
                Ok(())
            }
            false => Err(LastError::Silent),
        };
        while !self.ring.has_room() {
            wait()?;
        }
        let request = BlkifRequest {
            id: WIRE_ID,
            ..request
        };
        let mut at = self.ring.push(&request);
        self.port.notify_last(self.xen);
        loop {
            match self.ring.pop(&mut at) {
                Some(own) if own.id == WIRE_ID && own.operation == request.operation => {
                    return match own.status {
                        BLKIF_RSP_OKAY => Ok(()),
                        _ => Err(LastError::Failed),
                    };
                }
                // Nothing yet, or the end of what was in flight before; a backend that makes up
                // ends for ever costs no more than one that is silent.
                _ => wait()?,
            }
        }
    }
}

/// Where the ring stands.
impl fmt::Display for LastWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ring)
    }
}
