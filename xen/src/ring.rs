//! The frontend's half of a shared ring.
//!
//! A ring is one granted page: four free-running indices, then a power-of-two
//! number of slots. We write a request into a slot; the backend later writes
//! its response over it. Neither side ever waits for the other's code.
//!
//! # Trust
//!
//! The backend can change any byte of this page between any two of our
//! instructions. So each shared index is loaded once and bounded before use,
//! and a slot is copied out before anything looks at it.
//!
//! # Invariants
//!
//! - `rsp_cons <= rsp_prod <= req_prod`, in wrapping order, as last bounded.
//! - `req_prod - rsp_cons <= slots`: we never overwrite an unread response.
//!
//! Source: `xen/include/public/io/ring.h`, Xen 4.17.

use crate::grant::Grant;
use crate::page::{self, Plain};
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use xen_sys::io::{blkif, netif, ring};

/// The backend moved its producer where it cannot be: it is not to be believed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadProducer {
    /// Responses it claims to have written.
    pub claimed: u32,
    /// Requests it could have answered.
    pub outstanding: u32,
}

impl fmt::Display for BadProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "claims {} responses with {} requests outstanding",
            self.claimed as i32, self.outstanding
        )
    }
}

#[cfg(debug_assertions)]
static FIRST_INDEX: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Has the indices of later rings begin at `index`; only with debug assertions.
///
/// They wrap after four thousand million requests, which no test waits for. A backend must go
/// on from the producer of responses it finds, as Linux's do.
#[cfg(debug_assertions)]
pub fn set_first_index(index: u32) {
    FIRST_INDEX.store(index, Ordering::Relaxed);
}

#[cfg(debug_assertions)]
fn first_index() -> u32 {
    FIRST_INDEX.load(Ordering::Relaxed)
}

#[cfg(not(debug_assertions))]
fn first_index() -> u32 {
    0
}

/// What a ring carries.
pub trait Protocol {
    /// What we write.
    #[expect(private_bounds, reason = "sealed: only the structures of xen-sys")]
    type Request: Plain;
    /// What the backend writes.
    #[expect(private_bounds, reason = "sealed: only the structures of xen-sys")]
    type Response: Plain;
    /// Slots in one page, a power of two.
    const SLOTS: u32;
    /// Bytes of a slot.
    const SLOT_BYTES: usize;
}

/// Packets to the backend.
#[derive(Debug)]
pub enum NetTx {}
/// Empty pages to the backend, packets from it.
#[derive(Debug)]
pub enum NetRx {}
/// Disk requests.
#[derive(Debug)]
pub enum Blk {}

impl Protocol for NetTx {
    type Request = netif::NetifTxRequest;
    type Response = netif::NetifTxResponse;
    const SLOTS: u32 = netif::NET_TX_RING_SIZE;
    const SLOT_BYTES: usize = 12;
}

impl Protocol for NetRx {
    type Request = netif::NetifRxRequest;
    type Response = netif::NetifRxResponse;
    const SLOTS: u32 = netif::NET_RX_RING_SIZE;
    const SLOT_BYTES: usize = 8;
}

impl Protocol for Blk {
    type Request = blkif::BlkifRequest;
    type Response = blkif::BlkifResponse;
    const SLOTS: u32 = blkif::BLK_RING_SIZE;
    const SLOT_BYTES: usize = 112;
}

/// The frontend's half of a ring of one protocol.
#[derive(Debug)]
pub struct FrontRing<P> {
    grant: Grant,
    /// Requests written into slots.
    req_prod: u32,
    /// Requests the backend has been shown.
    req_published: u32,
    /// Responses taken.
    rsp_cons: u32,
    protocol: PhantomData<P>,
}

impl<P: Protocol> FrontRing<P> {
    /// An empty ring on a granted, zeroed page.
    pub fn new(grant: Grant) -> Self {
        let first = first_index();
        let event = first.wrapping_add(1);
        let page = grant.page();
        page.store_u32(ring::REQ_PROD, first, Ordering::Relaxed);
        page.store_u32(ring::RSP_PROD, first, Ordering::Relaxed);
        page.store_u32(ring::REQ_EVENT, event, Ordering::Relaxed);
        page.store_u32(ring::RSP_EVENT, event, Ordering::SeqCst);
        FrontRing {
            grant,
            req_prod: first,
            req_published: first,
            rsp_cons: first,
            protocol: PhantomData,
        }
    }

    /// The page's grant, to tell the backend and to revoke.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Gives the page's grant back: the ring is over.
    pub fn into_grant(self) -> Grant {
        self.grant
    }

    /// Requests that could be pushed now.
    pub fn free(&self) -> u32 {
        P::SLOTS - self.outstanding()
    }

    /// Requests without a response taken.
    pub fn outstanding(&self) -> u32 {
        self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// Writes one request into the next slot; the backend sees it at [`FrontRing::publish`].
    ///
    /// # Panics
    /// When the ring is full: ask [`FrontRing::free`] first.
    pub fn push(&mut self, request: &P::Request) {
        assert!(self.free() > 0, "the ring is full");
        self.grant
            .page()
            .copy_in_plain(slot::<P>(self.req_prod), request);
        self.req_prod = self.req_prod.wrapping_add(1);
    }

    /// Shows the backend all requests pushed; whether it wants to be notified.
    pub fn publish(&mut self) -> bool {
        let old = self.req_published;
        let new = self.req_prod;
        if old == new {
            return false;
        }
        let page = self.grant.page();
        page.store_u32(ring::REQ_PROD, new, Ordering::Release);
        self.req_published = new;
        // Our producer must be visible before we read whether it is waited for.
        page::fence();
        let event = page.load_u32(ring::REQ_EVENT, Ordering::Relaxed);
        new.wrapping_sub(event) < new.wrapping_sub(old)
    }

    /// Takes the next response, if there is one.
    ///
    /// # Errors
    /// [`BadProducer`] when the backend's producer index cannot be true.
    pub fn pop(&mut self) -> Result<Option<P::Response>, BadProducer> {
        let page = self.grant.page();
        let rsp_prod = page.load_u32(ring::RSP_PROD, Ordering::Acquire);
        let claimed = rsp_prod.wrapping_sub(self.rsp_cons);
        let outstanding = self.req_published.wrapping_sub(self.rsp_cons);
        if claimed > outstanding {
            return Err(BadProducer {
                claimed,
                outstanding,
            });
        }
        if claimed == 0 {
            return Ok(None);
        }
        let response = page.copy_out_plain(slot::<P>(self.rsp_cons));
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Ok(Some(response))
    }

    /// Asks for an event at the next response; `true` if one is there already.
    pub fn wait_for_response(&mut self) -> bool {
        let page = self.grant.page();
        page.store_u32(
            ring::RSP_EVENT,
            self.rsp_cons.wrapping_add(1),
            Ordering::Relaxed,
        );
        // The request for an event must be visible before we look once more.
        page::fence();
        page.load_u32(ring::RSP_PROD, Ordering::Relaxed) != self.rsp_cons
    }
}

/// Where in the page the slot of this index is.
pub(crate) fn slot<P: Protocol>(index: u32) -> usize {
    const { assert!(P::SLOTS.is_power_of_two()) };
    ring::SLOTS + (index & (P::SLOTS - 1)) as usize * P::SLOT_BYTES
}
