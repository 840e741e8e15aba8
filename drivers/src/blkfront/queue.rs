//! Requests in flight: slots, their pages, and what the backend may answer.
//!
//! # Invariants
//!
//! - A slot is free, in flight, or ended and not yet released.
//! - A wire id is the slot's index and its life; only the slot in flight under
//!   exactly this id may be answered, and only with the operation asked for.

use super::last::LastWrite;
use super::{Completed, Counters, DiskInfo, IoError, Operation, TRANSFER_BYTES_MAX};
use crate::fault::BackendFault;
use crate::resources::{GrantedPages, Handles};
use alloc::vec::Vec;
use xen::Xen;
use xen::event::Port;
use xen::io::blkif::{
    BLKIF_MAX_SEGMENTS_PER_REQUEST, BLKIF_OP_DISCARD, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_READ,
    BLKIF_OP_WRITE, BLKIF_OP_WRITE_BARRIER, BLKIF_RSP_EOPNOTSUPP, BLKIF_RSP_OKAY, BlkifRequest,
    BlkifRequestDiscard, BlkifRequestSegment, BlkifResponse, SECTOR_BYTES,
};
use xen::last::{LastPage, LastRing};
use xen::page::PAGE_BYTES;
use xen::ring::{Blk, FrontRing};

const SECTOR: usize = SECTOR_BYTES as usize;

#[derive(Clone, Copy)]
struct Slot {
    /// Counts the lives of the slot.
    life: u32,
    state: SlotState,
}

#[derive(Clone, Copy)]
enum SlotState {
    Free,
    InFlight {
        tag: u64,
        operation: u8,
        len_bytes: usize,
    },
    Ended {
        tag: u64,
        result: Result<(), IoError>,
        read_bytes: usize,
    },
}

pub(super) struct Queue {
    ring: Option<FrontRing<Blk>>,
    handles: Handles,
    /// `handle` of every request: the virtual device's number.
    device: u16,
    pages: GrantedPages,
    /// For the last write of all.
    last: GrantedPages,
    slots: Vec<Slot>,
}

/// What a read brought, until its slot is released.
pub(super) struct Data<'a> {
    pages: &'a GrantedPages,
    first: usize,
    len_bytes: usize,
}

impl Data<'_> {
    pub(super) fn copy_out(&self, into: &mut [u8]) {
        assert_eq!(into.len(), self.len_bytes, "a read is copied out whole");
        for (index, part) in into.chunks_mut(PAGE_BYTES).enumerate() {
            self.pages.get(self.first + index).page().copy_out(0, part);
        }
    }
}

impl Queue {
    pub(super) fn new(
        handles: Handles,
        ring: FrontRing<Blk>,
        (pages, last): (GrantedPages, GrantedPages),
        device: u16,
    ) -> Queue {
        let count = pages.len() / BLKIF_MAX_SEGMENTS_PER_REQUEST;
        let slots = alloc::vec![Slot { life: 0, state: SlotState::Free }; count];
        Queue {
            ring: Some(ring),
            handles,
            device,
            pages,
            last,
            slots,
        }
    }

    pub(super) fn last_write(&self, xen: Xen, port: Port, info: DiskInfo) -> LastWrite {
        let ring = LastRing::of(self.ring.as_ref().expect("taken only by drop"));
        let pages = core::array::from_fn(|index| LastPage::of(self.last.get(index)));
        LastWrite::new(ring, pages, (xen, port), self.device, info)
    }

    fn ring(&mut self) -> &mut FrontRing<Blk> {
        self.ring.as_mut().expect("taken only by drop")
    }

    /// Tags of all requests that are not yet handed back.
    pub(super) fn tags(&self) -> Vec<u64> {
        let tag = |slot: &Slot| match slot.state {
            SlotState::Free => None,
            SlotState::InFlight { tag, .. } | SlotState::Ended { tag, .. } => Some(tag),
        };
        self.slots.iter().filter_map(tag).collect()
    }

    /// Queues a request; `false` when every slot is in use.
    pub(super) fn submit(&mut self, tag: u64, operation: Operation<'_>, barrier: bool) -> bool {
        let free = self
            .slots
            .iter()
            .position(|slot| matches!(slot.state, SlotState::Free));
        let Some(index) = free else { return false };
        let mut request = BlkifRequest {
            handle: self.device,
            ..Default::default()
        };
        let len_bytes = match operation {
            Operation::Read { sector, len_bytes } => {
                (request.operation, request.sector_number) = (BLKIF_OP_READ, sector);
                len_bytes
            }
            Operation::Write { sector, data } => {
                (request.operation, request.sector_number) = (BLKIF_OP_WRITE, sector);
                for (page, part) in data.chunks(PAGE_BYTES).enumerate() {
                    self.page(index, page).copy_in(0, part);
                }
                data.len()
            }
            Operation::Flush => {
                request.operation = if barrier {
                    BLKIF_OP_WRITE_BARRIER
                } else {
                    BLKIF_OP_FLUSH_DISKCACHE
                };
                0
            }
            Operation::Discard { sector, sectors } => {
                request = BlkifRequestDiscard {
                    operation: BLKIF_OP_DISCARD,
                    handle: self.device,
                    sector_number: sector,
                    nr_sectors: sectors,
                    ..Default::default()
                }
                .in_slot();
                0
            }
        };
        if len_bytes > 0 {
            self.fill_segments(index, len_bytes, &mut request);
        }
        let slot = &mut self.slots[index];
        slot.life = slot.life.wrapping_add(1);
        slot.state = SlotState::InFlight {
            tag,
            operation: request.operation,
            len_bytes,
        };
        request.id = wire_id(index, slot.life);
        self.ring().push(&request);
        true
    }

    fn page(&self, slot: usize, page: usize) -> &xen::page::SharedPage {
        self.pages
            .get(slot * BLKIF_MAX_SEGMENTS_PER_REQUEST + page)
            .page()
    }

    fn fill_segments(&self, slot: usize, len_bytes: usize, request: &mut BlkifRequest) {
        assert!(len_bytes <= TRANSFER_BYTES_MAX && len_bytes.is_multiple_of(SECTOR));
        let pages = len_bytes.div_ceil(PAGE_BYTES);
        request.nr_segments = pages as u8;
        for page in 0..pages {
            let in_page = (len_bytes - page * PAGE_BYTES).min(PAGE_BYTES);
            let grant = self.pages.get(slot * BLKIF_MAX_SEGMENTS_PER_REQUEST + page);
            request.seg[page] = BlkifRequestSegment {
                gref: grant.reference().number(),
                first_sect: 0,
                last_sect: (in_page / SECTOR - 1) as u8,
                pad: 0,
            };
        }
    }

    /// The slot of the next ended request.
    pub(super) fn pop(&mut self, counters: &mut Counters) -> Result<Option<usize>, BackendFault> {
        let Some(response) = self.ring().pop()? else {
            return Ok(None);
        };
        let (index, ended) = self.judge(&response)?;
        counters.errors += u64::from(matches!(ended, SlotState::Ended { result: Err(_), .. }));
        match response.operation {
            BLKIF_OP_READ => counters.reads += 1,
            BLKIF_OP_WRITE => counters.writes += 1,
            BLKIF_OP_DISCARD => counters.discards += 1,
            _ => counters.flushes += 1,
        }
        self.slots[index].state = ended;
        Ok(Some(index))
    }

    /// Which slot a response ends, and how, if it may.
    fn judge(&self, response: &BlkifResponse) -> Result<(usize, SlotState), BackendFault> {
        let unknown = BackendFault::UnknownId(response.id);
        let index = (response.id & u64::from(u32::MAX)) as usize;
        let slot = self.slots.get(index).ok_or(unknown)?;
        let SlotState::InFlight {
            tag,
            operation,
            len_bytes,
        } = slot.state
        else {
            return Err(unknown);
        };
        if response.id != wire_id(index, slot.life) {
            return Err(unknown);
        }
        if response.operation != operation {
            return Err(BackendFault::WrongOperation(response.operation));
        }
        let result = match response.status {
            BLKIF_RSP_OKAY => Ok(()),
            BLKIF_RSP_EOPNOTSUPP => Err(IoError::Unsupported),
            _ => Err(IoError::Failed),
        };
        let read = operation == BLKIF_OP_READ && result.is_ok();
        let read_bytes = if read { len_bytes } else { 0 };
        Ok((
            index,
            SlotState::Ended {
                tag,
                result,
                read_bytes,
            },
        ))
    }

    /// The ended request in `slot`, with its data until released.
    pub(super) fn completed(&self, slot: usize) -> Completed<'_> {
        let SlotState::Ended {
            tag,
            result,
            read_bytes,
        } = self.slots[slot].state
        else {
            unreachable!("only ended slots are asked for");
        };
        let first = slot * BLKIF_MAX_SEGMENTS_PER_REQUEST;
        let data = Data {
            pages: &self.pages,
            first,
            len_bytes: read_bytes,
        };
        Completed {
            tag,
            result,
            data: (read_bytes > 0).then_some(data),
        }
    }

    pub(super) fn release(&mut self, slot: usize) {
        self.slots[slot].state = SlotState::Free;
    }

    pub(super) fn publish(&mut self) -> bool {
        self.ring().publish()
    }

    pub(super) fn wait(&mut self) -> bool {
        self.ring().wait_for_response()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            self.handles.revoke(ring.into_grant());
        }
    }
}

fn wire_id(slot: usize, life: u32) -> u64 {
    u64::from(life) << 32 | slot as u64
}
