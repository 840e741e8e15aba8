//! A ring as the panic path sees it: nothing of its owner's is needed, nor trusted.
//!
//! Who has died may have been in the middle of anything, so all that is known of the ring is what
//! its page says. What was in flight goes on; one request is put behind it, and its answer is
//! looked for among all that come.
//!
//! # Trust
//!
//! Every index is loaded once and masked: a backend that lies makes the request come to nothing.

use crate::grant::Grant;
use crate::page::{self, SharedPage};
use crate::ring::{FrontRing, Protocol, slot};
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use xen_sys::io::ring;

/// The ring.
#[derive(Debug)]
pub struct LastRing<P> {
    page: SharedPage,
    protocol: PhantomData<P>,
}

impl<P: Protocol> LastRing<P> {
    /// A second handle on this ring.
    pub fn of(ring: &FrontRing<P>) -> Self {
        LastRing {
            page: ring.grant().page().last_alias(),
            protocol: PhantomData,
        }
    }

    /// Whether a slot is free.
    pub fn has_room(&self) -> bool {
        let req_prod = self.page.load_u32(ring::REQ_PROD, Ordering::Relaxed);
        let rsp_prod = self.page.load_u32(ring::RSP_PROD, Ordering::Acquire);
        req_prod.wrapping_sub(rsp_prod) < P::SLOTS
    }

    /// Puts a request behind all that the backend has been shown; the first answer that may be
    /// its own.
    pub fn push(&self, request: &P::Request) -> u32 {
        let rsp_prod = self.page.load_u32(ring::RSP_PROD, Ordering::Acquire);
        let req_prod = self.page.load_u32(ring::REQ_PROD, Ordering::Relaxed);
        self.page.copy_in_plain(slot::<P>(req_prod), request);
        let next = req_prod.wrapping_add(1);
        self.page.store_u32(ring::REQ_PROD, next, Ordering::Release);
        page::fence();
        rsp_prod
    }

    /// The next answer from `at` on, if there is one.
    pub fn pop(&self, at: &mut u32) -> Option<P::Response> {
        let rsp_prod = self.page.load_u32(ring::RSP_PROD, Ordering::Acquire);
        let there = rsp_prod.wrapping_sub(*at);
        if there == 0 || there > P::SLOTS {
            return None;
        }
        let response = self.page.copy_out_plain(slot::<P>(*at));
        *at = at.wrapping_add(1);
        Some(response)
    }
}

impl<P> fmt::Display for LastRing<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = |at| self.page.load_u32(at, Ordering::Relaxed);
        write!(
            f,
            "req_prod {}, req_event {}, rsp_prod {}, rsp_event {}",
            index(ring::REQ_PROD),
            index(ring::REQ_EVENT),
            index(ring::RSP_PROD),
            index(ring::RSP_EVENT)
        )
    }
}

/// A granted page that the panic path may fill.
#[derive(Debug)]
pub struct LastPage(SharedPage, u32);

impl LastPage {
    /// A second handle on the page of `grant`.
    pub fn of(grant: &Grant) -> LastPage {
        LastPage(grant.page().last_alias(), grant.reference().number())
    }

    /// What the backend knows it by.
    pub fn reference(&self) -> u32 {
        self.1
    }

    /// Fills it from its beginning on.
    pub fn copy_in(&self, bytes: &[u8]) {
        self.0.copy_in(0, bytes);
    }
}
