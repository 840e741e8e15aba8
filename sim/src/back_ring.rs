//! The backend's half of a shared ring, written from the macros of the header.
//!
//! Source: `xen/include/public/io/ring.h` (`BACK_RING_ATTACH`, `RING_FINAL_CHECK_FOR_REQUESTS`,
//! `RING_PUSH_RESPONSES_AND_CHECK_NOTIFY`), Xen 4.17.

use crate::arena::Arena;
use crate::event::Events;
use crate::grant::Mapping;
use crate::random::Random;
use xen_sys::io::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS};

/// One ring that a backend has mapped.
#[derive(Debug)]
pub struct BackRing {
    /// The page.
    pub page: Mapping,
    slots: u32,
    slot_bytes: usize,
    req_cons: u32,
    rsp_prod_pvt: u32,
}

impl BackRing {
    /// Over a page just mapped, from where its responses have come; `slots` is a power of two.
    pub fn attach(arena: &Arena, page: Mapping, slots: u32, slot_bytes: usize) -> BackRing {
        let index = arena.load_u32(page.gfn, RSP_PROD).unwrap_or(0);
        BackRing {
            page,
            slots,
            slot_bytes,
            req_cons: index,
            rsp_prod_pvt: index,
        }
    }

    fn slot(&self, index: u32) -> usize {
        SLOTS + (index & (self.slots - 1)) as usize * self.slot_bytes
    }

    /// Requests that wait.
    pub fn waiting(&self, arena: &Arena) -> u32 {
        let prod = arena.load_u32(self.page.gfn, REQ_PROD).unwrap_or(0);
        let waiting = prod.wrapping_sub(self.req_cons);
        let unanswered = self.req_cons.wrapping_sub(self.rsp_prod_pvt);
        assert!(
            waiting <= self.slots - unanswered.min(self.slots),
            "the frontend overruns its ring: {waiting} wait, {unanswered} are unanswered"
        );
        waiting
    }

    /// Copies the next request out.
    pub fn take(&mut self, arena: &Arena) -> Option<Vec<u8>> {
        if self.waiting(arena) == 0 {
            return None;
        }
        let mut bytes = vec![0; self.slot_bytes];
        arena.copy_out(self.page.gfn, self.slot(self.req_cons), &mut bytes);
        self.req_cons = self.req_cons.wrapping_add(1);
        Some(bytes)
    }

    /// Writes a response into the next slot; nobody sees it yet.
    pub fn respond(&mut self, arena: &Arena, response: &[u8]) {
        arena.copy_in(self.page.gfn, self.slot(self.rsp_prod_pvt), response);
        self.rsp_prod_pvt = self.rsp_prod_pvt.wrapping_add(1);
    }

    /// Shows the responses, and asks to be told of the next request; whether to notify.
    pub fn publish(&mut self, arena: &Arena) -> Publish {
        let old = arena.load_u32(self.page.gfn, RSP_PROD).unwrap_or(0);
        let new = self.rsp_prod_pvt;
        arena.store_u32(self.page.gfn, RSP_PROD, new);
        let event = arena.load_u32(self.page.gfn, RSP_EVENT).unwrap_or(0);
        arena.store_u32(self.page.gfn, REQ_EVENT, self.req_cons.wrapping_add(1));
        if new.wrapping_sub(event) < new.wrapping_sub(old) {
            Publish::Notify
        } else {
            Publish::Quiet
        }
    }
}

/// Whether a backend looks at its rings.
///
/// It does when it was notified, and goes on until it finds nothing and falls asleep: then only
/// a notification wakes it, so a frontend that forgets one waits for ever.
#[derive(Debug, Default)]
pub struct Attention {
    is_awake: bool,
}

impl Attention {
    /// Whether it looks now.
    pub fn looks(&mut self, events: &mut Events, port: u32) -> bool {
        self.is_awake |= events.take_notified(port);
        self.is_awake
    }

    /// It has looked, and found something or not.
    pub fn looked(&mut self, found: bool, random: &mut Random) {
        self.is_awake = found || random.chance(1, 2);
    }
}

/// Whether the frontend wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// It does.
    Notify,
    /// It does not.
    Quiet,
}
