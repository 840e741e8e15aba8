//! Sending: a frame is copied into a granted page and queued.

use super::{Counters, frame_len, page_index};
use crate::fault::BackendFault;
use crate::resources::{GrantedPages, Handles};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use xen::io::netif::{NETIF_RSP_OKAY, NetifTxRequest};
use xen::last::LastRing;
use xen::ring::{FrontRing, NetTx};

pub(super) struct Transmitter {
    ring: Option<FrontRing<NetTx>>,
    pages: GrantedPages,
    in_flight: Box<[bool]>,
    free: Vec<u16>,
    handles: Handles,
}

impl Transmitter {
    pub(super) fn new(handles: Handles, ring: FrontRing<NetTx>, pages: GrantedPages) -> Self {
        let in_flight = vec![false; pages.len()].into_boxed_slice();
        let free = (0..pages.len() as u16).rev().collect();
        Transmitter {
            ring: Some(ring),
            pages,
            in_flight,
            free,
            handles,
        }
    }

    pub(super) fn last(&self) -> LastRing<NetTx> {
        LastRing::of(self.ring.as_ref().expect("taken only by drop"))
    }

    fn ring(&mut self) -> &mut FrontRing<NetTx> {
        self.ring.as_mut().expect("taken only by drop")
    }

    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    /// Queues one frame; `false` without room, or for a frame of no valid size.
    pub(super) fn transmit(&mut self, segments: &[&[u8]], counters: &mut Counters) -> bool {
        let Some(size) = frame_len(segments) else {
            return false;
        };
        let Some(id) = self.free.pop() else {
            return false;
        };
        let grant = self.pages.get(usize::from(id));
        let mut at = 0;
        for segment in segments {
            grant.page().copy_in(at, segment);
            at += segment.len();
        }
        let gref = grant.reference().number();
        self.in_flight[usize::from(id)] = true;
        self.ring().push(&NetifTxRequest {
            gref,
            offset: 0,
            flags: 0,
            id,
            size,
        });
        counters.tx_frames += 1;
        counters.tx_bytes += u64::from(size);
        true
    }

    /// Shows the backend what was queued; whether it wants to know.
    pub(super) fn publish(&mut self) -> bool {
        self.ring().publish()
    }

    /// Takes pages back that were sent.
    pub(super) fn reap(&mut self, counters: &mut Counters) -> Result<(), BackendFault> {
        while let Some(response) = self.ring().pop()? {
            let index = page_index(response.id, self.pages.len())?;
            if !core::mem::take(&mut self.in_flight[index]) {
                return Err(BackendFault::UnknownId(u64::from(response.id)));
            }
            counters.tx_errors += u64::from(response.status != NETIF_RSP_OKAY);
            self.free.push(response.id);
        }
        Ok(())
    }

    /// Asks for an event only when pages run short; `true` if some are back already.
    pub(super) fn wait_if_short(&mut self) -> bool {
        self.free.len() < self.pages.len() / 4 && self.ring().wait_for_response()
    }
}

impl Drop for Transmitter {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            self.handles.revoke(ring.into_grant());
        }
    }
}
