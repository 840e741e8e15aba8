//! Requests: a backend that is not told sleeps, and one that looks finds them whole.

use crate::backend::{Backend, Event, offsets, slot};
use crate::flaw::{self, Flaw};
use crate::grant::Grant;
use crate::page::SharedPage;
use crate::ring::{FrontRing, NetTx};
use loom::sync::atomic::Ordering;
use loom::thread;
use xen_sys::io::netif::NetifTxRequest;

const SLOT_BYTES: usize = 12;
const REQUESTS: u32 = 2;

/// What a request says, so that half of one is not taken for a whole one.
fn request(index: u32) -> NetifTxRequest {
    NetifTxRequest {
        gref: 0x100 + index,
        size: 0x200 + index as u16,
        ..Default::default()
    }
}

fn judge(page: &SharedPage, index: u32) {
    let at = slot(index, SLOT_BYTES);
    let (first, last) = (at, at + 8);
    let words = [first, last].map(|at| page.load_u32(at, Ordering::Relaxed));
    let request = request(index);
    let wanted = [request.gref, u32::from(request.size) << 16];
    assert_eq!(words, wanted, "a slot was seen that was not written");
}

fn model() {
    let page = SharedPage::new(&offsets(REQUESTS, SLOT_BYTES), &[]);
    let event = Event::new();
    // It asks to be told of the first request, as a ring begins.
    let mut ring: FrontRing<NetTx> = FrontRing::new(Grant(page));
    let backend = thread::spawn(move || {
        let mut backend = Backend::new(page);
        // Awake for another reason, and then if it was told.
        backend.drain(judge);
        if event.take() {
            backend.drain(judge);
        }
        backend
    });
    for index in 0..REQUESTS {
        ring.push(&request(index));
        if ring.publish() {
            event.raise();
        }
    }
    let backend = backend.join().expect("no panic");
    let told = event.take();
    assert!(
        told || backend.taken() == REQUESTS,
        "the backend sleeps with {} of {REQUESTS} taken, and nobody wakes it",
        backend.taken()
    );
}

#[test]
fn a_backend_that_sleeps_is_told_of_requests() {
    flaw::check(model);
}

#[test]
fn requests_without_a_fence_are_slept_over() {
    flaw::check_is_found(Flaw::NoFence, model);
}

#[test]
fn an_index_before_its_slot_is_found() {
    flaw::check_is_found(Flaw::NoRelease, model);
}
